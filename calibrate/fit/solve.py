"""Robust least squares of the step-time model on relative errors, with covariance and what cannot be identified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.fit.points import Points
from calibrate.recording.steps import Steps
from simulator.errors import InputError, Problem
from simulator.perf.profile import COEFFICIENTS, LAUNCHES, StepCoefficients

_MAX_SHARPNESS = 8.0
_SOFT_SCALE = 0.05
"""Relative error from which on a point counts less than its square (soft L1)."""
_SMALLEST = 1e-9
_LONGEST_LAUNCH = 1.25
"""Launches over the median of the steps that they most likely bound, at most: no step ends sooner than they."""
_NEEDS = {
    "token_s": ("tokens", "steps with different numbers of tokens"),
    "prefill_attn_s": ("prefill_units", "prefill steps with different cached contexts"),
    "decode_attn_s": ("decode_context", "decode steps with different contexts"),
    "sequence_s": ("sequences", "decode steps with different batch sizes"),
}


@dataclass(frozen=True, slots=True)
class Solution:
    """A fit.

    Attributes
    ----------
    coefficients : the fitted model
    covariance : (9, 9), of the coefficients' logarithms (relative); zero where a coefficient is at 0 or at its bound
    """

    coefficients: StepCoefficients
    covariance: NDArray[np.float64]


def predict_s(coefficients: StepCoefficients, steps: Steps) -> NDArray[np.float64]:
    """Duration of each step by the model, s."""
    time_s = (
        coefficients.token_time_s(steps.tokens)
        + coefficients["prefill_attn_s"] * steps.prefill_units
        + coefficients["decode_attn_s"] * steps.decode_context
    )
    least_s = coefficients.launches.least_s(steps.tokens, steps.prefill_units > 0)
    return np.asarray(coefficients["sequence_s"] * steps.sequences + np.maximum(time_s, least_s))


def check_design(steps: Steps, file: str | None = None) -> None:
    """Refuse points from which a coefficient cannot be told.

    Raises
    ------
    InputError : names each such coefficient and the steps that are missing
    """
    problems = [
        Problem(f"{name} cannot be identified: needs {words}", file)
        for name, (column, words) in _NEEDS.items()
        if len(np.unique(np.rint(getattr(steps, column)))) < 2
    ]
    if len(steps) < 2 * len(COEFFICIENTS):
        problems.append(Problem(f"{len(steps)} different steps are too few for {len(COEFFICIENTS)} coefficients", file))
    if not problems:
        columns = (
            np.column_stack([np.ones(len(steps)), *(getattr(steps, column) for column, _ in _NEEDS.values())])
            / steps.duration_s[:, None]
        )
        columns = columns / np.linalg.norm(columns, axis=0)
        _, sizes, directions = np.linalg.svd(columns, full_matrices=False)
        if sizes[-1] < 1e-4 * sizes[0]:
            mixed = [name for name, part in zip(("host_s", *_NEEDS), directions[-1], strict=True) if abs(part) > 0.3]
            problems.append(Problem(f"{' and '.join(mixed)} cannot be told apart: vary them independently", file))
    if problems:
        raise InputError(*problems)


def solve(
    points: Points, knots_tokens: Sequence[float] = (), stiffness: float = 0.0, captured: Sequence[int] = ()
) -> Solution:
    """Fit the model; all coefficients are at least 0.

    Minimises the soft-L1 loss of ln(model / measured) over points weighted by the root of their repeats (at most 3),
    and pulls the logarithm of r towards 0 at each knot with weight `stiffness`. Launches join the fit where it stands
    without them: they hide what a step takes beyond them, so nothing else may be far off.

        Parameters
        ----------
        knots_tokens : token counts at which r is free
        captured : CUDA-graph capture sizes
    """
    from scipy.optimize import least_squares

    steps = points.steps
    knots = np.array(sorted(knots_tokens), np.float64)
    sizes = np.array(sorted(captured), np.int64)
    weight = np.minimum(np.sqrt(points.repeats), 3.0)
    base, launches = _start(steps), _start_launches(steps, sizes)
    n, corrected = len(COEFFICIENTS), len(COEFFICIENTS) + len(knots)

    def unpack(logs: NDArray[np.float64]) -> StepCoefficients:
        """Coefficients, corrections at the knots, and launches where they take part."""
        values = np.zeros(n + len(LAUNCHES))
        values[:n] = np.exp(logs[:n])
        values[n : n + len(logs) - corrected] = np.exp(logs[corrected:])
        return StepCoefficients(values, knots, np.exp(logs[n:corrected]), sizes)

    def residual(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        errors = weight * np.log(predict_s(unpack(logs), steps) / steps.duration_s)
        return np.concatenate([errors, stiffness * logs[n:corrected]])

    scale = np.concatenate([base, np.ones(len(knots)), launches])
    low, high = np.log(_SMALLEST * scale), np.log(1e3 * scale)
    sharp = COEFFICIENTS.index("sharpness")
    low[sharp], high[sharp] = 0.0, np.log(_MAX_SHARPNESS)
    low[n:corrected], high[n:corrected] = -0.5, 0.5
    high[corrected:] = np.log(_LONGEST_LAUNCH * launches)
    guess = np.log(scale)
    for taken in (corrected, len(scale)) if len(launches) else (corrected,):
        bounds = (low[:taken], high[:taken])
        found = least_squares(
            residual, guess[:taken], bounds=bounds, loss="soft_l1", f_scale=_SOFT_SCALE, x_scale="jac"
        )
        guess[:taken] = found.x
    coefficients = unpack(found.x)
    values = coefficients.values.copy()
    values[:n][found.x[:n] - np.log(base) < np.log(1e-6)] = 0.0
    values[n:][~_binds(coefficients, steps)] = 0.0
    coefficients = StepCoefficients(values, knots, coefficients.knot_ratios, sizes)
    covariance = _covariance(np.asarray(found.jac), found.fun[: len(steps)], low, high, found.x)
    kept = np.r_[:n, corrected : len(scale)]
    return Solution(coefficients, np.pad(covariance[np.ix_(kept, kept)], (0, n + len(LAUNCHES) - len(kept))))


def _binds(coefficients: StepCoefficients, steps: Steps) -> NDArray[np.bool_]:
    """For each of `LAUNCHES` whether it is what some step takes; one that never is was not measured."""
    without = replace(
        coefficients, values=coefficients.values * (np.arange(len(coefficients.values)) < len(COEFFICIENTS))
    )
    bound = predict_s(coefficients, steps) > predict_s(without, steps)
    larger = steps.tokens > coefficients.launches.captured_tokens
    return np.array([(bound & ~larger).any(), (bound & larger).any()])


def _start(steps: Steps) -> NDArray[np.float64]:
    """Magnitudes: half of the fastest step for the host and for the weights, the rest as if alone responsible."""
    base_s = float(np.quantile(steps.duration_s, 0.05)) / 2
    rest_s = np.maximum(steps.duration_s - base_s, base_s / 10)

    def share(values: NDArray[np.float64], part: float) -> float:
        busy = values > np.quantile(values, 0.8)
        return part * float(np.median(rest_s[busy] / values[busy])) if busy.any() else part * base_s

    return np.array(
        [
            base_s,
            base_s,
            share(steps.tokens, 0.8),
            2.0,
            share(steps.sequences, 0.1),
            share(steps.prefill_units, 0.2),
            share(steps.decode_context, 0.3),
        ]
    )


def _start_launches(steps: Steps, captured: NDArray[np.int64]) -> NDArray[np.float64]:
    """The median of the steps that each of `LAUNCHES` most likely bounds; none without captured sizes."""
    if not len(captured):
        return np.zeros(0)
    pieces = (steps.tokens <= captured[-1]) & (steps.prefill_units > 0)
    eager = (steps.tokens > captured[-1]) & (steps.tokens <= 2 * captured[-1])
    shortest_s = float(steps.duration_s.min())
    return np.array(
        [float(np.median(steps.duration_s[which])) if which.any() else shortest_s for which in (pieces, eager)]
    )


def _covariance(
    jacobian: NDArray[np.float64],
    errors: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    found: NDArray[np.float64],
) -> NDArray[np.float64]:
    inside = (found > low + 1e-3) & (found < high - 1e-3)
    spread = 1.4826 * float(np.median(np.abs(errors)))
    normal = jacobian[:, inside].T @ jacobian[:, inside]
    covariance = np.zeros((len(found), len(found)))
    covariance[np.ix_(inside, inside)] = np.linalg.pinv(normal, hermitian=True) * spread**2
    return covariance
