"""Checks of the study section against the classes, and the hours of its periods."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from simulator.errors import unknown_name
from simulator.schema.scenario import Scenario
from simulator.schema.study import Period
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

Found = tuple[str, str, Any]
MONTHS_PER_QUARTER = 3
MONTHS_PER_YEAR = 12
_SLACK_HOURS = 1e-6


def study_problems(scenario: Scenario) -> Iterator[Found]:
    """Classes that there are not, steps given twice, periods that do not make a month."""
    study = scenario.study
    classes = [cls.name for cls in scenario.workload.classes]
    named = [(f"study.growth_per_year_by_class.{name}", name) for name in study.growth_per_year_by_class]
    named += [
        (f"study.periods[{k}].load_by_class.{name}", name)
        for k, period in enumerate(study.periods)
        for name in period.load_by_class
    ]
    named += [
        (f"study.load_steps[{k}].load_by_class.{name}", name)
        for k, step in enumerate(study.load_steps)
        for name in step.load_by_class
    ]
    for path, name in named:
        if name not in classes:
            yield path, unknown_name("class", name, classes), None
    for k, step in enumerate(study.load_steps):
        if step.load is None and not step.load_by_class:
            yield f"study.load_steps[{k}]", "give the load, of all classes or by class", None
    for month, count in Counter(step.from_month for step in study.load_steps).items():
        if count > 1:
            yield "study.load_steps", f"{count} steps begin in month {month}", None
    yield from _period_problems(study.periods)
    if study.cut is not None:
        if study.periods:
            yield "study.cut", "give periods or a cut, not both", None
        if study.cut.window_h * SECONDS_PER_HOUR * study.cut.kinds > scenario.run.horizon_s:
            hours = scenario.run.horizon_s / SECONDS_PER_HOUR
            yield "study.cut", f"run.horizon_s ({hours:g} h) has not as many windows as there are kinds", None


def _period_problems(periods: tuple[Period, ...]) -> Iterator[Found]:
    if not periods:
        return
    names = Counter(period.name for period in periods)
    for name, count in names.items():
        if count > 1:
            yield "study.periods", f"the name {name!r} is used {count} times", None
    for month in range(1, MONTHS_PER_YEAR + 1):
        there = [period for period in periods if not calendar_months(period) or month in calendar_months(period)]
        open_ = [period.name for period in there if period.hours_per_month is None]
        given = math.fsum(period.hours_per_month or 0.0 for period in there)
        if len(open_) > 1:
            yield "study.periods", f"only one period may leave out hours_per_month, not {', '.join(open_)}", None
            return
        if not there or (not open_ and abs(given - HOURS_PER_MONTH) > _SLACK_HOURS) or given > HOURS_PER_MONTH:
            yield (
                "study.periods",
                f"the hours of calendar month {month} must add up to {HOURS_PER_MONTH:g}: leave out hours_per_month of "
                "one period, and it has the rest",
                f"{given:g}",
            )
            return


def calendar_months(period: Period) -> tuple[int, ...]:
    """Calendar months that have the period; empty for all."""
    found = {
        MONTHS_PER_QUARTER * (quarter - 1) + k for quarter in period.quarters for k in range(1, MONTHS_PER_QUARTER + 1)
    }
    return tuple(sorted(found | set(period.months)))
