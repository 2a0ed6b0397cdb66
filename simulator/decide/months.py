"""One topology over the months of a study: sizes, SLO met or not, and the use that its bill is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from simulator.decide.levels import nodes, share_of_way
from simulator.decide.standing import over_hours
from simulator.study.decision import Served, Share, Sizes, Unmeasured, Walked
from simulator.study.demand import Horizon, Level, Load, MonthLoad, Period

Trial = Callable[[Sizes, Load, MonthLoad], Served]
"""A fleet of these sizes, with the settings of its autoscalers in such a month, under this load."""
Search = Callable[[MonthLoad, Sizes | None], Sizes | None]
"""The cheapest sizes that meet the SLO in every period of such a month, searched from those of the month before; None
if no allowed size does."""
Cheaper = Callable[[MonthLoad, Sizes], Sizes]
"""Sizes of a node once those of all nodes are known: the same, or others that cost less there."""
Alike = Callable[[MonthLoad, MonthLoad], bool]
"""Whether a search found the same fleet for both months, with the same settings of its autoscalers."""

Scales = Callable[[MonthLoad], bool]
"""Whether what stands in a month has an autoscaler."""

Standing = Callable[[Sequence[Sizes]], Sizes]
"""By size, how many of an owned pool stand in the next month on servers that are not at the end of their life then, by
the sizes of all months so far; by none, what stands as the first month begins."""

_ORDER = {False: 0, None: 1, True: 2}
"""What is told of a month first: what it misses, then what is not known."""


@dataclass
class _Known:
    """Trials by sizes, load and month, each made once."""

    trial: Trial
    served: dict[tuple[Sizes, Load, MonthLoad], Served] = field(default_factory=dict)

    def __call__(self, sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        key = sizes, load, asked
        if key not in self.served:
            self.served[key] = self.trial(sizes, load, asked)
        return self.served[key]

    def forget(self, sizes: Sizes, load: Load, asked: MonthLoad) -> None:
        """Settings beside the sizes have changed."""
        self.served.pop((sizes, load, asked), None)


@dataclass(frozen=True)
class _Walk:
    """Attributes are those of `walk`; `may_fall` says whether owned pools may."""

    horizon: Horizon
    trial: _Known
    search: Search | None
    owned: Sequence[bool]
    alike: Alike | None
    asks: Callable[[int], MonthLoad]
    standing: Standing | None
    scales: Scales | None
    may_fall: bool

    def at(self, sizes: Sizes, month: int, period: Period) -> Served:
        return self.trial(sizes, period.at(self.horizon.level(month)), self.asks(month))

    def own(self, sizes: Sizes, month: int) -> Walked:
        """The month, tried at its own load."""
        shares = [Share(p.hours, p, self.at(sizes, month, p)) for p in self.horizon.periods_of(month)]
        meets = all_meet(share.served.meets for share in shares)
        return _walked(month, self.horizon.level(month), sizes, shares, meets)

    def between(self, month: int, sizes: Sizes, first: int, last: int) -> Walked:
        """A month whose neighbours have the same sizes: hours of both, and the answer that both give.

        Where they differ, the answer of the month's own load. An autoscaler that is written and meets the SLO at both
        is tried at that load, too, and is as it is there where it misses.
        """
        level = self.horizon.level(month)
        way = share_of_way(level, self.horizon.level(first), self.horizon.level(last))
        shares, answers = [], list[bool | None]()
        for period in self.horizon.periods_of(month):
            ends = self.at(sizes, first, period), self.at(sizes, last, period)
            shares += [Share(period.hours * (1 - way), period, ends[0]), Share(period.hours * way, period, ends[1])]
            if ends[0].meets != ends[1].meets:
                answers.append(self._meets(sizes, month, period, first, last))
            else:
                answers.append(ends[0].meets)
        is_written = self.search is None and self.scales is not None and self.scales(self.asks(first))
        if is_written and all(answers) and (own := self.own(sizes, month)).meets is False:
            return own
        return _walked(month, level, sizes, shares, all_meet(answers))

    def stays(self, low: Sizes, high: Sizes, first: int, last: int) -> bool:
        """Whether the months between two nodes have their fleet: where sizes are open, a month may need others.

        An autoscaler may miss the SLO between two loads at which it meets it.
        """
        if low != high or self.search is None:
            return low == high
        if self.alike is not None and not self.alike(self.asks(first), self.asks(last)):
            return False
        meets = self.own(low, first).meets
        if meets != self.own(low, last).meets:
            return False
        if not meets or self.scales is None or not self.scales(self.asks(first)):
            return True
        return all(self.own(low, month).meets is not False for month in range(first + 1, last))

    def changed(self, month: int, so_far: Sequence[Sizes], after: Sizes) -> Walked:
        """A month between two nodes of other fleets: searched for itself."""
        asked, floor = self.asks(month), self.floor(so_far)
        best = self.search(asked, floor) if self.search else None
        sizes = self.kept(floor, best or after)
        if best is not None:
            for load in (period.at(asked.level) for period in self.horizon.periods_of(month)):
                self.trial.forget(sizes, load, asked)
        return self.own(sizes, month)

    def floor(self, so_far: Sequence[Sizes]) -> Sizes:
        """The sizes of the month before; of owned pools what stands of them in the next one."""
        before = so_far[-1]
        if not self.may_fall or self.standing is None:
            return before
        stand = self.standing(so_far)
        return tuple(min(n, of) if own else n for n, of, own in zip(before, stand, self.owned, strict=True))

    def kept(self, floor: Sizes, found: Sizes) -> Sizes:
        """Sizes that were found, of owned pools no fewer than stand."""
        if not self.owned:
            return found
        return tuple(max(a, b) if own else b for a, b, own in zip(floor, found, self.owned, strict=True))

    def next_node(self, so_far: Sequence[Sizes], node: int) -> int:
        """The next node, or the month before that in which servers are at the end of their life, or that one."""
        here = len(so_far) - 1
        if not self.may_fall:
            return node
        held = [*so_far]
        for k in range(here + 1, node):
            if self.floor(held) != so_far[-1]:
                return max(k - 1, here + 1)
            held.append(so_far[-1])
        return node

    def _meets(self, sizes: Sizes, month: int, period: Period, first: int, last: int) -> bool | None:
        """By halving from the neighbours, whose answers differ: the load only rises or only falls between them."""
        left, right = first, last
        early, late = (self.at(sizes, end, period).meets for end in (first, last))
        while right - left > 1:
            middle = (left + right) // 2
            if self.at(sizes, middle, period).meets == early:
                left = middle
            else:
                right = middle
        return early if month <= left else late


def walk(
    horizon: Horizon,
    trial: Trial,
    sizes: Sizes,
    search: Search | None = None,
    owned: Sequence[bool] = (),
    cheaper: Cheaper | None = None,
    alike: Alike | None = None,
    asks: Callable[[int], MonthLoad] | None = None,
    standing: Standing | None = None,
    scales: Scales | None = None,
) -> list[Walked]:
    """The months of a topology.

    Months are simulated at the nodes of `decide.levels.nodes` alone. A fleet that meets the SLO at both neighbours is
    taken to meet it between, but for one that scales, which is tried there; where it meets at one, the months between
    are tried at their own load by halving, so the month of its failure is exact. Where searches found other fleets for
    the two, or an autoscaler that does not meet it in all months between, each of these is searched for itself. Each
    period is judged by itself: a month meets the SLO if all its periods do. A fleet that fails stays and is billed.

    Parameters
    ----------
    sizes : of month 1, or of all months where none is open
    search : makes sizes open: finds those of each node, and both sides of a change of periods are nodes then; a node
        that no allowed size serves keeps the sizes before it
    owned : by number of `sizes`, whether it is of owned hardware, which does not shrink from month to month
    standing : what it does not shrink below, where a class falls, periods change or servers stood before; both sides of
        a month in which servers are at the end of their life are nodes then; None: it does not shrink
    cheaper : where nothing is owned asked for each node but the first, the last one first, once all are searched
    alike : whether two nodes of the same sizes have the same fleet; they have unless given
    asks : what sizes are searched for in a month; what it has unless given
    scales : of which nodes the fleet is tried at the load of each month between; none unless given
    """
    numbers, asks = horizon.numbers, asks or horizon.asked
    levels, periods = [horizon.level(month) for month in numbers], [asks(month).periods for month in numbers]
    may_fall = (
        standing is not None
        and search is not None
        and any(owned)
        and (_may_fall(levels) or len(set(periods)) > 1 or any(standing(())))
    )
    way = _Walk(horizon, _Known(trial), search, owned, alike, asks, standing, scales, may_fall)
    found = nodes(levels, [] if search is None else periods)
    if may_fall and len(found) == 1:
        found = tuple(dict.fromkeys((0, len(numbers) - 1)))
    if len(found) == 1:
        first = search(asks(numbers[0]), None) or sizes if search else sizes
        return [way.own(first, month) for month in numbers]
    of_nodes = [] if any(owned) else _sizes([asks(numbers[k]) for k in found], sizes, search, cheaper)
    known = dict(zip(found, of_nodes, strict=False))
    first = known[0] if known else (search(asks(numbers[0]), None) if search else None) or sizes
    walked = [way.own(first, numbers[0])]
    while len(walked) < len(numbers):
        low, so_far = len(walked) - 1, [month.sizes for month in walked]
        high = way.next_node(so_far, next(k for k in found if k > low))
        after = so_far[-1]
        if search is not None:
            floor = way.floor(so_far + so_far[-1:] * (high - low - 1))
            after = known[high] if known else way.kept(floor, search(asks(numbers[high]), floor) or after)
        stays = way.stays(so_far[-1], after, numbers[low], numbers[high])
        for month in numbers[low + 1 : high]:
            if stays:
                walked.append(way.between(month, after, numbers[low], numbers[high]))
            else:
                walked.append(way.changed(month, [one.sizes for one in walked], after))
        after = way.kept(way.floor([one.sizes for one in walked]), after)
        walked.append(way.own(after, numbers[high]))
    return walked


def as_served(month: Walked, shares: Sequence[Share]) -> Walked:
    """A month of these sizes as other trials found that it is served."""
    meets = all_meet(share.served.meets for share in shares)
    return replace(_walked(month.month, month.level, month.sizes, shares, meets), event=month.event, units=month.units)


def lasts_until(walked: Sequence[Walked]) -> int | None:
    """The last month before the first that misses the SLO, 0 if that is month 1; None if none does."""
    missed = first_missed(walked)
    return None if missed is None else missed.month - 1


def first_missed(walked: Sequence[Walked]) -> Walked | None:
    """The first month that misses the SLO; None if none does."""
    return next((month for month in walked if month.meets is False), None)


def all_meet(answers: Iterable[bool | None]) -> bool | None:
    """Whether all do; None where none does not and some are not known."""
    found = set(answers)
    return False if False in found else None if None in found else True


def unmeasured(walked: Sequence[Walked]) -> tuple[Unmeasured, ...]:
    """What keeps months from an answer, where none of them misses the SLO."""
    if all_meet(month.meets for month in walked) is not None:
        return ()
    shares = [share for month in walked for share in month.shares]
    several = len({share.period.name for share in shares}) > 1
    found = ((name, share.period.name * several) for share in shares for name in share.served.unmeasured)
    return tuple(dict.fromkeys(found))


def alike(walked: Sequence[Walked]) -> bool:
    """Whether every month has the load, the periods, the sizes and the topology of the first."""
    found = {(month.level, month.sizes, frozenset(share.period for share in month.shares)) for month in walked}
    return len(found) == 1 and not any(month.event for month in walked)


def _sizes(asked: Sequence[MonthLoad], sizes: Sizes, search: Search | None, cheaper: Cheaper | None) -> list[Sizes]:
    """Sizes of nodes in order, of pools that may all fall."""
    if search is None:
        return [sizes] * len(asked)
    found: list[Sizes] = []
    for month in asked:
        before = found[-1] if found else None
        found.append(search(month, before) or before or sizes)
    if cheaper is not None:
        for k in range(len(asked) - 2, 0, -1):
            found[k] = cheaper(asked[k], found[k])
    return found


def _may_fall(levels: Sequence[Level]) -> bool:
    """Whether some class comes less often in a month than in the one before."""
    return any(b < a for before, after in pairwise(levels) for a, b in zip(before, after, strict=True))


def _walked(month: int, level: Level, sizes: Sizes, shares: Sequence[Share], meets: bool | None) -> Walked:
    attainment = over_hours((share.hours, share.served.attainment) for share in shares)
    worst = min(shares, key=lambda share: (_ORDER[share.served.meets], share.served.attainment))
    several = len({share.period.name for share in shares}) > 1
    binding = f"in {worst.period.name}, {worst.served.binding}" if several else worst.served.binding
    return Walked(month, level, sizes, meets, attainment, binding, tuple(s for s in shares if s.hours > 0))
