"""A decision as sentences, rows and a chart: reads `decision.json`, computes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from tabulate import tabulate

from simulator.figures.table import NONE, figure, lasts_words
from simulator.money import amount, column, converted, in_sign, money
from simulator.report.charts import topology_colour
from simulator.report.flips import flip_notes
from simulator.report.month_table import month_table
from simulator.units import HOURS_PER_DAY, TOKENS_PER_MILLION

Decision = Mapping[str, Any]
_CHART_PX = 420
"""With its axes and legend."""
PAIR_HEADERS = ("", "against", "from month", "discounted", "hours of use a day", "load")


def grows(decision: Decision) -> bool:
    """Whether any topology has months that differ."""
    return any(
        len({(tuple(month["level"]), month["meets"], month["usd"]) for month in found["months"]}) > 1
        for found in decision["topologies"].values()
    )


def month_headers() -> tuple[str, ...]:
    """Of the columns of `month_rows`."""
    costs = in_sign("$ per month, first"), "last", in_sign("owed after the study [$]")
    return ("", "SLO met", "lasts until", "servers", *costs)


def month_rows(decision: Decision, names: Collection[str]) -> list[list[str]]:
    """A row for each topology: for how many months it meets the SLO, its servers and its costs."""
    rows = []
    for name in names:
        found = decision["topologies"][name]
        months = found["months"]
        servers = [month["servers"] for month in months]
        rows.append(
            [
                name,
                months_met_words(months),
                lasts_words(found["lasts_until"]),
                _span(servers) if max(servers) else NONE,
                amount(months[0]["usd"]),
                amount(months[-1]["usd"]),
                amount(months[-1]["liability_usd"]),
            ]
        )
    return rows


def months_met_words(months: Sequence[Mapping[str, Any]]) -> str:
    """In how many months the SLO is met."""
    return f"{sum(month['meets'] for month in months)} of {len(months)} months"


def months_notes(decision: Decision, names: Collection[str]) -> list[str]:
    """How each topology gets through its months, in words; empty where they are all alike."""
    return [f"{name} {_months_words(decision['topologies'][name]['months'])}." for name in names] * grows(decision)


def _months_words(months: Sequence[Mapping[str, Any]]) -> str:
    met = [month["meets"] for month in months]
    usd = f"{money(months[0]['usd'])} in the first month, {money(months[-1]['usd'])} in the last"
    if all(met):
        return f"meets the SLO in all {len(months)} months: {usd}"
    first = met.index(False)
    binding = months[first]["binding"]
    if not any(met):
        return f"misses the SLO in every month, from the first on: {binding}; {usd}"
    again = f" and meets it in {sum(met[first:])} of the {len(months) - first} months from then on" * any(met[first:])
    if not first:
        return f"misses the SLO in month 1{again}: {binding}; {usd}"
    return f"meets the SLO until month {months[first - 1]['month']}{again}; then {binding}; {usd}"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def pair_rows(decision: Decision, names: Collection[str]) -> list[list[str]]:
    """A row for each topology and each rival that meets the SLO: from when it costs less, whether or not it serves."""
    serves = {name: all(month["meets"] for month in decision["topologies"][name]["months"]) for name in names}
    return [
        [
            name if serves[name] else f"{name} (misses the SLO)",
            pair["rival"],
            _month(pair["months"]),
            _month(pair["months_discounted"]),
            _hours(pair["hours_per_day"], pair["hours_below"]),
            _volume(pair["volume"]),
        ]
        for name in names
        for pair in decision["topologies"][name]["break_even"]
        if pair["rival"] in names
    ]


def _month(value: float | None) -> str:
    return "never" if value is None else "the start" if value == 0 else f"{value:.{1 if value >= 10 else 2}f}"


def _hours(value: float | None, below: float | None) -> str:
    hours = below if value is None else max(HOURS_PER_DAY - value, 0.0)
    if hours is None:
        return NONE
    if round(hours, 2) in (0, HOURS_PER_DAY):
        return "always" if hours > 1 else "never"
    return f"below {below:.2f}" if value is None else f"above {value:.2f}"


def _volume(found: Mapping[str, Any] | None) -> str:
    if not found:
        return NONE
    if found["factor"] is None:
        loads = [load for load, *_ in found["tried"]]
        return f"{found['side']}, × {min(loads):.3g} to {max(loads):.3g}{_of_month(found)}"
    tokens = found["tokens_per_month"]
    volume = f", {tokens / TOKENS_PER_MILLION:,.0f}M tokens a month" if tokens else ""
    return f"{found['side']} × {found['factor']:.3g}{_of_month(found)}{volume}"


def _of_month(found: Mapping[str, Any]) -> str:
    """The month of which a capacity or a volume is, where months differ."""
    return f" of month {found['month']}" if found.get("month") else ""


def decision_notes(decision: Decision, names: Collection[str]) -> list[str]:
    """Why each loser is one, how long fleets last, what capacity they have, and what would flip the winner."""
    notes = [f"{found['binding']['text']}." for name in names if (found := decision["topologies"][name])["binding"]]
    notes += capacity_notes(decision, names)
    return notes + flip_notes(decision["flips"])


def capacity_notes(decision: Decision, names: Collection[str]) -> list[str]:
    """How much load each fleet carries within the SLO, where that was asked for."""
    notes = []
    for name in names:
        capacity = decision["topologies"][name]["capacity"]
        if capacity and capacity.get("at_any_load"):
            notes.append(f"{name} misses the SLO however little comes: {capacity['at_any_load']}.")
        elif capacity and not capacity["factor"]:
            tried = f"{capacity['fails_at']:.2g} times the load{_of_month(capacity)}"
            notes.append(f"{name} misses the SLO at {tried}, too: what it carries within it was not found.")
        elif capacity:
            month = capacity.get("month")
            its = f"the capacity that it has in month {month}" if month else "its capacity"
            used = f"{_share_used(capacity)} of {its} is used"
            notes.append(f"{name} carries {_times(capacity)} the load{_of_month(capacity)} within the SLO: {used}.")
    return notes


def _times(capacity: Mapping[str, Any]) -> str:
    low, high = capacity["factor"], capacity["fails_at"]
    if high is None:
        return f"at least {low:.2f} times"
    return f"{low:.2f} times" if f"{low:.2f}" == f"{high:.2f}" else f"between {low:.2f} and {high:.2f} times"


def used_words(capacity: Mapping[str, Any]) -> str:
    """The share of a fleet's capacity that the load takes, as far as it is known, and in which month if they differ."""
    month = capacity.get("month")
    return _share_used(capacity) + (f" in month {month}" if month else "")


