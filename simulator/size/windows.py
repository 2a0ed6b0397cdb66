"""The search for the hours of windows that leave them open, each tried with its sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.errors import InputError, Problem
from simulator.resolve.open_windows import arrivals_by_hour, busiest_hours, open_windows, with_hours
from simulator.scenario.load import LoadedScenario
from simulator.scenario.week import HOURS_PER_DAY
from simulator.schema.clock import WeekWindow
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.size.answer import Answer, answer
from simulator.size.found import Limits
from simulator.size.trials import Progress
from simulator.units import SECONDS_PER_DAY

_FIRST_LENGTHS = (24, 20, 16, 12, 8, 4)
"""Hours of the windows that are tried first; then those around the best, by `_STEPS`."""
_STEPS = (2, 1)


@dataclass(frozen=True, slots=True)
class Window:
    """What hours of the open windows lead to, at the best sizes for them."""

    hours: str
    answer: Answer

    @property
    def usd_per_month(self) -> float:
        """Infinite where no size meets the SLO."""
        best = self.answer.search.best
        return float("inf") if best is None else best.usd_per_month

    def row(self) -> dict[str, Any]:
        """As a summary holds it."""
        best = self.answer.search.best
        return {
            "hours": self.hours,
            "sizes": dict(zip(self.answer.pools, map(str, self.answer.sizes.values()), strict=True)),
            "usd_per_month": None if best is None else best.usd_per_month,
            "tried": self.answer.search.tried,
            "reason": self.answer.infeasible,
        }


def best_window(
    loaded: LoadedScenario,
    name: str,
    periods: Sequence[PeriodDemand],
    store: Store,
    limits: Limits | None = None,
    progress: Progress | None = None,
    rows: Rows | None = None,
) -> Answer:
    """The cheapest hours of the windows that a topology leaves open, together with its sizes.

    Of each length only the busiest hours one after another are a candidate, 24 in all. Six lengths are tried, then
    those around the cheapest, each with the search of its sizes and its stopping rule. So it is the best of those
    tried. A topology without such windows has the answer of its sizes.

    Parameters
    ----------
    periods : what is asked in a month, the busiest first
    rows : keeps the requests of the best of each window's hours

    Raises
    ------
    InputError : at its place: a run of less than a day, or without arrivals by the clock; no size that can be planned
    """
    windows = open_windows(loaded.scenario.topologies[name])
    if not windows:
        return answer(loaded, name, periods, store, limits, progress, rows)
    candidates = _candidates(loaded, name, windows[0], periods)
    most = len(_FIRST_LENGTHS) + 2 * len(_STEPS)
    if limits is not None and limits.seconds is not None:
        limits = replace(limits, seconds=limits.seconds / most)
    tried: dict[int, Window] = {}

    def look(length: int) -> None:
        if not 1 <= length <= len(candidates) or length in tried:
            return
        hours, before = candidates[length - 1], len(tried)

        def tick(what: str, share: float) -> None:
            if progress:
                progress(f"{what}, {hours} h", min((before + share) / most, 1.0))

        there = with_hours(loaded, name, hours)
        tried[length] = Window(hours, answer(there, name, periods, store, limits, tick, rows))

    for length in _FIRST_LENGTHS:
        look(length)
    for step in _STEPS:
        cheapest = _cheapest(tried)
        look(cheapest - step)
        look(cheapest + step)
    return _answer(tried)


def _cheapest(tried: dict[int, Window]) -> int:
    """Length of the cheapest; of equal ones the longest, and of those that never meet the SLO too."""
    return min(tried, key=lambda length: (tried[length].usd_per_month, -length))


def _answer(tried: dict[int, Window]) -> Answer:
    best = tried[_cheapest(tried)]
    found = best.answer.search
    rows = tuple(tried[length].row() for length in sorted(tried))
    searches = [window.answer.search for window in tried.values()]
    n = sum(search.tried for search in searches)
    claim = f"best of {n} tried" if found.best is not None else f"none of {n} tried meets"
    if any(search.claim == "not finished" for search in searches):
        claim = "not finished"
    least = min((window.usd_per_month - window.answer.search.gap_usd for window in tried.values()), default=0.0)
    gap = max(best.usd_per_month - least, 0.0) if found.best is not None else 0.0
    return replace(best.answer, search=replace(found, claim=claim, gap_usd=gap), hours=best.hours, windows=rows)


def _candidates(
    loaded: LoadedScenario, name: str, window: tuple[str, WeekWindow], periods: Sequence[PeriodDemand]
) -> list[str]:
    path = f"topologies.{name}.{window[0]}.hours"
    days = [one for one in periods if one.demand.horizon_s >= SECONDS_PER_DAY]
    if not days:
        words = "hours are found from a whole day of arrivals: run.horizon_s must be at least 86400"
        raise InputError(Problem(words, *loaded.place(path), path=path, got="auto"))
    counts = np.zeros(HOURS_PER_DAY)
    for one in days:
        demand = one.demand
        arrival_s = [
            chunk.arrival_s[: chunk.n_open]
            for number in range(demand.replications)
            for chunk in demand.source(number).chunks()
        ]
        inside = [times[times < demand.horizon_s] for times in arrival_s]
        hours = arrivals_by_hour(loaded, window[1], inside, demand.when.clock_s)
        counts += hours * one.period.hours / demand.horizon_s
    if not np.any(counts):
        words = "no request arrives by the clock on its days, so no hours are busier than others"
        raise InputError(Problem(words, *loaded.place(path), path=path, got="auto"))
    return busiest_hours(counts)
