"""Arrival times: stationary renewal processes, and rates that change with time by exact time rescaling.

A renewal process of unit rate with times u_1 < u_2 < … becomes one of rate λ(t) through t = Λ⁻¹(u) with
Λ(t) = ∫₀ᵗ λ. With exponential gaps this is exactly the inhomogeneous Poisson process (Brown et al., "The time-rescaling
theorem and its application to neural spike train data analysis", Neural Computation 14, 2002); with gamma gaps it keeps
the burstiness and follows the rate (Pillow, "Time-rescaling methods for the estimation and assessment
of non-Poisson neural encoding models", NIPS 2009). The process is started in equilibrium, so that E[N(t)] = Λ(t) from
second 0 on, whatever the burstiness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.units import HOURS_PER_DAY, SECONDS_PER_HOUR
from simulator.workload.spec import DAYS_PER_WEEK, Arrivals, Gamma, Poisson, Schedule

BLOCK = 16384
"""Arrivals drawn at a time, whatever the size of the chunks handed out."""


def renewal_times(generator: np.random.Generator, cv: float) -> Iterator[NDArray[np.float64]]:
    """Endless blocks of times of a stationary renewal process of unit rate with gamma gaps of this `cv`.

    Gap density: shape k = 1/cv², mean 1. The first gap has the stationary excess law: U · Gamma(k + 1, 1/k). `cv` 0 is
    an even grid at a random offset.
    """
    last = _first_gap(generator, cv)
    yield np.array([last])
    while True:
        times = last + np.cumsum(_gaps(generator, cv, BLOCK))
        last = float(times[-1])
        yield times


def _first_gap(generator: np.random.Generator, cv: float) -> float:
    uniform = generator.random()
    if cv == 0.0:
        return float(uniform)
    shape = cv**-2
    return float(uniform * generator.standard_gamma(shape + 1.0) / shape)


def _gaps(generator: np.random.Generator, cv: float, n: int) -> NDArray[np.float64]:
    if cv == 0.0:
        return np.ones(n)
    if cv == 1.0:
        return generator.standard_exponential(n)
    shape = cv**-2
    return generator.standard_gamma(shape, n) / shape


def gap_cv(arrivals: Arrivals) -> float | None:
    """Coefficient of variation of the gamma gaps once the rate is scaled out, of arrivals whose law says all of them.

    None of others: the rate of a profile, and the rows of a trace, are one draw of what came by chance, and turns of
    a conversation or users who wait come with those before them.
    """
    if isinstance(arrivals, Gamma | Schedule):
        return arrivals.cv
    return 1.0 if isinstance(arrivals, Poisson) else None


@dataclass(frozen=True, slots=True)
class Rate:
    """Piecewise-constant rate λ(t), from 0 to `edges_s[-1]`, repeated after that if `loop`.

    Attributes
    ----------
    edges_s : float64 (n + 1,), borders of the pieces, from 0 up
    rps : float64 (n,), rate within each piece, requests/s
    loop : repeat without end; otherwise the rate is 0 afterwards
    """

    edges_s: NDArray[np.float64]
    rps: NDArray[np.float64]
    loop: bool = False

    @property
    def _cumulative(self) -> NDArray[np.float64]:
        """Λ at the borders of the pieces."""
        return np.concatenate([[0.0], np.cumsum(self.rps * np.diff(self.edges_s))])

    def inverse(self, expected: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times Λ⁻¹(u) in s of the ascending expected counts `u`; only those that the rate ever reaches."""
        cumulative = self._cumulative
        total = cumulative[-1]
        if total == 0.0:
            return np.zeros(0)
        rounds = np.floor(expected / total) if self.loop else np.zeros(np.searchsorted(expected, total))
        rest = expected[: len(rounds)] - rounds * total
        times: NDArray[np.float64] = rounds * self.edges_s[-1] + np.interp(rest, cumulative, self.edges_s)
        return times

    def expected(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Λ(t), how many are expected up to these times."""
        cumulative = self._cumulative
        rounds = at_s // self.edges_s[-1] if self.loop else np.zeros_like(at_s)
        within = np.interp(at_s - rounds * self.edges_s[-1], self.edges_s, cumulative)
        return np.asarray(rounds * cumulative[-1] + within, np.float64)

    def any_from(self, begin_s: float) -> bool:
        """Whether anything comes after `begin_s`, of a rate that does not loop."""
        return bool((self.rps[self.edges_s[1:] > begin_s] > 0.0).any())


def constant_rate(rate_rps: float) -> Rate:
    """The same rate for ever."""
    return Rate(np.array([0.0, 1.0]), np.array([rate_rps]), loop=True)


def schedule_rate(spec: Schedule, horizon_s: float) -> Rate:
    """Rate of a schedule from second 0 to the horizon, a piece per hour and per spike."""
    borders = _hours(spec, horizon_s)
    spikes = [time for spike in spec.spikes for time in (spike.start_s, spike.start_s + spike.duration_s)]
    edges_s = np.unique(np.concatenate([*borders, spikes, [0.0, horizon_s]]))
    edges_s = edges_s[edges_s <= horizon_s]
    start_s = edges_s[:-1]
    middle_s = (start_s + edges_s[1:]) / 2
    hours = (_week_s(spec, middle_s) // SECONDS_PER_HOUR).astype(np.int64)
    hour = hours % HOURS_PER_DAY
    day = hours // HOURS_PER_DAY % DAYS_PER_WEEK
    rps = np.full(len(start_s), float(spec.rate_rps))
    rps *= np.asarray(spec.hourly or (1.0,) * HOURS_PER_DAY)[hour]
    rps *= np.asarray(spec.weekly or (1.0,) * DAYS_PER_WEEK)[day]
    for spike in spec.spikes:
        rps[(start_s >= spike.start_s) & (start_s < spike.start_s + spike.duration_s)] *= spike.factor
    return Rate(edges_s, rps)


def _hours(spec: Schedule, horizon_s: float) -> list[NDArray[np.float64]]:
    """Seconds at which an hour of the clock begins, or the clock changes, from each turn of it on."""
    ends = [from_s for from_s, _ in spec.turns[1:]]
    found: list[NDArray[np.float64]] = []
    for k, (from_s, week_s) in enumerate(spec.turns):
        low = max(from_s - spec.clock_s, 0.0) if k else 0.0
        high = min(ends[k] - spec.clock_s, horizon_s) if k < len(ends) else horizon_s
        first = low + (from_s - week_s - spec.clock_s - low) % SECONDS_PER_HOUR
        if low < high:
            found += [np.append(low, np.arange(first, high, SECONDS_PER_HOUR, dtype=np.float64))]
    return found


def _week_s(spec: Schedule, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Time since some Monday 00:00 at seconds of the workload."""
    from_s, week_s = (np.array(column) for column in zip(*spec.turns, strict=True))
    clock_s = at_s + spec.clock_s
    turn = np.maximum(np.searchsorted(from_s, clock_s, side="right") - 1, 0)
    return np.asarray(clock_s - from_s[turn] + week_s[turn])


def arrival_times(
    rate: Rate, cv: float, generator: np.random.Generator, horizon_s: float
) -> Iterator[NDArray[np.float64]]:
    """Blocks of arrival times in s, ascending, all before `horizon_s`."""
    for expected in renewal_times(generator, cv):
        times = rate.inverse(expected)
        inside = times[times < horizon_s]
        if len(inside):
            yield inside
        if len(inside) < len(expected):
            return
