"""How far the answer moves: one figure at a time, and with uncertain prices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import InputError, Problem
from simulator.rng import stream
from simulator.units import MONTHS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Swing:
    """Cost in USD with one figure at its low, its base and its high value, all others at base."""

    name: str
    low: float
    base: float
    high: float
    low_usd: float
    base_usd: float
    high_usd: float

    @property
    def width_usd(self) -> float:
        costs = (self.low_usd, self.base_usd, self.high_usd)
        return max(costs) - min(costs)


def tornado(
    cost_usd: Callable[[Mapping[str, float]], float], ranges: Mapping[str, tuple[float, float, float]]
) -> tuple[Swing, ...]:
    """Swing of the cost with each figure, widest first.

    Parameters
    ----------
    cost_usd : cost from all figures by name
    ranges : name to (low, base, high)

    Raises
    ------
    InputError : a range that isn't in order
    """
    wrong = [name for name, (low, base, high) in ranges.items() if not low <= base <= high]
    if wrong:
        raise InputError(*(Problem("needs low <= base <= high", path=f"tornado.{name}") for name in wrong))
    bases = {name: base for name, (_, base, _) in ranges.items()}
    base_usd = cost_usd(bases)
    swings = [
        Swing(name, low, base, high, cost_usd(bases | {name: low}), base_usd, cost_usd(bases | {name: high}))
        for name, (low, base, high) in ranges.items()
    ]
    return tuple(sorted(swings, key=lambda swing: (-swing.width_usd, swing.name)))


@dataclass(frozen=True, slots=True)
class PricePath:
    """Geometric Brownian motion of a price: it can rise as well as fall.

    Attributes
    ----------
    start_usd : price at month 0
    drift_per_year : of the mean; E[P(t)] = start * exp(drift * t), -0.2 for 18 % less a year
    volatility_per_year : standard deviation of the logarithm after a year; sqrt(12) times that of a month
    """

    start_usd: float
    drift_per_year: float
    volatility_per_year: float


def price_paths_usd(path: PricePath, months: int, samples: int, seed: int, name: str) -> NDArray[np.float64]:
    """Random prices at the end of months 0 to `months`, shape (samples, months + 1).

    P(t) = start * exp((drift - sigma^2 / 2) t + sigma W(t)), t in years. The stream is that of `name`, so topologies
    that ask for the same name and seed see the same prices.
    """
    normals = stream(seed, "cost", "price", name).standard_normal((samples, months))
    drift = (path.drift_per_year - path.volatility_per_year**2 / 2) / MONTHS_PER_YEAR
    steps = drift + path.volatility_per_year * math.sqrt(1 / MONTHS_PER_YEAR) * normals
    logs = np.concatenate((np.zeros((samples, 1)), np.cumsum(steps, axis=1)), axis=1)
    return np.asarray(path.start_usd * np.exp(logs), dtype=np.float64)


class Interval(NamedTuple):
    """Quantiles of samples: the median, and the ends of the central share asked for."""

    low: float
    median: float
    high: float


def central_interval(samples: ArrayLike, coverage: float) -> Interval:
    """Median, and the interval that holds the central `coverage` (0.9: from the 5th to the 95th percentile)."""
    values = np.asarray(samples, dtype=np.float64)
    low, median, high = np.quantile(values, [(1 - coverage) / 2, 0.5, (1 + coverage) / 2])
    return Interval(float(low), float(median), float(high))


def triangular(low: float, mode: float, high: float, samples: int, seed: int, name: str) -> NDArray[np.float64]:
    """Draws of a figure known by a value and a range: triangular from low to high, most likely at the value.

    The stream is that of `name`, so whoever asks for the same figure and seed sees the same draws; shape (samples,).

    Raises
    ------
    InputError : a range that isn't in order
    """
    if not low <= mode <= high:
        raise InputError(Problem("needs low <= value <= high", path=f"figure.{name}"))
    if low == high:
        return np.full(samples, mode)
    return stream(seed, "cost", "figure", name).triangular(low, mode, high, samples)
