"""Annuities and discounting, for one rate or one for each draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.study.terms import Money
from simulator.units import MONTHS_PER_YEAR


def recovery_factor(rate: Money, periods: Money) -> Money:
    """Payment per period that repays 1 with interest: r(1+r)^n / ((1+r)^n - 1), which is 1/n at r = 0.

    Parameters
    ----------
    rate : interest per period, as a share; at least 0
    periods : n, above 0
    """
    r, n = np.asarray(rate, dtype=np.float64), np.asarray(periods, dtype=np.float64)
    safe = np.where(r > 0, r, 1.0)
    return _plain(np.where(r > 0, safe / -np.expm1(-n * np.log1p(safe)), 1.0 / n))


def annual_usd(capex_usd: Money, residual_share: Money, rate: Money, life_years: Money) -> Money:
    """Yearly payment for capex C less the present value of its residual: C (1 - share / (1+r)^n) `recovery_factor`."""
    present = residual_share * (1.0 + rate) ** -np.asarray(life_years, dtype=np.float64)
    return _plain(np.asarray(capex_usd * (1.0 - present) * recovery_factor(rate, life_years)))


def discount_factors(rate_per_year: Money, at_months: ArrayLike) -> NDArray[np.float64]:
    """Present value of 1 USD paid at these times: (1+r)^(-t/12), shape (n,) or (n, draws)."""
    years = np.asarray(at_months, dtype=np.float64) / MONTHS_PER_YEAR
    rate = np.asarray(rate_per_year, dtype=np.float64)
    return np.asarray((1.0 + rate) ** -(years[:, None] if rate.ndim else years), dtype=np.float64)


def _plain(values: NDArray[np.float64]) -> Money:
    return values if values.ndim else float(values)
