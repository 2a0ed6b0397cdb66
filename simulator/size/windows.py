"""The search for the days and hours of windows that leave them open, each tried with its sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.errors import InputError, Problem
from simulator.resolve.open_windows import (
    arrivals_by_day_and_hour,
    busiest_days,
    busiest_hours,
    open_windows,
    window_words,
    with_hours,
)
from simulator.resolve.sizes import OpenPool, alone, open_pools
from simulator.resolve.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.scenario.week import week_days
from simulator.schema.clock import AUTO_WINDOW, WeekWindow
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.size.answer import Answer, answer, answered, searched
from simulator.size.assumed import AS_IT_IS, Assumed
from simulator.size.found import UNFINISHED, Limits, Search, best_of, same_cost
from simulator.size.infeasible import judged
from simulator.size.trials import Progress, Trials, Tried
from simulator.units import HOURS_PER_DAY, SECONDS_PER_DAY, SECONDS_PER_WEEK
from simulator.workload.spec import DAYS_PER_WEEK

_FIRST_LENGTHS = (24, 20, 16, 12, 8, 4)
"""Hours of the windows that are tried first; then those around the best, by `_STEPS`, the last until it stays."""
_STEPS = (2, 1)
Lengths = tuple[int, int]
"""Days of a week, and hours of a day; 0 of what is not open."""


@dataclass(frozen=True, slots=True)
class Window:
    """What hours of the open windows lead to, at the best sizes for them."""

    hours: str
    trials: Trials
    search: Search

    @property
    def usd_per_month(self) -> float:
        """Infinite where no size meets the SLO, or none for less than in other hours."""
        best = self.search.best
        return float("inf") if best is None else best.usd_per_month

    @property
    def least_usd(self) -> float:
        """What a size that its search left open could cost."""
        return self.usd_per_month if self.search.least_usd is None else self.search.least_usd

    @property
    def word(self) -> str:
        """Met, refused (no size meets the SLO), dearer (none meets it for less than in other hours), or open."""
        if self.search.best is not None:
            return "met"
        if not self.search.is_finished:
            return "open"
        return "refused" if all(tried.word == "refused" for tried in self.search.trail) else "dearer"

    def row(self, found: Tried | None) -> dict[str, Any]:
        """As a summary holds it.

        Parameters
        ----------
        found : the best of all hours
        """
        best, last = self.search.best, self.search.trail[-1]
        shown = (best or last).point
        return {
            "hours": self.hours,
            "sizes": {pool.name: str(size) for pool, size in zip(self.trials.pools, shown, strict=True)},
            "usd_per_month": None if best is None else best.usd_per_month,
            "tried": self.search.tried,
            "word": self.word,
            "equal": best is not None and found is not None and best is not found and same_cost(best, found),
            "reason": "" if best is not None else f"{self.search.claim}; {last}: {last.reason}",
        }


def best_window(
    loaded: LoadedScenario,
    name: str,
    periods: Sequence[PeriodDemand],
    store: Store,
    limits: Limits | None = None,
    progress: Progress | None = None,
    rows: Rows | None = None,
    pools: Sequence[OpenPool] | None = None,
    assumed: Assumed = AS_IT_IS,
    planned: dict[str, PlannedTopology] | None = None,
) -> Answer:
    """The cheapest hours of the windows that a topology leaves open, together with its sizes.

    Of each length only the busiest hours one after another are a candidate, 24 in all, and where days are open too
    those of each number of the busiest days. They are raced against each other as sizes are: what costs no less than
    the best of other hours is excluded by its bound, or raced out after a replication. Six lengths are closed first,
    on every day, then the neighbours of the cheapest until those on either side cost more; then fewer days at these
    hours, and the neighbours of the cheapest again, in hours and in days, until all of these cost more. The others are
    skipped, so it is the best of those tried. A topology without such windows has the answer of its sizes.

    Parameters
    ----------
    periods : what is asked in a month, the busiest first
    rows : keeps the requests of the best of each window's hours
    pools : to size; those that leave their size open unless given
    assumed, planned : as `Trials` takes them

    Raises
    ------
    InputError : at its place: a run of less than a day, or without arrivals by the clock; no size that can be planned
    """
    windows = open_windows(loaded.scenario.topologies[name])
    if not windows:
        return answer(loaded, name, periods, store, limits, progress, rows, pools, assumed, planned)
    has_days = any(window.days == AUTO_WINDOW for _, window in windows)
    has_hours = any(window.hours == AUTO_WINDOW for _, window in windows)
    first = next((one for one in windows if one[1].days == AUTO_WINDOW), windows[0])
    candidates = _candidates(loaded, name, first, periods, has_days, has_hours)
    most = has_hours * (len(_FIRST_LENGTHS) + 2 * len(_STEPS)) + has_days * (DAYS_PER_WEEK + has_hours * len(_STEPS))
    if limits is not None and limits.seconds is not None:
        limits = replace(limits, seconds=limits.seconds / most)
    opened = tuple(pools) if pools is not None else open_pools(loaded, name)
    tried: dict[Lengths, Window] = {}

    def look(lengths: Lengths) -> None:
        if lengths not in candidates or lengths in tried:
            return
        hours, before = candidates[lengths], len(tried)

        def tick(what: str, share: float) -> None:
            if progress:
                progress(f"{what}, {window_words(hours)}", min((before + share) / most, 1.0))

        there = alone(with_hours(loaded, name, hours), name)
        trials = Trials(there, name, opened, periods, store, tick, rows, assumed, planned)
        rival = tried[_cheapest(tried)].search.best if tried else None
        found = searched(trials, limits, rival)
        if found.best is None and found.least_usd is not None:
            found, _ = judged(trials, found)
        tried[lengths] = Window(hours, trials, found)

    def neighbours() -> None:
        for step in _STEPS:
            while True:
                (days, cheapest), before = _cheapest(tried), len(tried)
                look((days, cheapest - step))
                look((days, cheapest + step))
                if len(tried) == before or step > 1:
                    break

    every_day = DAYS_PER_WEEK if has_days else 0
    if has_hours:
        for length in _FIRST_LENGTHS:
            look((every_day, length))
        neighbours()
    if has_days:
        _, hours = _cheapest(tried) if tried else (0, 0)
        for days in range(DAYS_PER_WEEK, 0, -1):
            look((days, hours))
        if has_hours:
            neighbours()
        before = 0
        while has_hours and before != len(tried):
            (days, hours), before = _cheapest(tried), len(tried)
            look((days - 1, hours))
            look((days + 1, hours))
            neighbours()
    return _answer(loaded, tried)


def _cheapest(tried: Mapping[Lengths, Window]) -> Lengths:
    """Lengths of the cheapest; of equal ones the longest, and of those that never meet the SLO too."""
    return min(tried, key=lambda lengths: (tried[lengths].usd_per_month, -lengths[0], -lengths[1]))


def _answer(loaded: LoadedScenario, tried: Mapping[Lengths, Window]) -> Answer:
    best = tried[_cheapest(tried)]
    found = best.search
    rows = tuple(tried[lengths].row(found.best) for lengths in sorted(tried))
    searches = [window.search for window in tried.values()]
    n = sum(search.tried for search in searches)
    claim = best_of(n) if found.best is not None else f"none of {n} tried meets"
    least = None
    if any(search.least_usd is not None for search in searches):
        least = min(window.least_usd for window in tried.values())
    if not all(search.is_finished for search in searches):
        claim = UNFINISHED
    whole = replace(found, claim=claim, least_usd=least, limited=_limited(best, tried.values()))
    told = answered(with_hours(loaded, best.trials.name, best.hours), best.trials, whole)
    return replace(told, hours=best.hours, windows=rows)


def _limited(best: Window, tried: Iterable[Window]) -> tuple[str, ...]:
    """Pools of which more might cost less in any of the hours.

    Not those by the clock in hours in which no number was enough, where one is in others: as a rule all hours have the
    busiest in them, so what is missed is outside of them, and no number within helps.
    """
    topology = best.trials.loaded.scenario.topologies[best.trials.name]
    by_clock = {pool.name for pool in topology.pools if pool.schedule}
    found = [
        name
        for window in tried
        for name in window.search.limited
        if best.search.best is None or window.search.best is not None or name not in by_clock
    ]
    return tuple(dict.fromkeys(found))


def _candidates(
    loaded: LoadedScenario,
    name: str,
    window: tuple[str, WeekWindow],
    periods: Sequence[PeriodDemand],
    has_days: bool,
    has_hours: bool,
) -> dict[Lengths, str]:
    """Days and hours by their lengths."""
    key, whole_s, what = ("days", SECONDS_PER_WEEK, "week") if has_days else ("hours", SECONDS_PER_DAY, "day")
    path = f"topologies.{name}.{window[0]}.{key}"
    long = [one for one in periods if one.demand.horizon_s >= whole_s]
    if not long:
        words = f"{key} are found from a whole {what} of arrivals: run.horizon_s must be at least {whole_s:.0f}"
        raise InputError(Problem(words, *loaded.place(path), path=path, got="auto"))
    counts = np.zeros((DAYS_PER_WEEK, HOURS_PER_DAY))
    for one in long:
        demand = one.demand
        arrival_s = [
            chunk.arrival_s[: chunk.n_open]
            for number in range(demand.replications)
            for chunk in demand.source(number).chunks()
        ]
        inside = [times[times < demand.horizon_s] for times in arrival_s]
        by_hour = arrivals_by_day_and_hour(loaded, window[1], inside, demand.when.clock_s)
        counts += by_hour * one.period.hours / demand.horizon_s
    if not np.any(counts):
        words = "no request arrives by the clock on its days, so no hours are busier than others"
        raise InputError(Problem(words, *loaded.place(path), path=path, got="auto"))
    days = dict(enumerate(busiest_days(counts.sum(axis=1)), start=1)) if has_days else {0: ""}
    found: dict[Lengths, str] = {}
    for n_days, text in days.items():
        on = counts[week_days(text)] if text else counts
        hours = dict(enumerate(busiest_hours(on.sum(axis=0)), start=1)) if has_hours else {0: ""}
        found |= {(n_days, n_hours): f"{text} {each}".strip() for n_hours, each in hours.items()}
    return found
