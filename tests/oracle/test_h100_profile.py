"""The step-time model on steps that real vLLM took on an H100 (tests/data/vllm-runs)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from parts import few

from calibrate.fit.points import Points, join
from calibrate.fit.solve import predict_s, solve
from calibrate.recording.run import read_run
from calibrate.recording.steps import REGIMES

FOLDER = Path(__file__).resolve().parents[1] / "data" / "vllm-runs"


def measured(name: str) -> tuple[Points, tuple[int, ...]]:
    recording = read_run(FOLDER / f"llama-3.1-8b-h100-{name}.json.gz")
    steps = recording.steps
    return join(steps.take(~steps.repeated & (np.arange(len(steps)) > 0))), recording.capture_sizes


@pytest.mark.parametrize("name", few(["bf16", "fp8"], "fp8"))
def test_what_launching_takes_is_found_on_real_steps(name: str) -> None:
    """The host's share is the same in both formats: 12 to 16 ms in pieces, 27 to 34 ms without graphs."""
    points, captured = measured(name)
    with_graphs, without = solve(points, captured=captured).coefficients, solve(points).coefficients
    assert 0.012 < with_graphs["pieces_s"] < 0.016
    assert 0.027 < with_graphs["eager_s"] < 0.034
    prompts = points.steps.prefill_units > 0
    errors, worse = (
        np.abs(np.log(predict_s(coefficients, points.steps) / points.steps.duration_s))
        for coefficients in (with_graphs, without)
    )
    assert np.quantile(errors[prompts], 0.9) < 0.2 < np.quantile(worse[prompts], 0.9)
    decoding = points.steps.regime == REGIMES.index("decode")
    assert np.median(errors[decoding]) < 0.04
