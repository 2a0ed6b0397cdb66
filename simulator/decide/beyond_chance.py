"""From which multiple of a price another is the cheapest by more than chance makes of the bills."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from simulator.bill.minimum import has_minimum
from simulator.bill.study import bill_study, has_open_commitments, recommitted, study_usd_per_month
from simulator.bill.sums import mean
from simulator.decide.chance import by_draw_usd, usd_by_owner
from simulator.decide.costed import month_uses
from simulator.decide.rivals import rank
from simulator.study.bill import MonthUse
from simulator.study.decision import Contender, Walked
from simulator.study.terms import Terms

_STEPS, _PRECISION = 40, 1e-3
"""Where bills are lines: places on the way that are looked at, and how near the multiple is."""


@dataclass(frozen=True, slots=True)
class Way:
    """Months in which a topology meets the SLO.

    Attributes
    ----------
    terms : what they are billed by, at today's prices
    walked : how each was served; empty where that is not known
    """

    terms: Terms
    uses: tuple[MonthUse, ...]
    walked: tuple[Walked, ...] = ()

    @property
    def is_bent(self) -> bool:
        """Whether the bill is no straight line in prices: where a spend is agreed, or prices say what is committed."""
        return has_minimum(self.terms) or has_open_commitments(self.terms)


@dataclass
class AtPrice:
    """A topology as a contender at multiples of one price, by the cheapest of the ways to serve that are known.

    Parameters
    ----------
    today : at today's price
    """

    change: Callable[[Terms, float], Terms]
    today: Contender
    ways: Sequence[Way]
    lines: dict[tuple[int, float], tuple[float, ...]] = field(default_factory=dict)

    def __call__(self, factor: float) -> Contender:
        usd, *rest = min((self._bills(k, factor) for k in range(len(self.ways))), key=lambda bills: bills[0])
        chance = self.today.chance
        if chance is None:
            return replace(self.today, usd_per_month=usd, usd_by_replication=tuple(rest))
        whole, *parts = rest
        by_draw = tuple(part / whole if whole else 0.0 for part in parts)
        return replace(self.today, usd_per_month=usd, chance=replace(chance, usd=whole, by_draw=by_draw))

    def _bills(self, k: int, factor: float) -> tuple[float, ...]:
        if self.ways[k].is_bent:
            return self._billed(k, factor)
        once, twice = self._billed(k, 1.0), self._billed(k, 2.0)
        return tuple(a + (factor - 1.0) * (b - a) for a, b in zip(once, twice, strict=True))

    def _billed(self, k: int, factor: float) -> tuple[float, ...]:
        """Its bill, then that of each replication, or of the one what goes with its requests, and that by draws."""
        if (k, factor) not in self.lines:
            way = self.ways[k]
            terms = recommitted(self.change(way.terms, factor), way.uses)
            usages = [usage for month in way.walked for share in month.shares for usage in share.served.usages]
            found = [mean(study_usd_per_month(terms, way.uses))]
            if self.today.chance is not None:
                owners = usd_by_owner(terms, way.uses, bill_study(terms, way.uses), usages)
                found += [math.fsum(owners.values()), *by_draw_usd(dict(self.today.chance.draws), owners)]
            elif way.walked and way.walked[0].shares:
                count = len(way.walked[0].shares[0].served.usages)
                found += [mean(study_usd_per_month(terms, month_uses(way.walked, each))) for each in range(count)]
            self.lines[k, factor] = tuple(found)
        return self.lines[k, factor]


def beyond_chance(
    found: Sequence[Callable[[float], Contender]],
    today: frozenset[str],
    at: float,
    most: float,
    steps: int = _STEPS,
    precision: float = _PRECISION,
) -> float:
    """The multiple nearest to a flip, away from 1, at which none of today's winners shares the place by chance.

    Parameters
    ----------
    at : multiple of the price at which a flip lies
    most : how far to look, up, and down as 1/most
    steps, precision : places on the way that are looked at, and how near the multiple is

    Returns
    -------
    0 if there is none as far as that
    """

    def shares(factor: float) -> bool:
        return bool(today.intersection(rank([one(factor) for one in found]).winners))

    if not shares(at):
        return at
    end = most if at > 1 else 1 / most
    way = [at * (end / at) ** (k / steps) for k in range(steps + 1)]
    near, far = next(((a, b) for a, b in pairwise(way) if not shares(b)), (end, end))
    while abs(far / near - 1) > precision:
        middle = math.sqrt(near * far)
        near, far = (middle, far) if shares(middle) else (near, middle)
    return 0.0 if shares(far) else far
