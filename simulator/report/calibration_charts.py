"""Charts and rows of how far forecasts were from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import altair as alt
import pandas as pd

from simulator.catalog.expected import TITLES

_KIND_PX = 12


def error_bars(groups: pd.DataFrame, metric: str) -> Any:
    """Median absolute error of one metric by GPU and kind of model.

    Parameters
    ----------
    groups : columns `gpu`, `kind`, the metric's (shares; NaN where it was not measured), its `points` and `models`
    """
    known = groups.dropna(subset=metric)
    return (
        alt.Chart(known.assign(error=known[metric].astype(float)))
        .mark_bar()
        .encode(
            x=alt.X("error:Q", title="median absolute error", axis=alt.Axis(format=".0%")),
            y=alt.Y("gpu:N", title=None, axis=alt.Axis(labelOverlap=False, labelLimit=220)),
            yOffset="kind:N",
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(range=["#0072B2", "#E69F00"]),
                title="models",
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["gpu", "kind", alt.Tooltip("error", format=".1%"), f"{metric} points", f"{metric} models"],
        )
        .properties(title=TITLES[metric], height=alt.Step(_KIND_PX))
    )


def drift_slices(report: Mapping[str, Any]) -> Any:
    """Measured over predicted gap between tokens in each slice of a watch, with the drift's interval as a band."""
    drift = report["drift"]
    data = pd.DataFrame(
        [{"minutes": (entry["start_s"] + entry["end_s"]) / 120, "ratio": entry["ratio"]} for entry in drift["slices"]]
    )
    data["minutes"] -= data["minutes"].min()
    band = alt.Chart(pd.DataFrame([{"low": drift["low"], "high": drift["high"]}]))
    slices = (
        alt.Chart(data)
        .mark_line(point=True)
        .encode(
            x=alt.X("minutes:Q", title="minutes of the watch"),
            y=alt.Y("ratio:Q", title="measured / predicted gap", scale=alt.Scale(zero=False)),
            tooltip=[alt.Tooltip("minutes", format=".1f"), alt.Tooltip("ratio", format=".3f")],
        )
    )
    return (band.mark_rect(opacity=0.15, color="#0072B2").encode(y="low:Q", y2="high:Q") + slices).properties(
        height=240
    )


def measured_rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Errors in the JSON of `verify gpu`, `verify latency` or `calibrate validate`, a row each; else none."""
    return [*_published(value), *_served(value)]


def _published(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group in ("overall", "saturated", "burst"):
        yield from _group(group, "all", value.get(group))
    for group in ("by_gpu", "by_model", "by_load_level"):
        found = value.get(group)
        for name, metrics in found.items() if isinstance(found, Mapping) else ():
            yield from _group(group.removeprefix("by_"), str(name), metrics)


def _group(group: str, name: str, metrics: Any) -> Iterator[dict[str, Any]]:
    for metric, found in metrics.items() if isinstance(metrics, Mapping) else ():
        if isinstance(found, Mapping) and "median_abs_error" in found:
            yield {
                "of": group,
                "name": name,
                "metric": metric,
                "error": found["median_abs_error"],
                "rows": found.get("rows"),
            }


def _served(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    runs = [run for file in value.get("files", ()) for run in file.get("runs", ())]
    by_way = value.get("runs")
    runs += [run for found in by_way.values() for run in found] if isinstance(by_way, Mapping) else []
    for run in runs:
        for row in run.get("rows", ()):
            yield {
                "of": "run",
                "name": f"{run['rate_rps']:g} requests/s",
                "metric": f"{row['metric']} {row['statistic']}",
                "error": row["error"],
                "rows": run["requests"],
            }
