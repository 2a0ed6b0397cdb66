"""Servers of one's own: bought whole, counted once for each site and shared by its pools."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.bill.annuity import annual_usd
from simulator.bill.category import (
    CARBON,
    ELECTRICITY,
    FACILITY_NETWORK,
    HARDWARE,
    INSTALLATION,
    MAINTENANCE,
    NETWORK_AND_STORAGE,
    SPACE,
)
from simulator.bill.clock import at_prices
from simulator.bill.parts import at_site, held_by_nobody, one_line, shared_out
from simulator.bill.power import Draw, grid_of_month, site_draw
from simulator.bill.purchases import Servers, lots, of_price, price_usd
from simulator.bill.sums import mean, nothing, total
from simulator.bill.use import STATES, Use
from simulator.study.bill import Kind, Line
from simulator.study.terms import Money, OwnedSite, ServerKind, Terms
from simulator.units import HOURS_PER_MONTH, KG_PER_TONNE, MONTHS_PER_YEAR

_SLACK = 1e-9


def site_owner(site: OwnedSite) -> str:
    """Owner of the lines of a site, as `munich/h100-sxm`."""
    return f"{site.site}/{site.server.gpu}"


def servers_by_month(site: OwnedSite, used: Sequence[int]) -> list[Servers]:
    """Servers of each month: most in use at once and spares, and what is not yet at the end of its life.

    None is given away before that, or before the span of the site ends, then all.
    """
    spares = [0] * len(used)
    for month, count in enumerate(used, start=1):
        if month in site.span:
            now = site.at(month)
            spares[month - 1] = math.ceil(count * now.spare_share - _SLACK) if now.spares is None else now.spares
    needed = [
        count + spare if k + 1 in site.span else 0 for k, (count, spare) in enumerate(zip(used, spares, strict=True))
    ]
    bought = [0] * len(used)
    for lot in lots(site, needed):
        end = site.span.last if lot.until is None else lot.until
        for k in range(lot.start, len(used) if end is None else min(end, len(used))):
            bought[k] += lot.count
    return [Servers(*row) for row in zip(bought, spares, needed, strict=True)]


def servers_of_sites(terms: Terms, uses: Sequence[Use]) -> tuple[tuple[Servers, ...], ...]:
    """Servers of each owned site by month of a study."""
    return tuple(
        tuple(servers_by_month(site, [use.sites[k].used for use in uses])) for k, site in enumerate(terms.owned)
    )


def owned_lines(terms: Terms, index: int, use: Use, by_month: Sequence[Servers], k: int) -> list[Line]:
    """Lines of month k + 1 of one site; `index` is its place in the terms, `by_month` its servers.

    usd/year = C (1 - s/(1+r)^n) r(1+r)^n/((1+r)^n - 1) + maintenance + space + electricity, with capex C and resale
    share s after a life of n years. All but electricity is shared out over the GPU-hours of all servers: busy, idle,
    starting, down, spare, unused. Of a job they are paid for its share of the time, and nothing is bought for it.
    Servers cost what they did when they were bought, whatever events make of the price since.
    """
    known, discount_rate = terms.owned[index], terms.discount_rate_per_year
    site, servers = known.at(k + 1), by_month[k]
    owner, there = site_owner(site), of_price(known, by_month, k)
    hours = _gpu_hours(site, use, servers)

    def monthly(usd: Callable[[ServerKind], Money], is_sold: bool = True) -> Money:
        return total(
            annual_usd(n * usd(kind), kind.residual_share if is_sold else 0.0, discount_rate, kind.life_years)
            / MONTHS_PER_YEAR
            for kind, n in there
        )

    price = total(n * price_usd(kind) for kind, n in there)
    maintenance = price * site.server.maintenance_share_per_year / MONTHS_PER_YEAR
    space = servers.bought * site.server.reserved_kw * site.facility.usd_per_kw_month
    sums = {
        HARDWARE: monthly(lambda kind: kind.capex_usd),
        NETWORK_AND_STORAGE: monthly(lambda kind: kind.capex_usd * kind.network_storage_share),
        INSTALLATION: monthly(lambda kind: kind.install_usd, is_sold=False),
    }
    lines: list[Line] = []
    for category, usd in sums.items():
        if use.is_job:
            lines += shared_out(owner, category, usd * use.share, hours, "by_use")
        else:
            lines += shared_out(owner, category, usd, hours, "bought", 1.0)
    lines += shared_out(owner, MAINTENANCE, maintenance * use.share, hours, "by_month")
    lines += shared_out(owner, SPACE, space * use.share, hours, "by_month")
    network = site.facility.network_usd_per_month
    lines += shared_out(owner, FACILITY_NETWORK, network * use.share, hours, "by_month")
    lines += _electricity(site, index, use, servers.bought)
    lines += _carbon(site, index, use, servers.bought, terms.calendar_month(k + 1))
    return at_site(lines, site.site)


def _gpu_hours(site: OwnedSite, use: Use, servers: Servers) -> dict[str, float]:
    """GPU-hours of all servers by part; they add up to servers * GPUs * 730, or the share of it that is paid for."""
    states = {
        state: math.fsum(use.pools[name].gpu_hours[state] for name in site.pools if name in use.pools)
        for state in STATES
    }
    month = site.server.gpus * HOURS_PER_MONTH * use.share
    working = (servers.bought - servers.spare) * month
    return states | {"spare": servers.spare * month, "unused": held_by_nobody(working, states.values())}


def _electricity(site: OwnedSite, index: int, use: Use, bought: int) -> list[Line]:
    """Each hour of day at its price, times PUE."""
    place = site.facility
    draw = site_draw(site, index, use, bought, place.time_zone)
    return _power_lines(site, draw, ELECTRICITY, "kWh", (1.0,), place.electricity_usd_per_kwh)


def _carbon(site: OwnedSite, index: int, use: Use, bought: int, calendar_month: int) -> list[Line]:
    """What the electricity emits, at a price by the tonne; none where the grid is not known."""
    place = site.facility
    if nothing(place.co2_usd_per_tonne) or not place.co2_kg_per_kwh:
        return []
    tonnes = [kg / KG_PER_TONNE for kg in grid_of_month(place.co2_kg_per_kwh, calendar_month)]
    draw = site_draw(site, index, use, bought, place.grid_zone)
    usd = [one * place.co2_usd_per_tonne for one in tonnes]
    return _power_lines(site, draw, CARBON, "t CO2", tonnes, usd)


def _power_lines(
    site: OwnedSite, draw: Draw, category: str, unit: str, per_kwh: Sequence[Money], usd_per_kwh: Sequence[Money]
) -> list[Line]:
    """Of GPUs as simulated, of those in no replica, and of hosts: quantity and price by the hour of day, or one."""
    pue = site.facility.pue

    def line(part: str, quantity: NDArray[np.float64], kw: Money, kind: Kind) -> list[Line]:
        amount = mean(at_prices(quantity, per_kwh)) * mean(kw) * mean(pue)
        usd = at_prices(quantity, usd_per_kwh) * kw * pue
        return one_line(site_owner(site), category, part, amount, unit, usd, kind)

    return [
        *line("gpus", draw.gpu_kwh, 1.0, "by_use"),
        *line("unused", draw.free_gpu_hours, site.server.gpu_idle_kw, "by_month"),
        *line("hosts", draw.server_hours, site.server.host_kw, "by_month"),
    ]
