"""Settings of autoscalers: a grid of fewest, most and target beside each number of the other pools."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from simulator.resolve.sizes import BY_TOKEN, Fixed, Scaled
from simulator.size.guess import requests_in_flight, targets
from simulator.size.searcher import Searcher
from simulator.size.trials import Point, Tried

_DEARER = 2
"""Fewest numbers in a row that cost more, after which no larger one is looked at."""
_FEW = 12
"""Numbers of the other pool of which each is looked at, and nearly so many of more."""


def settings(searcher: Searcher, k: int) -> None:
    """Settings of the k-th pool's autoscaler, beside numbers of the others that may be enough, each if they are few."""
    assert searcher.trials.pools[k].scaler is not None
    every = _every_number(searcher, k, _fewest_enough(searcher, k))

    def look(others: Point, n: int) -> None:
        fewest_of_all = _fewest(searcher, k, others, n)
        if n > fewest_of_all:
            _grid(searcher, k, others, n, fewest_of_all)

    def best() -> int | None:
        """Place among the numbers of the best so far."""
        if searcher.best is None:
            return None
        others = (*searcher.best.point[:k], Fixed(0), *searcher.best.point[k + 1 :])
        return next((at for at, (each, _) in enumerate(numbers) if each == others), None)

    numbers = [(others, n) for others, n in every if BY_TOKEN not in others]
    for others, n in every:
        if BY_TOKEN in others:
            look(others, n)
    for at in by_strides(len(numbers), best):
        look(*numbers[at])


