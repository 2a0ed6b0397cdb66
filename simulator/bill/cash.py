"""Payments by month: when hardware, terms and running costs fall due; present value and payback."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.bill.annuity import discount_factors
from simulator.study.bill import Bill
from simulator.study.terms import Money

_CENT_USD = 0.005
"""Differences below half a cent are none."""


def payment_times(months: float, last: float) -> NDArray[np.float64]:
    """0, the end of each month of the study, and the ends of further months up to `last`."""
    whole = [float(k) for k in range(math.ceil(max(months, last)) + 1)]
    return np.asarray(sorted({*(at for at in whole if at <= max(months, last)), float(months)}))


def month_lengths(months: float) -> list[float]:
    """How much of each month belongs to the study: 1, but for the last of one that ends within a month."""
    count = math.ceil(months)
    return [1.0] * (count - 1) + [months - (count - 1)]


def term_running_usd(start: int, term_months: int, usd: Money, at_months: NDArray[np.float64]) -> list[Money]:
    """What is paid at each of `at_months` of a sum that falls due evenly over the months of a term."""
    ends = np.clip(at_months, start, start + term_months)
    lengths = np.diff(ends, prepend=ends[0])
    return [usd * (float(length) / term_months) for length in lengths]


def stacked(payments: Sequence[Money]) -> NDArray[np.float64]:
    """Payments by time, shape (n,) or (n, draws)."""
    return np.stack(np.broadcast_arrays(*[np.asarray(usd, dtype=np.float64) for usd in payments]))


def npv_usd(paid_usd: NDArray[np.float64], at_months: NDArray[np.float64], rate_per_year: Money) -> Money:
    """Present value of payments at these times: the sum of c_k (1+r)^(-t_k/12)."""
    factors = discount_factors(rate_per_year, at_months)
    if paid_usd.ndim == 1 and factors.ndim == 1:
        return math.fsum(paid_usd * factors)
    paid = paid_usd if paid_usd.ndim == 2 else paid_usd[:, None]
    return np.asarray((paid * (factors if factors.ndim == 2 else factors[:, None])).sum(axis=0), dtype=np.float64)


def payback_months(mine: Bill, rival: Bill, rate_per_year: float = 0.0) -> float | None:
    """Month, and fraction of it, from which `mine` has cost less than `rival`, and never more after; None if never.

    What is paid for a month accrues evenly over it; purchases, sales and upfront parts count when they are paid. With a
    rate, payments are discounted to month 0 first. As long as both have cost the same, to half a cent, neither has cost
    less.

    Parameters
    ----------
    mine, rival : bills without draws
    """
    times = np.union1d(mine.at_months, rival.at_months)
    running = _accrued(rival, times, rate_per_year) - _accrued(mine, times, rate_per_year)
    once = _paid_once(rival, times, rate_per_year) - _paid_once(mine, times, rate_per_year)
    # what the rival has paid more, before and after what is paid at each time
    ahead = np.column_stack((running + np.concatenate(([0.0], once[:-1])), running + once)).ravel()[1:]
    at = np.repeat(times, 2)[1:]
    behind = np.flatnonzero(ahead < -_CENT_USD)
    last = int(behind[-1]) if len(behind) else -1
    less = np.flatnonzero(ahead[last + 1 :] > _CENT_USD)
    if not len(less):
        return None
    first = last + 1 + int(less[0])
    if first == 0 or first - 1 > last:
        return float(at[max(first - 1, 0)])
    share = -ahead[last] / (ahead[first] - ahead[last])
    return float(at[last] + share * (at[first] - at[last]))


def _accrued(bill: Bill, times: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    paid = np.cumsum(bill.running_usd * discount_factors(rate, bill.at_months))
    return np.asarray(np.interp(times, bill.at_months, paid))


def _paid_once(bill: Bill, times: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    paid = np.cumsum(bill.once_usd * discount_factors(rate, bill.at_months))
    return np.asarray(paid[np.searchsorted(bill.at_months, times, side="right") - 1])
