"""Arrival processes obey their laws: rate, burstiness, distribution, order, looping."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from simulator.rng import stream
from simulator.workload.arrivals import Rate, arrival_times, constant_rate, schedule_rate
from simulator.workload.source import build_source
from simulator.workload.spec import (
    Arrivals,
    ClassWorkload,
    Constant,
    Gamma,
    Poisson,
    Schedule,
    Spike,
    WorkloadSpec,
)

HOUR, DAY = 3600.0, 86400.0


def times_of(arrivals: Arrivals, horizon_s: float, seed: int = 1) -> NDArray[np.float64]:
    workload = ClassWorkload("chat", arrivals, isl=Constant(10), osl=Constant(10))
    source = build_source(WorkloadSpec((workload,)), horizon_s, seed)
    return np.concatenate([np.zeros(0), *(chunk.arrival_s for chunk in source.chunks())])


def assert_gamma(gaps: NDArray[np.float64], cv: float) -> None:
    """Gaps of mean 1 are gamma; those below 1e-6, which the resolution of a clock cuts short, are only counted."""
    law, floor = stats.gamma(cv**-2, scale=cv**2), 1e-6
    assert stats.binomtest(int(np.count_nonzero(gaps <= floor)), len(gaps), law.cdf(floor)).pvalue > 0.01
    tail = gaps[gaps > floor]
    assert stats.kstest(tail, lambda x: (law.cdf(x) - law.cdf(floor)) / law.sf(floor)).pvalue > 0.01


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(times_of(Poisson(7.0), 5000.0))
    assert stats.kstest(gaps * 7.0, "expon").pvalue > 0.01


@pytest.mark.parametrize("cv", [0.3, 1.0, 3.0])
def test_gamma_gaps_have_their_distribution_and_burstiness(cv: float) -> None:
    gaps = np.diff(times_of(Gamma(7.0, cv), 6000.0))
    assert_gamma(gaps * 7.0, cv)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.04)


def test_gamma_of_cv_zero_is_a_regular_grid() -> None:
    times = times_of(Gamma(4.0, 0.0), 100.0)
    assert len(times) == 400
    np.testing.assert_allclose(np.diff(times), 0.25, atol=1e-9)


@pytest.mark.parametrize("cv", [0.5, 4.0])
def test_expected_count_is_rate_times_time_from_second_zero_on(cv: float) -> None:
    """A process started with a full gap would be off by (cv² − 1)/2 arrivals, here −0.375 and 7.5."""
    counts = np.array([len(times_of(Gamma(5.0, cv), 2.0, seed)) for seed in range(600)])
    assert counts.mean() == pytest.approx(10.0, abs=4 * counts.std() / np.sqrt(len(counts)))


def test_poisson_counts_have_the_mean_and_variance_of_poisson() -> None:
    counts = np.histogram(times_of(Poisson(20.0), 4000.0), bins=np.arange(0, 4001, 1.0))[0]
    assert counts.mean() == pytest.approx(20.0, abs=4 * np.sqrt(20 / 4000))
    assert counts.var() == pytest.approx(20.0, rel=4 * np.sqrt(2 / 4000))


def test_schedule_follows_hours_days_and_spikes() -> None:
    hourly = tuple(0.2 if hour < 8 else 1.5 for hour in range(24))
    weekly = (1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0)
    spike = Spike(start_s=DAY + 10.5 * HOUR, duration_s=900.0, factor=4.0)
    times = times_of(Schedule(0.2, hourly, weekly, (spike,)), 8 * DAY)

    def expect(start_s: float, end_s: float, arrivals: float) -> None:
        found = np.count_nonzero((times >= start_s) & (times < end_s))
        assert abs(found - arrivals) <= 4 * np.sqrt(arrivals)

    expect(0, 8 * HOUR, 0.2 * 0.2 * 8 * HOUR)
    expect(8 * HOUR, DAY, 0.2 * 1.5 * 16 * HOUR)
    expect(DAY + 10.5 * HOUR, DAY + 10.75 * HOUR, 0.2 * 1.5 * 4 * 900)
    expect(5 * DAY + 8 * HOUR, 6 * DAY, 0.2 * 1.5 * 0.5 * 16 * HOUR)
    expect(6 * DAY, 7 * DAY, 0.0)
    expect(7 * DAY, 7 * DAY + 8 * HOUR, 0.2 * 0.2 * 8 * HOUR)


def test_a_schedule_that_begins_within_the_week_goes_on_from_there() -> None:
    hourly, weekly = tuple(1.0 + hour for hour in range(24)), tuple(1.0 + day for day in range(7))
    whole = schedule_rate(Schedule(1.0, hourly, weekly), 14 * DAY)
    begin_s = 6 * DAY + 10.25 * HOUR
    part = schedule_rate(Schedule(1.0, hourly, weekly, clock_s=begin_s), 7 * DAY)
    middle_s = (part.edges_s[:-1] + part.edges_s[1:]) / 2
    np.testing.assert_array_equal(part.rps, whole.rps[np.searchsorted(whole.edges_s, middle_s + begin_s) - 1])
    assert (part.edges_s[1], part.edges_s[-1]) == (0.75 * HOUR, 7 * DAY)


@pytest.mark.parametrize("cv", [1.0, 2.5])
def test_schedule_becomes_a_unit_renewal_process_when_its_rate_is_scaled_out(cv: float) -> None:
    spec = Schedule(0.5, tuple(1.0 + (hour % 5) for hour in range(24)), (), (Spike(4000.0, 500.0, 10.0),), cv)
    horizon_s = 12 * HOUR
    times = times_of(spec, horizon_s)
    seconds = np.arange(0.0, horizon_s + 1)
    rate = 0.5 * (1.0 + (seconds[:-1] // HOUR) % 24 % 5)
    rate[4000:4500] *= 10.0
    scaled = np.interp(times, seconds, np.concatenate([[0.0], np.cumsum(rate)]))
    assert_gamma(np.diff(scaled), cv)


def test_schedule_rate_covers_a_horizon_that_ends_within_a_spike() -> None:
    rate = schedule_rate(Schedule(1.0, spikes=(Spike(1800.0, 7200.0, 3.0),)), 5400.0)
    np.testing.assert_array_equal(rate.edges_s, [0.0, 1800.0, 3600.0, 5400.0])
    np.testing.assert_array_equal(rate.rps, [1.0, 3.0, 3.0])


def test_looped_rate_goes_on_without_a_seam() -> None:
    """Λ⁻¹ over rounds equals Λ⁻¹ of the same rate written out round after round."""
    edges, rps = np.array([0.0, 2.0, 3.0, 7.0]), np.array([1.0, 0.0, 2.5])
    long = Rate(np.concatenate([[0.0], *(edges[1:] + 7.0 * k for k in range(5))]), np.tile(rps, 5))
    expected = np.sort(stream(3, "loop").random(1000)) * 59.9
    np.testing.assert_allclose(Rate(edges, rps, loop=True).inverse(expected), long.inverse(expected), atol=1e-9)


def test_rate_that_ends_yields_no_arrival_after_its_end() -> None:
    rate = Rate(np.array([0.0, 10.0]), np.array([50.0]))
    times = np.concatenate(list(arrival_times(rate, 1.0, stream(1, "ends"), 1e9)))
    assert len(times) == pytest.approx(500, abs=4 * np.sqrt(500))
    assert times[-1] < 10.0


def test_rate_of_zero_yields_nothing() -> None:
    assert list(arrival_times(Rate(np.array([0.0, 5.0]), np.zeros(1), loop=True), 1.0, stream(1, "none"), 1e9)) == []


def test_times_ascend_and_stay_below_the_horizon_over_many_blocks() -> None:
    times = np.concatenate(list(arrival_times(constant_rate(1000.0), 2.0, stream(5, "order"), 50.0)))
    assert len(times) > 40_000
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < 50.0
