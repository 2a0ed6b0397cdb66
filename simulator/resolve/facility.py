"""Where servers of one's own stand: space, power, grid and connection, one of each for a site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simulator.catalog.quantity import Quantity
from simulator.catalog.sites import Site
from simulator.errors import InputError, Problem
from simulator.resolve.carbon import carbon_by_hour, grid_zone
from simulator.resolve.clock import clock_of
from simulator.resolve.figures import Figures
from simulator.resolve.server_settings import Given, given_servers
from simulator.scenario.load import LoadedScenario
from simulator.study.terms import Facility, Money


def check_one_facility(loaded: LoadedScenario, topology: str, groups: Sequence[tuple[str, str]]) -> None:
    """Refuse two tariffs, grids, prices of carbon, time zones or networks of one site.

    They are of all that stands there. A network that servers of one GPU name is that of all; of the others what one
    GPU's servers name and the rest does not is another one. Space and PUE go by the hall and how it is cooled: servers
    of one GPU may have their own.

    Parameters
    ----------
    groups : names of site and GPU of all servers

    Raises
    ------
    InputError : each of them, where it is said
    """
    problems: list[Problem] = []
    for place in dict.fromkeys(name for name, _ in groups):
        said = {card: _of_the_site(given_servers(loaded, topology, place, card)) for at, card in groups if at == place}
        for what in ("tariff", "carbon intensity", "price of carbon", "time zone", "network"):
            found = {card: here[what] for card, here in said.items() if what != "network" or here[what] is not None}
            problems += _two_of(loaded, place, what, found)
    if problems:
        raise InputError(*problems)


def _of_the_site(given: Given) -> dict[str, tuple[str, Any] | None]:
    """What is said of the site as a whole, with its path."""
    return {
        "tariff": given.tariff(),
        "carbon intensity": given.find("co2_kg_per_kwh"),
        "price of carbon": given.carbon_price(),
        "time zone": given.time_zone(),
        "network": given.find("network_usd_per_month"),
    }


def _two_of(loaded: LoadedScenario, place: str, what: str, found: dict[str, tuple[str, Any] | None]) -> list[Problem]:
    """One problem where servers of two GPUs say different things, at the first that is said."""
    values = {card: None if one is None else one[1] for card, one in found.items()}
    if all(value == next(iter(values.values())) for value in values.values()):
        return []
    path, value = next(one for one in found.values() if one is not None)
    other = next(card for card in values if values[card] != value)
    there = found[other]
    says = f"those with {other} have the site's own" if there is None else f"{there[0]} says {_shown(there[1])}"
    words = f"{place} has one {what} for all of its servers, and {says}: give it once, without a gpu"
    return [Problem(words, *loaded.place(path), path=path, got=_shown(value))]


def _shown(value: Any) -> str:
    return f"{len(value)} prices" if isinstance(value, tuple) and len(value) > 1 else str(np.squeeze(value))


def facility(loaded: LoadedScenario, place: Site, given: Given, figures: Figures) -> Facility:
    """Where servers stand, as the scenario says, for the rest the site's own figures."""
    cost, clock = loaded.scenario.cost, clock_of(loaded.scenario)
    zone = grid_zone(place, clock)
    space = given.find("space_usd_per_kw_month")
    tariff, priced = given.tariff(), given.carbon_price()
    network = given.find("network_usd_per_month")
    carbon, zone_said = given.find("co2_kg_per_kwh"), given.time_zone()
    pue: tuple[str, float] | None = given.find("pue") or (None if cost.pue is None else ("cost.pue", cost.pue))
    return Facility(
        usd_per_kw_month=_site_figure(place.space, f"{place.name}.space", "colo.rate", figures)
        if space is None
        else figures.given(*space, "USD per kW-month"),
        pue=_site_figure(place.pue, f"{place.name}.pue", "power.pue", figures)
        if pue is None
        else figures.given(*pue, "ratio"),
        electricity_usd_per_kwh=(
            _site_figure(place.electricity, f"{place.name}.electricity", "power.electricity", figures),
        )
        if tariff is None
        else _by_hour(*tariff, figures),
        co2_kg_per_kwh=carbon_by_hour(place) if carbon is None else (figures.given(*carbon, "kg per kWh"),),
        co2_usd_per_tonne=0.0 if priced is None else figures.given(*priced, "USD per t CO2"),
        network_usd_per_month=0.0 if network is None else figures.given(*network, "USD per month"),
        time_zone="" if clock.first is None else zone if zone_said is None else zone_said[1],
        grid_zone=zone,
    )


def _by_hour(path: str, prices: Sequence[float], figures: Figures) -> tuple[Money, ...]:
    figures.given(path, float(np.mean(prices)), "USD per kWh")
    return tuple(prices)


def _site_figure(quantity: Quantity | None, name: str, identifier: str, figures: Figures) -> Money:
    """The site's own figure, else the general one."""
    return figures(identifier) if quantity is None else figures.of(quantity, name)
