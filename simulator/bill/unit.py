"""USD per million tokens, of three kinds, and per thousand answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.study.bill import Tokens
from simulator.study.terms import Money
from simulator.units import TOKENS_PER_MILLION


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """The whole bill over tokens of each kind, USD per million, and over answers; None where there are none."""

    delivered: Money | None
    output: Money | None
    processed: Money | None
    thousand_requests: Money | None


def usd_per_million(usd: Money, tokens: Money) -> Money | None:
    """USD per million tokens; None where no token is there to divide by, in any draw."""
    if not np.all(np.asarray(tokens) > 0):
        return None
    return usd / tokens * TOKENS_PER_MILLION


def unit_prices(usd_per_month: Money, tokens: Tokens) -> UnitPrices:
    """Price of a million tokens of each kind, and of a thousand requests that were answered."""
    requests = tokens.requests
    return UnitPrices(
        usd_per_million(usd_per_month, tokens.delivered),
        usd_per_million(usd_per_month, tokens.output),
        usd_per_million(usd_per_month, tokens.processed),
        usd_per_month / requests * 1_000 if requests > 0 else None,
    )
