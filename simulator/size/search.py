"""One search for every topology: first a size that meets, then close what might cost less."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations, product

from simulator.errors import InputError
from simulator.resolve.sizes import Fixed, OpenPool, Scaled, Size, refinable
from simulator.size.found import UNFINISHED, Interrupted, Limits, Search, best_of, falls
from simulator.size.guess import guess_replicas, guess_units
from simulator.size.lighter import Lighter
from simulator.size.limited import beyond_usd
from simulator.size.nearby import descend, exchange
from simulator.size.numbers import minimal_points, smallest
from simulator.size.searcher import Searcher, Spent
from simulator.size.settings import beside, settings
from simulator.size.several import close, descents, exchanges
from simulator.size.trials import Point, Trials, Tried

CLOSED_ONE_BY_ONE = 16
"""Up to so many replicas each smaller number is simulated; above, those far below a refused one are skipped."""
_FAR = 0.25
"""A size that has used up its allowance within this share of its requests misses by far."""
_DEARER = 2
"""Larger sizes in a row that cost more, after which no further one is looked at if no bound rises."""
_LOOKS = 400
"""Bounds of points of three and more numbers that are asked for, unless a time is given; what may cost less is left."""


def search(
    trials: Trials,
    limits: Limits | None = None,
    known: Tried | None = None,
    rival: Tried | None = None,
    lighter: Lighter | None = None,
    first: Sequence[Point] = (),
    then: Sequence[Point] = (),
    guess: Sequence[int] = (),
    enough_usd: float = 0.0,
) -> Search:
    """Find the cheapest sizes of a topology that meet the SLO.

    One stopping rule for every topology: it ends when each point of its space is refused, met, raced out, excluded or
    skipped. With one open number that is a proof; with more it is a point of which any smaller one fails; settings of
    an autoscaler are a grid of which the best is shown. Where no size can meet, one alone is looked at.

    Parameters
    ----------
    known : a point that is known to meet; what costs no less is excluded
    rival : the best of other points, as those of another window: what costs no less is excluded or raced out too; but
        not a fixed number of a pool with an autoscaler, which costs less than as many that are always there
    lighter : what is known of points under lighter loads: those that miss the SLO or cost too much are not simulated
    first, then : points with which it begins, and those that come after the numbers and before the settings of
        autoscalers, as the best of other loads
    guess : replicas of each pool with which it begins; by their rough capacity unless given
    enough_usd : USD per month at which the cheapest of `first`, and of what is beside it, is taken for the best

    Raises
    ------
    Interrupted : in place of a KeyboardInterrupt, with what was found
    """
    limits = limits or Limits()
    searcher = Searcher(trials, limits, known, rival, lighter or Lighter(), first, then, guess)
    if known is not None:
        searcher.trail[known.point] = known
    if limits.seconds is not None:
        searcher.until_s = time.monotonic() + limits.seconds
    finished = True
    try:
        if trials.hopeless:
            _numbers(searcher)
            return _result(searcher, finished)
        for point in first:
            searcher.close(point)
        if searcher.best is not None and enough_usd:
            _descend(searcher)
        if searcher.best is None or not searcher.best.usd_per_month <= enough_usd:
            _every_way(searcher)
            for point in then:
                searcher.close(point)
            for k, pool in enumerate(trials.pools):
                if refinable(pool):
                    settings(searcher, k)
            _descend(searcher)
    except Spent:
        finished = False
    except KeyboardInterrupt as stop:
        raise Interrupted(_result(searcher, finished=False)) from stop
    return _result(searcher, finished)


def _descend(searcher: Searcher) -> None:
    """To neighbours of the best, of one autoscaler after the other, until none of several costs less."""
    open_ones = [k for k, pool in enumerate(searcher.trials.pools) if refinable(pool)]
    before = None
    while before is not searcher.best:
        before = searcher.best
        for k in open_ones:
            descend(searcher, k)
            beside(searcher, k)
        for k, j in permutations(open_ones, 2):
            exchange(searcher, k, j)


def _result(searcher: Searcher, finished: bool) -> Search:
    late = [tried for tried in searcher.trail.values() if tried.word == "refused" and tried.usd]
    if searcher.best is None and searcher.rival is None and late:
        searcher.best = replace(min(late, key=lambda one: one.usd_per_month), word="met", reason="")
        searcher.trail[searcher.best.point] = searcher.best
    best, pools = searcher.best, searcher.trials.pools
    trail = tuple(searcher.trail.values())
    skipped = sum(tried.word == "skipped" for tried in trail)
    simulated = Search(best, trail, "").tried
    usd = math.inf if best is None else best.usd_per_month
    left_usd = searcher.left_usd if finished else searcher.trials.least_usd()
    if not finished or left_usd < usd:
        claim = UNFINISHED
    elif best is None and any(tried.word in ("raced out", "excluded") for tried in trail):
        claim = f"all of {simulated} tried cost more"
    elif best is None:
        claim = f"none of {simulated} tried meets"
    elif not searcher.proved or any(map(refinable, pools)) or (len(pools) > 1 and falls(trail) is not None):
        claim = best_of(simulated)
    elif len(pools) > 1:
        claim = "minimal"
    else:
        claim = f"proved but for {skipped} skipped" if skipped else "proved"
    beyond = beyond_usd(searcher)
    least_usd = min([left_usd, *beyond.values()])
    return Search(
        *(best, trail, claim, least_usd if not finished or least_usd < usd else None),
        *(searcher.limits.max_replicas, searcher.limits.bound),
        () if searcher.bar is None else tuple(beyond),
    )


def _sized(pool: OpenPool, n: int) -> Size:
    """The pool with n replicas; of an autoscaler of which only the most is open, n is that."""
    if pool.scaler is None or refinable(pool) or n == 0:
        return Fixed(n)
    least, _, target = pool.scaler
    assert least is not None
    assert target is not None
    return Scaled(min(least, n), n, target)


def _every_way(searcher: Searcher) -> None:
    """The numbers, with each token API that serves by the token, too, so and by its units.

    Where settings of an autoscaler are looked for beside them, what they cost alone is not held against a rival.
    """
    by_token = [pool.name for pool in searcher.trials.pools if pool.by_token and not pool.closed]
    rival = searcher.rival
    if any(map(refinable, searcher.trials.pools)):
        searcher.rival = None
    try:
        for ways in product((True, False), repeat=len(by_token)):
            _numbers(searcher, [name for name, shut in zip(by_token, ways, strict=True) if shut])
    finally:
        searcher.rival = rival


def _numbers(searcher: Searcher, shut: Sequence[str] = ()) -> None:
    """Find the fewest replicas that meet, in all pools; where no number can, look at the first guess alone.

    Parameters
    ----------
    shut : names of pools of which none is looked at but none
    """
    every = tuple(replace(pool, closed=True) if pool.name in shut else pool for pool in searcher.trials.pools)
    high, pools = searcher.limits.max_replicas, tuple(pool for pool in every if not pool.closed)

    def point(numbers: tuple[int, ...]) -> Point:
        sizes = {pool: _sized(pool, pool.size(n).replicas) for pool, n in zip(pools, numbers, strict=True)}
        return tuple(sizes.get(pool) or pool.size(0) for pool in every)

    ranges: list[tuple[int, int]] = []
    guesses: list[int] = []
    start = point(tuple(1 for _ in pools))
    for pool in pools:
        most = pool.steps(high) * pool.step
        most = most if pool.scaler is None or pool.scaler[1] is None else min(most, pool.scaler[1])
        low = max(pool.low, math.ceil(searcher.trials.least(every.index(pool), start) / pool.step))
        top = max(most // pool.step - pool.unsold, 1)
        ranges.append((min(low, top), top))
        replicas = searcher.guess[every.index(pool)] if searcher.guess else _guess(searcher, every.index(pool), start)
        guesses.append(max(math.ceil(replicas / pool.step) - pool.unsold, 1))
    if not pools:
        searcher.close(start)
    elif searcher.trials.hopeless:
        searcher.close(point(tuple(min(max(n, low), top) for n, (low, top) in zip(guesses, ranges, strict=True))))
    elif len(pools) == 1:
        found = smallest(lambda n: searcher.enough(point((n,))), *ranges[0], guesses[0])
        if found is not None and searcher.limits.prove:
            _prove(searcher, lambda n: point((n,)), ranges[0], found)
    elif len(pools) == 2:
        minimal_points(lambda numbers: searcher.enough(point(numbers)), ranges, tuple(guesses))
    else:
        _several(searcher, point, ranges, guesses)


def _guess(searcher: Searcher, k: int, start: Point) -> int:
    trials = searcher.trials
    try:
        subject = trials.sized(start).subject
    except InputError:
        return 1
    pool = trials.pools[k]
    if pool.is_units:
        return guess_units(subject, trials.demand, pool.name) * pool.step
    return guess_replicas(subject, trials.demand, pool.name)


def _prove(searcher: Searcher, point: Callable[[int], Point], bounds: tuple[int, int], found: int) -> None:
    """Close every smaller number, then the next larger ones that might cost less; one of these that fails is a sign.

    Where a larger number is refused, more is not always better here: nothing is skipped then.
    """
    low, high = bounds
    if found < high and searcher.close(point(found + 1)).word == "excluded" and searcher.limits.probe:
        probe = searcher.trials(point(found + 1), replications=1)
        if probe.word == "refused":
            searcher.trail[point(found + 1)] = probe
    far, monotone = 0, falls(searcher.trail.values()) is None
    for n in range(found - 1, low - 1, -1):
        if n > CLOSED_ONE_BY_ONE and n < far and monotone and point(n) not in searcher.trail:
            searcher.trail[point(n)] = Tried(point(n), "skipped", reason=f"{far} miss by far")
            continue
        tried = searcher.close(point(n))
        if tried.refutation is not None and tried.refutation.ended <= _FAR:
            far = max(far, n)
    _close_larger(searcher, point, range(found + 1, high + 1 if searcher.limits.prune else found))


def _close_larger(searcher: Searcher, point: Callable[[int], Point], numbers: range) -> None:
    """Close larger numbers: a larger instance may be cheaper by the GPU, and a started server has room for more.

    Where nothing of a rented replica is sure to be paid, no bound rises with the number: the search then ends at the
    second one that costs more, and proves nothing.
    """
    dearer = 0
    for n in numbers:
        if searcher.excluded(point(n)) is not None:
            if searcher.trials.pools[0].owned or searcher.trials.pools[0].is_units:
                break
            continue
        tried = searcher.close(point(n))
        dearer = 0 if tried is searcher.best else dearer + 1
        rises = searcher.trials.bound_usd(point(n)) > searcher.trials.bound_usd(point(n - 1))
        may_end = searcher.limits.rough or not searcher.trials.pools[0].owned
        if dearer >= _DEARER and not rises and may_end:
            searcher.proved = False
            break


def _several(
    searcher: Searcher,
    point: Callable[[tuple[int, ...]], Point],
    ranges: list[tuple[int, int]],
    guesses: list[int],
) -> None:
    """Three and more numbers: down in several orders, then whatever may cost less, then one exchanged for another."""
    numbers: dict[Point, tuple[int, ...]] = {}

    def enough(at: tuple[int, ...]) -> bool:
        found = searcher.enough(point(at))
        numbers[searcher.trail[point(at)].point] = at
        return found

    def best() -> tuple[int, ...] | None:
        return None if searcher.best is None else numbers.get(searcher.best.point)

    descents(enough, ranges, tuple(guesses), _dearest_first(searcher, point, ranges))
    left: list[tuple[int, ...]] = []
    if searcher.limits.prune:
        looks = _LOOKS if searcher.limits.seconds is None else sys.maxsize
        worth = lambda at: searcher.excluded(point(at)) is None  # noqa: E731
        left = close(enough, ranges, lambda at: _bound_usd(searcher, point(at)), worth, looks)
    exchanges(enough, ranges, best)
    searcher.left_usd = min((_bound_usd(searcher, _with_fewest(searcher, point(at))) for at in left), default=math.inf)


def _bound_usd(searcher: Searcher, at: Point) -> float:
    """Least bill of a point; 0 where none is known."""
    try:
        return searcher.trials.bound_usd(at)
    except InputError:
        return 0.0


def _with_fewest(searcher: Searcher, at: Point) -> Point:
    """The point with the fewest replicas of each autoscaler that settings are looked for of."""
    pools = searcher.trials.pools
    return tuple(pool.fewest if refinable(pool) else size for pool, size in zip(pools, at, strict=True))


def _dearest_first(
    searcher: Searcher, point: Callable[[tuple[int, ...]], Point], ranges: list[tuple[int, int]]
) -> list[int]:
    """Places of the numbers by what one more replica costs at least, beside as few of the others as may be."""
    low = [least for least, _ in ranges]

    def usd(k: int) -> float:
        try:
            return searcher.trials.bound_usd(point((*low[:k], low[k] + 1, *low[k + 1 :])))
        except InputError:
            return math.inf

    return sorted(range(len(ranges)), key=usd, reverse=True)
