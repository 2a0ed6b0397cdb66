"""Servers of one's own: bought whole, counted once for each site and shared by its pools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.bill.annuity import MONTHS_PER_YEAR, annual_usd
from simulator.bill.clock import at_prices
from simulator.bill.parts import one_line, shared_out
from simulator.bill.use import STATES, Use
from simulator.study.bill import Line
from simulator.study.terms import Money, OwnedSite, ServerKind
from simulator.units import HOURS_PER_MONTH

_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Servers:
    """Servers of a site in a month: those there, and those of them that are spare."""

    bought: int
    spare: int


def site_owner(site: OwnedSite) -> str:
    """Owner of the lines of a site, as `munich/h100-sxm`."""
    return f"{site.site}/{site.server.gpu}"


def servers_by_month(site: OwnedSite, used: Sequence[int]) -> list[Servers]:
    """Servers of each month: most in use at once and spares; none is given away before its time."""
    found: list[Servers] = []
    for count in used:
        spare = math.ceil(count * site.spare_share - _SLACK) if site.spares is None else site.spares
        found.append(Servers(max(count + spare, found[-1].bought if found else 0), spare))
    return found


def owned_lines(site: OwnedSite, index: int, use: Use, servers: Servers, discount_rate: Money) -> list[Line]:
    """Lines of a month of one site; `index` is its place in the terms.

    usd/year = C (1 - s/(1+r)^n) r(1+r)^n/((1+r)^n - 1) + maintenance + space + electricity, with capex C and resale
    share s after a life of n years. All but electricity is shared out over the GPU-hours of all servers: busy, idle,
    starting, down, spare, unused.
    """
    kind, owner, bought = site.server, site_owner(site), servers.bought
    hours = _gpu_hours(site, use, servers)
    capex = bought * kind.capex_usd
    network = capex * kind.network_storage_share
    annual = [annual_usd(usd, kind.residual_share, discount_rate, kind.life_years) for usd in (capex, network)]
    install = annual_usd(bought * kind.install_usd, 0.0, discount_rate, kind.life_years)
    maintenance = (capex + network) * kind.maintenance_share_per_year / MONTHS_PER_YEAR
    space = bought * kind.reserved_kw * site.facility.usd_per_kw_month
    return [
        *shared_out(owner, "hardware", annual[0] / MONTHS_PER_YEAR, hours, "bought", 1.0),
        *shared_out(owner, "network and storage", annual[1] / MONTHS_PER_YEAR, hours, "bought", 1.0),
        *shared_out(owner, "installation", install / MONTHS_PER_YEAR, hours, "bought", 1.0),
        *shared_out(owner, "maintenance", maintenance, hours, "by_month"),
        *shared_out(owner, "space", space, hours, "by_month"),
        *_electricity(site, owner, use, index),
    ]


def _gpu_hours(site: OwnedSite, use: Use, servers: Servers) -> dict[str, float]:
    """GPU-hours of all servers by part; they add up to servers * GPUs * 730."""
    states = {
        state: math.fsum(use.pools[name].gpu_hours[state] for name in site.pools if name in use.pools)
        for state in STATES
    }
    month = site.server.gpus * HOURS_PER_MONTH
    working = (servers.bought - servers.spare) * month
    return states | {"spare": servers.spare * month, "unused": max(0.0, working - math.fsum(states.values()))}


def _electricity(site: OwnedSite, owner: str, use: Use, index: int) -> list[Line]:
    """Of the GPUs as simulated and of powered hosts, each hour of day at its price, times PUE."""
    place = site.facility
    gpu_kwh = np.sum([use.pools[name].gpu_kwh for name in site.pools if name in use.pools] or [np.zeros(24)], axis=0)
    powered = use.sites[index].powered_hours
    gpus_usd = at_prices(gpu_kwh, place.electricity_usd_per_kwh) * place.pue
    hosts_usd = at_prices(powered, place.electricity_usd_per_kwh) * site.server.host_kw * place.pue
    pue, host_kw = float(np.mean(place.pue)), float(np.mean(site.server.host_kw))
    return [
        *one_line(owner, "electricity", "gpus", math.fsum(gpu_kwh) * pue, "kWh", gpus_usd, "by_use"),
        *one_line(owner, "electricity", "hosts", math.fsum(powered) * host_kw * pue, "kWh", hosts_usd, "by_month"),
    ]


def hardware_payments_usd(
    site: OwnedSite, servers: Sequence[Servers], months: float, at_months: NDArray[np.float64]
) -> list[Money]:
    """Purchases, replacements and resale at each of `at_months`.

    Servers are bought and installed at the start of the month in which they first stand, replaced at the end of each
    life for their price less what the old ones bring, and sold at the end of the study for what their age gives.
    """
    kind = site.server
    price = kind.capex_usd * (1.0 + kind.network_storage_share)
    life_months = np.round(np.asarray(kind.life_years) * MONTHS_PER_YEAR)
    paid: list[Money] = [0.0] * len(at_months)
    there = 0
    for start, month in enumerate(servers):
        new, there = month.bought - there, month.bought
        if new == 0:
            continue
        for k, at in enumerate(at_months):
            if at == start:
                paid[k] = paid[k] + new * (price + kind.install_usd)
            elif start < at < months and at == int(at):
                due = (at - start) % life_months == 0
                paid[k] = paid[k] + new * (price * (1.0 - kind.residual_share) + kind.install_usd) * _plain(due)
            if at == months:
                age = np.mod(months - start, life_months)
                age = np.where(age == 0, life_months, age)
                paid[k] = paid[k] - new * price * resale_share(kind, kind.life_years * (age / life_months))
    return paid


def resale_share(kind: ServerKind, age_years: Money) -> Money:
    """What a server of that age is sold for, as a share of its price: linear between 1 at age 0, the ages known, and
    the residual at the end of its life."""
    ages, lives, residuals = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (age_years, kind.life_years, kind.residual_share))
    )
    shares = [np.broadcast_to(np.asarray(share, dtype=np.float64), ages.shape) for _, share in kind.resale_share_by_age]
    found = np.empty(ages.shape)
    for place in np.ndindex(ages.shape):
        known = [
            (age, float(share[place]))
            for (age, _), share in zip(kind.resale_share_by_age, shares, strict=True)
            if age < lives[place]
        ]
        x, y = zip((0.0, 1.0), *known, (float(lives[place]), float(residuals[place])), strict=True)
        found[place] = np.interp(ages[place], x, y)
    return found if found.ndim else float(found)


def _plain(due: NDArray[np.bool_]) -> Money:
    found = np.asarray(due, dtype=np.float64)
    return found if found.ndim else float(found)
