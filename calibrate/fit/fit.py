"""Chooses and fits the step-time model, and says how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.fit.points import Points, join
from calibrate.fit.solve import Solution, check_design, correct, predict_s, solve
from calibrate.recording.steps import REGIMES, Steps
from simulator.rng import stream

_STIFFNESS = (0.3, 1.0, 3.0, 10.0)
_FOLDS = 5
_MAX_KNOT_TOKENS = 256
_KNOT_POINTS = 3
_WORTH = 0.97
"""A correction by token count must lower the cross-validated error to this share, or it is left out."""
_OUTLIER_MADS = 5.0
_BETWEEN_SCALE = 0.1
"""Share of the median gap from which on a gap counts less than its square."""


@dataclass(frozen=True, slots=True)
class RegimeError:
    """Relative errors of the step time in one regime: shares, not percent."""

    points: int
    median: float
    p90: float
    bias: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted step-time model.

    Attributes
    ----------
    solution : coefficients and covariance, fitted on all points
    in_sample, held_out : by regime; held out are a random fifth of the points, unseen by a fit of its own
    outlier_share : steps further from the model than 5 median absolute deviations
    between_steps_s, between_sequence_s : time between steps, of a step and of each of its sequences; 0 where no gaps
        were recorded
    ranges : smallest and largest value of each regressor
    """

    solution: Solution
    in_sample: dict[str, RegimeError]
    held_out: dict[str, RegimeError]
    outlier_share: float
    between_steps_s: float
    between_sequence_s: float
    ranges: dict[str, tuple[float, float]]


def fit_steps(steps: Steps, captured: Sequence[int] = (), seed: int = 0, file: str | None = None) -> Fit:
    """Fit the model to steps in the order in which they ran.

    Dropped are the first step (a process warms up in it) and immediate repeats of the same step, whose caches are
    warmer than they ever are in serving.

    The correction r(t) by token count is taken with the stiffness that predicts left-out points best in five folds, and
    only where it beats the model without it.

    Raises
    ------
    InputError : a degenerate design, naming the coefficient that cannot be identified
    """
    kept = steps.take(~steps.repeated & (np.arange(len(steps)) > 0))
    points = join(kept)
    check_design(points.steps, file)
    knots, stiffness = _choose(points, captured, seed)
    solution = _fitted(points, knots, stiffness, captured)
    share = stream(seed, "fit", "held out").random(len(points.repeats)) < 1 / _FOLDS
    apart = _fitted(_only(points, ~share), knots, stiffness, captured)
    errors = np.log(predict_s(solution.coefficients, kept) / kept.duration_s)
    spread = np.median(np.abs(errors - np.median(errors)))
    return Fit(
        solution,
        by_regime(solution, points.steps),
        by_regime(apart, points.steps.take(share)),
        float(np.mean(np.abs(errors - np.median(errors)) > _OUTLIER_MADS * spread)),
        *_between(steps),
        {
            name: (float(getattr(kept, name).min()), float(getattr(kept, name).max()))
            for name in ("tokens", "sequences", "prefill_units", "decode_context")
        },
    )


def _between(steps: Steps) -> tuple[float, float]:
    """Gap after a step as a line in its sequences (the engine hands each one's token on), soft L1, both parts >= 0, s.

    The gap before a step is the one after the step before it.
    """
    from scipy.optimize import least_squares

    known = np.flatnonzero(np.isfinite(steps.gap_s[1:])) + 1
    if not len(known):
        return 0.0, 0.0
    gaps_s, sequences = steps.gap_s[known], steps.sequences[known - 1]
    typical_s = float(np.median(gaps_s))
    if typical_s <= 0.0:
        return 0.0, 0.0

    def residual(line: NDArray[np.float64]) -> NDArray[np.float64]:
        missed: NDArray[np.float64] = line[0] + line[1] * sequences - gaps_s / typical_s
        return missed

    found = least_squares(
        residual,
        [0.5, 0.0],
        bounds=([0.0, 0.0], [np.inf, np.inf]),
        loss="soft_l1",
        f_scale=_BETWEEN_SCALE,
    )
    return float(found.x[0] * typical_s), float(found.x[1] * typical_s)


def by_regime(solution: Solution, steps: Steps) -> dict[str, RegimeError]:
    """Errors of a fit on steps, by regime; a regime without steps is left out."""
    ratio = predict_s(solution.coefficients, steps) / steps.duration_s - 1.0
    found: dict[str, RegimeError] = {}
    for number, name in enumerate(REGIMES):
        own = ratio[steps.regime == number]
        if len(own):
            size = np.abs(own)
            found[name] = RegimeError(
                len(own), float(np.median(size)), float(np.quantile(size, 0.9)), float(np.median(own))
            )
    return found


def _choose(points: Points, captured: Sequence[int], seed: int) -> tuple[list[float], float]:
    knots = _knots(points)
    fold = stream(seed, "fit", "folds").integers(0, _FOLDS, len(points.repeats))
    kept = [_only(points, fold != k) for k in range(_FOLDS)]
    plain = [solve(own, captured) for own in kept]

    def score(solutions: Sequence[Solution]) -> float:
        errors: list[NDArray[np.float64]] = []
        for k, solution in enumerate(solutions):
            left = points.steps.take(fold == k)
            errors.append(np.abs(np.log(predict_s(solution.coefficients, left) / left.duration_s)))
        return float(np.mean(np.minimum(np.concatenate(errors), 0.3)))

    def corrected(stiffness: float) -> float:
        return score([correct(own, start, knots, stiffness) for own, start in zip(kept, plain, strict=True)])

    scores = {stiffness: corrected(stiffness) for stiffness in _STIFFNESS} if knots else {}
    best = min(scores, key=lambda stiffness: scores[stiffness], default=0.0)
    return (knots, best) if scores and scores[best] < _WORTH * score(plain) else ([], 0.0)


def _fitted(points: Points, knots: list[float], stiffness: float, captured: Sequence[int]) -> Solution:
    solution = solve(points, captured)
    return correct(points, solution, knots, stiffness) if knots else solution


def _knots(points: Points) -> list[float]:
    """Powers of two up to the usual decode batches that enough points lie near."""
    exponent = np.rint(np.log2(np.maximum(points.steps.tokens, 1.0)))
    values, counts = np.unique(exponent, return_counts=True)
    kept = values[(counts >= _KNOT_POINTS) & (2.0**values <= _MAX_KNOT_TOKENS)]
    return [float(2.0**value) for value in kept]


def _only(points: Points, rows: NDArray[np.bool_]) -> Points:
    return Points(points.steps.take(rows), points.repeats[rows], points.members)
