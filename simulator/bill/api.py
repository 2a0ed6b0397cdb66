"""Token APIs: tokens by kind, prompt length and class, and what is paid whatever is used."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.bill.category import FAILED_CALLS, FLAT_FEE, RESIDENCY, of_tokens
from simulator.bill.parts import at_site, one_line
from simulator.bill.sums import total
from simulator.bill.use import ProviderUse
from simulator.errors import InputError, Problem
from simulator.study.bill import Line
from simulator.study.terms import ApiTerms, Money, TokenPrices
from simulator.units import TOKENS_PER_MILLION

TOKEN_KINDS = ("input", "cached input", "cache write", "output")
"""In the order of `TokenPrices.by_kind`."""


def api_lines(terms: ApiTerms, use: ProviderUse, token_index: Money) -> list[Line]:
    """Lines of a month of one provider.

    usd = tokens * price of their kind and band in the service tier of their class * factors of the hour of the call and
    of the volume of the month, for each class, band, kind and hour. The residency premium is a line of its own, and so
    are calls that failed and are paid for.

    Raises
    ------
    InputError : classes or bands of the use are not those of the price list
    """
    names = terms.tier_by_class
    shape = (len(names), len(terms.prices), len(TOKEN_KINDS))
    if use.tokens.shape != shape:
        problem = f"use of {terms.provider} has classes, bands and kinds {use.tokens.shape}, its prices {shape}"
        raise InputError(Problem(problem, path="terms.apis"))
    lines: list[Line] = []
    for name in dict.fromkeys(names):
        classes = [c for c in range(shape[0]) if names[c] == name]
        for kind, part in enumerate(TOKEN_KINDS):
            usd = _usd(terms, use.priced, classes, kind) * token_index
            tokens = float(use.tokens[classes, :, kind].sum())
            lines += one_line(terms.provider, of_tokens(name), part, tokens, "tokens", usd, "by_use")
    if terms.bills_failed:
        usd = total(_usd(terms, use.priced_failed, range(shape[0]), kind) for kind in range(shape[2])) * token_index
        tokens = float(use.failed_tokens.sum())
        lines += one_line(terms.provider, FAILED_CALLS, "tokens", tokens, "tokens", usd, "by_use")
    premium = total(line.usd for line in lines) * terms.residency_premium
    tokens = math.fsum(line.quantity for line in lines)
    found = [
        *lines,
        *one_line(terms.provider, RESIDENCY, "premium", tokens, "tokens", premium, "by_use"),
        *one_line(terms.provider, FLAT_FEE, "month", 1.0, "months", terms.fixed_usd_per_month, "by_month"),
    ]
    return at_site(found, terms.site)


def price_list(terms: ApiTerms, tier: str) -> tuple[TokenPrices, ...]:
    """Prices of a service tier by prompt length; of the standard one, which has no name."""
    return next((found.prices for found in terms.tiers if found.name == tier), terms.prices)


def _usd(terms: ApiTerms, tokens: NDArray[np.float64], classes: list[int] | range, kind: int) -> Money:
    return total(
        float(tokens[c, band, kind]) / TOKENS_PER_MILLION * prices.by_kind[kind]
        for c in classes
        for band, prices in enumerate(price_list(terms, terms.tier_by_class[c]))
    )
