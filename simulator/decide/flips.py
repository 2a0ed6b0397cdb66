"""What would change the winner: the smallest change of one assumption, searched by billing again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from simulator.bill.minimum import has_minimum
from simulator.bill.power import has_carbon
from simulator.bill.study import recommitted, study_usd_per_month
from simulator.bill.sums import mean
from simulator.decide.beyond_chance import AtPrice, Way, beyond_chance
from simulator.decide.contracts import (
    Assumption,
    Change,
    contracts,
    dearer_fee,
    dearer_rent,
    dearer_servers,
    dearer_tokens,
)
from simulator.decide.costed import FIXED, Costed
from simulator.decide.rivals import least, rank
from simulator.study.decision import Flip
from simulator.study.terms import ApiTerms, Facility, Money, OwnedSite, RentedTerms, Terms

Winners = frozenset[str]
"""Names of the cheapest, all whose bills are printed alike; empty where nobody meets the SLO."""
MOST = 10.0
"""How far an assumption is moved, up and (as 1/MOST) down."""
PRECISION = 0.01
"""Where trials are asked for: a change of the load lies between two that are so close, where the bills cross."""
PRECISION_OF_BILLS = 0.001
"""Where no trial is asked for: as exact as a multiple is shown."""


def _servers(terms: Terms, factor: float) -> Terms:
    return replace(terms, owned=tuple(dearer_servers(site, factor) for site in terms.owned))


def _electricity(terms: Terms, factor: float) -> Terms:
    def scaled(prices: tuple[Money, ...]) -> tuple[Money, ...]:
        return tuple(price * factor for price in prices)

    return _housed(terms, lambda place: replace(place, electricity_usd_per_kwh=scaled(place.electricity_usd_per_kwh)))


def _carbon(terms: Terms, factor: float) -> Terms:
    return _housed(terms, lambda place: replace(place, co2_usd_per_tonne=place.co2_usd_per_tonne * factor))


def _space(terms: Terms, factor: float) -> Terms:
    return _housed(terms, lambda place: replace(place, usd_per_kw_month=place.usd_per_kw_month * factor))


def _network(terms: Terms, factor: float) -> Terms:
    return _housed(terms, lambda place: replace(place, network_usd_per_month=place.network_usd_per_month * factor))


def _has_network(terms: Terms) -> bool:
    return any(np.any(one.facility.network_usd_per_month) for site in terms.owned for one in (site, *site.later))


def _housed(terms: Terms, change: Callable[[Facility], Facility]) -> Terms:
    """Terms with other prices of the places where servers stand, in all months."""

    def changed(site: OwnedSite) -> OwnedSite:
        return replace(site, facility=change(site.facility), later=tuple(map(changed, site.later)))

    return replace(terms, owned=tuple(map(changed, terms.owned)))


def _staff(terms: Terms, factor: float) -> Terms:
    return replace(
        terms, staff=tuple(replace(one, usd_per_fte_year=one.usd_per_fte_year * factor) for one in terms.staff)
    )


def _rent(terms: Terms, factor: float) -> Terms:
    return replace(terms, rented=tuple(dearer_rent(offer, factor, factor) for offer in terms.rented))


def _tokens(terms: Terms, factor: float) -> Terms:
    return replace(terms, apis=tuple(dearer_tokens(api, factor) for api in terms.apis))


def _licences(terms: Terms, factor: float) -> Terms:
    return replace(terms, fees=tuple(dearer_fee(fee, factor) for fee in terms.fees))


def _spends(terms: Terms, factor: float) -> Terms:
    def dearer(offer: RentedTerms) -> RentedTerms:
        least = offer.minimum_usd_per_month * factor
        return replace(offer, minimum_usd_per_month=least, later=tuple(map(dearer, offer.later)))

    apis = (replace(api, minimum_usd_per_month=api.minimum_usd_per_month * factor) for api in terms.apis)
    return replace(terms, rented=tuple(map(dearer, terms.rented)), apis=tuple(apis))


def _fees(terms: Terms, factor: float) -> Terms:
    def dearer(api: ApiTerms) -> ApiTerms:
        flat, by_unit = api.fixed_usd_per_month * factor, api.usd_per_unit_hour * factor
        return replace(api, fixed_usd_per_month=flat, usd_per_unit_hour=by_unit)

    return replace(terms, apis=tuple(map(dearer, terms.apis)))


def _has_fees(terms: Terms) -> bool:
    return any(np.any(api.fixed_usd_per_month) or np.any(api.usd_per_unit_hour) for api in terms.apis)


def _is_owned(terms: Terms) -> bool:
    return bool(terms.owned)


ASSUMPTIONS: dict[str, Assumption] = {
    "price of servers": (_servers, _is_owned),
    "price of rented GPUs": (_rent, lambda terms: bool(terms.rented)),
    "price of tokens": (_tokens, lambda terms: bool(terms.apis)),
    "fees of token APIs": (_fees, _has_fees),
    "price of electricity": (_electricity, _is_owned),
    "price of CO2": (_carbon, has_carbon),
    "price of space": (_space, _is_owned),
    "price of sites' connections": (_network, _has_network),
    "salaries": (_staff, lambda terms: bool(terms.staff)),
    "licences and other fees": (_licences, lambda terms: bool(terms.fees)),
    "agreed spends": (_spends, has_minimum),
}
"""How each changes terms, and which terms it changes; in the order in which they are shown."""


def money_flips(found: Sequence[Costed], most: float = MOST) -> list[Flip]:
    """For each price the nearest multiple of today's at which none of today's winners is among the cheapest.

    Stored uses are billed again; sizes stay as they are, so a size that only the new price favours is not seen. Where
    all sizes are written there is no other: these flips are sure.
    """
    meeting = [one for one in found if one.meets]
    today = frozenset(rank([one.contender for one in found]).winners)
    flips = []
    for name, (change, applies), alone in every_assumption([one.terms for one in meeting]):
        if len(meeting) > 1 and any(applies(one.terms) for one in meeting):
            flip = _money_flip(name, change, meeting, today, most, sure=all(map(_is_written, meeting)))
            flips.append(replace(flip, alone=alone))
    return flips


def every_assumption(terms: Sequence[Terms]) -> Iterator[tuple[str, Assumption, bool]]:
    """What is moved for all alike, then each contract among several of its kind, which moves alone."""
    yield from ((name, found, False) for name, found in ASSUMPTIONS.items())
    yield from ((name, found, True) for name, found in contracts(terms).items())


def _is_written(one: Costed) -> bool:
    """Whether its sizes are as written in all months; an event may leave some open."""
    return one.trail.word == FIXED.word and not any(month.event for month in one.walked)


def _money_flip(name: str, change: Change, meeting: Sequence[Costed], today: Winners, most: float, sure: bool) -> Flip:
    known: dict[float, Winners] = {}

    def winners(factor: float) -> Winners:
        if factor not in known:
            known[factor] = least({one.name: usd_under(one, change(one.terms, factor)) for one in meeting})
        return known[factor]

    at = smallest_change(winners, today, most, PRECISION_OF_BILLS)
    if at is None:
        return Flip(name, None, None, (1 / most, most), sure=sure)
    billed = [AtPrice(change, one.contender, (Way(one.terms, one.uses, one.walked),)) for one in meeting]
    then = named(winners(at), [one.name for one in meeting])
    return Flip(name, at, then, (1 / most, most), sure=sure, clear=beyond_chance(billed, today, at, most))


def named(winners: Winners, order: Sequence[str]) -> str:
    """Winners in words."""
    return " and ".join(name for name in order if name in winners) or "none of them"


def as_today(winners: Winners, today: Winners) -> bool:
    """Whether one of today's winners is among them; whether nobody is where there is none today."""
    return bool(winners & today) if today else not winners


