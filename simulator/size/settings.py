"""Settings of autoscalers: a grid of fewest, most and target beside each number of the other pools."""

from __future__ import annotations

import math
from collections.abc import Callable

from simulator.resolve.sizes import Fixed, Scaled
from simulator.size.guess import targets
from simulator.size.searcher import Searcher
from simulator.size.trials import Point

_FROM_GUESS = 3
"""Place among the rising targets at which the search for the largest that meets begins."""


def settings(searcher: Searcher, k: int) -> None:
    """Settings of the k-th pool's autoscaler, beside each number of the others that may be enough."""
    pool = searcher.trials.pools[k]
    assert pool.scaler is not None
    fewest: dict[Point, int] = {}
    for tried in searcher.trail.values():
        size = tried.point[k]
        if isinstance(size, Fixed) and tried.word != "refused":
            others = (*tried.point[:k], Fixed(0), *tried.point[k + 1 :])
            fewest[others] = min(fewest.get(others, size.replicas), size.replicas)
    for others, n in _every_number(searcher, k, fewest):
        fewest_of_all = _fewest(searcher, k, others, n)
        if n > fewest_of_all:
            _grid(searcher, k, others, n, fewest_of_all)


def _fewest(searcher: Searcher, k: int, others: Point, n: int) -> int:
    """Fewest replicas that the autoscaler may have: none where n that are always there have as little to do.

    It takes the last one away after all were idle for as long as it looks back, which they are in all.
    """
    pool = searcher.trials.pools[k]
    assert pool.scaler is not None
    if pool.scaler[0] is not None:
        return pool.scaler[0]
    fixed = (*others[:k], Fixed(n), *others[k + 1 :])
    tried = searcher.trail.get(fixed)
    if not pool.low or pool.owned or tried is None:
        return pool.low
    (place,) = (
        at for at, spec in enumerate(searcher.trials.sized(fixed).subject.fleet.pools) if spec.name == pool.name
    )
    scaled = searcher.trials.sized((*others[:k], Scaled(0, n, 1.0), *others[k + 1 :])).subject.fleet.pools[place]
    assert scaled.autoscaler is not None
    idle_s = (outcome.usage.pools[place].idle_s for period in tried.outcomes for outcome in period)
    return 0 if max(idle_s, default=0.0) >= n * scaled.autoscaler.down_window_s else pool.low


def _every_number(searcher: Searcher, k: int, fewest: dict[Point, int]) -> list[tuple[Point, int]]:
    """Each number of the other pool up to where the k-th is not needed, most first, with the fewest the k-th needs.

    Where its own fixed replicas cost too much to be looked at, at least what the other falls short of is taken.
    """
    pools = searcher.trials.pools
    if len(pools) != 2 or pools[1 - k].scaler is not None:
        return sorted(fewest.items(), key=lambda item: -sum(size.most for size in item[0]))
    other = pools[1 - k]
    known = {others[1 - k].most: n for others, n in fewest.items()}
    found: list[tuple[Point, int]] = []
    alone = min((number for number, n in known.items() if n == 0), default=None)
    for number in range(other.low, max(known, default=-1) + 1, other.step):
        n = known.get(number, 1)
        others = (Fixed(number), Fixed(0)) if k == 1 else (Fixed(0), Fixed(number))
        if alone is not None:
            n = max(n, alone - number) if number < alone else 0
        found.append((others, min(n, searcher.limits.max_replicas)))
        if n == 0:
            break
    return found[::-1]


def _grid(searcher: Searcher, k: int, others: Point, n: int, fewest_of_all: int) -> None:
    """Settings that might do with fewer than the n replicas that are enough, from the fewest on.

    With at most n replicas an autoscaler never costs more than these; where it is too slow with so many, it may have
    half as many again.
    """
    pool = searcher.trials.pools[k]
    assert pool.scaler is not None
    least, most, target = pool.scaler
    fixed = searcher.trials.sized((*others[:k], Fixed(n), *others[k + 1 :])).subject.fleet
    spec = next(one for one in fixed.pools if one.name == pool.name)
    choices = (target,) if target is not None else targets(spec, searcher.trials.demand)
    begin = min(_FROM_GUESS, len(choices) - 1)
    wider = min(n + math.ceil(n / 2), max(searcher.limits.max_replicas, n))
    for fewest in (least,) if least is not None else range(fewest_of_all, n + 1):
        for limit in (most,) if most is not None else (n, wider):
            if fewest > limit or fewest == limit == n:
                continue

            def point(target: float, fewest: int = fewest, limit: int = limit) -> Point:
                return (*others[:k], Scaled(fewest, limit, target), *others[k + 1 :])

            at = _largest_target(searcher, point, choices, begin)
            if at is None:
                return
            if at >= 0:
                begin = at
                break


def _largest_target(
    searcher: Searcher, point: Callable[[float], Point], choices: tuple[float, ...], begin: int
) -> int | None:
    """Place of the largest target that is enough, -1 for none; its neighbour is tried too. None once all cost more."""
    good, bad, at = -1, len(choices), begin
    while bad - good > 1:
        tried = searcher.close(point(choices[at]))
        if tried.word == "excluded":
            return None
        if tried.word == "refused":
            bad = at
        else:
            good = at
        at = (good + bad) // 2
    if good > 0 and searcher.trail[point(choices[good])].word == "met":
        searcher.close(point(choices[good - 1]))
    return good
