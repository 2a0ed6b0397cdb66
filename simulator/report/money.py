"""Charts and words of the report on money: intervals of the costs, swings with one input, where owning breaks even."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.report.break_even_charts import intervals, swings
from simulator.report.charts import Summaries

_WIDTH = 500


def money_charts(topologies: Summaries) -> list[Any]:
    """Interval of the monthly cost by topology, then the swings of each; charts without data are left out."""
    charts: list[Any] = []
    if any(summary.get("uncertainty") for summary in topologies.values()):
        title = "Cost per month: what the draws hold"
        charts.append(intervals(topologies, list(topologies)).properties(title=title, width=_WIDTH))
    shown = [(name, found["tornado"]) for name, found in topologies.items() if found.get("tornado")]
    return charts + [swings(name, found).properties(width=_WIDTH) for name, found in shown]


def money_notes(topologies: Summaries) -> list[str]:
    """Sentences on what the intervals hold, on break-even and on the hybrid rule."""
    notes: list[str] = []
    drawn = next((found["uncertainty"] for found in topologies.values() if found.get("uncertainty")), None)
    if drawn:
        notes.append(
            f"Intervals hold {drawn['coverage']:.0%} of {drawn['draws']:,} draws of prices and cost figures; all "
            "topologies see the same draws. They leave out errors of the forecast's speed unless it was measured: "
            + "; ".join(f"{name}: {_covered(found)}" for name, found in topologies.items())
            + "."
        )
    notes += [_break_even(name, found["break_even"]) for name, found in topologies.items() if found.get("break_even")]
    notes += [_rule(name, found["hybrid_rule"]) for name, found in topologies.items() if found.get("hybrid_rule")]
    return notes


def _covered(summary: Mapping[str, Any]) -> str:
    measured = summary["uncertainty"]["covers_speed"] and summary["pools"]
    return "money and speed" if measured else "money only"


def _break_even(name: str, found: Mapping[str, Any]) -> str:
    rival, tokens, share = found["against"], found["tokens_per_month"], found["busy_share"]
    if tokens is None or share is None:
        text = f"{name} {found['cheaper']} costs less than {rival}, whatever the load"
    else:
        reach = ", for which it has not GPUs enough" if share > 1 else ""
        text = (
            f"{name} costs less than {rival} {found['cheaper']} {tokens / 1e6:,.0f} million tokens a month, with "
            f"its GPUs busy {share:.0%} of the time{reach}; now {found['busy_share_now']:.0%}"
        )
    month = found["month"]
    return text + (f"; paid back in month {month}." if month is not None else "; not paid back within the horizon.")


def _rule(name: str, found: Mapping[str, Any]) -> str:
    return (
        f"{name} owns {found['owned_replicas']} replicas; without cold starts and queues it would be cheapest with "
        f"{found['rule_replicas']}, at {found['requests_per_replica']:g} requests a replica."
    )
