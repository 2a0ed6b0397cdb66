"""A decision as charts: months, cost at other loads, and what would change it; reads `decision.json` alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.catalog.titles import in_titles
from simulator.figures.table import figure
from simulator.money import column, converted, in_sign
from simulator.report.charts import BAR_PX, names_axis, topology_colour
from simulator.report.coinciding import WIDTH, with_widths
from simulator.report.decision import Decision

_CHART_PX = 420
"""With its axes and legend."""
_AXIS_PX = 80


def months_chart(decision: Decision, names: Sequence[str], shown: Collection[str]) -> Any:
    """What each month costs, as the lines of its bill; months that miss the SLO are hollow."""
    cost = column("usd")
    rows = [
        {
            "topology": name,
            "month": month["month"],
            cost: converted(month["usd"]),
            "SLO": "not known" if month["meets"] is None else "met" if month["meets"] else "missed",
            "load": " ".join(f"× {factor:.2f}" for factor in month["level"]),
            "servers": month["servers"],
            "binding": month["binding"],
        }
        for name in names
        if name in shown
        for month in decision["topologies"][name]["months"]
    ]
    base = alt.Chart(with_widths(pd.DataFrame(rows), "month", cost)).encode(
        x=alt.X("month:Q", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False)),
        y=alt.Y(f"{cost}:Q", title=in_sign("$ of the bill of the month")),
        color=topology_colour(names),
    )
    marks = base.mark_point(size=50).encode(
        fillOpacity=alt.condition("datum.SLO == 'met'", alt.value(1.0), alt.value(0.0)),
        fill=topology_colour(names),
        tooltip=["topology", "month", "SLO", "load", "servers", "binding", alt.Tooltip(cost, format=",.0f")],
    )
    return (base.mark_line(interpolate="step-after").encode(strokeWidth=WIDTH) + marks).properties(height=_CHART_PX)


def _whose_load(decision: Decision, names: Sequence[str]) -> str:
    volumes = (pair["volume"] for name in names for pair in decision["topologies"][name]["break_even"])
    month = next((found.get("month") for found in volumes if found), 0)
    return f"that of month {month}" if month else "the run's"


def volumes_chart(decision: Decision, names: Sequence[str], shown: Collection[str]) -> Any | None:
    """Cost at each multiple of the load that was tried, sizes that no load allows left out; None if none was tried."""
    points: dict[tuple[str, float], float] = {}
    for name in shown:
        for pair in decision["topologies"][name]["break_even"]:
            for factor, usd, rival_usd in (pair["volume"] or {}).get("tried", ()):
                points |= {
                    (one, factor): cost
                    for one, cost in ((name, usd), (pair["rival"], rival_usd))
                    if cost is not None and one in shown
                }
    if not points:
        return None
    cost = column("usd")
    rows = [{"topology": name, "load": factor, cost: converted(usd)} for (name, factor), usd in sorted(points.items())]
    return (
        alt.Chart(with_widths(pd.DataFrame(rows), "load", cost))
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "load:Q",
                title=f"load, as a multiple of {_whose_load(decision, names)}",
                scale=alt.Scale(type="log", nice=False),
            ),
            y=alt.Y(f"{cost}:Q", title=figure("usd_per_month").label),
            color=topology_colour(names),
            strokeWidth=WIDTH,
            tooltip=["topology", alt.Tooltip("load", format=".2f"), alt.Tooltip(cost, format=",.0f")],
        )
        .properties(height=_CHART_PX)
    )


def flip_chart(flips: Sequence[Mapping[str, Any]]) -> Any:
    """From today's value (× 1) to where the winner changes, on a logarithmic scale, the nearest first."""
    found = sorted((flip for flip in flips if flip["factor"]), key=lambda flip: max(flip["factor"], 1 / flip["factor"]))
    rows = [
        {
            "assumption": in_titles(flip["assumption"]),
            "today": 1.0,
            "factor": flip["factor"],
            "winner": f"then {flip['winner']}",
        }
        for flip in found
    ]
    names = [str(row["assumption"]) for row in rows]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("assumption:N", sort=names, title=None, axis=names_axis(names)),
        tooltip=["assumption", alt.Tooltip("factor", format=".3f"), "winner"],
    )
    x = alt.X("today:Q", scale=alt.Scale(type="log", nice=False, padding=60), title="multiple of today's value")
    bars = base.mark_rule(strokeWidth=6, color="gray").encode(x=x, x2="factor:Q")
    ends = base.mark_point(filled=True, size=110).encode(x="factor:Q")
    words = base.mark_text(align="center", dy=-13, color="gray").encode(x="factor:Q", text="winner:N")
    return (bars + ends + words).properties(height=BAR_PX * len(rows) + _AXIS_PX)
