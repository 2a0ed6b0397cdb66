"""What a study pays: lines of a month, and payments over its months."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.study.terms import Money
from simulator.study.usage import Usage

Kind = Literal["bought", "committed", "by_month", "by_use"]
"""Hardware, spread over its life; a commitment; what is fixed by the month; what moves with the use."""


@dataclass(frozen=True, slots=True)
class PeriodUse:
    """Use of a simulated period, and the hours of a month that it stands for; a replication is a period of its own.

    Attributes
    ----------
    hours : that it stands for
    is_job : it is that of a job: rentals begin and end within it
    replication : of which it is; its periods make a month of their own
    """

    usage: Usage
    hours: float
    is_job: bool = False
    replication: int = 0


@dataclass(frozen=True, slots=True)
class MonthUse:
    """What is used in one month: periods whose hours add up to 730."""

    periods: tuple[PeriodUse, ...]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens per month, and the requests that they answer.

    Attributes
    ----------
    delivered : prompts and answers that users saw; an answer that a cascade threw away is not one
    output : of the answers that users saw
    processed : prompts and answers of every target, those thrown away included
    requests : answered; one whose answer a cascade threw away for another counts once
    """

    delivered: float
    output: float
    processed: float
    requests: float


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
    prepaid_share : of `usd`, paid in an earlier month: hardware, upfront parts
    site : of the catalog, where it is paid for; empty for what stands at none
    """

    owner: str
    category: str
    part: str
    quantity: float
    unit: str
    usd: Money
    kind: Kind
    prepaid_share: float = 0.0
    site: str = ""


@dataclass(frozen=True, slots=True)
class MonthBill:
    """One month: what it costs, what is paid at its end, and what commitments still cost after it.

    Attributes
    ----------
    month : from 1 on
    length : of it that belongs to the study; lines are of a whole month
    """

    month: int
    length: float
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
    at_months : times of the payments, shape (n,): 0, the end of each month, and further ones while commitments run
    once_usd : paid at these times at once: purchases less sales, upfront parts, one-time fees; (n,) or (n, draws)
    running_usd : what is paid for the months that end at these times, same shape
    capex_usd : of `once_usd` at time 0, hardware and its installation
    npv_usd : present value of all payments, a cost is positive
    """

    lines: tuple[Line, ...]
    months: tuple[MonthBill, ...]
    at_months: NDArray[np.float64]
    once_usd: NDArray[np.float64]
    running_usd: NDArray[np.float64]
    capex_usd: Money
    npv_usd: Money

    @property
    def upfront_usd(self) -> Money:
        """Paid before month 1: hardware, installation, upfront parts, one-time fees."""
        first = self.once_usd[0]
        return first if isinstance(first, np.ndarray) else float(first)

    @property
    def paid_usd(self) -> NDArray[np.float64]:
        """Payments at `at_months`, positive for money that leaves."""
        return np.asarray(self.once_usd + self.running_usd)
