"""What is said of a search in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.money import money
from simulator.resolve.open_windows import window_words
from simulator.resolve.sizes import BY_TOKEN, Fixed
from simulator.size.answer import Answer
from simulator.size.found import Search
from simulator.size.trials import Tried
from simulator.study.decision import NOT_FINISHED

_SHOWN = 0.005
"""Least share that a whole percent shows."""


def size_warnings(answer: Answer) -> list[str]:
    """What whoever reads a result should know of the size at which a topology was compared."""
    found = answer.search
    if answer.infeasible:
        return [f"{nothing_meets(answer.infeasible)}; shown at {_sizes(answer)}"]
    lines = [f"sized at {_sizes(answer)}: {found.claim}"] if answer.pools else [f"hours: {found.claim}"]
    empty = [name for name, size in zip(answer.pools, answer.sizes.values(), strict=True) if size == Fixed(0)]
    if empty:
        lines.append(f"its best needs no {' and no '.join(empty)}")
    by_token = [name for name, size in zip(answer.pools, answer.sizes.values(), strict=True) if size == BY_TOKEN]
    if by_token:
        lines.append(f"its best buys no units of {', '.join(by_token)}: all tokens are paid by their number")
    if answer.windows:
        told = ", ".join(f"{row['hours']} {_hours_word(row)}" for row in answer.windows)
        window = f"window {window_words(answer.hours)}, the cheapest of those tried"
        lines.append(f"{window}, the busiest hours of each length: {told}")
        alike = [row["hours"] for row in answer.windows if row["equal"]]
        if alike:
            lines.append(f"the same cost{_noise(found.best)}: window {window_words(', '.join(alike))}")
    if found.equal:
        sizes = ", ".join(map(str, found.equal))
        lines.append(f"the same cost{_noise(found.best)}: {sizes}")
    lines += gap_warnings(found, " (--search-seconds sets its time)")
    if found.falls is not None:
        met, larger = found.falls
        so = "none was skipped" if len(answer.pools) == 1 else "smaller ones than were refused may do"
        lines.append(f"not monotone: {met} met and {larger}, which is more, was refused, so {so}")
    if answer.edge:
        lines.append(answer.edge)
    return lines


def gap_warnings(found: Search, longer: str = "") -> list[str]:
    """What a search left open, by time, its looks or its most replicas, and how much that could save at most.

    Parameters
    ----------
    longer : how it may go on where it was not finished
    """
    gap = found.gap_usd / found.best.usd_per_month if found.gap_usd and found.best is not None else 0.0
    saved = f"{f'at most {gap:.0%}' if gap >= _SHOWN else 'less than 1%'} could be saved"
    lines = [f"the search was not finished: {saved}{longer}"] if gap and not found.is_finished else []
    if found.limited:
        words = limit_words(found.limited, found.max_replicas, found.bound)
        lines.append(f"{words}; {saved}" if gap and found.is_finished else words)
    return lines


def nothing_meets(why: str) -> str:
    """That no size meets the SLO, and why; or that none was found in time."""
    return why if why == NOT_FINISHED else f"no size meets the SLO ({why})"


def limit_words(pools: Sequence[str], most: int, bound: str) -> str:
    """That a search ended at the most replicas that it looks at, and how it looks at more."""
    return f"more of {', '.join(pools)} might cost less: {bound} {most} may be raised"


def _sizes(answer: Answer) -> str:
    sizes = zip(answer.pools, answer.sizes.values(), strict=True)
    return ", ".join(f"{name} {size}{' units' if name in answer.units else ''}" for name, size in sizes)


def _noise(best: Tried | None) -> str:
    return " within the noise of the replications" if best is not None and len(best.usd) > 1 else ""


def _hours_word(row: Mapping[str, Any]) -> str:
    """What hours cost, or why that is not known."""
    words = {"refused": "never meets the SLO", "dearer": "costs more", "open": "not finished"}
    return words.get(row["word"]) or money(row["usd_per_month"])