def by_strides(n: int, best: Callable[[], int | None]) -> Iterator[int]:
    """Each of n places where they are few; else some of them, and then those beside the best, ever nearer to it.

    Bills fall and rise once along the places, but for whole instances and chance, so that of many most need no look.

    Parameters
    ----------
    best : place of the best of those that were given so far; None for none
    """
    stride, given = max(n // _FEW, 1), set[int]()

    def anew(places: Iterable[int]) -> Iterator[int]:
        for at in places:
            if 0 <= at < n and at not in given:
                given.add(at)
                yield at

    yield from anew(range(0, n, stride))
    while stride > 1:
        stride = (stride + 1) // 2
        centre = None
        while (at := best()) is not None and at != centre:
            centre = at
            yield from anew((centre - stride, centre + stride))


def beside(searcher: Searcher, k: int) -> None:
    """Settings of the k-th pool's autoscaler beside the best of the others, where it has a fixed number there."""
    best = searcher.best
    if best is None or not isinstance(best.point[k], Fixed) or best.point[k] == BY_TOKEN:
        return
    others = (*best.point[:k], Fixed(0), *best.point[k + 1 :])
    pool = searcher.trials.pools[k]
    _grid(searcher, k, others, max(best.point[k].most, 1), pool.low)


def _fewest_enough(searcher: Searcher, k: int) -> dict[Point, int]:
    """Beside each number of the others, the fewest fixed replicas that may be enough.

    What costs too much to be looked at may be, as where one replica pays for the whole instance, unless more of it is
    not.
    """
    known: dict[Point, list[Tried]] = defaultdict(list)
    for tried in searcher.trail.values():
        if isinstance(tried.point[k], Fixed):
            known[(*tried.point[:k], Fixed(0), *tried.point[k + 1 :])].append(tried)
    found: dict[Point, int] = {}
    for others, every in known.items():
        short = max((tried.point[k].most for tried in every if tried.word == "refused"), default=-1)
        may = [tried for tried in every if tried.word != "refused"]
        enough = [tried.point[k].most for tried in may if tried.usd or tried.point[k].most > short]
        if enough:
            found[others] = min(enough)
    return found


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
    apart = [(others, n) for others, n in fewest.items() if others[1 - k] == BY_TOKEN]
    known = {others[1 - k].most: n for others, n in fewest.items() if (others, n) not in apart}
    found: list[tuple[Point, int]] = []
    alone = min((number for number, n in known.items() if n == 0), default=None)
    last = max(max(known) // other.step - other.unsold, 0) if known else -1
    for number in (other.size(n).replicas for n in range(other.low, last + 1)):
        n = known.get(number, 1)
        others = (Fixed(number), Fixed(0)) if k == 1 else (Fixed(0), Fixed(number))
        if alone is not None:
            n = max(n, alone - number) if number < alone else 0
        found.append((others, min(n, searcher.limits.max_replicas)))
        if n == 0:
            break
    return [*apart, *found[::-1]]


def _grid(searcher: Searcher, k: int, others: Point, n: int, fewest_of_all: int) -> None:
    """Settings that might do with fewer than the n replicas that are enough, from the fewest on.

    With at most n replicas an autoscaler never costs more than these; where it is too slow with so many, it may have
    half as many again. Where it is too slow with the lowest target and the most replicas, it is with all others. Of
    many numbers some are looked at first, then those beside the best of them.
    """
    pool = searcher.trials.pools[k]
    assert pool.scaler is not None
    least, most, target = pool.scaler
    scaled = searcher.trials.sized((*others[:k], Scaled(fewest_of_all, n, 1.0), *others[k + 1 :])).subject.fleet
    spec = next(one for one in scaled.pools if one.name == pool.name)
    choices = (target,) if target is not None else targets(spec, searcher.trials.demand, n)
    in_flight = float(requests_in_flight(spec, searcher.trials.demand, n))
    known = searcher.lighter.best[k] if searcher.lighter.best else None
    if isinstance(known, Scaled):
        in_flight, fewest_of_all = min(in_flight, known.target), max(fewest_of_all, min(known.least, n) - 1)
    begin = max(sum(choice <= in_flight for choice in choices) - 1, 0)
    wider = min(n + math.ceil(n / 2), max(searcher.limits.max_replicas, n))
    limits = (most,) if most is not None else (n, wider)

    def point(fewest: int, limit: int, target: float) -> Point:
        return (*others[:k], Scaled(fewest, limit, target), *others[k + 1 :])

    asked, dearer = _Asked(searcher, choices, begin), 0
    for fewest in (least,) if least is not None else range(fewest_of_all, n + 1):
        found = None
        for limit in limits:
            if fewest > limit or fewest == limit == n:
                continue
            found = asked.largest(partial(point, fewest, limit), limit, point(fewest, limits[-1], choices[0]))
            if asked.dear:
                return
            if limit in asked.enough:
                break
        if found is not None and searcher.best is not None:
            dearer = 0 if found.usd_per_month <= searcher.best.usd_per_month else dearer + 1
            if dearer >= _DEARER:
                return


@dataclass
class _Asked:
    """Targets that were asked for as the fewest replicas rise.

    Attributes
    ----------
    begin : place among the targets with which it begins
    enough : by the most replicas, the place of the largest target that is enough with the fewest so far
    starts : whether the lowest target is enough with the most replicas
    dear : whether all that is left costs more
    """

    searcher: Searcher
    choices: tuple[float, ...]
    begin: int
    enough: dict[int, int] = field(default_factory=dict)
    starts: bool = False
    dear: bool = False

    def largest(self, point: Callable[[float], Point], limit: int, quickest: Point) -> Tried | None:
        """The largest target that is enough; None if there is none.

        Parameters
        ----------
        quickest : has most replicas at any time: where that is not enough, no target is
        """
        found, bad, step = None, len(self.choices), 1
        good, at = -1, self.enough.get(limit, self.begin)
        while bad - good > 1:
            tried = self.searcher.close(point(self.choices[at]))
            if tried.word == "excluded":
                self.dear = True
                return found
            if tried.word == "refused":
                bad = at
                if good < 0 and not self.starts and self.searcher.close(quickest).word == "refused":
                    return None
                self.starts = True
            else:
                found, good = tried, at
                self.enough[limit] = self.begin = at
            if good < 0:
                at, step = max(at - step, 0), 2 * step
            elif bad == len(self.choices):
                at, step = min(at + step, bad - 1), 2 * step
            else:
                at = (good + bad) // 2
        return found
