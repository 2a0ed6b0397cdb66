"""Servers of one's own: bought whole, counted once for each site and shared by its pools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.bill.annuity import MONTHS_PER_YEAR, annual_usd
from simulator.bill.clock import at_prices
from simulator.bill.parts import at_site, one_line, shared_out
from simulator.bill.use import STATES, Use
from simulator.study.bill import Line
from simulator.study.terms import Money, OwnedSite
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
    """Servers of each month: most in use at once and spares; none is given away before its span ends, then all."""
    found: list[Servers] = []
    for month, count in enumerate(used, start=1):
        if month not in site.span:
            found.append(Servers(0, 0))
            continue
        now = site.at(month)
        spare = math.ceil(count * now.spare_share - _SLACK) if now.spares is None else now.spares
        found.append(Servers(max(count + spare, found[-1].bought if found else 0), spare))
    return found


def owned_lines(site: OwnedSite, index: int, use: Use, servers: Servers, discount_rate: Money) -> list[Line]:
    """Lines of a month of one site; `index` is its place in the terms.

    usd/year = C (1 - s/(1+r)^n) r(1+r)^n/((1+r)^n - 1) + maintenance + space + electricity, with capex C and resale
    share s after a life of n years. All but electricity is shared out over the GPU-hours of all servers: busy, idle,
    starting, down, spare, unused. Of a job they are paid for its share of the time, and nothing is bought for it.
    """
    kind, owner, bought = site.server, site_owner(site), servers.bought
    hours = _gpu_hours(site, use, servers)
    capex = bought * kind.capex_usd
    network = capex * kind.network_storage_share
    annual = [annual_usd(usd, kind.residual_share, discount_rate, kind.life_years) for usd in (capex, network)]
    install = annual_usd(bought * kind.install_usd, 0.0, discount_rate, kind.life_years)
    maintenance = (capex + network) * kind.maintenance_share_per_year / MONTHS_PER_YEAR
    space = bought * kind.reserved_kw * site.facility.usd_per_kw_month
    sums = {
        "hardware": annual[0] / MONTHS_PER_YEAR,
        "network and storage": annual[1] / MONTHS_PER_YEAR,
        "installation": install / MONTHS_PER_YEAR,
    }
    lines: list[Line] = []
    for category, usd in sums.items():
        if use.is_job:
            lines += shared_out(owner, category, usd * use.share, hours, "by_use")
        else:
            lines += shared_out(owner, category, usd, hours, "bought", 1.0)
    lines += shared_out(owner, "maintenance", maintenance * use.share, hours, "by_month")
    lines += shared_out(owner, "space", space * use.share, hours, "by_month")
    return at_site([*lines, *_electricity(site, owner, use, index)], site.site)


def _gpu_hours(site: OwnedSite, use: Use, servers: Servers) -> dict[str, float]:
    """GPU-hours of all servers by part; they add up to servers * GPUs * 730, or the share of it that is paid for."""
    states = {
        state: math.fsum(use.pools[name].gpu_hours[state] for name in site.pools if name in use.pools)
        for state in STATES
    }
    month = site.server.gpus * HOURS_PER_MONTH * use.share
    working = (servers.bought - servers.spare) * month
    return states | {"spare": servers.spare * month, "unused": max(0.0, working - math.fsum(states.values()))}


def _electricity(site: OwnedSite, owner: str, use: Use, index: int) -> list[Line]:
    """Of the GPUs as simulated and of powered hosts, each hour of day at its price, times PUE."""
    place, zone = site.facility, site.facility.time_zone
    powered = use.sites[index].powered_hours[zone]
    gpu_kwh = sum((use.pools[name].gpu_kwh[zone] for name in site.pools if name in use.pools), np.zeros(powered.shape))
    gpus_usd = at_prices(gpu_kwh, place.electricity_usd_per_kwh) * place.pue
    hosts_usd = at_prices(powered, place.electricity_usd_per_kwh) * site.server.host_kw * place.pue
    pue, host_kw = float(np.mean(place.pue)), float(np.mean(site.server.host_kw))
    return [
        *one_line(owner, "electricity", "gpus", math.fsum(gpu_kwh) * pue, "kWh", gpus_usd, "by_use"),
        *one_line(owner, "electricity", "hosts", math.fsum(powered) * host_kw * pue, "kWh", hosts_usd, "by_month"),
    ]
