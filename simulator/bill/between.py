"""Hours of instances that an autoscaled pool has between the periods of a month: launches before one, what it keeps
after one, and what is billed to the end of a rental.

A period is simulated for itself, and begins with the replicas that its load keeps. Where the month goes on from one to
another the pool gets from those at the end of the first to those at the begin of the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from simulator.bill.stays import sold_s
from simulator.bill.unseen import Unseen, by_hour
from simulator.study.bill import PeriodUse
from simulator.study.schedule import Following
from simulator.study.terms import RentedTerms
from simulator.units import HOURS_PER_DAY, HOURS_PER_MONTH, SECONDS_PER_HOUR

_DIGITS = 9
Spans = tuple[tuple[float, float], ...]


def between(offer: RentedTerms, periods: Sequence[PeriodUse]) -> Unseen:
    """Hours of a month of an autoscaled pool that lie between its periods; none where these do not say when they are.

    At each border of the month's cycle, with e replicas at the end of a period and b at the begin of the next, b − e
    are launched a cold start before, e − b are kept after it for as long as the rule remembers, and a rental that began
    at an earlier border is billed to its minimum and granularity. Of several periods that share their times
    (replications; those that have the rest of the month) the shares of their hours with at least 1, 2, … replicas are
    compared, so that what differs between them by chance is no launch.
    """
    following = offer.following
    if following is None:
        return Unseen(np.zeros((0, HOURS_PER_DAY)))
    groups: dict[Spans, list[PeriodUse]] = {}
    for one in periods:
        if one.hours > 0 and not one.is_job:
            groups.setdefault(one.usage.when.holds_s, []).append(one)
    cycle_s = max((one.usage.when.cycle_s for mine in groups.values() for one in mine), default=0.0)
    turns = _turns(list(groups), cycle_s)
    found = Unseen(np.zeros((0, HOURS_PER_DAY)))
    if len(turns) < 2:
        return found

    def levels(of: str) -> Iterator[tuple[int, float, list[_Run]]]:
        """Level, times a month, and its runs, of replicas or of instances (servers)."""
        for share, path in _paths(turns, [_numbers(offer.pool, mine, of) for mine in groups.values()]):
            times = share * (HOURS_PER_MONTH * SECONDS_PER_HOUR / cycle_s)
            for level in range(1, max(map(max, path)) + 1):
                yield level, times, _kept(_runs(turns, path, level, cycle_s), following, cycle_s)

    pieces = [
        (level, times, *piece) for level, times, runs in levels("server") for piece in _billed(runs, offer, cycle_s)
    ]
    table = np.zeros((max((level for level, *_ in pieces), default=0), HOURS_PER_DAY))
    for level, times, from_s, until_s in pieces:
        table[level - 1] += times * (until_s - from_s) / SECONDS_PER_HOUR * by_hour(from_s, until_s)
    waits = [(times * run.early_s, times * run.late_s) for _, times, runs in levels("replica") for run in runs]
    early_s, late_s = (math.fsum(wait[side] for wait in waits) for side in (0, 1))
    return Unseen(table, early_s / SECONDS_PER_HOUR, late_s / SECONDS_PER_HOUR)


def _turns(groups: Sequence[Spans], cycle_s: float) -> list[tuple[float, int]]:
    """When in the cycle which group of periods begins: of several the one with the shortest time, else the rest.

    Where none holds, the one before goes on.
    """
    spans = [[part for span in mine for part in _folded(*span, cycle_s)] for mine in groups]
    length_s = [math.fsum(until_s - from_s for from_s, until_s in mine) for mine in spans]
    rest = next((k for k, mine in enumerate(spans) if not mine), None)
    found: list[tuple[float, int]] = []
    for at_s in sorted({0.0, *(edge for mine in spans for span in mine for edge in span)} - {cycle_s}):
        there = [k for k, mine in enumerate(spans) if any(from_s <= at_s < until_s for from_s, until_s in mine)]
        held = min(there, key=length_s.__getitem__) if there else rest
        if held is not None and (not found or found[-1][1] != held):
            found.append((at_s, held))
    return found[1:] if len(found) > 1 and found[0][1] == found[-1][1] else found


def _folded(from_s: float, until_s: float, cycle_s: float) -> Iterator[tuple[float, float]]:
    """The same time within one cycle."""
    first_s, length_s = from_s % cycle_s, until_s - from_s
    yield first_s, min(first_s + length_s, cycle_s)
    if first_s + length_s > cycle_s:
        yield 0.0, first_s + length_s - cycle_s


Numbers = list[tuple[float, int]]
"""(share of the hours, number), rising."""


def _numbers(pool: str, periods: Sequence[PeriodUse], of: str) -> tuple[Numbers, Numbers]:
    """Replicas or instances (servers) at the begin and at the end of periods; a period without the pool has none."""
    hours = math.fsum(one.hours for one in periods)
    begin, end = [], []
    for one in periods:
        stays = [stay for found in one.usage.pools if found.name == pool for stay in found.stays]
        real = [(stay.start_s, stay.end_s, getattr(stay, of)) for stay in stays if stay.end_s > stay.start_s]
        begin.append((one.hours / hours, len({k for from_s, _, k in real if from_s <= one.usage.start_s})))
        end.append((one.hours / hours, len({k for _, until_s, k in real if until_s >= one.usage.end_s})))
    return sorted(begin, key=lambda one: one[1]), sorted(end, key=lambda one: one[1])


Path = list[tuple[int, int]]
"""Numbers at the begin and at the end of each turn."""


def _paths(
    turns: Sequence[tuple[float, int]], numbers: Sequence[tuple[Numbers, Numbers]]
) -> Iterator[tuple[float, Path]]:
    """Shares of all cycles, from those with the fewest at every border to those with the most, and their numbers."""
    reached = [np.cumsum([share for share, _ in found]) for both in numbers for found in both]
    cuts = np.unique(np.concatenate([[0.0, 1.0], *reached]).round(_DIGITS))
    for low, high in pairwise(cuts.tolist()):
        at = (low + high) / 2
        there = [(_quantile(begin, at), _quantile(end, at)) for begin, end in numbers]
        yield high - low, [there[held] for _, held in turns]


def _quantile(found: Numbers, at: float) -> int:
    reached = np.cumsum([share for share, _ in found])
    return found[min(int(np.searchsorted(reached, at)), len(found) - 1)][1]


@dataclass(frozen=True, slots=True)
class _Run:
    """Time of the cycle in which there are at least so many.

    Attributes
    ----------
    from_s, until_s : the middle of a turn where it begins or ends within one, of which nobody knows when
    rises, drops : it begins, it ends, at a border
    early_s, late_s : launched before it, kept after it
    joined : to the next one
    """

    from_s: float
    until_s: float
    rises: bool
    drops: bool
    early_s: float = 0.0
    late_s: float = 0.0
    joined: bool = False


def _runs(turns: Sequence[tuple[float, int]], path: Path, level: int, cycle_s: float) -> list[_Run]:
    """Runs of a level in their order; none where it is never given back."""
    n = len(turns)
    there = [(begin >= level, end >= level) for begin, end in path]
    breaks = [k for k in range(n) if not (there[k - 1][1] and there[k][0])]
    found: list[_Run] = []
    for k in (*range(breaks[0], n), *range(breaks[0])) if breaks else ():
        from_s = turns[k][0] + (cycle_s if k < breaks[0] else 0.0)
        until_s = from_s + ((turns[(k + 1) % n][0] - turns[k][0]) % cycle_s)
        begins, ends = there[k]
        middle_s = (from_s + until_s) / 2
        if begins:
            first = found.pop() if k not in breaks else _Run(from_s, until_s, True, True)
            found.append(_Run(first.from_s, until_s if ends else middle_s, first.rises, ends))
        elif ends:
            found.append(_Run(middle_s, until_s, False, True))
    return found


def _kept(runs: Sequence[_Run], following: Following, cycle_s: float) -> list[_Run]:
    """The same with what comes before and after them; what is kept until the next begins is not launched again."""
    early_s, late_s, joined = [0.0] * len(runs), [0.0] * len(runs), [False] * len(runs)
    for k, run in enumerate(runs):
        after = (k + 1) % len(runs)
        gap_s = runs[after].from_s - run.until_s + (cycle_s if after <= k else 0.0)
        late_s[k] = min(following.late_s, gap_s) if run.drops else 0.0
        early_s[after] = min(following.early_s, gap_s - late_s[k]) if runs[after].rises else 0.0
        joined[k] = late_s[k] + early_s[after] >= gap_s
    return [
        replace(run, early_s=early, late_s=late, joined=on)
        for run, early, late, on in zip(runs, early_s, late_s, joined, strict=True)
    ]


def _billed(runs: Sequence[_Run], offer: RentedTerms, cycle_s: float) -> Iterator[tuple[float, float]]:
    """From and until of what is billed before and after the runs, of those that are joined as one rental."""
    n = len(runs)
    for k, run in enumerate(runs):
        if run.early_s > 0:
            yield run.from_s - run.early_s, run.from_s
        end_s = run.until_s + run.late_s
        first = next((back for back in range(n) if not runs[k - back - 1].joined), None)
        if run.drops and not run.joined and first is not None and runs[k - first].rises:
            begin = runs[k - first]
            length_s = end_s - (begin.from_s - begin.early_s) + (cycle_s if first > k else 0.0)
            end_s += sold_s(length_s, offer) - length_s
        if end_s > run.until_s:
            yield run.until_s, end_s
