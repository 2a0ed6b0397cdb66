"""Hours of instances that a schedule keeps beside the simulated times: windows, early launches, paid ends of rentals.

A month is made of periods. What comes before the hours of a period that begins with a window, after those of one that
ends with it, or within a window at hours of which another time was simulated, is in none of them; the schedule says
what it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.bill.clock import weight
from simulator.bill.stays import sold_s
from simulator.study.bill import PeriodUse
from simulator.study.placement import servers_needed
from simulator.study.schedule import Launches
from simulator.study.terms import RentedTerms
from simulator.units import HOURS_PER_DAY, HOURS_PER_MONTH, SECONDS_PER_HOUR

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Unseen:
    """What a month has beside its simulated times.

    Attributes
    ----------
    instance_hours : billed with at least 1, 2, ... instances, by hour of day, shape (most, 24)
    starting_hours : of replicas that start in them
    idle_hours : of replicas that are kept in them
    """

    instance_hours: NDArray[np.float64]
    starting_hours: float = 0.0
    idle_hours: float = 0.0


@dataclass(frozen=True, slots=True)
class _Piece:
    """Time of the cycle with some instances, those above `below` outside of the windows that want them.

    Attributes
    ----------
    from_s, until_s : of the cycle; what is billed beyond it goes on
    count_s : for which it is there in a month and in no simulated time; below 0 where it was simulated for more
    starting, idle : replicas
    """

    from_s: float
    until_s: float
    below: int
    upto: int
    count_s: float
    starting: int = 0
    idle: int = 0


def unseen(offer: RentedTerms, periods: Sequence[PeriodUse]) -> Unseen:
    """Hours of a month of a scheduled pool that no period simulates; none of a run that stands for all of a month.

    Windows: the instances of each, where all periods say when in the week they are. Early launches: a window's
    instances beyond those before it, from its launch to its begin. Ends: what rentals are billed beyond their length by
    the minimum and the granularity. Of each kind, times in a month less what the periods stand for; what some have too
    much is taken from the others, first of the same instance of those that are there at once, as commitments pay for
    the first of them.
    """
    launches = offer.launches
    nothing = Unseen(np.zeros((0, HOURS_PER_DAY)))
    spans = {(one.usage.when.clock_s, one.usage.start_s, one.usage.end_s) for one in periods}
    if launches is None or len(spans) < 2 or any(one.is_job for one in periods):
        return nothing
    schedule = _Schedule(launches, offer.gpus_per_instance)
    kinds = list(_kept(schedule, periods)), list(_early(schedule, periods)), list(_ends(schedule, offer, periods))
    table = np.zeros((max((piece.upto for pieces in kinds for piece in pieces), default=0), HOURS_PER_DAY))
    starting_h = idle_h = 0.0
    for pieces in kinds:
        shares = _shares(pieces, len(table))
        for piece in pieces:
            hours = max(piece.count_s, 0.0) / SECONDS_PER_HOUR
            its = shares[piece.below : piece.upto]
            if hours > 0 and its.size:
                table[piece.below : piece.upto] += hours * np.outer(its, by_hour(piece.from_s, piece.until_s))
                starting_h += hours * float(its.mean()) * piece.starting
                idle_h += hours * float(its.mean()) * piece.idle
    return Unseen(table, starting_h, idle_h)


def _shares(pieces: Sequence[_Piece], levels: int) -> NDArray[np.float64]:
    """Of what some are short of, what is left once others have too much, by instance of those that are there at once.

    An instance that is not short takes what it has too much from those that are.
    """
    short, left = np.zeros(levels), np.zeros(levels)
    for piece in pieces:
        short[piece.below : piece.upto] += max(piece.count_s, 0.0)
        left[piece.below : piece.upto] += piece.count_s
    kept = np.where(left > _ROUNDING * short, left, 0.0)
    if not left.sum() > _ROUNDING * short.sum():
        return np.zeros(levels)
    share = np.divide(kept, short, out=np.zeros(levels), where=short > 0)
    return np.asarray(share * (left.sum() / kept.sum()))


@dataclass(frozen=True, slots=True)
class _Schedule:
    launches: Launches
    gpus_per_instance: int

    @property
    def cycles(self) -> float:
        """In a month."""
        return HOURS_PER_MONTH * SECONDS_PER_HOUR / self.cycle_s

    @property
    def cycle_s(self) -> float:
        return self.launches.schedule.cycle_s

    def instances(self, replicas: int) -> int:
        return servers_needed([self.launches.gpus_per_replica] * replicas, self.gpus_per_instance)

    def replicas_at(self, at_s: float) -> int:
        return self.launches.schedule.replicas_at(at_s)

    def launched_at(self, at_s: float) -> int:
        """Replicas that are there or start: the most from then to an early launch later."""
        return max(self.launches.schedule.numbers(at_s, self.launches.early_s))

    def pieces(self) -> Iterator[tuple[float, float, float]]:
        """Times of the cycle in which nothing changes: from, to, and between."""
        edges, ahead_s = self.launches.schedule.edges, (0.0, self.launches.early_s)
        cuts = {(edge - before_s) % self.cycle_s for edge in edges for before_s in ahead_s}
        for from_s, until_s in pairwise(sorted(cuts | {0.0, self.cycle_s})):
            yield from_s, until_s, (from_s + until_s) / 2


def _unseen_s(schedule: _Schedule, periods: Sequence[PeriodUse], from_s: float, until_s: float) -> float:
    """Seconds of a month in which a time of the cycle is there, less those that the periods stand for."""
    seen_s = math.fsum(weight(one) * _overlap_s(from_s, until_s, *_span(one), schedule.cycle_s) for one in periods)
    return schedule.cycles * (until_s - from_s) - seen_s


def _kept(schedule: _Schedule, periods: Sequence[PeriodUse]) -> Iterator[_Piece]:
    whens = [one.usage.when for one in periods if one.hours > 0]
    if not all(len(when.spread) and when.cycle_s in (0.0, schedule.cycle_s) for when in whens):
        return
    for from_s, until_s, at_s in schedule.pieces():
        ready = schedule.replicas_at(at_s)
        if ready:
            count_s = _unseen_s(schedule, periods, from_s, until_s)
            yield _Piece(from_s, until_s, 0, schedule.instances(ready), count_s, idle=ready)


def _early(schedule: _Schedule, periods: Sequence[PeriodUse]) -> Iterator[_Piece]:
    for from_s, until_s, at_s in schedule.pieces():
        ready, launched = schedule.replicas_at(at_s), schedule.launched_at(at_s)
        if launched > ready:
            count_s = _unseen_s(schedule, periods, from_s, until_s)
            below, upto = schedule.instances(ready), schedule.instances(launched)
            yield _Piece(from_s, until_s, below, upto, count_s, launched - ready)


def _ends(schedule: _Schedule, offer: RentedTerms, periods: Sequence[PeriodUse]) -> Iterator[_Piece]:
    """What each rental is billed for beyond its end; one is seen by a period in which it begins and ends."""
    cycle_s = schedule.cycle_s
    pieces = [
        (from_s, until_s, schedule.instances(schedule.launched_at(at))) for from_s, until_s, at in schedule.pieces()
    ]
    for level in range(1, max((there for _, _, there in pieces), default=0) + 1):
        for begin_s, length_s in _rentals([(a, b) for a, b, there in pieces if there >= level], cycle_s):
            beyond_s = sold_s(length_s, offer) - length_s
            end_s = begin_s + length_s
            seen = math.fsum(weight(one) * _whole_rentals(begin_s, end_s, one, cycle_s) for one in periods)
            if beyond_s > 0:
                yield _Piece(end_s, end_s + beyond_s, level - 1, level, (schedule.cycles - seen) * beyond_s)


def _rentals(spans: Sequence[tuple[float, float]], cycle_s: float) -> list[tuple[float, float]]:
    """Begin and length of what is there one piece after another; none where it never ends."""
    joined: list[list[float]] = []
    for from_s, until_s in spans:
        if joined and joined[-1][1] == from_s:
            joined[-1][1] = until_s
        else:
            joined.append([from_s, until_s])
    if joined and joined[0][0] == 0.0 and joined[-1][1] == cycle_s:
        if len(joined) == 1:
            return []
        joined[-1][1] += joined.pop(0)[1]
    return [(from_s, until_s - from_s) for from_s, until_s in joined]


def _span(period: PeriodUse) -> tuple[float, float]:
    """What a period simulates after its warm-up, on the clock."""
    usage = period.usage
    return usage.when.clock_s + usage.start_s, usage.when.clock_s + usage.end_s


def _overlap_s(from_s: float, until_s: float, begin_s: float, end_s: float, cycle_s: float) -> float:
    """Seconds of a time of the cycle that a span holds."""
    return math.fsum(
        max(min(until_s + shift, end_s) - max(from_s + shift, begin_s), 0.0)
        for shift in _shifts(until_s, begin_s, end_s, cycle_s)
    )


def _whole_rentals(from_s: float, until_s: float, period: PeriodUse, cycle_s: float) -> int:
    """Rentals that begin after the simulated time does and end in the window, so that their end is billed there."""
    begin_s, end_s = _span(period)
    return sum(
        from_s + shift > period.usage.when.clock_s and begin_s < until_s + shift < end_s
        for shift in _shifts(until_s, begin_s, end_s, cycle_s)
    )


def _shifts(until_s: float, begin_s: float, end_s: float, cycle_s: float) -> Iterator[float]:
    first = math.floor((begin_s - until_s) / cycle_s)
    return (k * cycle_s for k in range(first, first + 3 + math.ceil((end_s - begin_s) / cycle_s)))


def by_hour(from_s: float, until_s: float) -> NDArray[np.float64]:
    """How a time of the cycle lies in the hours of the day, shape (24,); the sum is 1."""
    found = np.zeros(HOURS_PER_DAY)
    at_s = from_s
    while at_s < until_s:
        hour = math.floor(at_s / SECONDS_PER_HOUR)
        hour_end_s = min((hour + 1) * SECONDS_PER_HOUR, until_s)
        found[hour % HOURS_PER_DAY] += (hour_end_s - at_s) / (until_s - from_s)
        at_s = hour_end_s
    return found
