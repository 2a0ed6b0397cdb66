"""Service credits: what a provider gives back of a month in which it was up for less than it has promised."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from simulator.bill.category import MINIMUM_SPEND, SERVICE_CREDIT
from simulator.bill.minimum import owner_of
from simulator.bill.parts import at_site, one_line
from simulator.bill.sums import mean, total
from simulator.bill.taxes import rate
from simulator.study.bill import Line, PeriodUse
from simulator.study.contract import Credit
from simulator.study.terms import ApiTerms, RentedTerms, Terms

Up = tuple[tuple[float, float], ...]
"""(share, availability) of each replication of a month."""
_ROUNDING = 1e-8


def has_credits(terms: Terms) -> bool:
    """Whether anything is given back in any month, so that a bill goes with what is down."""
    return any(offer.credits for offer in terms.offers)


def up_of(periods: Sequence[PeriodUse], down_s: Callable[[PeriodUse], float]) -> Up:
    """Availability over the hours that the periods of each replication stand for."""
    hours: dict[int, list[tuple[float, float]]] = {}
    for period in periods:
        down = period.hours * min(down_s(period) / period.usage.span_s, 1.0)
        hours.setdefault(period.replication, []).append((period.hours, down))
    whole = math.fsum(period.hours for period in periods)
    found = ((math.fsum(h for h, _ in parts), math.fsum(down for _, down in parts)) for parts in hours.values())
    return tuple((mine / whole, 1.0 - down / mine) for mine, down in found if mine > 0)


def credited_share(credits: Sequence[Credit], up: Up) -> float:
    """Share of a month's bill that is given back, mean over its replications: of each by the lowest step it is below.

    What is not a hundred millionth below a step is on it.
    """
    return math.fsum(share * _of_one(credits, availability) for share, availability in up)


def credit_lines(terms: ApiTerms | RentedTerms, up: Up, lines: Sequence[Line]) -> list[Line]:
    """What is given back of a month's `lines`: of what is paid for the month, so not of upfront parts, nor of a spend.

    It is a line below 0.
    """
    share, owner = credited_share(terms.credits, up), owner_of(terms)
    mine = [line for line in lines if line.owner == owner and line.category != MINIMUM_SPEND]
    usd = -share * total(line.usd * (1.0 - line.prepaid_share) for line in mine)
    return at_site(one_line(owner, SERVICE_CREDIT, "availability", share, "of the bill", usd, "by_month"), terms.site)


def most_credited(credits: Sequence[Credit]) -> tuple[Credit, ...]:
    """Credits under which no month gets more back than under these, whatever was up."""
    most = max((credit.share_of_bill for credit in credits), default=0.0)
    return (Credit(math.inf, most),) if most else ()


def spend_and_credits_usd(terms: Terms) -> float:
    """USD a month by which a bill falls at most while prices rise to where the spends that are agreed are reached.

    Until then what is used takes the place of what a month lacks, and only of it a share is given back: with a share s
    of the spend m, fees of a share f of the bill and taxes t it is m * s * (1 + f) * (1 + t), and m times the taxes
    that name what is lacking.
    """
    fees = math.fsum(mean(fee.share_of_bill) for fee in terms.fees)
    taxes = math.fsum(tax.share for tax in terms.taxes)
    lacking = math.fsum(rate([tax], MINIMUM_SPEND, tax.span.first) for tax in terms.taxes if tax.categories)

    def of_one(offer: ApiTerms | RentedTerms) -> float:
        share = max((credit.share_of_bill for credit in offer.credits), default=0.0)
        return mean(offer.minimum_usd_per_month) * (share * (1.0 + fees) * (1.0 + taxes) + lacking)

    rented = (max(map(of_one, (offer, *offer.later))) for offer in terms.rented)
    return math.fsum((*rented, *map(of_one, terms.apis)))


def _of_one(credits: Sequence[Credit], availability: float) -> float:
    below = [credit for credit in credits if availability < credit.below_availability - _ROUNDING]
    return below[-1].share_of_bill if below else 0.0
