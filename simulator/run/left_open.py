"""What searches of later months leave open: where time ended them, or the most sizes that they look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simulator.bill.sums import mean, total_usd
from simulator.money import money
from simulator.run.growth import AtLevel, Growth
from simulator.size.found import Limits
from simulator.size.words import limit_words
from simulator.study.bill import Bill
from simulator.study.decision import Walked
from simulator.study.demand import MonthLoad


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """A month whose search was not finished.

    Attributes
    ----------
    gap_usd : what the month could cost less; None where no size had met by then
    least_usd : what the month costs at least, as if all months were like it
    """

    gap_usd: float | None
    least_usd: float


def open_months(
    walked: Sequence[Walked], asks: Callable[[int], MonthLoad], growth: Growth, owned: Sequence[bool]
) -> dict[int, LeftOpen]:
    """Months of which a cheaper size than was found is not excluded, by number.

    A month that was not searched is as open as its searched neighbours are. Hardware that one month was given too much
    of stays, so where any is owned the months after it are open too.
    """
    searched = {one.asked: one for one in growth.found}
    asked = [asks(month.month) for month in walked]
    at = [_of_level(searched.get(one)) for one in asked]
    known = [k for k, one in enumerate(asked) if one in searched]
    found: dict[int, LeftOpen] = {}
    before: LeftOpen | None = None
    for k, month in enumerate(walked):
        near = [max((j for j in known if j <= k), default=k), min((j for j in known if j >= k), default=k)]
        now = _more(at[near[0]], at[near[1]])
        now = _more(now, before) if any(owned) else now
        if now is not None:
            found[month.month] = now
        before = now
    return found


def _of_level(one: AtLevel | None) -> LeftOpen | None:
    if one is None or one.open_usd is None:
        return None
    gap_usd = None if one.best is None else max(one.best.usd_per_month - one.open_usd, 0.0)
    return LeftOpen(gap_usd, one.open_usd)


def _more(one: LeftOpen | None, other: LeftOpen | None) -> LeftOpen | None:
    if one is None or other is None:
        return one or other
    gaps = [gap for gap in (one.gap_usd, other.gap_usd) if gap is not None]
    return LeftOpen(max(gaps) if len(gaps) > 1 else None, min(one.least_usd, other.least_usd))


def limited_months(walked: Sequence[Walked], asks: Callable[[int], MonthLoad], growth: Growth) -> dict[str, int]:
    """Pools of which more replicas than are looked at might cost less, by name, and the first such month."""
    pools = {one.asked: one.limited for one in growth.found}
    found: dict[str, int] = {}
    for month in walked:
        for name in pools.get(asks(month.month), ()):
            found.setdefault(name, month.month)
    return found


def least_usd_per_month(open_: Mapping[int, LeftOpen], bill: Bill) -> float | None:
    """USD that the mean month of a study costs at least; None where no search was left open."""
    if not open_:
        return None
    usd = []
    for month in bill.months:
        whole = mean(total_usd(month.lines))
        left = open_.get(month.month)
        if left is not None:
            whole = left.least_usd if left.gap_usd is None else whole - left.gap_usd
        usd.append(month.length * whole)
    return math.fsum(usd) / math.fsum(month.length for month in bill.months)


def month_warnings(
    open_: Mapping[int, LeftOpen], usd: float | None, limited: Mapping[str, int], limits: Limits
) -> list[str]:
    """What is said of searches of months after the first.

    Parameters
    ----------
    open_, usd : as `open_months` and `least_usd_per_month` have them
    limited : as `limited_months` has it
    limits : of each search
    """
    later = sorted(month for month in open_ if month > 1)
    words: list[str] = []
    if later and usd is not None:
        least = f"the mean month costs at least {money(usd)}"
        words.append(f"sizes that would cost less are not excluded for {spans(later)}: {least}")
    without = [month for month in later if open_[month].gap_usd is None]
    if without:
        words.append(f"no size was found, as far as was searched, for {spans(without)}")
    for first in sorted({month for month in limited.values() if month > 1}):
        names = [name for name, month in limited.items() if month == first]
        words.append(f"from month {first}: {limit_words(names, limits.max_replicas, limits.bound)}")
    return words


def spans(months: Sequence[int]) -> str:
    """Months in words, as `month 3` or `months 5 to 12, 24`; they are sorted."""
    runs: list[list[int]] = []
    for month in months:
        if runs and month == runs[-1][-1] + 1:
            runs[-1].append(month)
        else:
            runs.append([month])
    told = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return f"month{'s' if len(months) > 1 else ''} {', '.join(told)}"
