"""What a study pays: lines of a month, and payments over its months."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.study.terms import Money

Kind = Literal["bought", "committed", "by_month", "by_use"]
"""Hardware, spread over its life; a commitment; what is fixed by the month; what moves with the use."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a month's bill.

    Attributes
    ----------
    owner : the site, pool or provider that it is for; the topology's name where it is for all
    category : what is paid, as `hardware`, `electricity`, `on demand`, `input tokens`, `staff`
    part : which part of it: busy, idle, starting, down, spare, unused, or what the category is made of
    quantity, unit : per month; lines that split the same GPU-hours repeat them for each category
    usd : per month, one value or one for each draw
    """

    owner: str
    category: str
    part: str
    quantity: float
    unit: str
    usd: Money
    kind: Kind


@dataclass(frozen=True, slots=True)
class MonthBill:
    """One month: what it costs, what is paid in it, and what is still owed after it."""

    month: int
    lines: tuple[Line, ...]
    paid_usd: Money
    liability_usd: Money


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of one topology over a study.

    Attributes
    ----------
    lines : those of the mean month; `simulator.bill.cents` rounds them so that they still add up
    months : each month of the study; months with the same use and prices share their lines
    upfront_usd : paid before month 1: hardware, installation, upfront parts, one-time fees
    paid_usd : payments at the end of months 0 to H, positive for money that leaves, shape (H + 1,) or (H + 1, draws)
    npv_usd : present value of the payments, resale at the horizon included
    """

    lines: tuple[Line, ...]
    months: tuple[MonthBill, ...]
    upfront_usd: Money
    paid_usd: NDArray[np.float64]
    npv_usd: Money
