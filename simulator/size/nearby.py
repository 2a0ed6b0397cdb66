"""Settings of an autoscaler beside the best, one step after the other as long as these cost less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from simulator.resolve.sizes import Scaled
from simulator.size.guess import targets
from simulator.size.searcher import Searcher
from simulator.size.trials import Point

_STEPS = (
    *((0, 0, 1), (-1, 0, 0), (0, -1, 0), (1, 0, 0), (0, 1, 1), (-1, -1, -2)),
    *((-1, 0, -1), (1, 0, 1), (0, 0, -1), (0, -1, -1), (1, -1, 0)),
)
"""To the neighbours: of the fewest replicas, of the most and among the targets; those first that may save most."""


def descend(searcher: Searcher, k: int) -> None:
    """From the best so far on to its neighbours, as long as one of them is cheaper; nothing where it does not scale.

    Targets are those of the grid: between them chance decides, and what it finds misses the SLO on other traffic.
    """
    in_vain = 0
    while in_vain < searcher.limits.in_vain:
        best = searcher.best
        if best is None or not isinstance(best.point[k], Scaled):
            return
        point = next((one for one in _neighbours(searcher, k, best.point) if _is_new(searcher, one)), None)
        if point is None:
            return
        before = searcher.trials.simulated
        searcher.close(point, anew=True)
        in_vain = 0 if searcher.best is not best else in_vain + (searcher.trials.simulated > before)


def exchange(searcher: Searcher, k: int, j: int) -> None:
    """A higher target of one autoscaler with one more at most, or a higher target too, of another, while that pays."""
    while (best := searcher.best) is not None:
        if not (isinstance(best.point[k], Scaled) and isinstance(best.point[j], Scaled)):
            return
        points = [
            two
            for one in _moved(searcher, k, best.point, ((0, 0, 1),))
            for two in _moved(searcher, j, one, ((0, 1, 0), (0, 1, 1)))
        ]
        for point in points:
            if _is_new(searcher, point):
                searcher.close(point)
        if searcher.best is best:
            return


def _is_new(searcher: Searcher, point: Point) -> bool:
    return (point not in searcher.trail or point in searcher.told) and searcher.excluded(point) is None


def _neighbours(searcher: Searcher, k: int, at: Point) -> Iterator[Point]:
    size = at[k]
    assert isinstance(size, Scaled)
    yield from _moved(searcher, k, at, ((0, -((size.most - size.least) // 4), 0), *_STEPS))


def _moved(searcher: Searcher, k: int, at: Point, steps_of: Sequence[tuple[int, int, int]]) -> Iterator[Point]:
    pool, size = searcher.trials.pools[k], at[k]
    assert isinstance(size, Scaled)
    assert pool.scaler is not None
    stated_least, stated_most, stated_target = pool.scaler
    spec = next(one for one in searcher.trials.sized(at).subject.fleet.pools if one.name == pool.name)
    choices = targets(spec, searcher.trials.demand, size.most)
    for less, more, steps in steps_of:
        target = size.target if stated_target is not None else _stepped(choices, size.target, steps)
        found = replace(size, least=size.least + less, most=size.most + more, target=target, instance="")
        is_stated = (stated_least is not None and less) or (stated_most is not None and more)
        fits = min(pool.low, size.least) <= found.least < found.most <= searcher.limits.max_replicas
        if fits and not is_stated:
            yield (*at[:k], found, *at[k + 1 :])


def _stepped(choices: Sequence[float], target: float, steps: int) -> float:
    """So many targets up, or down; the last one where there are no more."""
    above = [one for one in choices if one > target]
    below = [one for one in reversed(choices) if one < target]
    onward = [target, *(above if steps > 0 else below)]
    return onward[min(abs(steps), len(onward) - 1)]
