"""Pools by the time of the week, and their faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simulator.errors import InputError, Problem
from simulator.resolve.clock import Clock
from simulator.resolve.places import in_seconds
from simulator.schema.pool import Pool
from simulator.study.fleet import Reliability
from simulator.study.schedule import Schedule
from simulator.units import SECONDS_PER_WEEK


def pool_schedule(pool: Pool, clock: Clock) -> Schedule | None:
    """The windows of a pool; None without any.

    Raises
    ------
    InputError : at its place: hours that are none, two windows that hold at once, an autoscaler beside them
    """
    if not pool.schedule:
        return None
    if pool.autoscaler is not None:
        raise InputError(Problem("is scaled by its autoscaler: give one of the two", path="schedule"))
    if pool.replicas == "auto":
        raise InputError(Problem("outside the windows of a schedule must be a number", path="replicas", got="auto"))
    spans: list[tuple[float, float, int]] = []
    for k, window in enumerate(pool.schedule):
        path = f"schedule[{k}]"
        try:
            own = clock.spans(window)
        except InputError as error:
            raise InputError(*(replace(each, path=f"{path}.{each.path}") for each in error.problems)) from error
        if any(
            start_s < other_end_s and other_s < end_s for start_s, end_s in own for other_s, other_end_s, _ in spans
        ):
            raise InputError(Problem("holds at the same time as a window before it", path=path))
        if window.replicas == "auto":
            raise InputError(Problem("is open: give a number here", path=f"{path}.replicas", got=window.replicas))
        spans += [(start_s, end_s, window.replicas) for start_s, end_s in own]
    return Schedule(tuple(sorted(spans)), pool.replicas, pool.start_early_s, clock.cycle_s)


def weekly(schedule: Schedule, clock: Clock) -> Schedule:
    """A schedule whose windows come again each week: of days with dates, those of the first week.

    Parameters
    ----------
    clock : by which it was laid out, without holidays
    """
    if not clock.has_dates:
        return schedule
    folded: list[tuple[float, float, int]] = []
    for start_s, end_s, replicas in schedule.windows:
        if clock.begin_s <= start_s < clock.begin_s + SECONDS_PER_WEEK:
            first_s = start_s % SECONDS_PER_WEEK
            until_s = first_s + end_s - start_s
            folded.append((first_s, min(until_s, SECONDS_PER_WEEK), replicas))
            folded += [(0.0, until_s - SECONDS_PER_WEEK, replicas)] if until_s > SECONDS_PER_WEEK else []
    return replace(schedule, windows=tuple(sorted(folded)), cycle_s=SECONDS_PER_WEEK)


def pool_reliability(pool: Pool, catalog: Reliability) -> Reliability:
    """The catalog's figures where `failures` and `reclaims` ask for them, then the pool's own; none where they say no.

    Raises
    ------
    InputError : reclaims of what nobody reclaims
    """
    spot = pool.billing == "spot"
    if pool.reclaims and not spot:
        raise InputError(Problem("only spot capacity is reclaimed", path="reclaims", got=pool.billing))
    own = pool.reliability
    known = tuple((failure.start_s, failure.start_s + failure.duration_s) for failure in pool.server_failures)
    dry = tuple((window.start_s, window.start_s + window.duration_s) for window in pool.stock_outs)
    found = replace(
        Reliability(),
        known=known,
        stock_outs=dry,
        mttr_s=catalog.mttr_s,
        reclaim_notice_s=catalog.reclaim_notice_s,
        reclaim_mtbf_s=catalog.reclaim_mtbf_s,
    )
    if pool.failures:
        found = replace(found, mtbf_s=catalog.mtbf_s, unavailable_probability=catalog.unavailable_probability)
    if own is not None:
        values: dict[str, Any] = {
            "mtbf_s": in_seconds(own.mtbf_h),
            "mttr_s": in_seconds(own.mttr_h),
            "reclaim_mtbf_s": in_seconds(own.reclaim_mtbf_h),
            "reclaim_notice_s": own.reclaim_notice_s,
            "reclaim_correlation": own.reclaim_correlation,
            "unavailable_probability": own.unavailable_probability,
            "retry_s": own.retry_s,
        }
        found = replace(found, **{name: value for name, value in values.items() if value is not None})
    if pool.failures is False:
        found = replace(found, mtbf_s=0.0, unavailable_probability=0.0)
    return found if pool.reclaims is not False else replace(found, reclaim_mtbf_s=0.0)
