"""A decision as sentences and rows: reads `decision.json`, computes nothing."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from simulator.decide.why import flip_words
from simulator.figures.table import NONE, figure, lasts_words, met_words
from simulator.money import amount, in_sign, money
from simulator.report.month_table import month_table
from simulator.report.parts import in_parts
from simulator.report.prose import wrapped
from simulator.study.decision import LEAST_HOURS, Flip
from simulator.units import HOURS_PER_DAY, TOKENS_PER_MILLION, month_words

Decision = Mapping[str, Any]
MET_MONTHS = "months within the SLO"
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
    return ("", MET_MONTHS, "lasts until", "servers", *costs)


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
                lasts_in_words(found),
                _span(servers) if max(servers) else NONE,
                amount(months[0]["usd"]),
                amount(months[-1]["usd"]),
                amount(months[-1]["liability_usd"]),
            ]
        )
    return rows


def months_met_words(months: Sequence[Mapping[str, Any]]) -> str:
    """In how many months the SLO is met."""
    known = [month["meets"] for month in months if month["meets"] is not None]
    unknown = f", {len(months) - len(known)} not known" * (len(known) < len(months))
    return f"{sum(known)} of {month_words(len(months))}{unknown}"


def lasts_in_words(found: Mapping[str, Any]) -> str:
    """Until when a topology meets the SLO, of its part of a decision."""
    until = found["lasts_until"]
    return lasts_words(until) if until is not None or found["meets"] else met_words(None)


def months_notes(decision: Decision, names: Collection[str]) -> list[str]:
    """How each topology gets through its months, in words; empty where they are all alike."""
    return [f"{name} {_months_words(decision['topologies'][name]['months'])}." for name in names] * grows(decision)


def _months_words(months: Sequence[Mapping[str, Any]]) -> str:
    met = [month["meets"] for month in months]
    usd = f"{money(months[0]['usd'])} in the first month, {money(months[-1]['usd'])} in the last"
    if all(met):
        return f"meets the SLO in all {len(months)} months: {usd}"
    first = met.index(False if False in met else None)
    binding = months[first]["binding"]
    if False not in met:
        return f"is not known to meet the SLO in {met.count(None)} of {len(months)} months: {binding}; {usd}"
    if not any(met):
        return f"misses the SLO in every month, from the first on: {binding}; {usd}"
    kept = met[first:].count(True)
    again = f" and meets it in {kept} of the {len(months) - first} months from then on" * bool(kept)
    if not first:
        return f"misses the SLO in month 1{again}: {binding}; {usd}"
    return f"meets the SLO until month {months[first - 1]['month']}{again}; then {binding}; {usd}"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def pair_rows(decision: Decision, names: Collection[str]) -> list[list[str]]:
    """A row for each topology and each rival that meets the SLO: from when it costs less, where it meets it itself."""
    answers = {name: [month["meets"] for month in decision["topologies"][name]["months"]] for name in names}
    serves = {name: all(met) for name, met in answers.items()}
    words = {name: "misses the SLO" if False in met else "SLO not known" for name, met in answers.items()}
    return [
        [
            name if serves[name] else f"{name} ({words[name]})",
            pair["rival"],
            _month(pair["months"]) if serves[name] else NONE,
            _month(pair["months_discounted"]) if serves[name] else NONE,
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
    if not LEAST_HOURS <= hours <= HOURS_PER_DAY - LEAST_HOURS:
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


def flip_notes(flips: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each assumption that was looked at."""
    return [f"{flip_words(Flip(**flip))}." for flip in flips]


def decision_notes(decision: Decision, names: Collection[str]) -> list[str]:
    """Why each loser is one, how long fleets last, what capacity they have, and what would flip the winner."""
    notes = [f"{found['binding']['text']}." for name in names if (found := decision["topologies"][name])["binding"]]
    notes += capacity_notes(decision, names)
    return notes + flip_notes(decision["flips"])


def capacity_notes(decision: Decision, names: Collection[str]) -> list[str]:
    """How much load each fleet carries within the SLO, where that was asked for, and what was not found in time."""
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
            limit = f" (at {capacity['fails_at']:.3g} times {capacity['missed']})" if capacity.get("missed") else ""
            notes.append(
                f"{name} carries {_times(capacity)} the load{_of_month(capacity)} within the SLO{limit}: {used}."
            )
    return notes + [f"Not found, as time ended: {what}." for what in decision.get("time_ended", ())]


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


def decision_screen(
    decision: Decision, names: Sequence[str], every_month: bool = False, width: int = sys.maxsize
) -> str:
    """Months where they differ, break-even of each topology against each rival, and capacities.

    Parameters
    ----------
    every_month : all months, not only those in which something changes
    width : characters that a line may have
    """
    parts: list[str] = []
    if grows(decision):
        parts.append(in_parts(month_rows(decision, names), month_headers(), width))
    if grows(decision) or every_month:
        rows, headers = month_table(decision, names, every_month)
        parts.append("every month:" if every_month else "months in which something changes:")
        parts.append(in_parts(rows, headers, width))
    if pairs := pair_rows(decision, names):
        told = "break-even: costs less than a rival that meets the SLO (months as paid, resale not counted):"
        parts.append(wrapped(told, width=width))
        parts.append(in_parts(pairs, PAIR_HEADERS, width))
    parts += [wrapped(note, "- ", width) for note in capacity_notes(decision, names)]
    return "\n" + "\n".join(parts)
