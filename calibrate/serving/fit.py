"""Fit of the engine's overheads on published serving results: few global parameters, no row has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibrate.serving.forecast import Case, Forecast, simulate_case
from calibrate.serving.score import SCORED, counts, regime
from calibrate.serving.trial import trial_steps

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]

STEP = 0.08
"""Relative step of the finite differences: larger than the steps that discrete batches make."""
SOFT = 0.1
"""Log error from which on errors count linearly, not squared."""
METRIC_WEIGHT = {"tpot": 1.0, "throughput": 0.7, "ttft": 0.5}
"""E2E follows from TTFT and TPOT."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A global parameter: start value, bounds, unit."""

    name: str
    start: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True, slots=True)
class Fit:
    """Result of a fit.

    Attributes
    ----------
    values : by parameter
    jacobian : derivative of the weighted log errors by log parameter, shape (residuals, parameters)
    residuals : weighted log errors at the result
    owners : case of each residual
    """

    values: dict[str, float]
    jacobian: Floats
    residuals: Floats
    owners: NDArray[np.int64]


def residual_keys(cases: Sequence[Case], forecasts: Sequence[Forecast]) -> list[tuple[int, str, str, float]]:
    """What is fitted: (case, metric, statistic, weight). Every series weighs as the square root of its rows."""
    series = [_series(case) for case in cases]
    keys: list[tuple[int, str, str, float]] = []
    for k, (case, forecast) in enumerate(zip(cases, forecasts, strict=True)):
        row = case.row
        where = regime(row, forecast)
        for metric, weight in METRIC_WEIGHT.items():
            stat = next((s for s in SCORED[metric] if (metric, s) in row.figures), None)
            if stat is None or not counts(metric, where) or (metric, stat) not in forecast.figures:
                continue
            if metric == "throughput" and where == "below saturation":
                continue
            keys.append((k, metric, stat, weight / series.count(series[k]) ** 0.5))
    return keys


def _series(case: Case) -> tuple[object, ...]:
    row = case.row
    return row.dataset, row.model, row.gpu, row.tp, row.dtype


def log_errors(
    cases: Sequence[Case], keys: Sequence[tuple[int, str, str, float]], values: Mapping[str, float]
) -> Floats:
    """Weighted log errors (simulated over measured) of all keys."""
    forecasts = [simulate_case(case, trial_steps(values, case)) for case in cases]
    return np.array(
        [w * np.log(forecasts[k].figures[m, s] / cases[k].row.figures[m, s]) for k, m, s, w in keys], np.float64
    )


def fit(
    cases: Sequence[Case], parameters: Sequence[Parameter], progress: Progress | None = None, rounds: int = 6
) -> Fit:
    """Least squares of the log errors with a soft-L1 loss, in the logarithms of the parameters."""
    names = [one.name for one in parameters]
    start = {one.name: one.start for one in parameters}
    forecasts = [simulate_case(case, trial_steps(start, case)) for case in cases]
    keys = residual_keys(cases, forecasts)
    calls = [0]

    def errors(log_values: Floats) -> Floats:
        calls[0] += 1
        if progress:
            progress(f"fit, evaluation {calls[0]}", min(calls[0] / (rounds * (len(names) + 1)), 1.0))
        return log_errors(cases, keys, dict(zip(names, np.exp(log_values).tolist(), strict=True)))

    low, high = (np.log([getattr(one, side) for one in parameters]) for side in ("low", "high"))
    result = least_squares(
        errors,
        np.log([one.start for one in parameters]),
        jac=partial(_jacobian, errors),
        bounds=(low, high),
        loss="soft_l1",
        f_scale=SOFT,
        max_nfev=rounds,
    )
    return Fit(
        dict(zip(names, np.exp(result.x).tolist(), strict=True)),
        _jacobian(errors, result.x),
        errors(result.x),
        np.array([key[0] for key in keys]),
    )


def _jacobian(errors: Callable[[Floats], Floats], at: Floats) -> Floats:
    """Central differences."""
    columns = []
    for k in range(len(at)):
        step = np.zeros_like(at)
        step[k] = STEP
        columns.append((errors(at + step) - errors(at - step)) / (2 * STEP))
    return np.stack(columns, axis=1)


def refit_without(result: Fit, parameters: Sequence[Parameter], left_out: NDArray[np.bool_]) -> dict[str, float]:
    """Parameters fitted without the cases `left_out` (by case), from the linearised full fit.

    Near the optimum the errors are linear in the log parameters, so a fold costs no simulation.
    """
    kept = ~left_out[result.owners]
    at = np.log([result.values[one.name] for one in parameters])
    low, high = (np.log([getattr(one, side) for one in parameters]) for side in ("low", "high"))
    jacobian, residuals = result.jacobian[kept], result.residuals[kept]

    def errors(log_values: Floats) -> Floats:
        return np.asarray(residuals + jacobian @ (log_values - at))

    solved = least_squares(
        errors, np.clip(at, low, high), jac=lambda _: jacobian, bounds=(low, high), loss="soft_l1", f_scale=SOFT
    )
    return dict(zip([one.name for one in parameters], np.exp(solved.x).tolist(), strict=True))
