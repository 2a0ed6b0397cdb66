"""From the study section of a scenario to the months of a study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.resolve.clock import Clock, clock_of, period_clock_s
from simulator.resolve.demand import request_source, workload_spec
from simulator.scenario.load import LoadedScenario
from simulator.scenario.months import calendar_months, hours_left, reached_months, reached_periods
from simulator.scenario.week import first_calendar_month, hours_per_month, period_window, share_by_hour, week_spans
from simulator.schema.scenario import Scenario
from simulator.schema.study import Period as PeriodSettings
from simulator.study.demand import WHOLE_MONTH, Growth, Horizon, Period, When
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_WEEK
from simulator.workload.jobs import JobWorkload
from simulator.workload.kinds import representative, to_mean
from simulator.workload.source import expected_by_window
from simulator.workload.windows import load_by_window


def horizon_of(loaded: LoadedScenario) -> Horizon:
    """Months, growth by class and periods of a scenario."""
    scenario = loaded.scenario
    study = scenario.study
    windows, kept_tokens = _windows(loaded)
    return Horizon(
        study.months,
        tuple(_growth(scenario, cls.name) for cls in scenario.workload.classes),
        windows or _periods(scenario) or (WHOLE_MONTH,),
        first_calendar_month(scenario),
        kept_tokens=kept_tokens,
    )


def _growth(scenario: Scenario, name: str) -> Growth:
    study = scenario.study
    loads = {step.from_month: step.load_by_class.get(name, step.load) for step in study.load_steps}
    steps = {month: load for month, load in loads.items() if load is not None}
    rate = study.growth_per_year_by_class.get(name, study.growth_per_year)
    return Growth(rate, tuple(sorted(steps.items())))


def _periods(scenario: Scenario) -> tuple[Period, ...]:
    """Periods that the study reaches; one whose hours are left out has the rest of each month, a period for each."""
    clock = clock_of(scenario)
    reached = reached_periods(scenario)
    given = [_period(settings, scenario, clock) for settings in reached]
    found: list[Period] = []
    for settings, period in zip(reached, given, strict=True):
        if hours_per_month(settings) is not None:
            found.append(period)
            continue
        rests: dict[float, list[int]] = {}
        for month in reached_months(scenario):
            if period.months and month not in period.months:
                continue
            others = [one.hours for one in given if one is not period and (not one.months or month in one.months)]
            rests.setdefault(HOURS_PER_MONTH - math.fsum(others), []).append(month)
        found += [replace(period, hours=rest, months=tuple(months)) for rest, months in rests.items() if rest > 0]
    return tuple(found)


def _windows(loaded: LoadedScenario) -> tuple[tuple[Period, ...], tuple[float, ...]]:
    """Windows of the workload that stand for all of it, where the study asks for a cut, and `Horizon.kept_tokens`."""
    run, settings = loaded.scenario.run, loaded.scenario.study.cut
    if settings is None:
        return (), ()
    window_s = settings.window_h * SECONDS_PER_HOUR
    clock = clock_of(loaded.scenario)
    start_s = clock.at(run.start)
    count = int(run.horizon_s // window_s)
    load = load_by_window(request_source(loaded), window_s, count)
    found = []
    tokens = _tokens_by_window(loaded, load[:, :, 1:].sum(axis=2), window_s)
    kept = np.zeros(tokens.shape[1])
    for number, members in representative(load, settings.kinds, run.seed):
        factors = to_mean(tokens, number, members)
        kept += len(members) * tokens[number] * factors
        when = _when(clock, start_s + max(number * window_s - run.warmup_s, 0.0), window_s + run.warmup_s)
        if not count * window_s % SECONDS_PER_DAY:
            local_s = start_s + clock.ahead_h(start_s) * SECONDS_PER_HOUR
            spans = [(local_s + k * window_s, local_s + (k + 1) * window_s) for k in members]
            when = _again(when, spans, count * window_s)
        found.append(
            Period(
                f"{number * settings.window_h:g} h",
                len(members) / count * HOURS_PER_MONTH,
                tuple(factors.tolist()),
                when,
                window_s=(number * window_s, (number + 1) * window_s),
                part=number,
            )
        )
    whole = tokens.sum(axis=0)
    return tuple(found), tuple(np.divide(kept, whole, out=np.ones_like(whole), where=whole > 0).tolist())


def _tokens_by_window(loaded: LoadedScenario, drawn: NDArray[np.float64], window_s: float) -> NDArray[np.float64]:
    """Tokens of each class in each window: of a file its own, of what is drawn as many as are to be expected.

    Parameters
    ----------
    drawn : tokens that came, by window and class
    """
    classes = workload_spec(loaded.scenario, loaded.path.parent).classes
    edges_s = np.arange(len(drawn) + 1, dtype=np.float64) * window_s
    expected = [None if isinstance(cls, JobWorkload) else expected_by_window(cls.arrivals, edges_s) for cls in classes]
    return np.stack([drawn[:, k] if one is None else one for k, one in enumerate(expected)], axis=1)


def _period(settings: PeriodSettings, scenario: Scenario, clock: Clock) -> Period:
    names = [cls.name for cls in scenario.workload.classes]
    return Period(
        settings.name,
        hours_per_month(settings) or 0.0,
        tuple(settings.load_by_class.get(name, settings.load) for name in names),
        _period_when(scenario, settings, clock),
        calendar_months(settings),
        part=[one.name for one in scenario.study.periods].index(settings.name),
    )


def _period_when(scenario: Scenario, settings: PeriodSettings, clock: Clock) -> When | None:
    """When a period is; None where it names neither a start nor hours, and others do not leave it any."""
    window, left = period_window(settings), hours_left(settings, reached_periods(scenario))
    if (settings.start, settings.start_hour, window, left) == (None, None, None, ()):
        return None
    found = _when(clock, period_clock_s(scenario, settings, clock), scenario.run.horizon_s)
    if window is None:
        return replace(found, spread=left)
    found = replace(found, spread=share_by_hour(window))
    return _again(found, week_spans(window), SECONDS_PER_WEEK)


def _again(when: When, spans: Sequence[tuple[float, float]], cycle_s: float) -> When:
    """What stands for these times of each cycle."""
    return replace(when, holds_s=tuple(spans), cycle_s=cycle_s)


def run_when(scenario: Scenario) -> When:
    """When the run is."""
    return part_when(scenario, 0.0, scenario.run.horizon_s)


def part_when(scenario: Scenario, start_s: float, span_s: float) -> When:
    """When the part of the run is that begins at its second `start_s`."""
    clock = clock_of(scenario)
    return _when(clock, clock.at(scenario.run.start) + start_s, span_s)


def _when(clock: Clock, at_s: float, span_s: float) -> When:
    return When(at_s, clock.hour_of_day(at_s), clock.ahead_h(at_s), clock.changes(at_s, at_s + span_s))
