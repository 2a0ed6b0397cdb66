"""Has the server become slower or faster than its profile? One factor on the step times, with an interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.live.twin import Twin
from calibrate.live.window import Observation
from simulator.rng import stream

_SLICES = 24
_MIN_GAPS = 200
_DRAWS = 2000
_LEVEL = 0.95
_ROUNDS = 6
_SETTLED = 0.002
_UNKNOWN = (0.0, float("inf"))
"""Interval of a factor of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Mean gap between tokens over a stretch of the watch, measured and predicted."""

    start_s: float
    end_s: float
    gaps: float
    measured_s: float
    predicted_s: float

    @property
    def ratio(self) -> float:
        return self.measured_s / self.predicted_s


@dataclass(frozen=True, slots=True)
class Drift:
    """Factor by which steps take longer than the profile says.

    Attributes
    ----------
    factor : estimate; `low` and `high` are its 95 % interval over the slices of the watch
    ttft_excess_s : measured less predicted mean TTFT once steps are scaled; None where it cannot be told from 0
    slices : drift over time, with the unscaled profile
    significant : the interval leaves out 1 and the factor is further from 1 than the threshold
    """

    factor: float
    low: float
    high: float
    ttft_excess_s: float | None
    slices: tuple[Slice, ...]
    significant: bool


def estimate(observation: Observation, simulate: Callable[[float], Twin], *, threshold: float, seed: int) -> Drift:
    """Find the factor on the step times at which the mean gap between tokens is the measured one.

    A slower engine also batches more, so the factor is searched by simulating again: f ← f · measured / predicted
    until it settles. Where one side has no gaps between tokens nothing is known of it.

    Parameters
    ----------
    simulate : the twin with step times multiplied by a factor
    threshold : smallest deviation of the factor from 1 that is called a drift
    """
    measured_s = observation.histogram("itl_s").mean
    factor, first = 1.0, simulate(1.0)
    twin = first
    if not (measured_s > 0 and twin.mean_s("itl_s") > 0):
        return Drift(factor, *_UNKNOWN, _ttft_excess(observation, first), (), False)
    for _ in range(_ROUNDS):
        change = measured_s / twin.mean_s("itl_s")
        factor *= change
        twin = simulate(factor)
        if abs(change - 1.0) < _SETTLED:
            break
    scaled = np.array([(entry.gaps, entry.ratio) for entry in slices(observation, twin)]).reshape(-1, 2)
    low, high = _interval(scaled[:, 0], scaled[:, 1], seed)
    low, high = factor * low, factor * high
    significant = not low <= 1.0 <= high and abs(factor - 1.0) > threshold
    return Drift(
        factor, low, high, _ttft_excess(observation, twin), tuple(slices(observation, first)), bool(significant)
    )


def slices(observation: Observation, twin: Twin) -> list[Slice]:
    """Neighbouring windows joined until each slice has enough gaps between tokens on both sides."""
    windows = observation.windows
    each = max(observation.histogram("itl_s").count / _SLICES, _MIN_GAPS)
    ends_s = np.cumsum([window.duration_s for window in windows])
    found: list[Slice] = []
    begin, begin_s, total_s, gaps = 0, 0.0, 0.0, 0.0
    for k, window in enumerate(windows):
        gaps += window.histograms["itl_s"].count
        total_s += window.histograms["itl_s"].total
        if gaps < each:
            continue
        inside = (twin.finish_s >= begin_s) & (twin.finish_s < ends_s[k])
        weight = np.maximum(twin.osl[inside] - 1, 0)
        if weight.sum() >= _MIN_GAPS / 2:
            predicted_s = float((np.nan_to_num(twin.latencies_s["itl_s"][inside]) * weight).sum() / weight.sum())
            found.append(Slice(windows[begin].start_s, window.end_s, gaps, total_s / gaps, predicted_s))
            begin, begin_s, total_s, gaps = k + 1, float(ends_s[k]), 0.0, 0.0
    return found


def _interval(weights: NDArray[np.float64], ratios: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Bootstrap interval of the weighted mean ratio over slices, about 1; without two slices nothing is known."""
    if len(ratios) < 2:
        return _UNKNOWN
    drawn = stream(seed, "live", "bootstrap").integers(0, len(ratios), (_DRAWS, len(ratios)))
    means = (weights[drawn] * ratios[drawn]).sum(axis=1) / weights[drawn].sum(axis=1)
    centre = float((weights * ratios).sum() / weights.sum())
    tail = (1.0 - _LEVEL) / 2
    low, high = np.quantile(means / centre, [tail, 1.0 - tail])
    return float(low), float(high)


def _ttft_excess(observation: Observation, twin: Twin) -> float | None:
    """What a request spends outside the steps and the profile does not know of, from the mean TTFT; s."""
    excess_s = observation.histogram("ttft_s").mean - twin.mean_s("ttft_s")
    values = twin.latencies_s["ttft_s"]
    if not np.isfinite(values).any():
        return None
    noise_s = 2.0 * float(np.nanstd(values)) / np.sqrt(max(len(values), 1))
    return float(excess_s) if abs(excess_s) > noise_s else None
