"""Which points are worth a look: those that no other beats in both cost and service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.report.charts import topology_colour

MEASURES = {
    "ttft_p99_s": ("TTFT p99", "s"),
    "tpot_p99_s": ("TPOT p99", "s"),
    "e2e_p99_s": ("E2E p99", "s"),
    "missed_share": ("requests that miss the SLO", "share"),
}
"""What cost is set against, smaller is better: words and unit."""


def point(run: str, name: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """One topology of one run as a point."""
    metrics = summary["metrics"]
    return {
        "point": f"{run}/{name}" if run else name,
        "run": run,
        "topology": name,
        "usd_per_month": summary["cost"]["usd_per_month"],
        "slo_met": bool(metrics["slo_met"]),
        "missed_share": 1.0 - metrics["slo_attainment"],
        **{f"{metric}_p99_s": metrics[f"{metric}_s"]["p99"] for metric in ("ttft", "tpot", "e2e")},
    }


def frontier(points: Sequence[Mapping[str, Any]], measure: str) -> list[Mapping[str, Any]]:
    """Points that no other beats: none costs at most as much and is at most as slow, with one of both less.

    Returned by rising cost; of equal points the first alone. Points without the measure are left out.
    """
    known = [found for found in points if found[measure] is not None and found["usd_per_month"] is not None]
    kept: list[Mapping[str, Any]] = []
    best = float("inf")
    for found in sorted(known, key=lambda entry: (entry["usd_per_month"], entry[measure])):
        if found[measure] < best:
            best = found[measure]
            kept.append(found)
    return kept


def pareto_chart(
    points: Sequence[Mapping[str, Any]], measure: str, names: Sequence[str], limit: float | None = None
) -> Any:
    """Cost against a measure of service: all points, the frontier as steps, the SLO's limit as a line.

    A click on a point selects it (parameter `chosen`, field `point`).

    Parameters
    ----------
    limit : largest value that the SLO allows; the region below is shaded
    """
    words, unit = MEASURES[measure]
    data = pd.DataFrame([{**found, "SLO": "met" if found["slo_met"] else "missed"} for found in points])
    data = data[data[measure].notna()]
    x = alt.X("usd_per_month:Q", title="$ per month", scale=alt.Scale(zero=False, padding=30))
    y = alt.Y(f"{measure}:Q", title=f"{words} [{unit}]", scale=alt.Scale(zero=True))
    chosen = alt.selection_point(name="chosen", fields=["point"])
    marks = (
        alt.Chart(data)
        .mark_point(size=180, filled=True)
        .encode(
            x=x,
            y=y,
            color=topology_colour(names),
            shape=alt.Shape("SLO:N", scale=alt.Scale(domain=["met", "missed"], range=["circle", "cross"])),
            opacity=alt.condition(chosen, alt.value(1.0), alt.value(0.45)),
            tooltip=["point", alt.Tooltip("usd_per_month", format=",.0f"), alt.Tooltip(measure, format=".4g"), "SLO"],
        )
        .add_params(chosen)
    )
    edge = (
        alt.Chart(pd.DataFrame([dict(found) for found in frontier(points, measure)]))
        .mark_line(interpolate="step-after", strokeDash=[5, 4], color="gray")
        .encode(x="usd_per_month:Q", y=f"{measure}:Q")
    )
    layers = [edge, marks]
    if limit is not None:
        rule = alt.Chart(pd.DataFrame([{"limit": limit, "zero": 0.0}]))
        region = rule.mark_rect(opacity=0.08, color="#009E73").encode(y="zero:Q", y2="limit:Q")
        layers = [region, rule.mark_rule(color="#D55E00").encode(y="limit:Q"), *layers]
    return alt.layer(*layers).properties(height=420)
