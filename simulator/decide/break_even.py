"""When a choice costs less than a rival: by month, by hours of use a day, by volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simulator.bill.cash import payback_months
from simulator.bill.credits import has_credits
from simulator.bill.minimum import has_minimum
from simulator.bill.study import has_open_commitments
from simulator.bill.sums import mean
from simulator.bill.taxes import are_constant, with_taxes
from simulator.bill.volume import has_volume
from simulator.decide.costed import Costed
from simulator.decide.flips import PRECISION, crossing
from simulator.decide.rivals import rank
from simulator.study.bill import Bill, Line
from simulator.study.decision import LEAST_HOURS, BreakEven, Crossing, Flip, Side
from simulator.study.usage import PoolUsage, Usage
from simulator.units import HOURS_PER_DAY

LOWEST, HIGHEST = 1 / 16, 16.0
"""Multiples of the load between which a crossing is looked for."""
_EQUAL_SHARE = 1e-6
_BENDS = has_minimum, has_volume, has_credits, has_open_commitments
"""What does not go with the hours."""
Cost = Callable[[float], float | None]
"""USD per month at a multiple of the load, at the best size there; None where no allowed size meets the SLO."""


def break_evens(found: Sequence[Costed]) -> list[BreakEven]:
    """Each topology against every other fleet that meets the SLO, the cheapest rival first.

    One that misses the SLO costs less for no work that it does: it has a volume alone, of loads at which it meets it.
    """
    order = rank([one.contender for one in found]).order
    by_name = {one.name: one for one in found}
    rivals = [by_name[name] for name in order]
    return [
        against(mine, rival) if mine.meets else BreakEven(mine.name, rival.name, None, None, None)
        for mine in found
        for rival in rivals
        if rival is not mine and not (mine.fleet and mine.fleet == rival.fleet)
    ]


def against(mine: Costed, rival: Costed) -> BreakEven:
    """Month and hours of use from which `mine` costs less than `rival`; volume is searched elsewhere."""
    rate = float(np.mean(mine.terms.discount_rate_per_year))
    ours, theirs = (without_resale(one.bill, one.terms.months) for one in (mine, rival))
    straight = not any(bends(one.terms) for one in (mine, rival) for bends in _BENDS)
    straight = straight and are_constant(mine.terms.taxes) and are_constant(rival.terms.taxes)
    by_hours = straight and not mine.terms.jobs_per_month and _rents_all_the_time(mine) and _rents_all_the_time(rival)
    our_lines, their_lines = (with_taxes(one.bill.lines, one.terms.taxes, 1) for one in (mine, rival))
    return BreakEven(
        mine.name,
        rival.name,
        payback_months(ours, theirs),
        payback_months(ours, theirs, rate),
        hours_per_day(our_lines, their_lines) if by_hours else None,
        hours_below(our_lines, their_lines) if by_hours else None,
    )


def _rents_all_the_time(one: Costed) -> bool:
    """Whether each of its rented pools is paid for a replica at any time: only then is a day 24 hours of rent.

    Times at which its zone is down are none: nobody pays for them, whatever the hours of use.
    """
    if any(now.free for offer in one.terms.rented for now in (offer, *offer.later)):
        return False
    pools = {offer.pool for offer in one.terms.rented}
    usages = {id(part.usage): part.usage for use in one.uses for part in use.periods if part.hours > 0}
    return all(_stands(pool, usage) for usage in usages.values() for pool in usage.pools if pool.name in pools)


def _stands(pool: PoolUsage, usage: Usage) -> bool:
    until_s, missing_s = usage.start_s, 0.0
    for stay in sorted(pool.stays, key=lambda stay: stay.start_s):
        missing_s += max(min(stay.start_s, usage.end_s) - until_s, 0.0)
        until_s = max(until_s, stay.end_s)
    missing_s += max(usage.end_s - until_s, 0.0)
    return missing_s <= pool.zone_down_s + _EQUAL_SHARE * usage.span_s


def without_resale(bill: Bill, months: float) -> Bill:
    """Payments of today's prices, those owed after the study included, without what is sold at its end."""
    once, running = (
        values if values.ndim == 1 else values.mean(axis=-1) for values in (bill.once_usd, bill.running_usd)
    )
    once = np.where((bill.at_months == months) & (once < 0), 0.0, once)
    return replace(bill, once_usd=once, running_usd=running)


