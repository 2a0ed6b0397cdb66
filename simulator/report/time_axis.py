"""Simulated time as people read it: minutes, the time of day, weekdays."""

from __future__ import annotations

import math

import altair as alt

_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 20_160)
_MOST_TICKS = 14
_HOUR, _DAY, _WEEK = 60, 1440, 10_080
_IN_MINUTES = 2 * _HOUR
"""Longest run that is told in minutes."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def time_axis(end_min: float, clock_s: float = 0.0, begin_min: float = 0.0) -> alt.Axis:
    """Axis of a chart over minutes of the run; ticks stand at round times of the day.

    Up to two hours it shows minutes, up to two days the time of the day, beyond that weekdays, beyond a month days.

    Parameters
    ----------
    end_min, begin_min : of what is shown
    clock_s : local time at minute 0, in s since Monday 00:00
    """
    span_min = end_min - begin_min
    least = span_min / _MOST_TICKS
    step = next((step for step in _STEPS_MIN if step >= least), _STEPS_MIN[-1] * math.ceil(least / _STEPS_MIN[-1]))
    if end_min <= _IN_MINUTES:
        first = -begin_min % step
        return alt.Axis(title="minutes", values=_ticks(begin_min + first, end_min, step))
    clock_min = clock_s / 60
    ticks = _ticks(begin_min + (-clock_min - begin_min) % step, end_min, step)
    local = f"(datum.value + {clock_min % _WEEK:.6f})"
    minute = f"round({local} % {_DAY})"
    time = f"pad(floor({minute} / 60) % 24, 2, '0', 'left') + ':' + pad({minute} % 60, 2, '0', 'left')"
    day = f"{[*DAYS]}[floor({local} / {_DAY} + 0.0001) % 7]"
    if span_min <= 2 * _DAY:
        return alt.Axis(title="time of the day", values=ticks, labelExpr=time)
    if span_min <= 5 * _WEEK:
        words = day if step >= _DAY else f"{minute} % {_DAY} == 0 ? {day} : {time}"
        return alt.Axis(title="weekday and time of the day", values=ticks, labelExpr=words)
    return alt.Axis(title="days", values=ticks, labelExpr=f"format(datum.value / {_DAY}, '.0f')")


def time_unit(end_min: float) -> tuple[str, float]:
    """In what times of a run are told and asked for, with its minutes: minutes up to two hours, hours beyond that.

    Parameters
    ----------
    end_min : of the run
    """
    return ("minute", 1.0) if end_min <= _IN_MINUTES else ("hour", float(_HOUR))


def clock_words(minute: float, end_min: float, clock_s: float) -> str:
    """A minute of a run by the clock, as `Tue 17:30`, in runs beyond a week with its day; empty where minutes do.

    Parameters
    ----------
    end_min : of the run
    clock_s : local time at minute 0, in s since Monday 00:00
    """
    if end_min <= _IN_MINUTES:
        return ""
    local = round(minute + clock_s / 60)
    day = f" of day {local // _DAY - int(clock_s // 60) // _DAY + 1}" if end_min > _WEEK else ""
    return f"{DAYS[local // _DAY % 7]} {local % _DAY // 60:02}:{local % 60:02}{day}"


def _ticks(first: float, end: float, step: float) -> list[float]:
    return [first + step * k for k in range(int((end - first) // step) + 1)]
