"""Charts and words of the report on money: intervals of the costs, swings with one input."""

from __future__ import annotations

from typing import Any

from simulator.report.charts import Summaries
from simulator.report.draw_charts import intervals, swings

WIDTH = 500
_SWING_WIDTH = 360
"""Of charts on the page, in pixels; long names stand beside the bars of swings."""


def money_charts(topologies: Summaries) -> list[Any]:
    """Intervals of the cost, and swings; charts without data are left out."""
    charts: list[Any] = []
    if any(summary["uncertainty"] for summary in topologies.values()):
        title = "Cost per month: what the draws hold"
        charts.append(_titled(intervals(topologies, list(topologies)), title))
    shown = [(name, found["tornado"]) for name, found in topologies.items() if found["tornado"]]
    return charts + [swings(name, found).properties(width=_SWING_WIDTH) for name, found in shown]


def _titled(chart: Any, title: str) -> Any:
    return chart.properties(title=title, width=WIDTH)


def money_notes(topologies: Summaries) -> list[str]:
    """Sentences on what the intervals hold."""
    notes: list[str] = []
    drawn = next((found["uncertainty"] for found in topologies.values() if found["uncertainty"]), None)
    if drawn:
        notes.append(
            f"Intervals hold {drawn['coverage']:.0%} of {drawn['draws']:,} draws of prices and cost figures; all "
            "topologies see the same draws. An error of the forecast's speed moves no price: it moves the size that is "
            "needed."
        )
    return notes
