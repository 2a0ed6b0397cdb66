"""Checks of the study section against the classes, and the hours of its periods."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from simulator.errors import unknown_name
from simulator.scenario.money_checks import twice
from simulator.scenario.week import first_calendar_month, hours_per_month, period_window, share_by_hour, week_spans
from simulator.schema.scenario import Scenario
from simulator.schema.study import Period
from simulator.units import HOURS_PER_MONTH, MONTHS_PER_YEAR, SECONDS_PER_HOUR

Found = tuple[str, str, Any]
MONTHS_PER_QUARTER = 3
_SLACK_HOURS = 1e-6
_LEAST_MONTHS, _MOST_MONTHS = 0.1, 600.0
_DAYS_OF_A_WEEK = 7.0
_MOST_LOAD = 1000.0
"""Multiple of the workload's load up to which a month is taken as meant."""


def study_problems(scenario: Scenario) -> Iterator[Found]:
    """Classes that there are not, steps given twice, periods that do not make a month."""
    study, reached = scenario.study, reached_periods(scenario)
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
        if step.from_month > math.ceil(study.months) and study.months >= _LEAST_MONTHS:
            words = f"begins after the study, which has {study.months:g} months: leave it out or make the study longer"
            yield f"study.load_steps[{k}].from_month", words, str(step.from_month)
    for month, count in Counter(step.from_month for step in study.load_steps).items():
        if count > 1:
            yield "study.load_steps", f"{count} steps begin in month {month}", None
    if not _LEAST_MONTHS <= study.months <= _MOST_MONTHS:
        words = f"at least {_LEAST_MONTHS:g}" if study.months < _LEAST_MONTHS else f"at most {_MOST_MONTHS:g}"
        yield "study.months", f"must be {words}", f"{study.months:g}"
    else:
        yield from _load_problems(scenario)
    yield from _period_problems(study.periods, reached_months(scenario))
    for name in classes:
        if reached and not any(period.load_by_class.get(name, period.load) for period in reached):
            words = "any period" if len(reached) == len(study.periods) else "any period that the study reaches"
            yield "study.periods", f"nobody of class {name} comes in {words}: give one a load above 0", None
    if study.cut is not None:
        if study.periods:
            yield "study.cut", "give periods or a cut, not both", None
        if study.cut.window_h * SECONDS_PER_HOUR * study.cut.kinds > scenario.run.horizon_s:
            hours = scenario.run.horizon_s / SECONDS_PER_HOUR
            yield "study.cut", f"run.horizon_s ({hours:g} h) has not as many windows as there are kinds", None
        if (window_s := study.cut.window_h * SECONDS_PER_HOUR) <= scenario.run.warmup_s:
            words = f"the first of these windows is over within the warm-up (run.warmup_s is {scenario.run.warmup_s:g})"
            yield "study.cut.window_h", f"{words}: take longer ones, or a shorter warm-up", f"{window_s:g} s"


def _load_problems(scenario: Scenario) -> Iterator[Found]:
    """Months whose load is more than a study is meant for; in logarithms, which stay finite."""
    study = scenario.study
    told: set[str] = set()
    for name in (cls.name for cls in scenario.workload.classes):
        own = name in study.growth_per_year_by_class
        path = f"study.growth_per_year_by_class.{name}" if own else "study.growth_per_year"
        rate = math.log1p(study.growth_per_year_by_class.get(name, study.growth_per_year))
        loads = {step.from_month: step.load_by_class.get(name, step.load) for step in study.load_steps}
        steps = {month: load for month, load in loads.items() if load is not None}
        period = max((one.load_by_class.get(name, one.load) for one in reached_periods(scenario)), default=1.0)
        if steps.get(1) == 0 and not any(steps.values()):
            yield "study.load_steps", f"nobody of class {name} comes in any month: give one a load above 0", None
        since, load = 1, 1.0
        for month in range(1, math.ceil(study.months) + 1):
            if month in steps:
                since, load = month, steps[month]
            grown = (month - since) / MONTHS_PER_YEAR * rate
            if not period or not load or math.log(load) + math.log(period) + grown <= math.log(_MOST_LOAD):
                continue
            if grown <= 0:
                path = "study.load_steps" if load > period else "study.periods"
            if path not in told:
                told.add(path)
                words = f"the load of {name} in month {month} is above {_MOST_LOAD:,.0f} times that of the workload"
                yield path, f"{words}: raise its rate if so much is meant", None
            break


def _period_problems(periods: tuple[Period, ...], months: tuple[int, ...]) -> Iterator[Found]:
    if not periods:
        return
    yield from twice((f"study.periods[{k}]", period.name) for k, period in enumerate(periods))
    for month in months:
        there = [period for period in periods if not calendar_months(period) or month in calendar_months(period)]
        open_ = [period.name for period in there if hours_per_month(period) is None]
        given = math.fsum(hours_per_month(period) or 0.0 for period in there)
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


def reached_months(scenario: Scenario) -> tuple[int, ...]:
    """Calendar months, 1 to 12, that the study has, in its order."""
    first, count = first_calendar_month(scenario), math.ceil(min(scenario.study.months, MONTHS_PER_YEAR))
    return tuple((first + k - 1) % MONTHS_PER_YEAR + 1 for k in range(count))


def reached_periods(scenario: Scenario) -> list[Period]:
    """Periods that some month of the study has."""
    months = set(reached_months(scenario))
    return [one for one in scenario.study.periods if not calendar_months(one) or months & set(calendar_months(one))]


def hours_left(period: Period, periods: Sequence[Period]) -> tuple[float, ...]:
    """Hours of the week in each hour of the day, shape (24,), that a period has which leaves out its own.

    Empty where that is not known: unless all others name days or hours, of all months and of no hour twice.
    """
    others = [period_window(one) for one in periods if one is not period]
    if hours_per_month(period) is not None or any(calendar_months(one) for one in periods):
        return ()
    windows = [window for window in others if window is not None]
    if not windows or len(windows) < len(others):
        return ()
    spans = sorted(span for window in windows for span in week_spans(window))
    if any(until_s > start_s for (_, until_s), (start_s, _) in pairwise(spans)):
        return ()
    held = [share_by_hour(window) for window in windows]
    left = tuple(max(_DAYS_OF_A_WEEK - math.fsum(hours), 0.0) for hours in zip(*held, strict=True))
    return left if math.fsum(left) > _SLACK_HOURS else ()


def calendar_months(period: Period) -> tuple[int, ...]:
    """Calendar months that have the period; empty for all."""
    found = {
        MONTHS_PER_QUARTER * (quarter - 1) + k for quarter in period.quarters for k in range(1, MONTHS_PER_QUARTER + 1)
    }
    return tuple(sorted(found | set(period.months)))
