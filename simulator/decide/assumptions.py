"""Assumptions of which further trials look for the change that flips the winner: what each asks, and its words."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from simulator.units import MONTHS_PER_YEAR

if TYPE_CHECKING:
    from simulator.decide.explore import Asked

LOAD_REACH = 16.0
"""Of volume; of growth that of the last month."""
SLO_REACH = 4.0
STEP_REACH = 2.0
DRAFT_REACH = 4.0
PASSED_ON_REACH = 4.0
VOLUME, GROWTH = "volume", "growth per year"


def _nothing(factor: float) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Question:
    """One assumption that is moved.

    Attributes
    ----------
    reach : largest multiple that is asked for, and one by the smallest
    ask : what a topology is asked at a multiple, from what it is asked today
    words : of the changed value beside today's, where a multiple says little
    value : the changed value alone, there
    """

    assumption: str
    reach: float
    ask: Callable[[Asked, float], Asked]
    words: Callable[[float], str] = _nothing
    value: Callable[[float], str] = _nothing


def questions(
    engines: Collection[str],
    drafts: Mapping[str, float],
    passed_on: Mapping[str, float],
    growth: Question | None = None,
) -> list[Question]:
    """What further trials ask; of speed, drafts and cascades those topologies alone that have any.

    Parameters
    ----------
    engines : topologies with engines that are simulated
    drafts : acceptance of the first draft of a step, of the topologies that have any
    passed_on : share of the first answers of a cascade that do not pass its check, of the topologies that have one
    growth : as `growth_of` asks it; None where it is not asked
    """
    found = [
        Question(VOLUME, LOAD_REACH, lambda asked, factor: replace(asked, load=factor)),
        Question("latency limits of the SLO", SLO_REACH, lambda asked, factor: replace(asked, limits=factor)),
        Question("time of engine steps", STEP_REACH, _of(engines, "steps")) if engines else None,
        _of_shares("acceptance of drafts", DRAFT_REACH, drafts, "acceptance") if drafts else None,
        _of_shares("answers that a cascade passes on", PASSED_ON_REACH, passed_on, "passed_on") if passed_on else None,
        growth,
    ]
    return [one for one in found if one is not None]


def growth_of(rates: Mapping[str, float], months: float) -> Question | None:
    """What is asked of growth, as 1 + g; None in a study of one month.

    Parameters
    ----------
    rates : by class, a year
    """
    last = math.ceil(months) - 1
    if last < 1:
        return None
    reach = LOAD_REACH ** (MONTHS_PER_YEAR / last)
    words, value = partial(_rates, rates), partial(_rates, rates, beside=False)
    return Question(GROWTH, reach, lambda asked, factor: replace(asked, growth=factor), words, value)


def _rates(now: Mapping[str, float], factor: float, beside: bool = True) -> str:
    """The changed rates, beside today's, each by its class where they differ."""
    alike = len(set(now.values())) == 1
    told = [
        (f"{(1 + rate) * factor - 1:.0%}" + (f" (now {rate:.0%})" if beside else ""), name)
        for name, rate in now.items()
    ]
    return told[0][0] if alike else ", ".join(f"{words} of {name}" for words, name in told)


def _of(names: Collection[str], what: str) -> Callable[[Asked, float], Asked]:
    """What these topologies alone are asked."""

    def ask(asked: Asked, factor: float) -> Asked:
        moved: dict[str, Any] = {what: factor}
        return replace(asked, **moved) if asked.topology in names else asked

    return ask


def _of_shares(assumption: str, reach: float, now: Mapping[str, float], what: str) -> Question:
    """What topologies that have such a share are asked of it."""
    return Question(assumption, reach, _of(now, what), partial(_shares, now), partial(_shares, now, beside=False))


def _shares(now: Mapping[str, float], factor: float, beside: bool = True) -> str:
    """The changed shares, up to all, beside today's, each by its topology where there are several."""

    def told(name: str, own: float) -> str:
        where = f" in {name}" if len(now) > 1 else ""
        return f"{min(own * factor, 1.0):.2f}" + (f" (now {own:.2f}{where})" if beside else where)

    return ", ".join(told(name, own) for name, own in now.items())
