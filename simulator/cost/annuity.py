"""Annuities and discounting."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.cost.prices import MONTHS_PER_YEAR, not_negative, positive, require


def capital_recovery_factor(rate: float, periods: float) -> float:
    """Payment per period that repays 1 with interest: CRF = r(1+r)^n / ((1+r)^n - 1), which is 1/n at r = 0.

    Parameters
    ----------
    rate : interest per period, as a share; at least 0
    periods : n, above 0

    Raises
    ------
    InputError : for a negative or non-finite rate, or no period
    """
    require("annuity", rate=not_negative(rate), periods=positive(periods))
    if rate == 0:
        return 1.0 / periods
    return -rate / math.expm1(-periods * math.log1p(rate))


def annualised_usd(capex_usd: float, residual_usd: float, rate: float, life_years: float) -> float:
    """Yearly payment, in USD, that pays for capex less the present value of its residual: (C - R/(1+r)^n) * CRF."""
    present_residual_usd = residual_usd * math.pow(1.0 + rate, -life_years)
    return (capex_usd - present_residual_usd) * capital_recovery_factor(rate, life_years)


def monthly_rate(rate_per_year: float) -> float:
    """Rate per month that compounds to the yearly one: (1+r)^(1/12) - 1."""
    return math.expm1(math.log1p(rate_per_year) / MONTHS_PER_YEAR)


def discount_factors(rate_per_year: float, months: int) -> NDArray[np.float64]:
    """Present value of 1 USD at the end of months 0 to `months`: (1+r)^(-k/12), shape (months + 1,)."""
    require("annuity", discount_rate=not_negative(rate_per_year))
    return np.asarray((1.0 + rate_per_year) ** (-np.arange(months + 1) / MONTHS_PER_YEAR), dtype=np.float64)


def growth_factors(growth_per_year: float, months: int) -> NDArray[np.float64]:
    """Load in months 1 to `months` as a multiple of that in month 1: (1+g)^((k-1)/12), shape (months,)."""
    require("growth", growth_per_year=(growth_per_year, growth_per_year > -1, "a number above -1"))
    return np.asarray((1.0 + growth_per_year) ** (np.arange(months) / MONTHS_PER_YEAR), dtype=np.float64)


def npv_usd(cash_flow_usd: ArrayLike, rate_per_year: float) -> float:
    """Net present value, in USD, of payments at the end of months 0, 1, ...: sum of c_k (1+r)^(-k/12)."""
    flows = np.asarray(cash_flow_usd, dtype=np.float64)
    return math.fsum(flows * discount_factors(rate_per_year, flows.size - 1))
