"""When a choice costs less than a rival: by month, by hours of use a day, by volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from simulator.bill.cash import payback_months
from simulator.bill.sums import mean
from simulator.decide.costed import Costed
from simulator.decide.rivals import rank
from simulator.study.bill import Bill, Line
from simulator.study.decision import BreakEven, Crossing, Side

HOURS_PER_DAY = 24.0
LOWEST, HIGHEST = 1 / 16, 16.0
"""Multiples of the load between which a crossing is looked for."""
PRECISION = 0.02
Cost = Callable[[float], float | None]
"""USD per month at a multiple of the load, at the best size there; None where no allowed size meets the SLO."""


def break_evens(found: Sequence[Costed]) -> list[BreakEven]:
    """Each topology against every other fleet that meets the SLO, the cheapest rival first."""
    order = rank([one.contender for one in found]).order
    by_name = {one.name: one for one in found}
    rivals = [by_name[name] for name in order]
    return [
        against(mine, rival)
        for mine in found
        for rival in rivals
        if rival is not mine and not (mine.fleet and mine.fleet == rival.fleet)
    ]


def against(mine: Costed, rival: Costed) -> BreakEven:
    """Month and hours of use from which `mine` costs less than `rival`; volume is searched elsewhere."""
    rate = float(np.mean(mine.terms.discount_rate_per_year))
    ours, theirs = (without_resale(one.bill, one.terms.months) for one in (mine, rival))
    never = _pay_the_same(ours, theirs)
    return BreakEven(
        mine.name,
        rival.name,
        None if never else _within(payback_months(ours, theirs), mine.terms.months),
        None if never else _within(payback_months(ours, theirs, rate), mine.terms.months),
        None if mine.terms.jobs_per_month else hours_per_day(mine.usd_per_month, rival.bill.lines),
    )


def _pay_the_same(ours: Bill, theirs: Bill) -> bool:
    """Whether two bills are equal at every time, so that neither ever costs less."""
    paid, rival = ours.once_usd + ours.running_usd, theirs.once_usd + theirs.running_usd
    return paid.shape == rival.shape and np.allclose(paid, rival, rtol=1e-9, atol=1e-6)


def _within(months: float | None, horizon: float) -> float | None:
    return months if months is not None and months <= horizon else None


def without_resale(bill: Bill, months: float) -> Bill:
    """Payments of today's prices up to the end of the study, without what is sold there."""
    within = bill.at_months <= months
    once, running = (
        values if values.ndim == 1 else values.mean(axis=-1) for values in (bill.once_usd, bill.running_usd)
    )
    once = np.where((bill.at_months == months) & (once < 0), 0.0, once)
    return replace(bill, at_months=bill.at_months[within], once_usd=once[within], running_usd=running[within])


def hours_per_day(mine_usd_per_month: float, rival: Sequence[Line]) -> float | None:
    """Hours of use a day above which a choice that stands all the time costs less than renting for these hours alone.

    h = 24 (C - F) / U, with U what the rival's instances cost by the hour when rented around the clock and F what it
    pays anyway. Above 24: not even then. Independent of the load, as long as the fleets stay.

    Returns
    -------
    None for a rival that pays by the token, or nothing by the hour; of a finite job it is not asked: both are paid for
    its hours
    """
    use = [line for line in rival if line.kind == "by_use"]
    by_hour = math.fsum(mean(line.usd) for line in use if line.unit == "GPU-hours")
    if by_hour <= 0 or any("tokens" in line.unit for line in use):
        return None
    fixed = math.fsum(mean(line.usd) for line in rival if line.kind != "by_use")
    return max(HOURS_PER_DAY * (mine_usd_per_month - fixed) / by_hour, 0.0)


def _between(left: tuple[float, float, float], right: tuple[float, float, float]) -> float:
    """Where two bills cross between two multiples at which they are known, each a straight line; `right` if unknown."""
    before, after = left[1] - left[2], right[1] - right[2]
    if not (math.isfinite(before) and math.isfinite(after)) or before == after:
        return right[0]
    return left[0] + (right[0] - left[0]) * before / (before - after)


def volume(mine: Cost, rival: Cost) -> Crossing:
    """On which side of which multiple of the load `mine` costs less, on a ladder of doublings and then by halving.

    Bills are staircases and may cross again; what was tried is returned, so that it can be shown. Where they cross
    several times, it is the first crossing from below.
    """
    tried: dict[float, tuple[float, float]] = {}

    def cheaper(factor: float) -> bool:
        if factor not in tried:
            costs = mine(factor), rival(factor)
            tried[factor] = (math.inf if costs[0] is None else costs[0], math.inf if costs[1] is None else costs[1])
        return tried[factor][0] < tried[factor][1]

    steps = [LOWEST]
    while steps[-1] < HIGHEST:
        steps.append(min(2 * steps[-1], HIGHEST))
    first = cheaper(LOWEST)
    after = next((k for k, factor in enumerate(steps) if cheaper(factor) != first), None)
    side: Side = "always" if first else "never"
    found: float | None = None
    if after is not None:
        side = "below" if first else "above"
        before, found = steps[after - 1], steps[after]
        while found > before * (1 + PRECISION):
            middle = math.sqrt(before * found)
            if cheaper(middle) == first:
                before = middle
            else:
                found = middle
        found = _between((before, *tried[before]), (found, *tried[found]))
    return Crossing(side, found, tuple((factor, *costs) for factor, costs in sorted(tried.items())))
