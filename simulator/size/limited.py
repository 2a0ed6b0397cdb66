"""Pools that a search would have given more replicas than it looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import inf

from simulator.errors import InputError
from simulator.resolve.sizes import Fixed, OpenPool, Scaled, Size
from simulator.size.searcher import Searcher
from simulator.size.trials import Point


def is_full(pool: OpenPool, size: Size, most: int) -> bool:
    """Whether a pool has as many replicas as a search looks at, by that limit and not by its own."""
    return (
        not pool.is_units
        and size.most <= most < size.most + pool.step
        and not (pool.scaler and pool.scaler[1] == size.most)
    )


def beyond_usd(searcher: Searcher) -> dict[str, float]:
    """Pools of which more replicas than are looked at might cost less than the best, and their least bill then.

    A larger number of one pool is of use only where its largest was not enough, or is the best, and where it costs less
    than the best beside the fewest of all others.
    """
    bar, most = searcher.bar, searcher.limits.max_replicas
    ends = [tried.point for tried in searcher.trail.values() if tried.word == "refused" or tried is searcher.best]
    pools = searcher.trials.pools
    found = {
        pool.name: min(_bounds_usd(searcher, _beyond(pools, k, most)), default=inf)
        for k, pool in enumerate(pools)
        if any(is_full(pool, point[k], most) for point in ends)
    }
    return {name: usd for name, usd in found.items() if usd < (inf if bar is None else bar.usd_per_month)}


def _beyond(pools: Sequence[OpenPool], k: int, most: int) -> Iterator[Point]:
    """The smallest points with more of a pool than is looked at: the fewest of all others, or one of one of them."""
    sizes: list[Size] = [pool.fewest for pool in pools]
    pool = pools[k]
    larger = (most // pool.step + 1) * pool.step
    if pool.scaler is None:
        sizes[k] = Fixed(larger)
    else:
        fewest, _, target = pool.scaler
        sizes[k] = Scaled(max(pool.low, 1) if fewest is None else fewest, larger, target or 1.0)
    yield tuple(sizes)
    for j, other in enumerate(pools):
        if j != k and not other.low:
            yield (*sizes[:j], other.size(1), *sizes[j + 1 :])


def _bounds_usd(searcher: Searcher, points: Iterator[Point]) -> Iterator[float]:
    """Least bills of those that can be planned."""
    for point in points:
        with suppress(InputError):
            yield searcher.trials.bound_usd(point)
