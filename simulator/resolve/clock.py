"""The clock of a scenario: the one place where days, hours, time zones and holidays become seconds.

A clock is an axis of seconds. Where the run begins at a time of the week, it counts from Monday 00:00, and each week is
like the first. Where it begins on a date, it counts from Monday, 5 January 1970, 00:00 UTC, and no week comes again.

A local time that exists twice, as clocks go back, is its first; one that does not exist, as they go forward, is the
moment of the change. So each local time is one moment, and a window ends when its complement begins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from simulator.scenario.holidays import holiday_dates
from simulator.scenario.months import hours_left, reached_periods
from simulator.scenario.week import (
    DAYS,
    begin_and_length_s,
    day_and_time,
    is_date,
    period_window,
    time_s,
    week_days,
    week_spans,
    week_time_s,
)
from simulator.schema.clock import WeekWindow
from simulator.schema.scenario import Scenario
from simulator.schema.study import Period
from simulator.study.zones import FIRST_MONDAY, ahead_s, changes_between, changes_of, local_time
from simulator.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_WEEK

_SUNDAY = 6
_MARGIN = timedelta(days=8)
"""Days before and after what is simulated that windows are laid out for: a whole week has each of its days."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of a scenario.

    Attributes
    ----------
    zone : in which local times are meant, UTC unless given
    holidays : of the days below
    first, last : days that have a date here; None where the run begins at a time of the week
    """

    zone: str = "UTC"
    holidays: frozenset[date] = frozenset()
    first: date | None = None
    last: date | None = None

    @property
    def has_dates(self) -> bool:
        return self.first is not None

    @property
    def cycle_s(self) -> float:
        """After which all comes again; infinite where days have dates."""
        return SECONDS_PER_WEEK if self.first is None else math.inf

    @property
    def begin_s(self) -> float:
        """The first moment that windows are laid out for."""
        return 0.0 if self.first is None else _moment_s(self.first, 0.0, self.zone)

    def spans(self, window: WeekWindow) -> list[tuple[float, float]]:
        """When a window holds, in s of the clock, rising; of one week, or of all days that have a date.

        Raises
        ------
        InputError : hours that end when they begin
        """
        if self.first is None or self.last is None:
            return week_spans(window)
        start_s, length_s = begin_and_length_s(window)
        zone, days = window.time_zone or self.zone, week_days(window.days)
        found: list[tuple[float, float]] = []
        for k in range((self.last - self.first).days + 1):
            day = self.first + timedelta(days=k)
            if self._begins(window, day, days):
                span = _moment_s(day, start_s, zone), _moment_s(day, start_s + length_s, zone)
                if span[0] < span[1]:
                    found.append(span)
        return found

    def _begins(self, window: WeekWindow, day: date, days: list[int]) -> bool:
        if day not in self.holidays:
            return day.weekday() in days
        return _SUNDAY in days if window.holidays == "sunday" else window.holidays == "included"

    @property
    def turns(self) -> tuple[tuple[float, float], ...]:
        """(clock, time of the week) from which the time of the week goes on; holidays are Sundays."""
        if self.first is None or self.last is None:
            return ((0.0, 0.0),)
        found: list[tuple[float, float]] = []
        for k in range((self.last - self.first).days + 1):
            day = self.first + timedelta(days=k)
            weekday = _SUNDAY if day in self.holidays else day.weekday()
            midnight_s = _moment_s(day, 0.0, self.zone)
            for at_s, later_s in ((midnight_s, self._ahead_s(midnight_s)), *changes_of(day, self.zone)):
                local_s = (at_s + later_s) % SECONDS_PER_DAY + weekday * SECONDS_PER_DAY
                if not found or (local_s - found[-1][1] - at_s + found[-1][0]) % SECONDS_PER_WEEK:
                    found.append((at_s, local_s))
        return tuple(found)

    def week_s(self, clock_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Time since some Monday 00:00 at times of the clock."""
        from_s, local_s = (np.array(column) for column in zip(*self.turns, strict=True))
        turn = np.maximum(np.searchsorted(from_s, clock_s, side="right") - 1, 0)
        return np.asarray(clock_s - from_s[turn] + local_s[turn])

    def hour_of_day(self, at_s: float) -> float:
        """Local hour of day, a fraction included."""
        return (at_s + self._ahead_s(at_s)) % SECONDS_PER_DAY / SECONDS_PER_HOUR

    def ahead_h(self, at_s: float, zone: str | None = None) -> float:
        """Hours by which local time is ahead of UTC; that of another zone where days have dates."""
        if self.first is None or zone is None:
            return self._ahead_s(at_s) / SECONDS_PER_HOUR
        return ahead_s(at_s, zone) / SECONDS_PER_HOUR

    def changes(self, from_s: float, until_s: float) -> tuple[tuple[float, float], ...]:
        """(seconds after `from_s`, hours that local clocks then go forward) for each change up to `until_s`."""
        if self.first is None:
            return ()
        return changes_between(from_s, until_s, self.zone)

    def _ahead_s(self, at_s: float) -> float:
        return 0.0 if self.first is None else ahead_s(at_s, self.zone)

    def at(self, moment: str, after_s: float | None = None) -> float:
        """What the clock shows at a time like `tue 8:30` or `2026-03-02 8:30`.

        Parameters
        ----------
        after_s : where days have dates, a time of the week is the first from the day of this moment on
        """
        if is_date(moment):
            return _date_s(moment, self.zone)
        if self.first is None or after_s is None:
            return week_time_s(moment)
        name, _, text = moment.partition(" ")
        begin = local_time(after_s, self.zone).date()
        day_s = (DAYS.index(name) - begin.weekday()) % len(DAYS)
        return _moment_s(begin + timedelta(days=day_s), time_s(text) if text else 0.0, self.zone)

    def on_day_of(self, at_s: float, hour: float) -> float:
        """What the clock shows at an hour of the day that a moment falls in."""
        if self.first is None:
            return at_s - at_s % SECONDS_PER_DAY + hour * SECONDS_PER_HOUR
        return _moment_s(local_time(at_s, self.zone).date(), hour * SECONDS_PER_HOUR, self.zone)


