"""Robust least squares of the step-time model on relative errors, with covariance and what cannot be identified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.fit.points import Points
from calibrate.recording.steps import Steps
from simulator.errors import InputError, Problem
from simulator.perf.profile import COEFFICIENTS, LAUNCHES, StepCoefficients

_MAX_SHARPNESS = 8.0
_SOLVER: Any = {"loss": "soft_l1", "f_scale": 0.05, "max_nfev": 200}
"""Beyond a relative error of `f_scale` a point counts less than its square (soft L1)."""
_SCALES: Any = (1.0, "jac")
"""The loss has several minima. Scaled by the Jacobian, a parameter that hardly counts can run away to 0; unscaled, one
that counts much can stop short. The lowest of both, from all starts, does not hang on the last bits of durations."""
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
    end : coefficients and launches where the solver ended, before what is none became 0
    covariance : (9, 9), of the coefficients' logarithms (relative); zero where a coefficient is at 0 or at its bound
    """

    coefficients: StepCoefficients
    end: NDArray[np.float64]
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


def solve(points: Points, captured: Sequence[int] = ()) -> Solution:
    """Fit the model without corrections; all coefficients are at least 0.

    Minimises the soft-L1 loss of ln(model / measured) over points weighted by the root of their repeats (at most 3).
    Launches hide what a step takes beyond them, so they join the fit where it ends without them, and from magnitudes;
    the lower loss counts.

    Parameters
    ----------
    captured : CUDA-graph capture sizes
    """
    base = _start(points.steps)
    sizes = np.array(sorted(captured), np.int64)
    alone = _Model(points, base, sizes)
    if not len(sizes):
        return alone.solution([base])
    launches = _start_launches(points.steps, sizes)
    starts = [np.concatenate([end, launches]) for end in (*alone.ends([base]), base)]
    return _Model(points, starts[-1], sizes).solution(starts)


def correct(points: Points, start: Solution, knots_tokens: Sequence[float], stiffness: float) -> Solution:
    """Fit the model with a correction r by token count, from the fit of the same points without it.

    As `solve`, and pulls the logarithm of r towards 0 at each knot with weight `stiffness`.

    Parameters
    ----------
    start : of `solve`
    knots_tokens : token counts at which r is free
    """
    knots, sizes = np.array(sorted(knots_tokens), np.float64), start.coefficients.capture_sizes
    magnitudes = np.concatenate([_start(points.steps), _start_launches(points.steps, sizes)])
    return _Model(points, magnitudes, sizes, knots, stiffness).solution(
        [np.concatenate([start.end, np.ones(len(knots))])]
    )


@dataclass(frozen=True, slots=True)
class _Model:
    """What the solver sees: logarithms of coefficients, of launches where they take part, and of r at the knots.

    Attributes
    ----------
    magnitudes : of coefficients and launches
    """

    points: Points
    magnitudes: NDArray[np.float64]
    sizes: NDArray[np.int64]
    knots: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    stiffness: float = 0.0

    def ends(self, starts: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Where the solver ends from each start."""
        return [np.exp(end.x) for end in self._solved(starts)]

    def solution(self, starts: Sequence[NDArray[np.float64]]) -> Solution:
        """The lowest of the minima that are found from the starts."""
        n, parts, steps = len(COEFFICIENTS), len(self.magnitudes), self.points.steps
        found = min(self._solved(starts), key=lambda end: end.cost)
        coefficients = self._unpack(found.x)
        values = coefficients.values.copy()
        values[:n][found.x[:n] - np.log(self.magnitudes[:n]) < np.log(1e-6)] = 0.0
        values[n:][~_binds(coefficients, steps)] = 0.0
        spread = _covariance(np.asarray(found.jac), found.fun[: len(steps)], *self._bounds(), found.x)
        return Solution(
            replace(coefficients, values=values),
            np.exp(found.x[:parts]),
            np.pad(spread[:parts, :parts], (0, n + len(LAUNCHES) - parts)),
        )

    def _solved(self, starts: Sequence[NDArray[np.float64]]) -> list[Any]:
        from scipy.optimize import least_squares

        low, high = self._bounds()
        return [
            least_squares(self._residual, np.clip(np.log(start), low, high), bounds=(low, high), x_scale=by, **_SOLVER)
            for start in starts
            for by in _SCALES
        ]

    def _unpack(self, logs: NDArray[np.float64]) -> StepCoefficients:
        parts = len(self.magnitudes)
        values = np.zeros(len(COEFFICIENTS) + len(LAUNCHES))
        values[:parts] = np.exp(logs[:parts])
        return StepCoefficients(values, self.knots, np.exp(logs[parts:]), self.sizes)

    def _residual(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = self.points.steps
        weight = np.minimum(np.sqrt(self.points.repeats), 3.0)
        errors = weight * np.log(predict_s(self._unpack(logs), steps) / steps.duration_s)
        return np.concatenate([errors, self.stiffness * logs[len(self.magnitudes) :]])

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n, free = len(COEFFICIENTS), np.full(len(self.knots), 0.5)
        low, high = np.log(_SMALLEST * self.magnitudes), np.log(1e3 * self.magnitudes)
        sharp = COEFFICIENTS.index("sharpness")
        low[sharp], high[sharp] = 0.0, np.log(_MAX_SHARPNESS)
        high[n:] = np.log(_LONGEST_LAUNCH * self.magnitudes[n:])
        return np.concatenate([low, -free]), np.concatenate([high, free])


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
