"""Flips of prices: each topology at the sizes that are best under the changed price."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from simulator.bill.credits import spend_and_credits_usd
from simulator.bill.minimum import has_minimum
from simulator.bill.study import recommitted, study_usd_per_month
from simulator.bill.sums import mean
from simulator.decide.beyond_chance import AtPrice, Way, beyond_chance
from simulator.decide.contracts import Change
from simulator.decide.costed import Costed
from simulator.decide.explore import OutOfTime
from simulator.decide.flips import MOST, PRECISION_OF_BILLS, Winners, every_assumption, named, smallest_change
from simulator.decide.rivals import least
from simulator.study.decision import Flip
from simulator.study.terms import Terms

_ROUNDING = 1e-9


Search = Callable[[str, Callable[[Terms], Terms]], Way | None]
"""A topology through all months of the study at the sizes that cost least under changed terms; None if none meets.
`OutOfTime` where the time for it is over."""


@dataclass
class _AtPrice:
    """Topologies at multiples of one price.

    What a way to serve costs is a straight line in the price that nowhere falls or is below 0 (the lowest of several
    where the price says what is committed), so the best of all ways is concave: between two prices at which sizes were
    searched it costs no less than the chord, at higher prices no less than at the highest, at lower ones no less in
    proportion; and never more than the cheapest way that is known.
    With a spend m that is agreed it is bent where that is reached: there is no chord, and each bill is asked for. Where
    a share s is given back, a bill m - s x falls as the price, and x with it, rises from a multiple a to b, up to
    x = m: as x(a) >= x(b) * a / b, by s m (1 - a / b) at most. In proportion to the price no bill rises then either.

    Parameters
    ----------
    ways : of each topology, those that are known
    fixed : topologies of which no size is open: their way is the only one
    lines : by identity of a way: it, its USD per month at today's price, and what once more of that adds
    searched : by topology, multiples of the price at which its sizes were searched
    bent : by identity of a way whose bill is no straight line, and the multiple: it, and its USD per month there
    """

    change: Change
    ways: Mapping[str, list[Way]]
    fixed: Collection[str]
    search: Search
    lines: dict[int, tuple[Way, float, float]] = field(default_factory=dict)
    searched: dict[str, set[float]] = field(default_factory=dict)
    bent: dict[tuple[int, float], tuple[Way, float]] = field(default_factory=dict)

    def most_usd(self, name: str, factor: float) -> float:
        """The cheapest way that is known."""
        return min(self._usd(way, factor) for way in self.ways[name])

    def least_usd(self, name: str, factor: float) -> float:
        """What the best way costs at least."""
        most = self.most_usd(name, factor)
        if name in self.fixed or factor in self.searched[name]:
            return most
        at = sorted(self.searched[name])
        k = bisect_left(at, factor)
        bent = [one.terms for one in self.ways[name] if has_minimum(one.terms)]
        if bent or k in (0, len(at)):
            falls = max(map(spend_and_credits_usd, bent), default=0.0)
            below = self.most_usd(name, at[k - 1]) - falls * (1 - at[k - 1] / factor) if k else 0.0
            above = self.most_usd(name, at[k]) * factor / at[k] if k < len(at) else 0.0
            return min(most, max(below, above))
        (low, high), way = at[k - 1 : k + 1], (factor - at[k - 1]) / (at[k] - at[k - 1])
        return min(most, (1 - way) * self.most_usd(name, low) + way * self.most_usd(name, high))

    def look(self, names: Iterable[str], factor: float) -> bool:
        """Search these topologies at a multiple of the price; whether there is anything that was not known."""
        found = False
        for name in names:
            if name in self.fixed or factor in self.searched[name]:
                continue
            most = self.most_usd(name, factor)
            way = self.search(name, lambda terms: self.change(terms, factor))
            if way is not None and self._usd(way, factor) < most * (1 - _ROUNDING):
                self.ways[name].append(way)
            self.searched[name].add(factor)
            found = True
        return found

    def middle(self, names: Iterable[str], factor: float) -> float:
        """Half the way, by ratio, from a multiple to the next one beyond it at which all of these were searched."""
        searched = [self.searched[name] for name in names if name not in self.fixed]
        known = set.intersection(*searched) if searched else set()
        beyond = [one for one in known if abs(math.log(one)) > abs(math.log(factor)) and (one > 1) == (factor > 1)]
        return math.sqrt(factor * min(beyond, key=lambda one: abs(math.log(one / factor)), default=factor))

    def _usd(self, way: Way, factor: float) -> float:
        if way.is_bent:
            if (id(way), factor) not in self.bent:
                terms = recommitted(self.change(way.terms, factor), way.uses)
                usd = mean(study_usd_per_month(terms, way.uses))
                self.bent[id(way), factor] = way, usd
            return self.bent[id(way), factor][1]
        if id(way) not in self.lines:
            once, twice = (mean(study_usd_per_month(self.change(way.terms, by), way.uses)) for by in (1.0, 2.0))
            self.lines[id(way)] = way, once, twice - once
        _, usd, more = self.lines[id(way)]
        return usd + (factor - 1.0) * more


def price_flips(
    found: Sequence[Costed],
    today: Winners,
    search: Search,
    terms: Mapping[str, Sequence[Terms]],
    most: float = MOST,
) -> list[Flip]:
    """For each price the multiple nearest to 1 at which none of today's winners is cheapest, all at their best sizes.

    Sizes are searched where what is known leaves a flip possible, first at the end of the reach that lies beyond it,
    until the nearest possible one is one indeed. Where time ends that, it is what is known by then, and not sure.

    Parameters
    ----------
    today : the winners of the verdict
    terms : of each topology that leaves sizes open, with all of its pools, before and after each event
    """
    meeting = [one for one in found if one.meets]
    ways = {one.name: [Way(one.terms, one.uses, one.walked)] for one in meeting}
    fixed = frozenset(ways) - frozenset(terms)
    flips: list[Flip] = []
    known = [way.terms for each in ways.values() for way in each] + [one for each in terms.values() for one in each]
    for name, (change, applies), alone in every_assumption(known):
        concerned = [one.name for one in meeting if any(map(applies, (one.terms, *terms.get(one.name, ()))))]
        if len(meeting) < 2 or not concerned:
            continue
        there = _AtPrice(change, ways, fixed | (frozenset(ways) - frozenset(concerned)), search)
        there.searched = {one: {1.0} for one in concerned}
        flip = _flip(name, there, concerned, today, most)
        if flip is not None:
            billed = [AtPrice(change, one.contender, ways[one.name]) for one in meeting]
            clear = None if flip.factor is None else beyond_chance(billed, frozenset(today), flip.factor, most)
            flips.append(replace(flip, alone=alone, clear=clear))
    return flips


def _flip(name: str, there: _AtPrice, concerned: Sequence[str], today: Winners, most: float) -> Flip | None:
    def winners(factor: float) -> Winners:
        return least({one: there.most_usd(one, factor) for one in there.ways})

    def perhaps(factor: float) -> Winners:
        cost = {one: (there.most_usd if one in today else there.least_usd)(one, factor) for one in there.ways}
        return least(cost)

    if not winners(1.0) & today:
        return None

    def decide_it(factor: float) -> list[str]:
        """Today's winners, and those that may cost less there."""
        bar = min(there.most_usd(one, factor) for one in there.ways if one in today)
        return [one for one in concerned if one in today or there.least_usd(one, factor) <= bar]

    sure, missed = True, False
    try:
        at = smallest_change(perhaps, today, most, PRECISION_OF_BILLS)
        while at is not None:
            names = decide_it(at)
            if not there.look(names, most if at > 1 else 1 / most):
                missed = not (missed and there.look(names, there.middle(names, at)))
                if missed and not there.look(names, at):
                    break
            at = smallest_change(perhaps, today, most, PRECISION_OF_BILLS)
    except OutOfTime:
        sure, at = False, smallest_change(winners, today, most, PRECISION_OF_BILLS)
    then = None if at is None else named(winners(at), list(there.ways))
    return Flip(name, at, then, (1 / most, most), sure=sure)
