"""Cost of a pool on servers of one's own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.cost.annuity import annualised_usd
from simulator.cost.lines import (
    LineItem,
    PoolCost,
    check_span,
    gpu_hours_by_state,
    hour_lengths_s,
    per_month,
    split_usd,
    total_usd,
)
from simulator.cost.prices import MONTHS_PER_YEAR, OwnedPrices
from simulator.study.usage import PoolUsage
from simulator.units import HOURS_PER_MONTH, JOULES_PER_KWH, SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Servers:
    """Servers of a pool: in use at the peak, and spare."""

    used: int
    spare: int

    @property
    def bought(self) -> int:
        return self.used + self.spare


def servers_needed(pool: PoolUsage, prices: OwnedPrices) -> Servers:
    """used = ceil(peak replicas * GPUs per replica / GPUs per server), spare = ceil(used * spare_fraction)."""
    used = math.ceil(pool.peak_replicas * pool.gpus_per_replica / prices.gpus_per_server)
    return Servers(used, math.ceil(used * prices.spare_fraction))


def owned_cost(pool: PoolUsage, prices: OwnedPrices, end_s: float, horizon_months: int) -> PoolCost:
    """Monthly lines and cash flow of a pool on its own servers.

    usd/year = (capex - residual/(1+r)^n) CRF + maintenance + staff + colocation + electricity. Everything but
    electricity is shared out over the GPU-hours of all bought servers: busy, idle, starting, down, spare, unused.

    Parameters
    ----------
    end_s : simulated time, scaled to a month of 730 h
    horizon_months : length of the cash flow

    Raises
    ------
    InputError : no simulated time or no horizon
    """
    check_span(end_s, horizon_months)
    servers = servers_needed(pool, prices)
    hardware_usd = servers.bought * prices.server_capex_usd
    capex_usd = hardware_usd * (1.0 + prices.network_storage_share)
    lines = _fixed_lines(pool, prices, servers, hardware_usd, end_s) + _electricity_lines(pool, prices, servers, end_s)
    flow = capital_cash_flow_usd(capex_usd, prices, horizon_months)
    flow[1:] -= total_usd(lines, "opex", "usage")
    return PoolCost(lines, capex_usd, flow)


def capital_cash_flow_usd(capex_usd: float, prices: OwnedPrices, horizon_months: int) -> NDArray[np.float64]:
    """Payments for hardware at the end of months 0 to horizon, in USD, shape (horizon + 1,).

    Bought at month 0 and replaced at the end of each life for capex less residual. At the horizon it is sold for what
    `OwnedPrices.resale_share` gives at its age.
    """
    life_months = round(prices.life_years * MONTHS_PER_YEAR)
    residual_usd = capex_usd * prices.residual_fraction
    flow = np.zeros(horizon_months + 1, dtype=np.float64)
    flow[0:horizon_months:life_months] = -(capex_usd - residual_usd)
    flow[0] = -capex_usd
    age_months = (horizon_months - 1) % life_months + 1
    flow[-1] += capex_usd * prices.resale_share(prices.life_years * age_months / life_months)
    return flow


def owned_gpu_hours(pool: PoolUsage, prices: OwnedPrices, end_s: float) -> dict[str, float]:
    """GPU-hours per month of all bought servers by state; they add up to servers * GPUs per server * 730."""
    servers = servers_needed(pool, prices)
    states = gpu_hours_by_state(pool, end_s)
    used = servers.used * prices.gpus_per_server * HOURS_PER_MONTH
    unused = max(0.0, used - math.fsum(states.values()))
    return states | {"spare": servers.spare * prices.gpus_per_server * HOURS_PER_MONTH, "unused": unused}


def _fixed_lines(
    pool: PoolUsage, prices: OwnedPrices, servers: Servers, hardware_usd: float, end_s: float
) -> tuple[LineItem, ...]:
    """Hardware, network and storage, maintenance, staff and colocation by state."""
    hours = owned_gpu_hours(pool, prices, end_s)
    network_usd = hardware_usd * prices.network_storage_share
    hardware, network = (
        annualised_usd(usd, usd * prices.residual_fraction, prices.discount_rate, prices.life_years) / MONTHS_PER_YEAR
        for usd in (hardware_usd, network_usd)
    )
    maintenance = (hardware_usd + network_usd) * prices.maintenance_rate / MONTHS_PER_YEAR
    staff = prices.fte * prices.fte_usd_per_year / MONTHS_PER_YEAR if servers.bought else 0.0
    colocation = servers.bought * prices.kw_per_server * prices.colocation_usd_per_kw_month
    return (
        split_usd(pool.name, "hardware", hardware, hours, "capex")
        + split_usd(pool.name, "network and storage", network, hours, "capex")
        + split_usd(pool.name, "maintenance", maintenance, hours, "opex")
        + split_usd(pool.name, "staff", staff, hours, "opex")
        + split_usd(pool.name, "colocation", colocation, hours, "opex")
    )


def _electricity_lines(
    pool: PoolUsage, prices: OwnedPrices, servers: Servers, end_s: float
) -> tuple[LineItem, LineItem]:
    """Electricity of the GPUs, as simulated, and of the powered hosts, each hour at its price and times PUE."""
    hours = pool.energy_by_hour_j.size
    tariff = prices.electricity_by_hour(hours) * per_month(end_s) * prices.pue
    gpu_kwh = pool.energy_by_hour_j / JOULES_PER_KWH
    host_kwh = servers.used * prices.host_kw * hour_lengths_s(end_s, hours) / SECONDS_PER_HOUR
    scale = per_month(end_s) * prices.pue
    return (
        LineItem(pool.name, "electricity", "gpus", gpu_kwh.sum() * scale, "kWh", float(gpu_kwh @ tariff), "usage"),
        LineItem(pool.name, "electricity", "hosts", host_kwh.sum() * scale, "kWh", float(host_kwh @ tariff), "opex"),
    )
