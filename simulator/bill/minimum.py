"""A spend that is agreed with a provider of tokens or of GPUs: what a month lacks of it is paid, too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.bill.category import MINIMUM_SPEND, SERVICE_CREDIT
from simulator.bill.parts import at_site, one_line
from simulator.bill.sums import mean, total_usd
from simulator.study.bill import Line
from simulator.study.terms import ApiTerms, RentedTerms, Terms

POOL_MONTHS = "pool-months"
"""Unit of what rented GPUs lack; that of tokens are months."""


def has_minimum(terms: Terms) -> bool:
    """Whether a spend is agreed in any month, so that the bill is no straight line in prices and use."""
    return any(bool(np.any(offer.minimum_usd_per_month)) for offer in terms.offers)


def minimum_lines(terms: ApiTerms | RentedTerms, lines: Sequence[Line]) -> list[Line]:
    """What the `lines` of a month lack of the spend that is agreed: those of a provider, or of a rented pool."""
    owner = owner_of(terms)
    missing = np.maximum(terms.minimum_usd_per_month - total_usd(line for line in lines if line.owner == owner), 0.0)
    usd = missing if missing.ndim else float(missing)
    unit = POOL_MONTHS if isinstance(terms, RentedTerms) else "months"
    return at_site(one_line(owner, MINIMUM_SPEND, "unused", 1.0, unit, usd, "by_month"), terms.site)


def owner_of(terms: ApiTerms | RentedTerms) -> str:
    """Whose lines an offer's are."""
    return terms.pool if isinstance(terms, RentedTerms) else terms.provider


def saved_usd(terms: ApiTerms | RentedTerms, lines: Sequence[Line], more_usd: float) -> float:
    """What of `more_usd` a month's lines would rise by: nothing up to the spend that is agreed."""
    least = mean(terms.minimum_usd_per_month)
    if not least:
        return more_usd
    mine = [line for line in lines if line.owner == owner_of(terms) and line.part != "after the study"]
    spent = mean(total_usd(line for line in mine if line.category not in (MINIMUM_SPEND, SERVICE_CREDIT)))
    return max(spent + more_usd, least) - max(spent, least)
