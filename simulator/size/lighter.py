"""What was found under lighter loads: a size that misses the SLO there misses it here, and costs no less here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.resolve.sizes import Fixed, Scaled, Size
from simulator.size.trials import Point, Tried

_ENDLESS = 10**9
_WIDER = 1.5
"""Of two limits of an autoscaler, how much larger the one is than the other where they say something of all others."""


@dataclass(frozen=True, slots=True)
class Lighter:
    """Points as they were under loads of which no class comes more often than now.

    Attributes
    ----------
    refused : missed the SLO
    usd : USD per month of those that met
    best : the cheapest under the nearest of these loads; none where none met
    """

    refused: frozenset[Point] = frozenset()
    usd: Mapping[Point, float] = field(default_factory=dict)
    best: Point = ()

    def refuses(self, point: Point) -> bool:
        """Whether the point has at no time more replicas in any pool than one that missed."""
        return any(all(map(_no_more, point, known)) for known in self.refused)

    def least_usd(self, point: Point) -> float:
        """What the point costs at least: as much as one with the same fewest replicas, and no more at any time."""
        return max((usd for known, usd in self.usd.items() if all(map(_as_few, known, point))), default=0.0)


def lighter(trails: Iterable[Sequence[Tried]], best: Point = ()) -> Lighter:
    """What the trails of searches under lighter loads say.

    An autoscaler that starts too late with either of its limits, the fixed number that meets and half as many again,
    does so with any.
    """
    refused: set[Point] = set()
    usd: dict[Point, float] = {}
    limits: dict[Point, set[int]] = defaultdict(set)
    for tried in (tried for trail in trails for tried in trail):
        if tried.word == "met":
            usd[tried.point] = max(tried.usd_per_month, usd.get(tried.point, 0.0))
        if tried.word != "refused":
            continue
        refused.add(tried.point)
        for k, size in enumerate(tried.point):
            if isinstance(size, Scaled):
                endless = Scaled(size.least, _ENDLESS, size.target)
                limits[(*tried.point[:k], endless, *tried.point[k + 1 :])].add(size.most)
    refused |= {point for point, most in limits.items() if max(most) >= _WIDER * min(most)}
    return Lighter(frozenset(refused), usd, best)


def _is_by_token(size: Size) -> bool:
    return isinstance(size, Fixed) and size.by_token


def _as_few(size: Size, than: Size) -> bool:
    return size.least == than.least and _no_more(size, than)


def _no_more(size: Size, than: Size) -> bool:
    if _is_by_token(size) != _is_by_token(than):
        return False
    if isinstance(size, Fixed):
        return size.replicas <= than.least
    if isinstance(than, Fixed):
        return size.most <= than.replicas
    return size.least <= than.least and size.most <= than.most and size.target >= than.target
