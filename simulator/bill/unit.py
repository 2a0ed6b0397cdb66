"""USD per million tokens, of three kinds, and hours of rent that cost as much as owning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.study.terms import Money
from simulator.units import HOURS_PER_MONTH, TOKENS_PER_MILLION

_DAYS_PER_MONTH = HOURS_PER_MONTH / 24


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens per month.

    Attributes
    ----------
    delivered : prompts and answers that users saw; an answer that a cascade threw away is not one
    output : of the answers that users saw
    processed : prompts and answers of every target, those thrown away included
    """

    delivered: float
    output: float
    processed: float


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """The whole bill over tokens of each kind, USD per million; None where there are none."""

    delivered: Money | None
    output: Money | None
    processed: Money | None


def usd_per_million(usd: Money, tokens: Money) -> Money | None:
    """USD per million tokens; None where no token is there to divide by, in any draw."""
    if not np.all(np.asarray(tokens) > 0):
        return None
    return usd / tokens * TOKENS_PER_MILLION


def unit_prices(usd_per_month: Money, tokens: Tokens) -> UnitPrices:
    """Price of a million tokens of each kind."""
    return UnitPrices(
        usd_per_million(usd_per_month, tokens.delivered),
        usd_per_million(usd_per_month, tokens.output),
        usd_per_million(usd_per_month, tokens.processed),
    )


def break_even_hours(capex_usd: float, owned_usd_per_hour: float, rented_usd_per_hour: float) -> float | None:
    """Hours of use after which a purchase has paid for itself, capex / (rented - owned); None if never.

    Method of Lenovo Press LP2225 and LP2368, On-Premise vs Cloud: Generative AI Total Cost of Ownership (2025, 2026).
    """
    saving = rented_usd_per_hour - owned_usd_per_hour
    return capex_usd / saving if saving > 0 else None


def rent_hours_per_day(owned_usd_per_month: float, rented_usd_per_hour: float) -> float | None:
    """Hours of rent a day that cost what owning does around the clock; above 24 owning is cheaper at any use.

    None where rent is free.
    """
    return owned_usd_per_month / rented_usd_per_hour / _DAYS_PER_MONTH if rented_usd_per_hour > 0 else None
