"""Charts of break-even: cost against volume, intervals of the draws, one input at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.figures.table import figure
from simulator.report.charts import Summaries, topology_colour
from simulator.report.inputs import input_unit, input_value

_SWINGS = 10


def volume_lines(curves: pd.DataFrame, topologies: Summaries, names: Sequence[str]) -> Any:
    """Monthly cost against delivered tokens with the band of the draws; dots: the run; rules: where owning breaks even.

    Parameters
    ----------
    curves : `break_even.parquet` of a run bundle
    """
    data = curves[curves["topology"].isin(list(topologies))].rename(
        columns={"usd_per_month": "usd", "usd_per_month_low": "usd_low", "usd_per_month_high": "usd_high"}
    )
    data["billions"] = data["tokens_per_month"] / 1e9
    x = alt.X("billions:Q", title="delivered tokens per month [1e9]", scale=alt.Scale(nice=False))
    runs = [
        {"topology": name, "billions": found["cost"]["tokens_per_month"] / 1e9, "usd": found["cost"]["usd_per_month"]}
        for name, found in topologies.items()
    ]
    return _chart(data, runs, _crossings(topologies, data["billions"].max()), x, names)


def _crossings(topologies: Summaries, most: float) -> list[dict[str, Any]]:
    """Break-even of each topology in 1e9 tokens with the interval of the draws, as far as it is shown."""
    rows, key, factor = [], "tokens_per_month", 1e-9
    for name, summary in topologies.items():
        found = summary["break_even"]
        if not found or found[key] is None or found[key] * factor > most:
            continue
        drawn = (found["draws"] or {}).get(key) or {}
        low, high = (min(drawn.get(end, found[key]) * factor, most) for end in ("low", "high"))
        words = f"break-even with {found['against']}"
        rows.append({"topology": name, "at": found[key] * factor, "low": low, "high": high, "words": words})
    return rows


def _chart(
    data: pd.DataFrame,
    runs: Sequence[Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    x: alt.X,
    names: Sequence[str],
) -> Any:
    unit = figure("usd_per_month").label
    y = alt.Y("usd:Q", title=unit)
    colour = topology_colour(names)
    digits = ",.1f"
    place = alt.Tooltip("billions", format=digits, title="tokens [1e9]")
    money = [
        alt.Tooltip(name, format=",.0f", title=title)
        for name, title in (("usd", unit), ("usd_low", "low"), ("usd_high", "high"))
    ]
    base = alt.Chart(data).encode(x=x, color=colour)
    layers: list[Any] = []
    if data["usd_low"].notna().any():
        layers.append(base.mark_area(opacity=0.12).encode(y=alt.Y("usd_low:Q"), y2="usd_high:Q"))
    if rules:
        marks = alt.Chart(pd.DataFrame(rules)).encode(color=colour)
        tooltip = ["topology", "words", *(alt.Tooltip(end, format=digits) for end in ("at", "low", "high"))]
        layers += [
            marks.mark_rect(opacity=0.1).encode(x="low:Q", x2="high:Q", tooltip=tooltip),
            marks.mark_rule(strokeDash=[2, 3], strokeWidth=2).encode(x="at:Q", tooltip=tooltip),
        ]
    layers.append(base.mark_line().encode(y=y, tooltip=["topology", place, *money]))
    if runs:
        dots = alt.Chart(pd.DataFrame(runs)).mark_point(filled=True, size=140, opacity=1)
        layers.append(dots.encode(x=x, y=y, color=colour, tooltip=["topology", place, money[0]]))
    return alt.layer(*layers).properties(height=360)


def intervals(topologies: Summaries, names: Sequence[str]) -> Any:
    """What the draws hold of the monthly cost: an interval and its median by topology; rows say which, no legend."""
    rows = [
        {"topology": name, **found["uncertainty"]["usd_per_month"]}
        for name, found in topologies.items()
        if found["uncertainty"]
    ]
    base = alt.Chart(pd.DataFrame(rows)).properties(height=alt.Step(35))
    colour = topology_colour(names).legend(None)
    row = alt.Y("topology:N", sort=list(topologies), title=None)
    tooltip = ["topology", *(alt.Tooltip(part, format=",.0f") for part in ("low", "median", "high"))]
    span = base.mark_rule(strokeWidth=4).encode(
        x=alt.X("low:Q", title="$ per month"), x2="high:Q", y=row, color=colour, tooltip=tooltip
    )
    middle = base.mark_point(filled=True, size=120).encode(x="median:Q", y=row, color=colour, tooltip=tooltip)
    return span + middle


def swings(name: str, found: Sequence[Mapping[str, Any]]) -> Any:
    """Tornado: the monthly cost with one input at a time at the ends of its range, widest swings first."""
    shown = found[:_SWINGS]
    rows = [
        {"input": swing["input"], "end": end, "value": _valued(swing, end), "usd": swing[f"usd_per_month_{end}"]}
        | {"base": swing["usd_per_month_base"]}
        for swing in shown
        for end in ("low", "high")
    ]
    return (
        alt.Chart(pd.DataFrame(rows), title=f"Cost per month with one input at a time: {name}")
        .mark_bar()
        .encode(
            x=alt.X("base:Q", title="$ per month", scale=alt.Scale(zero=False)),
            x2="usd:Q",
            y=alt.Y("input:N", sort=[swing["input"] for swing in shown], title=None, axis=alt.Axis(labelLimit=260)),
            color=alt.Color(
                "end:N",
                scale=alt.Scale(domain=["low", "high"], range=["#56B4E9", "#D55E00"]),
                legend=alt.Legend(title="input at its", orient="top"),
            ),
            tooltip=["input", "end", "value", alt.Tooltip("usd", format=",.0f", title="$ per month")],
        )
        .properties(height=alt.Step(28))
    )


def _valued(swing: Mapping[str, Any], end: str) -> str:
    return f"{input_value(swing[end])} {input_unit(swing['input'])}".strip()