def _share_used(capacity: Mapping[str, Any]) -> str:
    low, high = capacity["used_share_low"], capacity["used_share_high"]
    shown = figure("capacity_used_share")
    if capacity.get("at_any_load"):
        return "missed at any load"
    if not capacity["factor"]:
        return f"missed at {capacity['fails_at']:.2g} × load too"
    if not low:
        return f"at most {shown.text(high)}"
    return shown.text(low) if shown.text(low) == shown.text(high) else shown.span(low, high)


def decision_screen(decision: Decision, names: Sequence[str], every_month: bool = False) -> str:
    """Months where they differ, break-even of each topology against each rival, and capacities.

    Parameters
    ----------
    every_month : all months, not only those in which something changes
    """
    parts: list[str] = []
    if grows(decision):
        parts.append(_table(month_rows(decision, names), month_headers()))
    if grows(decision) or every_month:
        rows, headers = month_table(decision, names, every_month)
        parts.append("every month:" if every_month else "months in which something changes:")
        parts.append(_table(rows, headers))
    if pairs := pair_rows(decision, names):
        parts.append("break-even: costs less than a rival that meets the SLO (months as paid, resale not counted):")
        parts.append(_table(pairs, PAIR_HEADERS))
    parts += [f"- {note}" for note in capacity_notes(decision, names)]
    return "\n" + "\n".join(parts)


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    return tabulate(rows, headers=list(headers), tablefmt="simple", disable_numparse=True)


def months_chart(decision: Decision, names: Sequence[str], shown: Collection[str]) -> Any:
    """What each month costs, as its lines; months that miss the SLO are hollow."""
    cost = column("usd")
    rows = [
        {
            "topology": name,
            "month": month["month"],
            cost: converted(month["usd"]),
            "SLO": "met" if month["meets"] else "missed",
            "load": " ".join(f"× {factor:.2f}" for factor in month["level"]),
            "servers": month["servers"],
            "binding": month["binding"],
        }
        for name in names
        if name in shown
        for month in decision["topologies"][name]["months"]
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("month:Q", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False)),
        y=alt.Y(f"{cost}:Q", title=in_sign("$ in the month, as its lines")),
        color=topology_colour(names),
    )
    marks = base.mark_point(size=50).encode(
        fillOpacity=alt.condition("datum.SLO == 'met'", alt.value(1.0), alt.value(0.0)),
        fill=topology_colour(names),
        tooltip=["topology", "month", "SLO", "load", "servers", "binding", alt.Tooltip(cost, format=",.0f")],
    )
    return (base.mark_line(interpolate="step-after") + marks).properties(height=_CHART_PX)


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
        alt.Chart(pd.DataFrame(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "load:Q",
                title=f"load, as a multiple of {_whose_load(decision, names)}",
                scale=alt.Scale(type="log", nice=False),
            ),
            y=alt.Y(f"{cost}:Q", title=figure("usd_per_month").label),
            color=topology_colour(names),
            tooltip=["topology", alt.Tooltip("load", format=".2f"), alt.Tooltip(cost, format=",.0f")],
        )
        .properties(height=_CHART_PX)
    )