def hours_per_day(mine: Sequence[Line], rival: Sequence[Line]) -> float | None:
    """Hours of use a day above which a choice costs less than a rival that rents for these hours alone.

    h = 24 (C - F) / (U + T - H - V), with C and F what the choice and its rival pay anyway, H and U what their
    instances on demand cost by the hour when rented around the clock, V and T what goes with their requests, which come
    in these hours only; fees that are a share of a bill are that share of each of them. Above 24: not even then.
    Independent of the load, as long as the fleets stay and V and T, tokens and traffic, are equal.

    Returns
    -------
    None where it costs less below some hours alone (`hours_below`), and for a rival that pays by the token, or nothing
    by the hour; it is not asked of a finite job, nor of a rival whose rent stops at some hours: they are paid for these
    hours already; nor where a spend is agreed, prices go by the volume of a month or outages are credited, which do not
    go with the hours, nor where commitments are as many as are worth it: at other hours others are
    """
    parts = _crossing(mine, rival)
    if parts is None or hours_below(mine, rival) is not None:
        return None
    fixed_more, saved = parts
    if saved <= 0:
        return 0.0 if fixed_more < 0 else float(HOURS_PER_DAY)
    return max(HOURS_PER_DAY * fixed_more / saved, 0.0)


def hours_below(mine: Sequence[Line], rival: Sequence[Line]) -> float | None:
    """Hours of use a day below which a choice that pays more by the hour costs less than a rival that pays more anyway.

    The same h as `hours_per_day`, where C - F and U + T - H - V are both below 0, as of a token API beside rented GPUs
    with a licence or staff, and of GPUs on demand beside some under commitment; None where it costs less above some
    hours, at all or at none.
    """
    parts = _crossing(mine, rival)
    if parts is None:
        return None
    fixed_more, saved = parts
    return HOURS_PER_DAY * fixed_more / saved if saved <= fixed_more < 0 else None


def _crossing(mine: Sequence[Line], rival: Sequence[Line]) -> tuple[float, float] | None:
    """C - F and U + T - H - V of `hours_per_day`; None for a rival that does not rent by the hour."""
    ours, theirs = _parted(mine), _parted(rival)
    if theirs.by_hour <= 0 or any(line.kind == "by_use" and "tokens" in line.unit for line in rival):
        return None
    saved = theirs.by_hour + theirs.with_requests - ours.by_hour - ours.with_requests
    return ours.anyway - theirs.anyway, saved


class _Parted(NamedTuple):
    """A bill by what it goes with, each with its part of the fees that are a share of the bill."""

    anyway: float
    by_hour: float
    with_requests: float


def _parted(lines: Sequence[Line]) -> _Parted:
    sums = {"anyway": 0.0, "by_hour": 0.0, "with_requests": 0.0, "shared": 0.0}
    for line in lines:
        sums[_goes_with(line)] += mean(line.usd)
    rest = sums["anyway"] + sums["by_hour"] + sums["with_requests"]
    fees = 1.0 + (sums["shared"] / rest if rest else 0.0)
    return _Parted(fees * sums["anyway"], fees * sums["by_hour"], fees * sums["with_requests"])


def _goes_with(line: Line) -> str:
    if line.kind != "by_use" or line.unit == "kWh":
        return "anyway"
    return {"GPU-hours": "by_hour", "USD": "shared"}.get(line.unit, "with_requests")


def hours_flip(found: Sequence[Costed], pairs: Sequence[BreakEven]) -> Flip | None:
    """Hours of use a day below which another than today's winners is cheapest, both paid for these hours alone.

    It is a rival that is rented for these hours beside a winner that is paid anyway, or one that costs less anyway
    beside a winner that is rented, as a token API beside GPUs with a licence. None where no rival costs less at any
    hours from `LEAST_HOURS` on.
    """
    winners = [one for one in found if one.name in rank([each.contender for each in found]).winners]
    if not winners:
        return None
    above = {(pair.topology, pair.rival): pair.hours_per_day for pair in pairs}
    below = {(pair.rival, pair.topology): pair.hours_below for pair in pairs}
    least: dict[str, float] = {}
    for rival in found:
        names = [(one.name, rival.name) for one in winners]
        hours = [above.get(pair) if below.get(pair) is None else below[pair] for pair in names]
        told = [one for one in hours if one is not None and LEAST_HOURS <= one < HOURS_PER_DAY]
        if len(told) == len(winners):
            least[rival.name] = min(told)
    if not least:
        return None
    name = max(least, key=least.__getitem__)
    hours_a_day = least[name]
    words = f"{hours_a_day:.2f} (now {HOURS_PER_DAY})"
    return Flip("hours of use a day", hours_a_day / HOURS_PER_DAY, name, (0.0, 1.0), words=words)


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
        found = crossing((before, *tried[before]), (found, *tried[found]))
    return Crossing(side, found, tuple((factor, *costs) for factor, costs in sorted(tried.items())))
