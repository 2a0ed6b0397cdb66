"""Cost of an owned pool for many draws of its prices at once: the sum of `owned_cost`'s lines, in arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.cost.lines import hour_lengths_s, per_month
from simulator.cost.prices import MONTHS_PER_YEAR, by_hour
from simulator.study.usage import PoolUsage
from simulator.units import JOULES_PER_KWH, SECONDS_PER_HOUR


def owned_usd_per_month(
    pool: PoolUsage, fields: Mapping[str, Any], end_s: float, hardware: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """Monthly cost of a pool on its own servers, in USD, for each draw of its prices.

    Parameters
    ----------
    fields : those of `OwnedPrices` by name, each a number or an array of draws; the price of electricity is one, an
        array of draws, or a tuple of 24 by hour of day
    end_s : simulated time, scaled to a month of 730 h
    hardware : servers and energy as a multiple of what was simulated; staff stays

    Returns
    -------
    array of the draws' shape; where `hardware` is 1 it equals the sum of the lines of `owned_cost`
    """
    f = fields
    used = math.ceil(pool.peak_replicas * pool.gpus_per_replica / f["gpus_per_server"])
    bought = used + np.ceil(used * np.asarray(f["spare_fraction"], dtype=np.float64))
    capex = bought * f["server_capex_usd"] * (1.0 + np.asarray(f["network_storage_share"], dtype=np.float64))
    rate, life = np.asarray(f["discount_rate"], dtype=np.float64), np.asarray(f["life_years"], dtype=np.float64)
    annuity = (1.0 - f["residual_fraction"] * (1.0 + rate) ** -life) * _recovery_factor(rate, life)
    fixed = capex * (annuity + f["maintenance_rate"]) / MONTHS_PER_YEAR
    fixed += bought * f["kw_per_server"] * f["colocation_usd_per_kw_month"]
    staff = f["fte"] * f["fte_usd_per_year"] / MONTHS_PER_YEAR * (bought > 0)
    electricity = gpu_electricity_usd(pool, f, end_s) + _host_electricity_usd(pool, f, used, end_s)
    return np.asarray((fixed + electricity) * hardware + staff, dtype=np.float64)


def gpu_electricity_usd(
    pool: PoolUsage, fields: Mapping[str, Any], end_s: float, hardware: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """What of `owned_usd_per_month` goes with the load: electricity of the GPUs, for each draw of its prices."""
    gpu_kwh = pool.energy_by_hour_j / JOULES_PER_KWH
    return np.asarray(_tariff(gpu_kwh, fields) * fields["pue"] * per_month(end_s) * hardware, dtype=np.float64)


def _recovery_factor(rate: NDArray[np.float64], periods: NDArray[np.float64]) -> NDArray[np.float64]:
    """Capital recovery factors; 1/n at rate 0."""
    safe = np.where(rate > 0, rate, 1.0)
    return np.where(rate > 0, safe / -np.expm1(-periods * np.log1p(safe)), 1.0 / periods)


def _host_electricity_usd(pool: PoolUsage, f: Mapping[str, Any], used: int, end_s: float) -> NDArray[np.float64]:
    powered_h = used * hour_lengths_s(end_s, pool.energy_by_hour_j.size) / SECONDS_PER_HOUR
    return np.asarray(_tariff(powered_h, f) * f["host_kw"] * f["pue"] * per_month(end_s), dtype=np.float64)


def _tariff(by_hour_of_run: NDArray[np.float64], f: Mapping[str, Any]) -> NDArray[np.float64]:
    """Quantities of each simulated hour at the price of electricity in it, added up."""
    price = f["electricity_usd_per_kwh"]
    if isinstance(price, tuple):
        price, by_hour_of_run = 1.0, by_hour_of_run * by_hour(price, by_hour_of_run.size)
    return np.asarray(price * float(by_hour_of_run.sum()), dtype=np.float64)
