"""Days and hours of the week as seconds since Monday 00:00."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from simulator.errors import InputError, Problem
from simulator.schema.clock import AUTO_WINDOW, WeekWindow
from simulator.schema.scenario import Scenario
from simulator.schema.study import Period
from simulator.schema.topology import Topology
from simulator.units import (
    HOURS_PER_DAY,
    HOURS_PER_MONTH,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    SECONDS_PER_MINUTE,
    SECONDS_PER_WEEK,
)

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def windows_of(topology: Topology) -> Iterator[tuple[str, WeekWindow]]:
    """Every window of a topology with its place below it; those of its routing first."""
    yield from ((f"routing.windows[{k}]", window) for k, window in enumerate(topology.routing.windows))
    for j, pool in enumerate(topology.pools):
        yield from ((f"pools[{j}].schedule[{k}]", window) for k, window in enumerate(pool.schedule))


def share_by_hour(window: WeekWindow) -> tuple[float, ...]:
    """Hours of the week in each hour of the day, shape (24,), that a window holds for."""
    found = [0.0] * HOURS_PER_DAY
    for start_s, end_s in week_spans(window):
        at_s = start_s
        while at_s < end_s:
            until_s = min(end_s, (at_s // SECONDS_PER_HOUR + 1) * SECONDS_PER_HOUR)
            found[int(at_s % SECONDS_PER_DAY // SECONDS_PER_HOUR)] += (until_s - at_s) / SECONDS_PER_HOUR
            at_s = until_s
    return tuple(found)


def week_spans(window: WeekWindow) -> list[tuple[float, float]]:
    """Spans of a window in s since Monday 00:00, each within the week: one that goes past Sunday has two.

    Raises
    ------
    InputError : hours that end when they begin
    """
    start_s, length_s = begin_and_length_s(window)
    spans: list[tuple[float, float]] = []
    for day in week_days(window.days):
        from_s = day * SECONDS_PER_DAY + start_s
        until_s = from_s + length_s
        spans.append((from_s, min(until_s, SECONDS_PER_WEEK)))
        if until_s > SECONDS_PER_WEEK:
            spans.append((0.0, until_s - SECONDS_PER_WEEK))
    return sorted(spans)


def week_time_s(text: str) -> float:
    """Seconds since Monday 00:00 of a time like `tue 8:30`, or of the beginning of a day."""
    day, _, hour = text.partition(" ")
    return (DAYS.index(day) * SECONDS_PER_DAY + (time_s(hour) if hour else 0.0)) % SECONDS_PER_WEEK


def week_time_words(at_s: float) -> str:
    """Seconds since Monday 00:00 as `week_time_s` reads them: `tue 8:30`."""
    day, of_day_s = divmod(at_s % SECONDS_PER_WEEK, SECONDS_PER_DAY)
    hour, of_hour_s = divmod(of_day_s, SECONDS_PER_HOUR)
    return f"{DAYS[int(day)]} {int(hour)}:{int(of_hour_s // SECONDS_PER_MINUTE):02}"


def is_date(moment: str) -> bool:
    """Whether a time is one of the calendar."""
    return moment[0].isdigit()


def first_calendar_month(scenario: Scenario) -> int:
    """Month of the calendar, 1 to 12, in which a study begins: its own word, else that of the run's date, else 1."""
    given = scenario.study.first_month
    if given is None and is_date(scenario.run.start):
        given = scenario.run.start
    return 1 if given is None else int(given.split("-")[1])


def day_and_time(moment: str) -> tuple[date, float]:
    """Day of a time of the calendar, and seconds after its midnight."""
    day, _, text = moment.replace("T", " ").partition(" ")
    return date.fromisoformat(day), time_s(text) if text else 0.0


def hours_from_to(text: str) -> tuple[float, float]:
    """Hours of day of a text like `8:30-17`."""
    first, _, last = text.partition("-")
    return time_s(first) / SECONDS_PER_HOUR, time_s(last) / SECONDS_PER_HOUR


def begin_and_length_s(window: WeekWindow) -> tuple[float, float]:
    if window.hours == AUTO_WINDOW:
        raise InputError(Problem("is open: run finds them, elsewhere give hours", path="hours", got=window.hours))
    if window.days == AUTO_WINDOW:
        raise InputError(Problem("is open: run finds them, elsewhere give days", path="days", got=window.days))
    start_s, end_s = (time_s(text) for text in window.hours.split("-"))
    if start_s == end_s:
        raise InputError(Problem("begins when it ends: 0-24 is the whole day", path="hours", got=window.hours))
    return start_s, (end_s - start_s) % SECONDS_PER_DAY or SECONDS_PER_DAY


def time_s(text: str) -> float:
    hours, _, minutes = text.partition(":")
    return int(hours) * SECONDS_PER_HOUR + int(minutes or 0) * SECONDS_PER_MINUTE


def week_days(text: str) -> list[int]:
    """Numbers of days, as 0 to 4 of `mon-fri`; `sat-mon` goes past Sunday."""
    found: set[int] = set()
    for part in re.split(r" *, *", text):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {(begin + k) % len(DAYS) for k in range((end - begin) % len(DAYS) + 1)}
    return sorted(found)


def period_window(period: Period) -> WeekWindow | None:
    """The days and hours that a period stands for; None where it names neither."""
    given = {key: value for key, value in (("days", period.days), ("hours", period.hours)) if value is not None}
    return WeekWindow.model_validate(given) if given else None


def hours_per_month(period: Period) -> float | None:
    """Hours of a month that a period stands for; None where it has the rest of each month.

    Raises
    ------
    InputError : hours that end when they begin
    """
    window = period_window(period)
    if period.hours_per_month is not None or window is None:
        return period.hours_per_month
    length_s = sum(end_s - start_s for start_s, end_s in week_spans(window))
    return HOURS_PER_MONTH * length_s / SECONDS_PER_WEEK
