"""What else a result rests on that is judgement or old, beside the figures of its bill: places, power, grids, APIs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from simulator.bill.category import CARBON, ELECTRICITY
from simulator.bill.energy import study_energy
from simulator.bill.power import has_carbon, is_by_month
from simulator.bill.study import study_usd_per_month
from simulator.bill.sums import mean
from simulator.catalog.costs import cost_words
from simulator.catalog.grids import grid
from simulator.catalog.sites import site
from simulator.decide.why import all_of
from simulator.resolve.places import place_of
from simulator.resolve.topology import PlannedTopology
from simulator.schema.provider import Provider
from simulator.simulate.priced import Priced
from simulator.study.figure import Figure
from simulator.study.terms import OwnedSite, RentedTerms, Terms

_OF_POWER = (ELECTRICITY, CARBON)
_Site = TypeVar("_Site", OwnedSite, RentedTerms)


def old_words(old: Iterable[Figure], shares: Mapping[str, float]) -> list[str]:
    """Old figures that move the bill: how many, and the one with the largest share first.

    Parameters
    ----------
    shares : of the bill, by figure; those of what the scenario gives are not known
    """
    moving = sorted(
        (figure for figure in old if shares.get(figure.id) != 0),
        key=lambda figure: (-abs(shares.get(figure.id, 0.0)), figure.id),
    )
    if not moving:
        return []
    told = [
        f"{cost_words(figure.id)} ({figure.date})" + (f" {shares[figure.id]:.0%}" if figure.id in shares else "")
        for figure in moving
    ]
    first = f"{told[0]} of the bill" if moving[0].id in shares else told[0]
    if len(told) == 1:
        return [f"an old figure is behind the bill: {first}"]
    return [f"{len(told)} old figures are behind the bill, most of all {first}; also {', '.join(told[1:])}"]


def power_estimates(planned: PlannedTopology, priced: Priced) -> list[str]:
    """GPUs whose power in serving the catalog only estimates, with the share of the bill that is paid for it."""
    asked = [engine.gpu for engine in planned.engines if not engine.power_is_given]
    guessed = sorted({card.name for card in asked if card.power_is_estimate})
    if not guessed:
        return []
    power = [mean(one.usd) for one in priced.bill.lines if one.category in _OF_POWER and one.part == "gpus"]
    share = math.fsum(power) / priced.usd_per_month if priced.usd_per_month else 0.0
    moves = f"{share:.2%} of the bill" if share else "it moves energy and emissions, not the bill"
    return [f"power in serving of {', '.join(guessed)} is an estimate, scaled by board power: {moves}"]


def grid_estimates(planned: PlannedTopology, priced: Priced) -> list[str]:
    """Grids whose course over the day and the year the catalog only estimates: what CO2 is at their yearly mean."""
    pools = planned.settings.pools
    owned = {one.site for one in priced.terms.owned if is_by_month(one.facility.co2_kg_per_kwh)}
    places = [place_of(pool) for pool in pools if pool.billing != "owned" or site(pool.site).name in owned]
    fed = {place.grid for place in places if place.grid is not None}
    courses = {name: (grid(name).by_month, grid(name).swing, grid(name).by_hour) for name in fed}
    guessed = sorted(name for name, each in courses.items() if any(one.kind == "estimate" for one in each))
    if not guessed:
        return []
    level = _at_yearly_mean(priced.terms)
    here, there = (_co2_kg(terms, priced) for terms in (priced.terms, level))
    if here is None or there is None or not here:
        return []
    moves = f"at the mean of the year CO2 is {_apart(there / here - 1, 1)}"
    if has_carbon(priced.terms) and priced.usd_per_month:
        moves += f", the bill {_apart(mean(study_usd_per_month(level, priced.months)) / priced.usd_per_month - 1, 2)}"
    return [f"the course over days and months of the grid of {all_of(guessed)} is an estimate: {moves}"]


def _apart(share: float, digits: int) -> str:
    told = f"{abs(share):.{digits}%}"
    return "the same" if told == f"{0:.{digits}%}" else f"{told} {'less' if share < 0 else 'more'}"


def _at_yearly_mean(terms: Terms) -> Terms:
    """The same without a course over the day and the year."""

    def level(co2_kg_per_kwh: Sequence[float]) -> tuple[float, ...]:
        known = tuple(co2_kg_per_kwh)
        return (math.fsum(known) / len(known),) if is_by_month(known) else known

    def housed(one: OwnedSite) -> OwnedSite:
        place = replace(one.facility, co2_kg_per_kwh=level(one.facility.co2_kg_per_kwh))
        return replace(one, facility=place, later=tuple(map(housed, one.later)))

    def hired(one: RentedTerms) -> RentedTerms:
        return replace(one, co2_kg_per_kwh=level(one.co2_kg_per_kwh), later=tuple(map(hired, one.later)))

    return replace(terms, owned=tuple(map(housed, terms.owned)), rented=tuple(map(hired, terms.rented)))


def _co2_kg(terms: Terms, priced: Priced) -> float | None:
    """Of a month, of all whose grid is known; None without any."""
    known = [one.co2_kg for one in study_energy(terms, priced.months) if one.co2_kg is not None]
    return math.fsum(known) if known else None


def place_estimates(planned: PlannedTopology) -> list[str]:
    """What the catalog only estimates of the sites: what times and the SLO rest on, and what moves energy alone."""
    times: dict[str, list[str]] = {}
    power: list[str] = []
    for spec in planned.fleet.pools:
        place, faults = site(spec.site), spec.reliability
        counts = {"network_one_way": True, "failures": faults.mtbf_s > 0, "repair": faults.mtbf_s > 0}
        counts |= dict.fromkeys(("provision", "image", "load_rate"), spec.cold_start.total_s > 0)
        counts |= dict.fromkeys(("spot_interval", "spot_notice"), faults.reclaim_mtbf_s > 0)
        counts["unavailable"] = faults.unavailable_probability > 0
        for name, has_a_say in counts.items():
            quantity = getattr(place, name)
            if has_a_say and quantity is not None and quantity.kind == "estimate":
                times.setdefault(_WORDS.get(name, name.replace("_", " ")), []).append(place.name)
        if not spec.owned and place.pue is not None and place.pue.kind == "estimate":
            power.append(place.name)
    found = []
    if times:
        parts = (f"{name} at {', '.join(dict.fromkeys(places))}" for name, places in times.items())
        found.append(f"estimates of places, on which times and the SLO rest: {'; '.join(parts)}")
    if power:
        names = ", ".join(dict.fromkeys(power))
        found.append(f"PUE at {names} is an estimate: energy and CO2 there are in proportion to it, the bill is not")
    return found


_WORDS = {"unavailable": "launches without capacity"}


def api_estimates(planned: PlannedTopology) -> list[str]:
    """Providers whose latency or limits are the catalog's, which are estimates for all of them."""
    pairs = zip(planned.settings.providers, planned.offers, strict=True)
    named = {one.name: _guessed(one) for one, offer in pairs if offer is not None}
    said = {words: [name for name, own in named.items() if own == words] for words in dict.fromkeys(named.values())}
    return [
        f"{words} of {all_of(names)} are catalog estimates: TTFT, TPOT and the SLO rest on them"
        for words, names in said.items()
        if words
    ]


def _guessed(provider: Provider) -> str:
    """What of a catalog's offer the scenario leaves to it."""
    limits = ("tokens_per_minute", "input_tokens_per_minute", "output_tokens_per_minute", "tokens_per_minute_per_unit")
    has_limits = provider.requests_per_minute is not None and any(getattr(provider, key) is not None for key in limits)
    left = {
        "latency": provider.ttft_s is None or provider.tpot_s is None,
        "rate limits": not has_limits,
        "errors": provider.error_probability is None,
    }
    guessed = [name for name, is_left in left.items() if is_left]
    return all_of(guessed) if guessed else ""
