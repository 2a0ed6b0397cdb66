"""The fit finds coefficients that we chose, through noise, outliers and CUDA-graph padding."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate.fit.fit import fit_steps
from calibrate.fit.solve import predict_s
from calibrate.recording.steps import Steps, steps_from_batches
from simulator.errors import InputError
from simulator.perf.profile import StepCoefficients
from simulator.perf.steptime import Launches
from simulator.rng import stream

CAPTURED = (1, 2, 4, 8, 16, 24, 32)
NONE: NDArray[np.float64] = np.zeros(0)
TRUE = StepCoefficients(np.array([0.002, 0.008, 6e-5, 4.0, 2e-5, 3e-9, 4e-8, 0, 0]), NONE, NONE, np.zeros(0, np.int64))
PADDED = StepCoefficients(TRUE.values, NONE, NONE, np.array(CAPTURED))
LAUNCHED = StepCoefficients(np.array([*TRUE.values[:7], 0.021, 0.033]), NONE, NONE, np.array(CAPTURED))


def design(repeats: int = 3) -> list[list[list[int]]]:
    """Prefill over chunk and context, decode over batch and context, and mixtures; in random order."""
    batches = [[[chunk, context]] for chunk in (16, 64, 128, 256, 512, 1024, 2048) for context in (0, 512, 4096, 16384)]
    batches += [[[1, context]] * n for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32) for context in (32, 512, 2048, 8192)]
    batches += [[[chunk, 0], *[[1, 1024]] * n] for chunk in (64, 256, 1024) for n in (1, 4, 16)]
    order = stream(1, "design").permutation(len(batches) * repeats)
    return [batches[k % len(batches)] for k in order.tolist()]


def measured(truth: StepCoefficients, noise: float, outliers: float) -> Steps:
    batches = design()
    steps = steps_from_batches([1.0] * len(batches), batches)
    draw = stream(2, "noise")
    duration_s = predict_s(truth, steps) * np.exp(draw.normal(0.0, noise, len(steps)))
    slowed = draw.random(len(steps)) < outliers
    duration_s[slowed] *= 1.0 + draw.exponential(2.0, int(slowed.sum()))
    return steps_from_batches(duration_s, batches)


@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(TRUE, id="plain"),
        pytest.param(PADDED, id="cuda graphs", marks=pytest.mark.exhaustive),
        pytest.param(LAUNCHED, id="launches that show", marks=pytest.mark.exhaustive),
    ],
)
def test_the_step_time_is_recovered_through_noise_and_outliers(truth: StepCoefficients) -> None:
    steps = measured(truth, 0.02, 0.06)
    found = fit_steps(steps, truth.capture_sizes.tolist())
    clean = predict_s(truth, steps)
    error = np.abs(predict_s(found.solution.coefficients, steps) / clean - 1)
    assert np.median(error) < 0.01
    assert np.quantile(error, 0.95) < 0.04
    assert 0.02 < found.outlier_share < 0.12
    for name, relative in (("token_s", 0.05), ("prefill_attn_s", 0.05), ("decode_attn_s", 0.1)):
        assert found.solution.coefficients[name] == pytest.approx(truth[name], rel=relative)
    for name in ("pieces_s", "eager_s") if truth is LAUNCHED else ():
        assert found.solution.coefficients[name] == pytest.approx(truth[name], rel=0.02)


def test_the_first_step_in_which_a_process_warms_up_is_left_out() -> None:
    duration_s = measured(TRUE, 0.0, 0.0).duration_s
    duration_s[0] = 100.0
    found = fit_steps(steps_from_batches(duration_s, [[[4096, 40_000]], *design()[1:]]))
    assert found.ranges["tokens"] == (1.0, 2048.0), "it had more than any other"


@pytest.mark.exhaustive
def test_launches_that_bound_no_step_are_none() -> None:
    found = fit_steps(measured(PADDED, 0.0, 0.0), CAPTURED).solution.coefficients
    shortest_s = predict_s(PADDED, measured(PADDED, 0.0, 0.0)).min()
    assert found["pieces_s"] < 1.2 * shortest_s
    assert fit_steps(measured(TRUE, 0.0, 0.0)).solution.coefficients.launches == Launches()


def test_held_out_errors_are_those_of_the_noise() -> None:
    found = fit_steps(measured(TRUE, 0.02, 0.0))
    several = [error for error in found.held_out.values() if error.points >= 5]
    assert several
    for error in several:
        assert error.median < 0.03
        assert abs(error.bias) < 0.03


@pytest.mark.exhaustive
def test_without_cuda_graphs_in_the_model_the_staircase_shows() -> None:
    steps = measured(PADDED, 0.0, 0.0)
    with_graphs = fit_steps(steps, CAPTURED)
    without = fit_steps(steps)
    assert with_graphs.in_sample["decode"].p90 < without.in_sample["decode"].p90


@pytest.mark.parametrize(
    ("batches", "coefficient"),
    [
        ([[[1, 100 + k]] * n for k in range(20) for n in (1, 2, 4)], "prefill_attn_s"),
        ([[[16 + 16 * k, 0]] for k in range(60)], "decode_attn_s"),
        ([[[64, 0]], [[1, 64]]], "too few"),
        ([[[64, 0]]], "\\n0 different steps are too few"),
    ],
)
def test_a_design_that_cannot_tell_names_the_coefficient(batches: list[list[list[int]]], coefficient: str) -> None:
    steps = steps_from_batches([0.01 + 0.001 * k for k in range(len(batches))], batches)
    with pytest.raises(InputError, match=coefficient):
        fit_steps(steps)


def test_padding_goes_up_to_the_next_captured_size() -> None:
    tokens = np.array([1.0, 3.0, 9.0, 17.0, 32.0, 33.0])
    np.testing.assert_array_equal(PADDED.padded(tokens), [1.0, 4.0, 16.0, 24.0, 32.0, 33.0])
    np.testing.assert_array_equal(TRUE.padded(tokens), tokens)
