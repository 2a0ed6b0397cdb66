"""Times of the week: windows of days and hours, and where in the week a simulation begins."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simulator.schema.base import Count, Name, Settings

_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_TIME = "(?:(?:[01]?[0-9]|2[0-3])(?::[0-5][0-9])?|24(?::00)?)"
_SPAN = f"{_DAY}(?:-{_DAY})?"

Days = Annotated[str, Field(pattern=f"^{_SPAN}(?: *, *{_SPAN})*$")]
Hours = Annotated[str, Field(pattern=f"^{_TIME}-{_TIME}$")]
WeekTime = Annotated[str, Field(pattern=f"^{_DAY}(?: {_TIME})?$")]


class WeekWindow(Settings):
    """The same hours on some days of the week."""

    days: Days = "mon-sun"
    """Days on which it begins, as `mon-fri` or `sat, sun`."""
    hours: Hours = "0-24"
    """From and to, as `8-20` or `8:30-17`; past midnight where the end is not later, as `22-6`."""


class RoutingWindow(WeekWindow):
    """Targets that take requests within a window of the week."""

    use: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Pools and providers that are open while it lasts."""


class ReplicaWindow(WeekWindow):
    """Replicas of a pool within a window of the week."""

    replicas: Count
    """Replicas while it lasts."""
