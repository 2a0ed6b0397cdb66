"""Fit of the engine's overheads on published serving results: few global parameters, no row has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibrate.serving.forecast import Case, Forecast
from calibrate.serving.front_end import service_s
from calibrate.serving.measured import MeasuredRow
from calibrate.serving.score import BELOW, BURST, SCORED, counts, regime
from calibrate.serving.sources import source_of
from calibrate.serving.trial import trial_forecast, trial_key

Floats = NDArray[np.float64]
Runs = tuple[Case, ...]
"""One row, made ready once or several times."""
Progress = Callable[[str, float], None]

STEP = 0.2
"""Relative step of the finite differences: larger than the steps that discrete batches make."""
SOFT = 0.1
"""Log error from which on errors count linearly, not squared."""
PRIOR_WEIGHT = 0.1
"""A parameter one spread away from what is expected costs as much as a series that is 10 % off."""
METRIC_WEIGHT = {"tpot": 1.0, "throughput": 0.7, "ttft": 0.5}
"""E2E follows from TTFT and TPOT."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A global parameter.

    Attributes
    ----------
    start : what is expected of it before any result is seen; where a fit begins unless told otherwise
    low, high : physical bounds
    spread : standard deviation of its logarithm around `start`
    """

    name: str
    start: float
    low: float
    high: float
    unit: str
    spread: float


@dataclass(frozen=True, slots=True)
class Fit:
    """Result of a fit.

    Attributes
    ----------
    values : by parameter
    jacobian : derivative of the weighted log errors by log parameter, shape (residuals, parameters)
    residuals : weighted log errors at the result
    owners : row of each residual
    deviations : standard deviation of each parameter's logarithm
    """

    values: dict[str, float]
    jacobian: Floats
    residuals: Floats
    owners: NDArray[np.int64]
    deviations: dict[str, float]


def residual_keys(runs: Sequence[Runs], forecasts: Sequence[Forecast]) -> list[tuple[int, str, str, float]]:
    """What is fitted: (case, metric, statistic, weight). Every series weighs as the square root of its rows.

    Of a burst the throughput alone: that says how fast the engine was, TPOT how long prompts of others came between.
    """
    series = [_series(cases[0].row) for cases in runs]
    keys: list[tuple[int, str, str, float]] = []
    for k, (cases, forecast) in enumerate(zip(runs, forecasts, strict=True)):
        row = cases[0].row
        where = regime(row, forecast)
        for metric, weight in METRIC_WEIGHT.items():
            stat = next((s for s in SCORED[metric] if (metric, s) in row.figures), None)
            if stat is None or not counts(metric, where) or (metric, stat) not in forecast.figures:
                continue
            if (metric == "throughput" and where == BELOW) or (metric == "tpot" and where == BURST):
                continue
            if metric == "ttft" and "statistic" in source_of(row):
                continue
            keys.append((k, metric, stat, weight / series.count(series[k]) ** 0.5))
    return keys


def _series(row: MeasuredRow) -> tuple[object, ...]:
    return row.dataset, row.model, row.gpu, row.tp, row.dtype


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Forecasts of rows by trial values; a parameter that does not bear on a row costs no simulation of it."""

    runs: Sequence[Runs]
    known: dict[tuple[object, ...], Forecast] = field(default_factory=dict)

    def __call__(self, values: Mapping[str, float]) -> list[Forecast]:
        return [self._one(k, cases, values) for k, cases in enumerate(self.runs)]

    def _one(self, number: int, cases: Runs, values: Mapping[str, float]) -> Forecast:
        key = (number, service_s(cases[0].row, values), *trial_key(values, cases[0]))
        if key not in self.known:
            self.known[key] = trial_forecast(values, cases)
        return self.known[key]


def log_errors(
    runs: Sequence[Runs], keys: Sequence[tuple[int, str, str, float]], forecasts: Sequence[Forecast]
) -> Floats:
    """Weighted log errors (simulated over measured) of all keys."""
    return np.array(
        [w * np.log(forecasts[k].figures[m, s] / runs[k][0].row.figures[m, s]) for k, m, s, w in keys], np.float64
    )


