"""Times by the clock: where a simulation begins, its time zone and holidays, windows of days and hours."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from simulator.errors import unknown_name
from simulator.schema.base import Auto, Count, Day, Name, Settings

_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_TIME = "(?:(?:[01]?[0-9]|2[0-3])(?::[0-5][0-9])?|24(?::00)?)"
_DATE = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_SPAN = f"{_DAY}(?:-{_DAY})?"


def _moment(value: Any) -> Any:
    """YAML reads days as dates, and times of them with seconds as such."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes") if value.tzinfo is None and not value.second else str(value)
    return value.isoformat() if isinstance(value, date) else value


def _real_day(value: str) -> str:
    if value[:1].isdigit():
        date.fromisoformat(value[:10])
    return value


@cache
def _zones() -> list[str]:
    return sorted(available_timezones())


def _known_zone(value: str) -> str:
    if value not in _zones():
        raise ValueError(unknown_name("time zone", value, _zones()))
    return value


Days = Annotated[str, Field(pattern=f"^{_SPAN}(?: *, *{_SPAN})*$")]
Hours = Annotated[str, Field(pattern=f"^{_TIME}-{_TIME}$")]
AUTO_WINDOW = "auto"
OpenDays = Annotated[str, Field(pattern=f"^(?:{AUTO_WINDOW}|{_SPAN}(?: *, *{_SPAN})*)$")]
OpenHours = Annotated[str, Field(pattern=f"^(?:{AUTO_WINDOW}|{_TIME}-{_TIME})$")]
Moment = Annotated[
    str,
    Field(pattern=f"^(?:{_DAY}(?: {_TIME})?|{_DATE}(?:[ T]{_TIME})?)$"),
    BeforeValidator(_moment),
    AfterValidator(_real_day),
]
"""A time of the week, as `tue 8:30`, or of the calendar, as `2026-03-02 8:30`."""
TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""Of the IANA database, as `Europe/Berlin`."""
Country = Annotated[str, Field(pattern="^[A-Z]{2}(?:-[A-Za-z0-9]+)?$")]
Holidays = Country | tuple[Day, ...]
"""Public holidays of a country or of a part of it, as `DE` or `DE-BE`, or days."""


class WeekWindow(Settings):
    """The same hours on some days of the week."""

    days: OpenDays = "mon-sun"
    """Days on which it begins, as `mon-fri` or `sat, sun`; auto finds them together with hours that are auto."""
    hours: OpenHours = "0-24"
    """From and to, as `8-20` or `8:30-17`; past midnight where the end is not later, as `22-6`. All windows of a
    topology that say auto get the same hours: the cheapest that meet the SLO."""
    time_zone: TimeZone | None = None
    """In which its days and hours count; the run's unless given. Needs a run that begins on a date."""
    holidays: Literal["sunday", "included", "excluded"] = "sunday"
    """What it makes of the run's holidays: they are Sundays, or it begins on all of them, or on none."""

    @property
    def is_open(self) -> bool:
        """Whether its days or its hours are left to the search."""
        return AUTO_WINDOW in (self.days, self.hours)


class RoutingWindow(WeekWindow):
    """Targets that take requests within a window of the week."""

    use: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Pools and providers that are open while it lasts."""


class ReplicaWindow(WeekWindow):
    """Replicas of a pool within a window of the week."""

    replicas: Count | Auto
    """Replicas while it lasts; auto looks for the cheapest number that meets the SLO, one for all such windows.
    Those outside are then a number."""
