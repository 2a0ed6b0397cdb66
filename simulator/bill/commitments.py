"""Commitments: which terms begin when, given or chosen off the use, and what each costs to its own end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.bill.annuity import discount_factors
from simulator.bill.clock import at_prices
from simulator.bill.sums import mean
from simulator.bill.use import Use
from simulator.study.terms import Money, RentedTerms
from simulator.units import HOURS_PER_MONTH

_ROUNDING = 1e-9
_SOONER = 0.001
"""Rate per year by which of equal sums the later one is less, where money costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidTerm:
    """A term that is paid to its end.

    Attributes
    ----------
    start, months : month after which it begins, and its length
    usd : of the whole term and all that it holds, at the price of the month in which it begins
    upfront_share : of that, paid when it begins
    """

    start: int
    months: int
    usd: Money
    upfront_share: float

    def runs_in(self, k: int) -> bool:
        """Whether it is paid in month k + 1."""
        return self.start <= k < self.start + self.months


@dataclass(frozen=True, slots=True, kw_only=True)
class Term(PaidTerm):
    """One term of a commitment, by its place in the offer."""

    commitment: int
    instances: int


def price_index(index: NDArray[np.float64], month: int) -> Money:
    """Price in a month as a multiple of today's, one or by draw; an index of one month holds for all."""
    found = index[min(month, len(index) - 1)]
    return found if isinstance(found, np.ndarray) else float(found)


def terms_of(offer: RentedTerms, index: NDArray[np.float64]) -> tuple[Term, ...]:
    """Terms that begin within the study; of commitments that are settled."""
    return tuple(
        Term(
            commitment=i,
            start=start,
            months=found.term_months,
            instances=instances,
            usd=instances * _term_usd(offer, i, start) * price_index(index, start),
            upfront_share=offer.at(start + 1).commitments[i].upfront_share,
        )
        for i, found in enumerate(offer.commitments)
        for start, instances in found.begins or ()
        if instances
    )


def settled(
    offer: RentedTerms,
    uses: Sequence[Use],
    lengths: Sequence[float],
    index: NDArray[np.float64],
    discount_rate_per_year: Money = 0.0,
) -> RentedTerms:
    """The offer with the terms of all its commitments: those given are renewed as long as study and offer last.

    Where the number is open, each further instance gets the terms that make it cheapest over the study: in every month
    it is on demand, or one of the open commitments begins, which is paid to its end.

        V(m) = min(on demand(m) + V(m + 1), min over terms i of price(i, m) + V(m + months(i))),  V(end) = 0

    on demand(m) is what the hours cost in which it is used beside those already committed. Of equal sums it is the one
    whose payments have the lower present value: a term comes before the months on demand. Draws decide by their mean,
    since one commits before one knows the prices.

    Parameters
    ----------
    uses, lengths : of each month of the study, and how much of it belongs to it
    index : `Terms.rental_index`
    """
    months = range(offer.span.first - 1, min(offer.span.last or len(uses), len(uses)))
    begins = [
        Counter(dict(found.begins))
        if found.begins is not None
        else Counter(dict.fromkeys(months[:: found.term_months], found.instances or 0))
        for found in offer.commitments
    ]
    open_ = [i for i, found in enumerate(offer.commitments) if found.begins is None and found.instances is None]
    held = [
        sum(
            count
            for found, starts in zip(offer.commitments, begins, strict=True)
            for start, count in starts.items()
            if start <= k < start + found.term_months
        )
        for k in months
    ]
    longest = max((found.term_months for found in offer.commitments), default=0)
    rate = float(np.mean(discount_rate_per_year)) or _SOONER
    worth = discount_factors(rate, np.arange(months.stop + longest + 1.0))
    level = 0
    while open_:
        on_demand_usd = _on_demand_usd(
            offer, uses, lengths, index, {k: n + level for k, n in zip(months, held, strict=True)}
        )
        chosen = _cheapest(on_demand_usd, months, offer, open_, index, worth)
        if not chosen:
            break
        for i, start in chosen:
            begins[i][start] += 1
        level += 1
    return replace(
        offer,
        commitments=tuple(
            replace(found, begins=tuple(sorted((start, count) for start, count in starts.items() if count)))
            for found, starts in zip(offer.commitments, begins, strict=True)
        ),
    )


