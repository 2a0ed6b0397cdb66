"""Cost of a pool on rented GPUs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.cost.lines import (
    GPU_HOURS,
    LineItem,
    PoolCost,
    check_span,
    gpu_hours_by_state,
    hour_lengths_s,
    per_month,
    split_usd,
    total_usd,
)
from simulator.cost.prices import RentedPrices
from simulator.study.usage import PoolUsage
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

BYTES_PER_GB = 1e9
"""Clouds bill traffic and volumes by decimal gigabytes."""


def rented_cost(pool: PoolUsage, prices: RentedPrices, end_s: float, horizon_months: int) -> PoolCost:
    """Monthly lines and cash flow of a rented pool; billed from launch, so cold starts are paid.

    In each simulated hour the first `reserved_gpus` GPU-hours are covered by the commitment, the excess is on demand at
    that hour's price.
    The commitment is paid in full; what is not used of it is the line `unused`.

    Parameters
    ----------
    end_s : simulated time, scaled to a month of 730 h
    horizon_months : length of the cash flow

    Raises
    ------
    InputError : no simulated time or no horizon
    """
    check_span(end_s, horizon_months)
    excess_hours = excess_gpu_hours(pool, prices.reserved_gpus, end_s)
    on_demand_hours = float(excess_hours.sum())
    on_demand_usd = float(excess_hours @ prices.usd_by_hour(excess_hours.size))
    states = gpu_hours_by_state(pool, end_s)
    billed_hours = math.fsum(states.values())
    excess_share = min(1.0, on_demand_hours / billed_hours) if billed_hours > 0 else 0.0
    on_demand = {state: hours * excess_share for state, hours in states.items()}
    lines = split_usd(pool.name, "on demand", on_demand_usd, on_demand, "usage") + _reserved_lines(
        pool.name, prices, {state: hours * (1 - excess_share) for state, hours in states.items()}
    )
    data = _data_lines(pool, prices, end_s)
    flow = _commitment_flow_usd(prices, horizon_months)
    flow[1:] -= total_usd(lines, "usage") + total_usd(data)
    return PoolCost(lines + data, 0.0, flow)


def excess_gpu_hours(pool: PoolUsage, reserved_gpus: int, end_s: float) -> NDArray[np.float64]:
    """GPU-hours per month above the commitment in each simulated hour: max(0, billed - reserved * length of the hour).

    Each simulated hour stands for its share of the month, so that the array adds up to a month; shape (hours,).
    """
    billed_s = pool.billed_by_hour_s * pool.gpus_per_replica
    covered_s = reserved_gpus * hour_lengths_s(end_s, billed_s.size)
    return np.maximum(0.0, billed_s - covered_s) / SECONDS_PER_HOUR * per_month(end_s)


def _reserved_lines(pool: str, prices: RentedPrices, used: dict[str, float]) -> tuple[LineItem, ...]:
    """The commitment by state; it is paid by the month, hence opex."""
    rate = prices.reserved_usd_per_gpu_hour
    if rate is None or prices.reserved_gpus == 0:
        return ()
    hours = used | {"unused": max(0.0, prices.reserved_gpus * HOURS_PER_MONTH - math.fsum(used.values()))}
    return tuple(
        LineItem(pool, "reserved", state, quantity, GPU_HOURS, quantity * rate, "opex", prices.upfront_fraction)
        for state, quantity in hours.items()
        if quantity > 0
    )


def _data_lines(pool: PoolUsage, prices: RentedPrices, end_s: float) -> tuple[LineItem, ...]:
    """Egress of the delivered output tokens, and storage; no line for what costs nothing."""
    egress_gb = pool.output_tokens * per_month(end_s) * prices.egress_bytes_per_output_token / BYTES_PER_GB
    egress_usd = egress_gb * prices.egress_usd_per_gb
    storage_usd = prices.storage_gb * prices.storage_usd_per_gb_month
    lines = (
        LineItem(pool.name, "egress", "output tokens", egress_gb, "GB", egress_usd, "usage"),
        LineItem(pool.name, "storage", "volumes", prices.storage_gb, "GB", storage_usd, "opex"),
    )
    return tuple(line for line in lines if line.usd_per_month > 0)


def _commitment_flow_usd(prices: RentedPrices, horizon_months: int) -> NDArray[np.float64]:
    """Payments for the commitment, USD, shape (horizon + 1,): each term's upfront part at its start, the rest monthly.

    A term that outlasts the horizon counts with the months inside it.
    """
    flow = np.zeros(horizon_months + 1, dtype=np.float64)
    monthly_usd = prices.reserved_gpus * (prices.reserved_usd_per_gpu_hour or 0.0) * HOURS_PER_MONTH
    flow[1:] -= monthly_usd * (1.0 - prices.upfront_fraction)
    if prices.upfront_fraction > 0:
        starts = np.arange(0, horizon_months, prices.term_months)
        months = np.minimum(prices.term_months, horizon_months - starts)
        flow[starts] -= monthly_usd * prices.upfront_fraction * months
    return flow