def usd_under(one: Costed, terms: Terms) -> float:
    """What the topology's use costs under other terms, with the commitments that are worth it there."""
    return mean(study_usd_per_month(recommitted(terms, one.uses), one.uses))


def smallest_change(
    winners: Callable[[float], Winners], today: Winners, most: float = MOST, precision: float = PRECISION
) -> float | None:
    """The multiple nearest to 1, by ratio, at which none of today's winners wins; None if none is up to `most`."""
    found = change_within(winners, today, most, precision)
    return None if found is None else found[1]


def change_within(
    winners: Callable[[float], Winners], today: Winners, most: float = MOST, precision: float = PRECISION
) -> tuple[float, float] | None:
    """Multiples within `precision` of each other: with one of today's winners, and the nearest to 1 without any.

    Where nobody meets the SLO today, it is with nobody, and the nearest to 1 with somebody.

    Both directions are walked in steps of a tenth of the way, on a scale of ratios, and the first change is narrowed
    down by halving; a change that comes and goes within a step is not seen.
    """
    ratio = most**0.1
    steps = [ratio**k for k in range(11)]
    steps[-1] = most
    for near, far in pairwise(steps):
        hits = [_narrowed(winners, today, a, b, precision) for a, b in ((near, far), (1 / near, 1 / far))]
        at = [hit for hit in hits if hit is not None]
        if at:
            return min(at, key=lambda both: abs(math.log(both[1])))
    return None


def change_from(
    guess: tuple[float, float],
    winners: Callable[[float], Winners],
    today: Winners,
    most: float = MOST,
    precision: float = PRECISION,
) -> tuple[float, float] | None:
    """The same as `change_within`, on the side of 1 of a guess alone, and first looked for there.

    Where the guess is too far, it is narrowed down between 1 and the guess; where it is too near, steps away from 1
    double, from the width of the guess on, up to `most`.
    """
    near, far = guess
    if not as_today(winners(near), today):
        return _narrowed(winners, today, 1.0, near, precision)
    step, end = far / near, most if far > 1 else 1 / most
    while (hit := _narrowed(winners, today, near, far, precision)) is None and far != end:
        step = step**2
        near, far = far, min(far * step, end) if far > 1 else max(far * step, end)
    return hit


def _narrowed(
    winners: Callable[[float], Winners], today: Winners, near: float, far: float, precision: float
) -> tuple[float, float] | None:
    if as_today(winners(far), today):
        return None
    while abs(far / near - 1) > precision:
        middle = math.sqrt(near * far)
        if as_today(winners(middle), today):
            near = middle
        else:
            far = middle
    return near, far


Costs = tuple[float, float, float]
"""A multiple, and two bills there."""


def crossing(left: Costs, right: Costs) -> float:
    """Where two bills cross between two multiples at which they are known, each a straight line; `right` if unknown."""
    before, after = left[1] - left[2], right[1] - right[2]
    if not (math.isfinite(before) and math.isfinite(after)) or before == after:
        return right[0]
    return left[0] + (right[0] - left[0]) * before / (before - after)
