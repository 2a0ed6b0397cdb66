"""From days and hours of the scenario to seconds of the week."""

from __future__ import annotations

import re

from simulator.errors import InputError, Problem
from simulator.schema.clock import WeekWindow
from simulator.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_WEEK

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SECONDS_PER_MINUTE = 60.0


def week_spans(window: WeekWindow) -> list[tuple[float, float]]:
    """Spans of a window in s since Monday 00:00, each within the week: one that goes past Sunday has two.

    Raises
    ------
    InputError : hours that end when they begin
    """
    start_s, end_s = (_time_s(text) for text in window.hours.split("-"))
    if start_s == end_s:
        raise InputError(Problem("begins when it ends: 0-24 is the whole day", path="hours", got=window.hours))
    length_s = (end_s - start_s) % SECONDS_PER_DAY or SECONDS_PER_DAY
    spans: list[tuple[float, float]] = []
    for day in _days(window.days):
        from_s = day * SECONDS_PER_DAY + start_s
        until_s = from_s + length_s
        spans.append((from_s, min(until_s, SECONDS_PER_WEEK)))
        if until_s > SECONDS_PER_WEEK:
            spans.append((0.0, until_s - SECONDS_PER_WEEK))
    return sorted(spans)


def week_time_s(text: str) -> float:
    """Seconds since Monday 00:00 of a time like `tue 8:30`, or of the beginning of a day."""
    day, _, time = text.partition(" ")
    return (DAYS.index(day) * SECONDS_PER_DAY + (_time_s(time) if time else 0.0)) % SECONDS_PER_WEEK


def _time_s(text: str) -> float:
    hours, _, minutes = text.partition(":")
    return int(hours) * SECONDS_PER_HOUR + int(minutes or 0) * _SECONDS_PER_MINUTE


def _days(text: str) -> list[int]:
    """Numbers of days, as 0 to 4 of `mon-fri`; `sat-mon` goes past Sunday."""
    found: set[int] = set()
    for part in re.split(r" *, *", text):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {(begin + k) % len(DAYS) for k in range((end - begin) % len(DAYS) + 1)}
    return sorted(found)
