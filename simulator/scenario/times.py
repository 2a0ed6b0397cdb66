"""Checks of everything that goes by the clock: what needs a date, and what a calendar does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from simulator.errors import InputError
from simulator.scenario.holidays import unknown_place
from simulator.scenario.week import day_and_time, is_date, period_window, week_spans, windows_of
from simulator.schema.money import Servers
from simulator.schema.scenario import RunSettings, Scenario
from simulator.schema.topology import Topology

Found = tuple[str, str, Any]
_NEEDS_DATE = "needs a run that begins on a date: give run.start one, as 2026-03-02 8:00"


def time_problems(scenario: Scenario) -> Iterator[Found]:
    """Time zones and holidays of run and periods without a date, and times that there are not."""
    run = scenario.run
    dated = is_date(run.start)
    zone = run.time_zone or "UTC"
    if not dated and zone != "UTC":
        yield "run.time_zone", _NEEDS_DATE, zone
    if run.holidays and not dated:
        yield "run.holidays", _NEEDS_DATE, None
    elif isinstance(run.holidays, str) and (words := unknown_place(run.holidays)):
        yield "run.holidays", words, None
    if dated and not exists(run.start, zone):
        yield "run.start", f"does not exist in {zone}: its clocks go forward over it", run.start
    yield from _server_problems("servers", scenario.servers, dated)
    yield from _period_problems(scenario, dated, zone)


def _server_problems(path: str, section: Sequence[Servers], dated: bool) -> Iterator[Found]:
    for k, servers in enumerate(section):
        if servers.time_zone is not None and not dated:
            yield f"{path}[{k}].time_zone", _NEEDS_DATE, servers.time_zone


def topology_time_problems(path: str, topology: Topology, run: RunSettings) -> Iterator[Found]:
    """Time zones of a topology without a date, and its holidays where the run names none."""
    dated = is_date(run.start)
    yield from _server_problems(f"{path}.servers", topology.servers, dated)
    for below, window in windows_of(topology):
        if window.time_zone not in (None, "UTC") and not dated:
            yield f"{path}.{below}.time_zone", _NEEDS_DATE, window.time_zone
        if window.holidays != "sunday" and not run.holidays:
            words = "needs run.holidays, which say which days these are"
            yield f"{path}.{below}.holidays", words, window.holidays
    for k, provider in enumerate(topology.providers):
        if provider.peak is not None and provider.peak.time_zone != "UTC" and not dated:
            yield f"{path}.providers[{k}].peak.time_zone", _NEEDS_DATE, provider.peak.time_zone


def exists(moment: str, zone: str) -> bool:
    """Whether a time of the calendar is one of its zone: clocks that go forward leave some out."""
    day, seconds = day_and_time(moment)
    local = datetime.combine(day, time()) + timedelta(seconds=seconds)
    there = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone))
    return there.replace(tzinfo=None) == local


def _period_problems(scenario: Scenario, dated: bool, zone: str) -> Iterator[Found]:
    for k, period in enumerate(scenario.study.periods):
        path = f"study.periods[{k}]"
        if period.start is not None and period.start_hour is not None:
            yield f"{path}.start_hour", "give start or start_hour, not both", period.start_hour
        if period.start is not None and is_date(period.start):
            if not dated:
                yield f"{path}.start", _NEEDS_DATE, period.start
            elif not exists(period.start, zone):
                yield f"{path}.start", f"does not exist in {zone}: its clocks go forward over it", period.start
        window = period_window(period)
        if window is not None:
            try:
                week_spans(window)
            except InputError as error:
                yield f"{path}.hours", error.problems[0].message, period.hours
