"""When owning is worth it: by hours, utilisation, volume, month and units owned."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.cost.annuity import discount_factors, growth_factors
from simulator.cost.lines import total_usd
from simulator.cost.prices import not_negative, positive, require
from simulator.cost.report import CostReport
from simulator.errors import InputError, Problem
from simulator.units import HOURS_PER_MONTH, HOURS_PER_YEAR, TOKENS_PER_MILLION

Side = Literal["above", "below", "always", "never"]
SIDES: tuple[Side, ...] = ("above", "below", "always", "never")
"""Where a choice costs no more than another: from a volume on, up to one, at any, at none."""
_ROUNDING = 1e-12
"""Relative difference of two sums of the same line items in another order."""


def break_even_hours(capex_usd: float, owned_usd_per_hour: float, rented_usd_per_hour: float) -> float:
    """Hours of use after which a purchase has paid for itself: capex / (rented - owned); inf if never.

    Method of Lenovo Press LP2225, On-Premise vs Cloud: Generative AI Total Cost of Ownership (2025).
    """
    require("break_even", capex_usd=not_negative(capex_usd))
    saving = rented_usd_per_hour - owned_usd_per_hour
    return capex_usd / saving if saving > 0 else math.inf


def break_even_utilisation(
    owned_usd_per_month: float, gpus: int, rented_usd_per_gpu_hour: float, owned_usd_per_gpu_hour: float = 0.0
) -> float:
    """Share of the month that the GPUs must work for owning to cost the same as renting them for that time.

    u = fixed / ((rented - owned) * GPUs * 730), with `owned_usd_per_gpu_hour` the cost of use (electricity).
    Above 1 owning never wins; inf if renting costs no more than the use.
    """
    require("break_even", owned_usd_per_month=not_negative(owned_usd_per_month), gpus=positive(gpus))
    saving = rented_usd_per_gpu_hour - owned_usd_per_gpu_hour
    return owned_usd_per_month / (saving * gpus * HOURS_PER_MONTH) if saving > 0 else math.inf


def break_even_tokens(fixed_usd_per_month: float, owned_usd_per_million: float, other_usd_per_million: float) -> float:
    """Tokens per month from which a fixed cost pays for itself: fixed / (other - own price per token); inf if none."""
    saving = (other_usd_per_million - owned_usd_per_million) / TOKENS_PER_MILLION
    if fixed_usd_per_month <= 0:
        return 0.0 if saving >= 0 else math.inf
    return fixed_usd_per_month / saving if saving > 0 else math.inf


def break_even_volume(investment: CostReport, other: CostReport) -> float:
    """Tokens per month from which `investment` costs less than `other`; 0 always, inf never.

    Lines of kind capex and opex stay, lines of kind usage go with the tokens. Holds as far as the capacity bought.
    """
    fixed = total_usd(investment.lines, "capex", "opex") - total_usd(other.lines, "capex", "opex")
    return break_even_tokens(fixed, _usage_usd_per_million(investment), _usage_usd_per_million(other))


def cheaper_volumes(investment: CostReport, other: CostReport) -> tuple[float, float] | None:
    """Tokens per month, from and to, for which `investment` costs no more than `other`; None for none, to inf for all.

    With the difference F of the fixed costs and the saving s per token, s q >= F: from F/s on where it costs more
    before the first token and less for each, up to F/s where it is the other way round. Where
    both cost the same before the first token, but for rounding, the price of a token alone decides.
    """
    ours, theirs = (total_usd(report.lines, "capex", "opex") for report in (investment, other))
    fixed = 0.0 if math.isclose(ours, theirs, rel_tol=_ROUNDING) else ours - theirs
    saving = (_usage_usd_per_million(other) - _usage_usd_per_million(investment)) / TOKENS_PER_MILLION
    if fixed > 0:
        return (fixed / saving, math.inf) if saving > 0 else None
    if saving >= 0:
        return 0.0, math.inf
    return (0.0, fixed / saving) if fixed < 0 else None


def cheaper_sides(fixed_usd: ArrayLike, saving_usd_per_token: ArrayLike) -> NDArray[np.str_]:
    """Side of each draw, as `cheaper_volumes` has it.

    Parameters
    ----------
    fixed_usd : what the choice costs more per month before the first token, shape (n,)
    saving_usd_per_token : what it costs less for each token, shape (n,)
    """
    fixed, saving = np.asarray(fixed_usd), np.asarray(saving_usd_per_token)
    cases = [(fixed > 0) & (saving > 0), (fixed < 0) & (saving < 0), (fixed <= 0) & (saving >= 0)]
    return np.select(cases, list(SIDES[:3]), SIDES[3])


def payback_month(investment: CostReport, other: CostReport, discount_rate: float = 0.0) -> int | None:
    """First month from which `investment` has cost no more than `other`, up to the horizon; None if never.

    Compares cumulated cash flows, discounted at `discount_rate` per year; the residual counts at the horizon.

    Raises
    ------
    InputError : the horizons differ
    """
    if investment.cash_flow_usd.shape != other.cash_flow_usd.shape:
        raise InputError(Problem("compare reports over the same horizon", path="break_even.horizon_months"))
    saving = investment.cash_flow_usd - other.cash_flow_usd
    cents = np.round(np.cumsum(saving * discount_factors(discount_rate, saving.size - 1)), 2)
    ahead = cents >= 0
    if not ahead[-1]:
        return None
    behind = np.flatnonzero(~ahead)
    return int(behind[-1]) + 1 if behind.size else 0


def levelised_usd_per_unit(
    report: CostReport, units_per_month: float, discount_rate: float, growth_per_year: float = 0.0
) -> float:
    """Constant price per unit (GPU-hour, million tokens) whose payments have the report's NPV.

    p = -NPV / (q * sum_{k=1..H} (1+g)^((k-1)/12) (1+r)^(-k/12)); buying q units in month 1, and more by the growth g
    later, at p makes the NPV of the choice zero. Both rates per year must be those the report was made with.
    """
    require("levelised", units_per_month=positive(units_per_month))
    months = report.cash_flow_usd.size - 1
    weights = discount_factors(discount_rate, months)[1:] * growth_factors(growth_per_year, months)
    return -report.npv_usd / (units_per_month * math.fsum(weights))


def owned_units(
    demand_units: ArrayLike, fixed_usd_per_year: float, rented_usd_per_hour: float, owned_usd_per_hour: float
) -> int:
    """Units to own when the rest of the demand is rented: smallest K with P(demand > K) <= F / ((c - v) * 8760).

    It is the smallest minimiser of F K + 8760 (v E[min(D, K)] + c E[max(D - K, 0)]) over whole K: unit K + 1 costs F
    and saves (c - v) in each hour with D > K. Without cold starts.

    Parameters
    ----------
    demand_units : whole units wanted, equally likely samples (as one an hour), shape (n,)
    fixed_usd_per_year : F, of one owned unit
    rented_usd_per_hour, owned_usd_per_hour : c and v, of one unit in use

    Raises
    ------
    InputError : no samples, samples that are negative or not whole, a negative F
    """
    require("hybrid", fixed_usd_per_year=not_negative(fixed_usd_per_year))
    demand = np.sort(np.asarray(demand_units, dtype=np.float64).ravel())
    if demand.size == 0 or not np.isfinite(demand).all() or (demand < 0).any() or (demand % 1 != 0).any():
        raise InputError(Problem("needs samples of whole units, at least 0", path="hybrid.demand_units"))
    saving_usd_per_year = (rented_usd_per_hour - owned_usd_per_hour) * HOURS_PER_YEAR
    levels = np.concatenate(([0.0], demand))
    exceeded = (demand.size - np.searchsorted(demand, levels, side="right")) / demand.size
    worth = exceeded * saving_usd_per_year <= fixed_usd_per_year
    return int(levels[np.argmax(worth)])


def _usage_usd_per_million(report: CostReport) -> float:
    usd = total_usd(report.lines, "usage")
    return usd / report.tokens_per_month * TOKENS_PER_MILLION if report.tokens_per_month > 0 else 0.0
