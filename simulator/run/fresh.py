"""Which months hardly keep the SLO, and what traffic says of them that no search has seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.decide.standing import edge_of
from simulator.run.left_open import spans
from simulator.run.loads import Loads
from simulator.run.months import Journey
from simulator.simulate.one import Subject, subject_of
from simulator.simulate.store import Store
from simulator.size.advice import MOST_REQUESTS
from simulator.size.answer import edge_as_written, holds_on_fresh
from simulator.study.decision import HOLDS_ON_FRESH, MISSES_ON_FRESH, Walked
from simulator.study.demand import Level, Period


@dataclass(frozen=True, slots=True)
class Nearest:
    """A later month that was tried on fresh traffic, as none keeps the SLO by less.

    Attributes
    ----------
    edge : what fresh traffic says of it
    """

    month: int
    edge: str


@dataclass(frozen=True, slots=True)
class OnFresh:
    """What traffic that no search has seen says of a topology.

    Attributes
    ----------
    as_written : of one whose size is written, what it says of the first month; empty where it was not asked
    nearest : None where no later month has little to spare, or none was asked of it
    was_asked : whether it may have been tried at all
    """

    as_written: str = ""
    nearest: Nearest | None = None
    was_asked: bool = False


def on_fresh(journey: Journey, subject: Subject, loads: Loads, store: Store, searched: bool, advise: bool) -> OnFresh:
    """Try a topology on fresh traffic where it has little to spare.

    Parameters
    ----------
    subject : in the first month
    searched : its sizes were left open, so the search has tried the first month
    advise : as `simulate` takes it
    """
    if searched:
        return OnFresh(nearest=nearest_month(journey, loads, store), was_asked=True)
    first = loads.first_month
    if not (advise and journey.months[0].meets and sum(one.demand.requests for one in first) <= MOST_REQUESTS):
        return OnFresh()
    written = edge_as_written(subject, first, store)
    return OnFresh(written, nearest_month(journey, loads, store, MOST_REQUESTS), was_asked=True)


def nearest_month(journey: Journey, loads: Loads, store: Store, most_requests: int | None = None) -> Nearest | None:
    """The month with the least to spare of those that no fresh traffic was asked of, tried on some.

    Of equal ones, as months between two that were simulated are, it is one that was simulated, then the last.

    Parameters
    ----------
    most_requests : of all replications of a month; one with more is not tried. None for any number

    Returns
    -------
    None where none has little to spare
    """
    near = list(_untried(journey))
    month = min(near, key=lambda one: (_spare(one), len(one.shares), -one.month), default=None)
    if month is None:
        return None
    periods = dict.fromkeys(share.period for share in month.shares if share.served.is_near)
    demands = [loads.at(period.at(month.level)) for period in periods]
    if most_requests is not None and sum(demand.requests for demand in demands) > most_requests:
        return None
    holds = holds_on_fresh(subject_of(journey.near[month.month]), demands, store)
    return Nearest(month.month, HOLDS_ON_FRESH if holds else MISSES_ON_FRESH)


def later_edge(journey: Journey, nearest: Nearest | None) -> str:
    """What is said of a fleet of which a later month misses on fresh traffic, as beside others; else empty."""
    events = [f"from month {month}" for month, said in journey.edges.items() if edge_of(said)]
    months = [f"in month {nearest.month}"] if nearest is not None and edge_of(nearest.edge) else []
    return next((f"at the edge {when}: misses on fresh traffic" for when in [*events, *months]), "")


def fresh_words(journey: Journey, nearest: Nearest | None = None) -> list[str]:
    """What fresh traffic says at events and of the nearest month, and the months that it was not asked of.

    Tried are, of a topology that is tried in its first month, the load of that month, where sizes are open the load of
    the month of each event, and that of the nearest month.
    """
    words = [f"from month {month}: {edge}" for month, said in journey.edges.items() if (edge := edge_of(said))]
    if nearest is not None:
        words.append(f"in month {nearest.month}, of the later ones the nearest to the edge: {_short(nearest.edge)}")
    near = [month.month for month in _untried(journey, nearest)]
    if near:
        than = "month 1" if nearest is None else f"months 1 and {nearest.month}"
        words.append(
            f"{spans(near)}: some level of the SLO is kept by less than two standard errors, unlike in {than} "
            "without a trial on fresh traffic"
        )
    return words


def _short(edge: str) -> str:
    return edge.removeprefix("at the edge: ")


def _spare(month: Walked) -> float:
    return min(share.served.spare_errors for share in month.shares if share.served.is_near)


def _untried(journey: Journey, nearest: Nearest | None = None) -> Iterator[Walked]:
    """Months that meet with little to spare, at loads and fleets that fresh traffic was not asked of."""
    asked = {*journey.edges, *([nearest.month] if nearest is not None else [])}
    stages, tried = dict[int, int](), set[tuple[int, Level, frozenset[Period]]]()
    stage = 0
    for month in journey.months:
        stage += month is journey.months[0] or bool(month.event)
        stages[month.month] = stage
        if month is journey.months[0] or month.month in asked:
            tried.add((stage, month.level, _periods(month)))
    for month in journey.months:
        is_near = month.meets and any(share.served.is_near for share in month.shares)
        if is_near and (stages[month.month], month.level, _periods(month)) not in tried:
            yield month


def _periods(month: Walked) -> frozenset[Period]:
    return frozenset(share.period for share in month.shares)
