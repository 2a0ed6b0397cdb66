"""Charts and words of the report on money: intervals of the costs, swings with one input, where owning breaks even."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from simulator.report.break_even_charts import intervals, swings, volume_lines
from simulator.report.charts import Summaries

WIDTH = 500
_SWING_WIDTH = 360
"""Of charts on the page, in pixels; long names stand beside the bars of swings."""


def money_charts(topologies: Summaries, curves: pd.DataFrame) -> list[Any]:
    """Cost over volume, intervals of the cost, swings; charts without data are left out.

    Parameters
    ----------
    curves : `break_even.parquet` of the run bundle
    """
    names = list(topologies)
    charts: list[Any] = [_titled(volume_lines(curves, topologies, names), "Cost over volume")]
    if any(summary["uncertainty"] for summary in topologies.values()):
        title = "Cost per month: what the draws hold"
        charts.append(_titled(intervals(topologies, names), title))
    shown = [(name, found["tornado"]) for name, found in topologies.items() if found["tornado"]]
    return charts + [swings(name, found).properties(width=_SWING_WIDTH) for name, found in shown]


def _titled(chart: Any, title: str) -> Any:
    return chart.properties(title=title, width=WIDTH)


def money_notes(topologies: Summaries) -> list[str]:
    """Sentences on what the intervals hold, on break-even and on the hybrid rule."""
    notes: list[str] = []
    drawn = next((found["uncertainty"] for found in topologies.values() if found["uncertainty"]), None)
    if drawn:
        notes.append(
            f"Intervals hold {drawn['coverage']:.0%} of {drawn['draws']:,} draws of prices and cost figures; all "
            "topologies see the same draws. An error of the forecast's speed moves no price: it moves the size that is "
            "needed."
        )
    notes += [_break_even(name, found["break_even"]) for name, found in topologies.items() if found["break_even"]]
    notes += [_rule(name, found["hybrid_rule"]) for name, found in topologies.items() if found["hybrid_rule"]]
    return notes


def _break_even(name: str, found: Mapping[str, Any]) -> str:
    rival, tokens = found["against"], found["tokens_per_month"]
    if tokens is None:
        text = f"{name} {found['cheaper']} costs less than {rival}, whatever the load"
    else:
        text = f"{name} costs less than {rival} {found['cheaper']} {tokens / 1e6:,.0f} million tokens a month"
    month = found["month"]
    text += f"; paid back after {month:.1f} months." if month is not None else "; not paid back within the horizon."
    return text + _how_sure(found)


def _how_sure(found: Mapping[str, Any]) -> str:
    drawn = found["draws"]
    if not drawn:
        return ""
    text = f" At the run's volume it costs less in {drawn['share_cheaper']:.0%} of the draws"
    tokens = drawn["tokens_per_month"]
    if tokens is None:
        return f"{text}."
    share = drawn["shares"][found["cheaper"]]
    among = "the draws" if share == 1 else f"the {share:.0%} of the draws that break even {found['cheaper']} a volume"
    return (
        f"{text}; in {drawn['coverage']:.0%} of {among} that volume is between {tokens['low'] / 1e6:,.0f} and "
        f"{tokens['high'] / 1e6:,.0f} million tokens a month."
    )


def _rule(name: str, found: Mapping[str, Any]) -> str:
    return (
        f"{name} owns {found['owned_replicas']} replicas; without cold starts and queues it would be cheapest with "
        f"{found['rule_replicas']}, at {found['requests_per_replica']:g} requests a replica."
    )
