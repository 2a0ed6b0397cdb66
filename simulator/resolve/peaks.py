"""Hours of the day in which a token API is dearer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.catalog.tokens import TokenOffer
from simulator.errors import InputError, Problem
from simulator.resolve.clock import Clock
from simulator.resolve.figures import Figures
from simulator.scenario.week import hours_from_to
from simulator.schema.provider import Provider
from simulator.study.figure import Figure
from simulator.units import HOURS_PER_DAY


def has_peak(provider: Provider, offer: TokenOffer | None) -> bool:
    """Whether the price of a call depends on the hour in which it is made."""
    return provider.peak is not None or (not provider.prices and offer is not None and offer.prices.peak is not None)


@dataclass(frozen=True, slots=True)
class Peak:
    """Factor on the prices by hour of day, shape (24,), empty where no price depends on it; and by whose clocks, as
    `ApiTerms` has them.
    """

    factor_by_hour: tuple[float, ...] = ()
    time_zone: str = ""
    ahead_h: float = 0.0


def peak_of(
    provider: Provider, path: str, offer: TokenOffer | None, clock: Clock, at_s: float, figures: Figures
) -> Peak:
    """When a provider is dearer.

    Parameters
    ----------
    at_s : on the clock; hours are laid out as the provider's clocks are then

    Raises
    ------
    InputError : hours that are none, or no whole hours of UTC
    """
    own, zone, ahead_h = provider.peak, "", 0.0
    if own is not None:
        figures.given(f"{path}.peak.factor", own.factor, "of the price")
        if own.time_zone != "UTC":
            zone, ahead_h = own.time_zone, clock.ahead_h(at_s, own.time_zone)
        hours = set()
        for k, text in enumerate(own.hours):
            first, last = hours_from_to(text)
            if first == last:
                problem = Problem("begins when it ends: 0-24 is the whole day", path=f"peak.hours[{k}]", got=text)
                raise InputError(problem)
            begin, length = first - ahead_h, (last - first) % HOURS_PER_DAY or HOURS_PER_DAY
            if begin % 1 or length % 1:
                problem = Problem("must be whole hours of UTC: calls are counted by these", path=f"peak.hours[{k}]")
                raise InputError(problem)
            hours |= {(math.floor(begin) + j) % HOURS_PER_DAY for j in range(math.floor(length))}
        factor = own.factor
    elif has_peak(provider, offer):
        assert offer is not None
        prices = offer.prices
        assert prices.peak is not None
        factor, hours = prices.peak.factor, set(prices.peak.hours_utc)
        figures.note(Figure(f"{offer.id}.peak", factor, "of the price", prices.kind, prices.source, prices.date))
    else:
        return Peak()
    return Peak(tuple(factor if hour in hours else 1.0 for hour in range(HOURS_PER_DAY)), zone, ahead_h)
