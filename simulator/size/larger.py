"""Larger sizes that may cost less than what is written: of one pool for another, of an autoscaler from fewer on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from simulator.errors import InputError
from simulator.resolve.sizes import Fixed, Scaled, Size, replaceable
from simulator.size.guess import replicas_needed
from simulator.size.trials import Point, Trials

_ROUNDING = 1e-9
MOST = 2
"""Points that are proposed, the cheapest by their bounds."""


def larger_points(trials: Trials, written: Sequence[Size]) -> list[Point]:
    """Points with more of a pool than is written, the cheapest first.

    Of pools between which requests are free to go, one takes over what another carries, as far as rough capacities
    tell; an autoscaler begins with its fewest and may have half as many again.
    """
    usd: dict[Point, float] = {}
    for point in (*_instead(trials, written), *_from_fewer(trials, written)):
        try:
            usd[point] = trials.bound_usd(point)
        except InputError:
            continue
    return sorted(usd, key=usd.__getitem__)[:MOST]


def _instead(trials: Trials, written: Sequence[Size]) -> Iterator[Point]:
    loaded = trials.loaded
    topology = loaded.scenario.topologies[trials.name]
    ones = tuple(pool.size(max(pool.low, 1)) for pool in trials.pools)
    try:
        subject = trials.sized(ones).subject
    except InputError:
        return
    needed = [replicas_needed(subject, trials.demand, pool.name) for pool in trials.pools]
    for less, more in permutations(range(len(written)), 2):
        low = trials.pools[less].low * trials.pools[less].step
        gone = written[less].most - low
        if gone <= 0 or not replaceable(loaded, topology, topology.pools[trials.pools[less].index]):
            continue
        step = trials.pools[more].step
        extra = math.ceil(gone * needed[more] / needed[less] / step - _ROUNDING) * step
        point = list(written)
        point[less], point[more] = Fixed(low), _grown(written[more], extra)
        yield tuple(point)


def _grown(size: Size, extra: int) -> Size:
    if isinstance(size, Scaled):
        return replace(size, most=size.most + extra)
    return Fixed(size.replicas + extra)


def _from_fewer(trials: Trials, written: Sequence[Size]) -> Iterator[Point]:
    for k, (pool, size) in enumerate(zip(trials.pools, written, strict=True)):
        fewest = max(pool.low, 1)
        if isinstance(size, Scaled) and size.least > fewest:
            wider = replace(size, least=fewest, most=size.most + math.ceil(size.most / 2))
            yield (*written[:k], wider, *written[k + 1 :])
