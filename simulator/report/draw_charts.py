"""Charts of what is uncertain: intervals of the draws, one input at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.catalog.costs import cost_words
from simulator.catalog.titles import in_titles
from simulator.figures.table import figure
from simulator.money import column, converted
from simulator.report.charts import BAR_PX, Summaries, names_axis, topology_colour
from simulator.report.inputs import input_unit, input_value

_SWINGS = 10


def intervals(topologies: Summaries, names: Sequence[str]) -> Any:
    """What the draws hold of the monthly cost: an interval and its median by topology; rows say which, no legend."""
    rows = [
        {"topology": name, **{part: converted(usd) for part, usd in found["uncertainty"]["usd_per_month"].items()}}
        for name, found in topologies.items()
        if found["uncertainty"]
    ]
    base = alt.Chart(pd.DataFrame(rows)).properties(height=alt.Step(BAR_PX))
    colour = topology_colour(names).legend(None)
    row = alt.Y("topology:N", sort=list(topologies), title=None, axis=names_axis(list(topologies)))
    tooltip = ["topology", *(alt.Tooltip(part, format=",.0f") for part in ("low", "median", "high"))]
    span = base.mark_rule(strokeWidth=4).encode(
        x=alt.X("low:Q", title=figure("usd_per_month").label), x2="high:Q", y=row, color=colour, tooltip=tooltip
    )
    middle = base.mark_point(filled=True, size=120).encode(x="median:Q", y=row, color=colour, tooltip=tooltip)
    return span + middle


def swings(name: str, found: Sequence[Mapping[str, Any]]) -> Any:
    """Tornado: the monthly cost with one input at a time at the ends of its range, widest swings first."""
    shown, cost, words = found[:_SWINGS], column("usd"), figure("usd_per_month").label
    rows = [
        {
            "input": in_titles(cost_words(swing["input"])),
            "end": end,
            "value": _valued(swing, end),
            cost: converted(swing[f"usd_per_month_{end}"]),
        }
        | {"base": converted(swing["usd_per_month_base"])}
        for swing in shown
        for end in ("low", "high")
    ]
    return (
        alt.Chart(
            pd.DataFrame(rows),
            title=alt.Title("Cost per month with one input at a time", subtitle=name, subtitleColor="gray"),
        )
        .mark_bar()
        .encode(
            x=alt.X("base:Q", title=words, scale=alt.Scale(zero=False)),
            x2=f"{cost}:Q",
            y=alt.Y(
                "input:N",
                sort=[in_titles(cost_words(swing["input"])) for swing in shown],
                title=None,
                axis=alt.Axis(labelLimit=260),
            ),
            color=alt.Color(
                "end:N",
                scale=alt.Scale(domain=["low", "high"], range=["#56B4E9", "#D55E00"]),
                legend=alt.Legend(title="input at its", orient="top"),
            ),
            tooltip=["input", "end", "value", alt.Tooltip(cost, format=",.0f", title=words)],
        )
        .properties(height=alt.Step(28))
    )


def _valued(swing: Mapping[str, Any], end: str) -> str:
    return f"{input_value(swing[end])} {input_unit(swing['input'])}".strip()
