"""Time zones of the IANA database: what local clocks show, and when they change.

Moments are in seconds since Monday, 5 January 1970, 00:00 UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from simulator.study.demand import When
from simulator.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


def local_time(at_s: float, zone: str) -> datetime:
    """What local clocks show."""
    return (FIRST_MONDAY + timedelta(seconds=at_s)).astimezone(ZoneInfo(zone))


def ahead_s(at_s: float, zone: str) -> float:
    """Seconds by which local clocks are ahead of UTC."""
    offset = local_time(at_s, zone).utcoffset()
    assert offset is not None
    return offset.total_seconds()


@lru_cache(maxsize=1 << 14)
def changes_of(day: date, zone: str) -> tuple[tuple[float, float], ...]:
    """Moments of a local day at which its clocks change, and the seconds that they are ahead of UTC from then on."""
    there = ZoneInfo(zone)
    low, high = (
        ((datetime.combine(each, time(12), there).astimezone(UTC) - FIRST_MONDAY).total_seconds())
        for each in (day - timedelta(days=1), day + timedelta(days=1))
    )
    found: list[tuple[float, float]] = []
    step_s = 6 * SECONDS_PER_HOUR
    at_s = low
    while at_s < high:
        until_s = min(at_s + step_s, high)
        if ahead_s(at_s, zone) != ahead_s(until_s, zone):
            before, after = at_s, until_s
            while after - before > 1.0:
                middle = (before + after) // 2
                before, after = (middle, after) if ahead_s(middle, zone) == ahead_s(at_s, zone) else (before, middle)
            if local_time(after, zone).date() == day:
                found.append((after, ahead_s(after, zone)))
        at_s = until_s
    return tuple(found)


def changes_between(from_s: float, until_s: float, zone: str) -> tuple[tuple[float, float], ...]:
    """(seconds after `from_s`, hours that local clocks then go forward) for each change up to `until_s`."""
    day, last = local_time(from_s, zone).date(), local_time(until_s, zone).date()
    found: list[tuple[float, float]] = []
    while day <= last:
        for at_s, ahead in changes_of(day, zone):
            if from_s < at_s < until_s:
                found.append((at_s - from_s, (ahead - ahead_s(at_s - 1.0, zone)) / SECONDS_PER_HOUR))
        day += timedelta(days=1)
    return tuple(found)


@lru_cache(maxsize=1 << 12)
def in_zone(when: When, zone: str, span_s: float) -> When:
    """The same time by the clocks of another zone; days have dates. Empty is the zone that it is told in.

    Hours over which all use is spread alike move with the clocks as they are at its beginning, those that fall between
    two hours are shared by both.
    """
    if not zone:
        return when
    ahead_h = ahead_s(when.clock_s, zone) / SECONDS_PER_HOUR
    start_hour = (when.clock_s / SECONDS_PER_HOUR + ahead_h) % (SECONDS_PER_DAY / SECONDS_PER_HOUR)
    changes = changes_between(when.clock_s, when.clock_s + span_s, zone)
    return When(when.clock_s, start_hour, ahead_h, changes, moved(when.spread, ahead_h - when.ahead_h))


def moved(by_hour: tuple[float, ...], later_h: float) -> tuple[float, ...]:
    """Figures by hour of day, each `later_h` hours later; parts of an hour are shared by both hours that they touch."""
    whole = int(later_h // 1)
    part = later_h - whole
    count = len(by_hour)
    return tuple(
        (1.0 - part) * by_hour[(hour - whole) % count] + part * by_hour[(hour - whole - 1) % count]
        for hour in range(count)
    )
