"""A plan as rows and lines of text."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.figures.table import NONE, figure, met_words
from simulator.figures.whole import cell_text
from simulator.money import money
from simulator.plan.plan import Plan
from simulator.report.table import warning_lines
from simulator.resolve.open_windows import window_words
from simulator.size.found import UNFINISHED, is_best_of

_FIGURES = [
    figure(name)
    for name in (
        "slo_attainment",
        "served_share",
        "ttft_p99_s",
        "tpot_p99_s",
        "time_in_steps",
        "usd_per_month",
        "usd_per_million_processed_tokens",
        "usd_per_million_output_tokens",
        "usd_per_million_tokens",
        "usd_per_thousand_requests",
    )
]
_FLEET = ("topology", "GPU", "TP", "PP", "replicas", "GPUs", "SLO met in")
_SPLIT = ("gpu", "tp", "pp")
_WIDTH = 110


_HARDWARE = {"GPU": {NONE}, "TP": {NONE, "1"}, "PP": {NONE, "1"}}
"""Columns that say nothing where they hold only these."""


def plan_headers() -> list[str]:
    """Of all columns."""
    return [*_FLEET, *(shown.label for shown in _FIGURES)]


def table(plan: Plan) -> tuple[list[list[str]], list[str]]:
    """A row for each fleet, and the headers; the cheapest of a topology carries a star.

    Of the hardware only what is there is shown: no GPU where token APIs alone serve, no TP or PP without a split.
    """
    rows, columns = [_row(row) for row in plan.fleets], plan_headers()
    kept = [
        k
        for k, header in enumerate(columns)
        if not {row[k] for row in rows} <= _HARDWARE.get(header, set()) or not rows
    ]
    return [[row[k] for k in kept] for row in rows], [columns[k] for k in kept]


def _row(row: Mapping[str, Any]) -> list[str]:
    name = f"{row['topology']} *" if row["cheapest"] else row["topology"]
    head = [name, _distinct(row["gpu"]), _distinct(row["tp"]), _distinct(row["pp"])]
    if not row["feasible"]:
        return [*head, "infeasible", *["-"] * (len(_FLEET) + len(_FIGURES) - len(head) - 1)]
    return [
        *head,
        " + ".join(map(_replicas, row["pools"])) or "-",
        str(row["gpus"]) if row["pools"] else "-",
        _met(row),
        *(cell_text(shown, row[shown.id]) for shown in _FIGURES),
    ]


def _met(row: Mapping[str, Any]) -> str:
    """In how many replications it meets the SLO, unless too little was measured to tell."""
    return met_words(None) if _is_unknown(row) else f"{row['replications_met']} of {row['replications']}"


def _is_unknown(row: Mapping[str, Any]) -> bool:
    return row["replications_met"] is None


def _distinct(values: Sequence[Any]) -> str:
    return " + ".join(map(str, dict.fromkeys(values))) or NONE


def _replicas(pool: Mapping[str, Any]) -> str:
    text = pool["size"] or str(pool["replicas"])
    return f"{text} (+{pool['spare']})" if pool["spare"] else text


def notes(plan: Plan) -> list[str]:
    """Reasons of what is infeasible, what the error of step times means, warnings, and how to run the fleets."""
    lines: list[str] = _wrapped(f"! all: {plan.beyond}") if plan.beyond else []
    for row in plan.fleets:
        if not row["feasible"]:
            hardware = f" on {_distinct(row['gpu'])} TP {_distinct(row['tp'])}" if row["gpu"] else ""
            lines += _wrapped(f"! {row['topology']}{hardware}: {row['reason']}")
    best = [row for row in plan.fleets if row["cheapest"]]
    lines += [line for row in best for line in _wrapped(_trail(row))]
    lines += [line for row in best for line in _wrapped(_sure(row, plan.fleets, plan.sure[row["topology"]]))]
    lines += warning_lines({row["topology"]: row for row in best}, _WIDTH)
    commands = [f"--set {shlex.quote(text)}" for row in best for text in row["set"]]
    return [*lines, "", "to run the cheapest fleets:", *(f"  {text}" for text in commands)] if commands else lines


def _trail(row: Mapping[str, Any]) -> str:
    """How the fleet was found: every size by what became of it, in the order of the search."""
    by_word: dict[str, list[str]] = {}
    met = "nothing measured was missed" if _is_unknown(row) else "met"
    for tried in row["trail"]:
        usd = tried["usd_per_month"]
        price = f" ({money(usd)})" if usd is not None and tried["word"] == "met" else ""
        word = met if tried["word"] == "met" else tried["word"]
        by_word.setdefault(word, []).append(f"{tried['sizes']}{price}")
    words = "; ".join(f"{word}: {', '.join(sizes)}" for word, sizes in by_word.items())
    hours = f"window {window_words(row['hours'])}; " if row["hours"] else ""
    at = f"overflow at {row['overflow_at']:g} outstanding per replica; " if row["overflow_at"] is not None else ""
    return f"{row['topology']}: {at}{hours}{row['claim']}; {words}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ")


def _sure(row: Mapping[str, Any], fleets: Sequence[Mapping[str, Any]], sure: Mapping[str, Any]) -> str:
    """How sure the number of replicas is."""
    name, error = row["topology"], sure["step_time_error"]
    if not any(pool["sized"] for pool in row["pools"]):
        units = ", ".join(f"{api} {number:,} units" for api, number in row["units"].items())
        return f"{name}: {units or 'nothing to size'}"
    if error is None:
        basis = sure["basis"]
        return f"{name}: step times are {basis}, so their error is not known; --error 0.2 shows what 20% would mean"
    low, high = (_count(sure[key]) for key in ("replicas_low", "replicas_high"))
    return (
        f"{name}: {_enough(row, fleets)}; the cheapest fleet has {low} with step times {error:.0%} shorter, {high} "
        f"with {error:.0%} longer ({sure['basis']})"
    )


def _enough(row: Mapping[str, Any], fleets: Sequence[Mapping[str, Any]]) -> str:
    """Whether fewer replicas than those of the cheapest fleet meet the SLO, too."""
    mine, hardware = _sized(row), [row[key] for key in ("topology", "hours", *_SPLIT)]
    if _is_unknown(row):
        return f"whether {_replica_words(mine)} {'is' if mine == [1] else 'are'} enough is not known"
    if row["claim"] == UNFINISHED or is_best_of(row["claim"]):
        return f"{_replica_words(mine)} in the cheapest fleet tried"
    others = [
        _sized(other)
        for other in fleets
        if other["feasible"] and [other[key] for key in ("topology", "hours", *_SPLIT)] == hardware
    ]
    fewer = [other for other in others if other != mine and all(a <= b for a, b in zip(other, mine, strict=True))]
    if not fewer:
        return f"{_replica_words(mine)} needed"
    are = "is" if mine == [1] else "are"
    least = " or ".join(map(_replica_words, fewer))
    return f"{least} {'suffices' if fewer == [[1]] else 'suffice'}, {_count(mine)} {are} cheaper"


def _sized(row: Mapping[str, Any]) -> list[int]:
    return [pool["replicas"] for pool in row["pools"] if pool["sized"]]


def _replica_words(counts: Sequence[int]) -> str:
    return f"{_count(counts)} {'replica' if list(counts) == [1] else 'replicas'}"


def _count(point: Sequence[int] | None) -> str:
    return "none" if point is None else " + ".join(map(str, point))