def _term_usd(offer: RentedTerms, i: int, start: int) -> Money:
    """One instance for the term of commitment i that begins after month `start`."""
    found = offer.at(start + 1).commitments[i]
    return HOURS_PER_MONTH * found.term_months * found.usd_per_instance_hour


def _on_demand_usd(
    offer: RentedTerms,
    uses: Sequence[Use],
    lengths: Sequence[float],
    index: NDArray[np.float64],
    number: Mapping[int, int],
) -> dict[int, float]:
    """What instance `number` (from 0 on) of each month costs on demand, by month."""
    known: dict[tuple[int, int, int], Money] = {}
    found = {}
    for k, at in number.items():
        hours, now = uses[k].pools[offer.pool].instance_hours, offer.at(k + 1)
        key = id(uses[k]), at, now.span.first
        if key not in known:
            known[key] = at_prices(hours[at], now.usd_per_instance_hour) if at < len(hours) else 0.0
        found[k] = mean(known[key] * lengths[k] * price_index(index, k + 1))
    return found


def _cheapest(
    on_demand_usd: Mapping[int, float],
    months: range,
    offer: RentedTerms,
    open_: Sequence[int],
    index: NDArray[np.float64],
    worth: NDArray[np.float64],
) -> list[tuple[int, int]]:
    """(commitment, start) of the terms by which one instance costs least; on demand where it costs no more.

    Parameters
    ----------
    worth : present value of one USD that is paid after so many months
    """
    commitments = offer.commitments
    least = {months.stop: (0.0, 0.0)}
    """USD from a month on, and their present value."""
    choice: dict[int, int] = {}
    for m in reversed(months):
        usd, present = least[m + 1]
        paid = on_demand_usd[m]
        least[m] = usd + paid, present + paid * float(worth[m + 1])
        for i in (i for i in open_ if offer.at(m + 1).commitments[i].sold):
            usd, present = least[min(m + commitments[i].term_months, months.stop)]
            paid = mean(_term_usd(offer, i, m) * price_index(index, m))
            agreed = offer.at(m + 1).commitments[i]
            found = usd + paid, present + paid * _term_worth(worth, m, agreed.term_months, agreed.upfront_share)
            if _costs_less(found, least[m]):
                least[m], choice[m] = found, i
    begun: list[tuple[int, int]] = []
    m = months.start
    while m < months.stop:
        if m in choice:
            begun.append((choice[m], m))
        m += commitments[choice[m]].term_months if m in choice else 1
    return begun


def _costs_less(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a sum is lower, or equal and worth less at present."""
    if abs(one[0] - other[0]) > _ROUNDING * abs(other[0]):
        return one[0] < other[0]
    return one[1] < other[1] - _ROUNDING * abs(other[1])


def _term_worth(factors: NDArray[np.float64], start: int, term_months: int, upfront_share: Money) -> float:
    """Present value of one USD of a term: its upfront part at the start, the rest at the end of each month."""
    upfront = float(np.mean(upfront_share))
    by_month = float(factors[start + 1 : start + term_months + 1].mean())
    return upfront * float(factors[start]) + (1.0 - upfront) * by_month


def most_committed(offer: RentedTerms) -> int:
    """Most instances under commitment at once; of commitments that are settled."""
    begun = [
        (start, start + found.term_months, count) for found in offer.commitments for start, count in found.begins or ()
    ]
    return max((sum(n for start, end, n in begun if start <= at < end) for at, _, _ in begun), default=0)