def fit(
    runs: Sequence[Runs],
    parameters: Sequence[Parameter],
    progress: Progress | None = None,
    rounds: int = 6,
    begin: Mapping[str, float] | None = None,
) -> Fit:
    """Least squares of the log errors with a soft-L1 loss, in the logarithms of the parameters.

    Parameters
    ----------
    rounds : most steps; 0 stays at `begin`, with the slopes there
    begin : values to begin at; what is expected of the parameters unless given
    """
    names = [one.name for one in parameters]
    start = {one.name: one.start for one in parameters} | dict(begin or {})
    forecasts = Forecasts(runs)
    keys = residual_keys(runs, forecasts(start))
    calls = [0]

    def errors(log_values: Floats) -> Floats:
        calls[0] += 1
        if progress:
            progress(f"fit, evaluation {calls[0]}", min(calls[0] / ((rounds + 1) * (len(names) + 1)), 1.0))
        return log_errors(runs, keys, forecasts(dict(zip(names, np.exp(log_values).tolist(), strict=True))))

    prior = _Prior.of(parameters)

    def whole(log_values: Floats) -> Floats:
        return np.concatenate([errors(log_values), prior.residuals(log_values)])

    def slopes(log_values: Floats) -> Floats:
        return np.concatenate([_jacobian(errors, log_values), prior.slopes])

    at = np.log([start[name] for name in names])
    if rounds:
        at = least_squares(whole, at, jac=slopes, bounds=prior.bounds, loss="soft_l1", f_scale=SOFT, max_nfev=rounds).x
    jacobian, residuals = _jacobian(errors, at), errors(at)
    every = np.concatenate([jacobian, prior.slopes])
    variance = np.diag(np.linalg.inv(every.T @ every)) * float((residuals**2).sum() / max(len(residuals), 1))
    return Fit(
        dict(zip(names, np.exp(at).tolist(), strict=True)),
        jacobian,
        residuals,
        np.array([key[0] for key in keys]),
        dict(zip(names, np.sqrt(variance).tolist(), strict=True)),
    )


@dataclass(frozen=True, slots=True)
class _Prior:
    """What is expected of the parameters, in logarithms."""

    start: Floats
    slopes: Floats
    bounds: tuple[Floats, Floats]

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> _Prior:
        low, high = (np.log([getattr(one, side) for one in parameters]) for side in ("low", "high"))
        slopes = np.diag([PRIOR_WEIGHT / one.spread for one in parameters])
        return cls(np.log([one.start for one in parameters]), slopes, (low, high))

    def residuals(self, log_values: Floats) -> Floats:
        return np.asarray(self.slopes @ (log_values - self.start))


def _jacobian(errors: Callable[[Floats], Floats], at: Floats) -> Floats:
    """Forward differences."""
    base = errors(at)
    columns = []
    for k in range(len(at)):
        step = np.zeros_like(at)
        step[k] = STEP
        columns.append((errors(at + step) - base) / STEP)
    return np.stack(columns, axis=1)


def refit_without(result: Fit, parameters: Sequence[Parameter], left_out: NDArray[np.bool_]) -> dict[str, float]:
    """Parameters fitted without the rows `left_out`, from the linearised full fit.

    Near the optimum the errors are linear in the log parameters, so a fold costs no simulation.
    """
    kept = ~left_out[result.owners]
    at = np.log([result.values[one.name] for one in parameters])
    jacobian, residuals = result.jacobian[kept], result.residuals[kept]
    prior = _Prior.of(parameters)

    def errors(log_values: Floats) -> Floats:
        return np.concatenate([residuals + jacobian @ (log_values - at), prior.residuals(log_values)])

    slopes = np.concatenate([jacobian, prior.slopes])

    def constant_slopes(_: Floats) -> Floats:
        return np.asarray(slopes)

    solved = least_squares(
        errors,
        np.clip(at, *prior.bounds),
        jac=constant_slopes,
        bounds=prior.bounds,
        loss="soft_l1",
        f_scale=SOFT,
    )
    return dict(zip([one.name for one in parameters], np.exp(solved.x).tolist(), strict=True))
