"""Of a hundred windows of traffic, about 95 tell the tokens of the law that they came by within their 95 % interval."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from parts import few

from simulator.decide.chance import dispersion_of_tokens
from simulator.fleet.records import RECORD
from simulator.metrics.demand import Demand
from simulator.rng import stream
from simulator.workload.arrivals import arrival_times, constant_rate, gap_cv, schedule_rate
from simulator.workload.spec import Gamma, Poisson, Profile, Schedule, Sessions

HORIZON_S = 3_600.0
SEEDS = 1_000


def window(classes: list[tuple[float, float, float, bool]], seed: int, known: bool = True) -> tuple[float, float]:
    """Tokens that came / those expected, and the half-width of their 95 % interval, of (n, cv, tokens, spread)."""
    demand = Demand(HORIZON_S, 1, [cv if known else None for _, cv, _, _ in classes])
    tallies: list[Any] = []
    for k, (n, cv, size, spread) in enumerate(classes):
        luck = stream(seed, "arrivals", k)
        times = np.concatenate([[], *arrival_times(constant_rate(n / HORIZON_S), cv, luck, HORIZON_S)])
        tokens = size * luck.exponential(size=len(times)) if spread else np.full(len(times), size)
        records = np.zeros(len(times), RECORD)
        records["arrival_s"], records["class_id"] = times, k
        demand.add(records)
        tallies.append(tally(len(times), float(tokens.sum()), float(tokens @ tokens)))
    names = ("completed", "input_tokens", "squared_tokens")
    total = tally(*(sum(getattr(one, name) for one in tallies) for name in names))
    metrics: Any = SimpleNamespace(total=total, by_class=tallies, warmup_s=0.0, end_s=HORIZON_S)
    half = 1.96 * math.sqrt(dispersion_of_tokens(metrics, demand) / total.completed)
    return total.input_tokens / sum(n * size for n, _, size, _ in classes), half


def tally(completed: float, tokens: float, squares: float) -> Any:
    return SimpleNamespace(completed=completed, input_tokens=tokens, output_tokens=0, squared_tokens=squares)


def covers(classes: list[tuple[float, float, float, bool]], known: bool = True) -> float:
    found = [window(classes, seed, known) for seed in range(SEEDS)]
    return float(np.mean([abs(told - 1.0) <= half * told for told, half in found]))


CASES = [
    [(200, 4.0, 700.0, False)],
    [(1_000, 4.0, 700.0, True)],
    [(300, 1.0, 700.0, True)],
    [(150, 0.2, 700.0, False)],
    [(150, 0.2, 700.0, True)],
    [(900, 4.0, 100.0, False), (300, 0.5, 3_000.0, True)],
]


@pytest.mark.parametrize("classes", few(CASES, CASES[0], CASES[3]))
def test_the_interval_covers_as_many_truths_as_it_says(classes: list[tuple[float, float, float, bool]]) -> None:
    assert 0.91 <= covers(classes) <= 0.975


def test_stretches_miss_long_bursts() -> None:
    """Where the law is not known: this is why it is asked for."""
    assert covers([(200, 4.0, 700.0, False)], known=False) < 0.85


def test_an_even_grid_varies_by_a_sixth_of_a_request() -> None:
    """A grid at a random offset has ⌊x⌋ or ⌈x⌉ points: f (1 - f), in the mean 1/6."""
    demand = Demand(60.0, 1, [0.0])
    demand.of_class[0, 0] = 60
    assert demand.dispersions(0.0, 60.0).tolist() == pytest.approx([1 / 360])


def test_which_arrivals_have_a_law() -> None:
    assert [gap_cv(one) for one in (Poisson(1.0), Gamma(1.0, 4.0), Schedule(1.0, cv=2.0))] == [1.0, 4.0, 2.0]
    assert [gap_cv(one) for one in (Profile("a"), Sessions(1.0, 3, 1.0))] == [None, None]  # type: ignore[arg-type]


def test_hours_that_differ_by_plan_change_nothing() -> None:
    """The law holds in the time in which the rate is 1: counts of a day with a peak vary as those of an even one."""
    schedule = Schedule(0.01, hourly=(0.2,) * 8 + (3.0,) * 8 + (0.5,) * 8, cv=3.0)
    rate, day_s = schedule_rate(schedule, 86_400.0), 86_400.0
    expected = float(rate.rps @ np.diff(rate.edges_s))
    counts = [sum(map(len, arrival_times(rate, 3.0, stream(seed, "day"), day_s))) for seed in range(SEEDS)]
    demand = Demand(day_s, 1, [3.0])
    demand.of_class[0, 0] = round(expected)
    assert np.var(counts) / expected == pytest.approx(float(demand.dispersions(0.0, day_s)[0]), rel=0.15)
