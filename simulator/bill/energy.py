"""Energy and carbon by hour of day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.bill.cash import month_lengths
from simulator.bill.clock import at_prices
from simulator.bill.owned import servers_of_sites, site_owner
from simulator.bill.power import grid_of_month, site_draw
from simulator.bill.sums import mean
from simulator.bill.use import Use, study_uses
from simulator.study.bill import MonthUse
from simulator.study.terms import Money, Terms
from simulator.units import TOKENS_PER_MILLION


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of a month of one site or rented pool, at the meter.

    Attributes
    ----------
    kwh : of GPUs, and of hosts and GPUs without a replica where servers are owned, times PUE
    co2_kg : None where the grid's carbon intensity is not known
    """

    owner: str
    kwh: float
    co2_kg: float | None


def per_million(found: Sequence[Energy], tokens: float) -> tuple[float | None, float | None]:
    """kWh and kg CO2 of all owners per million tokens; None where there are no tokens, no energy, or no known grid."""
    if not found or not tokens > 0:
        return None, None
    scale = TOKENS_PER_MILLION / tokens
    carbon = [energy.co2_kg for energy in found if energy.co2_kg is not None]
    co2 = math.fsum(carbon) * scale if len(carbon) == len(found) else None
    return math.fsum(energy.kwh for energy in found) * scale, co2


def month_energy(
    terms: Terms, use: Use, bought: Sequence[int], calendar_month: int, month: int = 1
) -> tuple[Energy, ...]:
    """Energy and carbon of each owned site and rented pool; token APIs tell neither.

    Parameters
    ----------
    bought : servers of each site
    calendar_month : 1 to 12
    month : of the study
    """
    found: list[Energy] = []
    for k, (known, servers) in enumerate(zip(terms.owned, bought, strict=True)):
        if month not in known.span:
            continue
        site = known.at(month)
        place = site.facility
        draw = site_draw(site, k, use, servers, place.grid_zone)
        kwh = draw.gpu_kwh + draw.free_gpu_hours * mean(site.server.gpu_idle_kw)
        kwh = kwh + draw.server_hours * mean(site.server.host_kw)
        found.append(_energy(site_owner(site), kwh, place.pue, place.co2_kg_per_kwh, calendar_month))
    for offer in (offer.at(month) for offer in terms.rented if month in offer.span):
        if offer.pool in use.pools:
            kwh = use.pools[offer.pool].gpu_kwh[offer.grid_zone]
            found.append(_energy(offer.pool, kwh, offer.pue, offer.co2_kg_per_kwh, calendar_month))
    return tuple(found)


def study_energy(terms: Terms, months: Sequence[MonthUse]) -> tuple[Energy, ...]:
    """Energy and carbon of the mean month of a study, by owner."""
    uses = study_uses(terms, months)
    sites = servers_of_sites(terms, uses)
    whole: dict[str, list[tuple[float, Energy]]] = {}
    for k, (use, length) in enumerate(zip(uses, month_lengths(terms.months), strict=True)):
        bought = [servers[k].bought for servers in sites]
        for found in month_energy(terms, use, bought, terms.calendar_month(k + 1), k + 1):
            whole.setdefault(found.owner, []).append((length / terms.months, found))
    return tuple(
        Energy(
            owner,
            math.fsum(share * found.kwh for share, found in parts),
            _sum_or_none([(share, found.co2_kg) for share, found in parts]),
        )
        for owner, parts in whole.items()
    )


def _sum_or_none(parts: Sequence[tuple[float, float | None]]) -> float | None:
    """Weighted sum; None where a part is not known."""
    known = [(share, kg) for share, kg in parts if kg is not None]
    return math.fsum(share * kg for share, kg in known) if len(known) == len(parts) else None


def _energy(owner: str, kwh: NDArray[np.float64], pue: Money, grid: Sequence[float], calendar_month: int) -> Energy:
    at_meter = kwh * mean(pue)
    co2_kg = mean(at_prices(at_meter, grid_of_month(grid, calendar_month))) if grid else None
    return Energy(owner, math.fsum(at_meter), co2_kg)
