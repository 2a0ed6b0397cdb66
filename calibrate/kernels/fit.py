"""Robust fit of a kernel's time by relative error, and what is left of the error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Floats = NDArray[np.float64]

ERROR_SCALE = 0.1
"""Relative error beyond which a point counts linearly, not quadratically."""
MOST_POINTS = 6000
"""Points that one fit looks at; residuals are of all points."""


@dataclass(frozen=True, slots=True)
class Residuals:
    """Errors of a fit, as fractions: modelled over measured time, minus one.

    Attributes
    ----------
    points : measurements compared
    median_abs, p90_abs : quantiles of the absolute error
    bias : median of the signed error
    ranges : smallest and largest value of each regressor
    """

    points: int
    median_abs: float
    p90_abs: float
    bias: float
    ranges: dict[str, list[float]]

    def record(self) -> dict[str, object]:
        """The fields, rounded for a file."""
        fields = asdict(self)
        return {name: rounded(value) if isinstance(value, float) else value for name, value in fields.items()}


def rounded(value: float) -> float:
    """Six significant digits: far below any error here, and the same on every machine."""
    return float(f"{value:.6g}")


def fit_log(
    model: Callable[[Floats, NDArray[np.intp]], Floats],
    measured_s: Floats,
    start: Sequence[float] | Floats,
    low: Sequence[float] | Floats,
    high: Sequence[float] | Floats,
) -> Floats:
    """Parameters that minimise the soft-L1 loss of log(model / measured).

    Parameters
    ----------
    model : times of the points at the given places, for a vector of parameters
    start, low, high : start value and bounds of each parameter
    """
    places = np.arange(measured_s.size)
    if places.size > MOST_POINTS:
        places = places[:: -(-places.size // MOST_POINTS)]
    logs = np.log(measured_s[places])
    begin = np.clip(start, low, high)
    scale = np.maximum(np.abs(begin), 1e-12)

    def errors(parameters: Floats) -> Floats:
        return np.asarray(np.log(model(parameters, places)) - logs)

    found = least_squares(errors, begin, bounds=(low, high), loss="soft_l1", f_scale=ERROR_SCALE, x_scale=scale)
    return np.asarray(found.x, dtype=np.float64)


def residuals(modelled_s: Floats, measured_s: Floats, regressors: Mapping[str, Floats]) -> Residuals:
    """Quantiles of the error of `modelled_s` against `measured_s`."""
    error = modelled_s / measured_s - 1.0
    ranges = {name: [float(np.min(values)), float(np.max(values))] for name, values in regressors.items()}
    return Residuals(
        points=int(error.size),
        median_abs=float(np.median(np.abs(error))),
        p90_abs=float(np.quantile(np.abs(error), 0.9)),
        bias=float(np.median(error)),
        ranges=ranges,
    )