def clock_of(scenario: Scenario) -> Clock:
    """The clock of a scenario, over all that it simulates."""
    run = scenario.run
    if not is_date(run.start):
        return Clock()
    zone = run.time_zone or "UTC"
    given = [run.start, *(period.start for period in scenario.study.periods if period.start)]
    starts = [_date_s(moment, zone) for moment in given if is_date(moment)]
    span_s = run.horizon_s + run.drain_s + SECONDS_PER_WEEK
    first = local_time(min(starts), zone).date() - _MARGIN
    last = local_time(max(starts) + span_s, zone).date() + _MARGIN
    return Clock(zone, holiday_dates(run.holidays, first, last), first, last)


def period_clock_s(scenario: Scenario, period: Period, clock: Clock) -> float:
    """What the clock shows at simulated second 0 of a period."""
    run_s = clock.at(scenario.run.start)
    if period.start is not None:
        return clock.at(period.start, run_s)
    if period.start_hour is not None:
        return clock.on_day_of(run_s, period.start_hour)
    window = period_window(period)
    if window is None:
        return _first_left(scenario, period, clock, run_s)
    begins = [start_s for start_s, _ in clock.spans(window)]
    return min((start_s for start_s in begins if start_s >= run_s), default=begins[0])


def _first_left(scenario: Scenario, period: Period, clock: Clock, run_s: float) -> float:
    """The first moment from the run's start on that the days and hours of all other periods leave to this one."""
    reached = reached_periods(scenario)
    if not hours_left(period, reached):
        return run_s
    named = [window for one in reached if (window := period_window(one)) is not None]
    held = sorted(span for window in named for span in clock.spans(window))
    left_s = run_s
    for from_s, until_s in (*held, *held):
        if from_s <= left_s < until_s:
            left_s = until_s % clock.cycle_s
    return left_s


def _date_s(moment: str, zone: str) -> float:
    return _moment_s(*day_and_time(moment), zone)


def _naive(day: date, local_s: float) -> datetime:
    return datetime.combine(day, time()) + timedelta(seconds=local_s)


@lru_cache(maxsize=1 << 14)
def _moment_s(day: date, local_s: float, zone: str) -> float:
    """The moment at which local clocks first show so many seconds after midnight, or more."""
    local, there = _naive(day, local_s), ZoneInfo(zone)
    first = local.replace(tzinfo=there)
    before, after = first.utcoffset(), first.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    at_s = (local.replace(tzinfo=UTC) - FIRST_MONDAY - before).total_seconds()
    if after > before:
        # clocks go forward over it: the change is where the offset grows
        change = [s for each in (local.date() - timedelta(days=1), local.date()) for s, _ in changes_of(each, zone)]
        return min(change, key=lambda s: abs(s - at_s))
    return at_s
