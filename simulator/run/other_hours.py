"""Warnings where a period stands for hours in which something else happens than in its simulated time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from simulator.resolve.clock import clock_of, period_clock_s
from simulator.scenario.months import calendar_months, hours_left, reached_periods
from simulator.scenario.week import hours_per_month, period_window, week_spans, windows_of
from simulator.schema.clock import WeekWindow
from simulator.schema.routing import WeightedRouting
from simulator.schema.scenario import Scenario
from simulator.schema.study import Period
from simulator.schema.topology import Topology
from simulator.schema.workload import Schedule
from simulator.units import HOURS_PER_DAY, HOURS_PER_MONTH, SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_WEEK, rough
from simulator.workload.spec import DAYS_PER_WEEK

Spans = Sequence[tuple[float, float]]
_APART = 0.01


def other_hours(scenario: Scenario, topology: Topology) -> list[str]:
    """Windows, schedules and load by the hour that differ between a period's hours and what is simulated of them.

    A period that names neither days nor hours has those that all others leave, if these name theirs; else it says
    nothing of what it stands for. Where nobody comes only schedules of pools matter; where all say when they are, those
    of owned pools, whose power is simulated, and those that hold for more of the month than of a week as its periods
    are simulated: else rent is paid by the schedule (`bill/unseen.py`), which adds hours and takes none away.
    """
    found: list[str] = []
    reached = reached_periods(scenario)
    known = all(_meant(one, reached) for one in reached)
    at_rest = [*_schedules(topology, known), *(_held_too_long(scenario, topology, reached) if known else ())]
    for period in reached:
        meant, simulated = _meant(period, reached), _simulated(scenario, period)
        if meant:
            empty = not (period.load or any(period.load_by_class.values()))
            windows = at_rest if empty else [*windows_of(topology)]
            found += _windows(scenario, windows, period.name, meant, simulated)
            found += [] if empty else _loads(scenario, period.name, meant, simulated)
    if not known and not any(map(calendar_months, reached)):
        found += _of_the_month(scenario, topology, reached)
    return found


def _of_the_month(scenario: Scenario, topology: Topology, reached: Sequence[Period]) -> Iterator[str]:
    """Schedules that hold for another share of a month than of a week, where periods do not say when they are."""
    times = [_meant(period, reached) or _simulated(scenario, period) for period in reached]
    for path, window in _schedules(topology, owned=False):
        if _unknown(scenario, window):
            continue
        of_week, of_month = _shares(window, reached, times)
        if abs(of_week - of_month) > _APART:
            yield (
                f"{path} ({window.days} {window.hours}) holds for {of_week:.0%} of a week and for {of_month:.0%} of "
                "the month as its periods are simulated: say when these are (days and hours, or start)"
            )


def _held_too_long(
    scenario: Scenario, topology: Topology, reached: Sequence[Period]
) -> Iterator[tuple[str, WeekWindow]]:
    """Windows of rented pools that hold for more of a month, as its periods are simulated, than of a week."""
    times = [_simulated(scenario, period) for period in reached]
    owned = dict(_schedules(topology, owned=True))
    for path, window in _schedules(topology, owned=False):
        if path in owned or _unknown(scenario, window):
            continue
        of_week, of_month = _shares(window, reached, times)
        if of_month - of_week > _APART:
            yield path, window


def _shares(window: WeekWindow, reached: Sequence[Period], times: Sequence[Spans]) -> tuple[float, float]:
    """Of a week, and of a month of periods at these times, for which a window holds."""
    given = [hours_per_month(period) for period in reached]
    rest = HOURS_PER_MONTH - math.fsum(hours or 0.0 for hours in given)
    holds = week_spans(window)
    held = math.fsum(
        (rest if hours is None else hours) * _shared_s(holds, spans) / _length_s(spans)
        for hours, spans in zip(given, times, strict=True)
    )
    return _length_s(holds) / SECONDS_PER_WEEK, held / HOURS_PER_MONTH


def _unknown(scenario: Scenario, window: WeekWindow) -> bool:
    """Whether nothing can be told of a window: it is open, or has clocks of its own."""
    return window.is_open or window.time_zone not in (None, scenario.run.time_zone)


def _schedules(topology: Topology, owned: bool) -> Iterator[tuple[str, WeekWindow]]:
    """Windows of pools, or of owned ones alone, with their places."""
    pools = topology.pools
    without = topology.model_copy(update={"routing": WeightedRouting()})
    if owned:
        kept = tuple(pool if pool.billing == "owned" else pool.model_copy(update={"schedule": ()}) for pool in pools)
        without = without.model_copy(update={"pools": kept})
    return windows_of(without)


def _meant(period: Period, reached: Sequence[Period]) -> Spans:
    """Times of the week that a period stands for, in s since Monday 00:00; empty where that is not known."""
    window = period_window(period)
    if window is not None:
        return week_spans(window)
    if not hours_left(period, reached):
        return []
    named = [other for one in reached if (other := period_window(one)) is not None]
    held = sorted(span for other in named for span in week_spans(other))
    edges = [0.0, *(edge for span in held for edge in span), SECONDS_PER_WEEK]
    return [(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True) if end > begin]


def part_of_the_day(scenario: Scenario) -> bool:
    """Whether use falls in the hours of the day that are simulated, and these are no whole number of days.

    The use of a period that names days or hours is spread over these, that of one which has what such others leave
    over what is left.
    """
    reached = reached_periods(scenario)
    named = [bool(period_window(period) or hours_left(period, reached)) for period in reached]
    return bool(scenario.run.horizon_s % SECONDS_PER_DAY) and not (named and all(named))


def _simulated(scenario: Scenario, period: Period) -> Spans:
    """Times of the week that are simulated and count, in s since Monday 00:00."""
    clock, run = clock_of(scenario), scenario.run
    begin_s = float(clock.week_s(np.array([period_clock_s(scenario, period, clock)]))[0]) + run.warmup_s
    length_s = run.horizon_s - run.warmup_s
    if length_s >= SECONDS_PER_WEEK:
        return [(0.0, SECONDS_PER_WEEK)]
    begin_s %= SECONDS_PER_WEEK
    end_s = begin_s + length_s
    return [(begin_s, min(end_s, SECONDS_PER_WEEK)), (0.0, max(end_s - SECONDS_PER_WEEK, 0.0))]


def _windows(
    scenario: Scenario, windows: Sequence[tuple[str, WeekWindow]], period: str, meant: Spans, simulated: Spans
) -> Iterator[str]:
    for path, window in windows:
        if _unknown(scenario, window):
            continue
        holds = week_spans(window)
        of_hours, of_time = (
            _shared_s(holds, meant) / _length_s(meant),
            _shared_s(holds, simulated) / _length_s(simulated),
        )
        if abs(of_hours - of_time) > _APART:
            yield (
                f"{path} ({window.days} {window.hours}) holds for {of_hours:.0%} of the hours of {period} and for "
                f"{of_time:.0%} of the time that is simulated for them: give periods of the same hours, or simulate all"
            )


def _loads(scenario: Scenario, period: str, meant: Spans, simulated: Spans) -> Iterator[str]:
    for cls in scenario.workload.classes:
        if not isinstance(cls.arrivals, Schedule):
            continue
        ones = (1.0,)
        table = np.outer(
            np.broadcast_to(cls.arrivals.weekly or ones, DAYS_PER_WEEK),
            np.broadcast_to(cls.arrivals.hourly or ones, HOURS_PER_DAY),
        ).ravel()
        of_hours, of_time = (cls.arrivals.rate_rps * _mean(table.tolist(), spans) for spans in (meant, simulated))
        if abs(of_hours - of_time) > _APART * max(of_hours, of_time):
            yield (
                f"{period} stands for hours with {rough(of_hours)} requests/s of {cls.name} by its schedule and "
                f"simulates {rough(of_time)}: give periods of the same hours, or simulate all of them"
            )


def _mean(by_hour_of_week: Sequence[float], spans: Spans) -> float:
    parts = (
        value * _shared_s([(k * SECONDS_PER_HOUR, (k + 1) * SECONDS_PER_HOUR)], spans)
        for k, value in enumerate(by_hour_of_week)
        if value
    )
    return math.fsum(parts) / _length_s(spans)


def _length_s(spans: Spans) -> float:
    return math.fsum(end_s - start_s for start_s, end_s in spans)


def _shared_s(some: Spans, others: Spans) -> float:
    return math.fsum(max(min(b, d) - max(a, c), 0.0) for a, b in some for c, d in others)
