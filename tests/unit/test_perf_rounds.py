"""Times of rounds and steps from their tables, by hand; and parameters of a model to the last one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.catalog.models import model
from simulator.perf.architecture import active_parameters, parameters
from simulator.perf.steptime import Launches, StepTime

STEP = StepTime(
    token_time_s=np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 4.0, 6.0, 8.0]]),
    seq_time_s=np.array([0.0, 0.1, 0.2, 0.3, 0.4]),
    prefill_attn_s=0.0,
    decode_attn_s=0.01,
    calibrated=True,
    origin="by hand",
)


def test_a_round_takes_its_tokens_its_sequences_and_their_contexts() -> None:
    found = STEP.round_s(np.array([1, 2, 3]), 0, 10.0)
    assert found == pytest.approx([2.0 + 0.1 + 0.1, 4.0 + 0.2 + 0.2, 6.0 + 0.3 + 0.3])
    drafted = STEP.round_s(np.array([1, 2, 3]), 1, 0.0)
    assert drafted == pytest.approx([4.0 + 0.1, 8.0 + 0.2, 8.0 + 0.3]), "no more tokens than a step holds"
    staged = StepTime(*(getattr(STEP, name) for name in STEP.__slots__[:6]), stages=2)
    assert staged.round_s(np.array([1, 2, 3, 4]), 0, 0.0) == pytest.approx([2.1, 2.1, 4.2, 4.2])


def test_a_round_is_no_shorter_than_its_launches_beyond_what_is_captured() -> None:
    """Up to two tokens are a whole graph; of three the host launches 9 s of kernels; prompts are launched in pieces."""
    launched = StepTime(*(getattr(STEP, name) for name in STEP.__slots__[:6]), launches=Launches(7.0, 9.0, 2))
    assert launched.round_s(np.array([1, 2, 3]), 0, 0.0) == pytest.approx([2.1, 4.2, 9.3])
    assert [launched.prompts_s(tokens) for tokens in (1, 2, 3)] == [7.0, 7.0, 9.0]
    assert STEP.prompts_s(3) == 6.0
    assert launched.mean_step_s(1.5, 2.0) == pytest.approx(4.0 + 0.15), "1.5 rounds to two rows"
    assert launched.mean_step_s(0.2, 1.0, holds_prompts=True) == pytest.approx(7.0 + 0.1)
    assert launched.mean_step_s(1.0, 2.5) == pytest.approx(9.0 + 0.1)
    assert STEP.mean_step_s(1.0, 2.5) == pytest.approx(2.5 + 0.1)


def test_no_step_that_computes_anything_is_shorter_than_the_least_one() -> None:
    least = replace(STEP, least_step_s=4.1)
    assert least.round_s(np.array([0, 1, 2, 3]), 0, 0.0) == pytest.approx([0.0, 4.1, 4.2, 6.3])
    assert [least.mean_step_s(1.0, tokens) for tokens in (1.0, 4.0)] == pytest.approx([4.1, 4.1])
    assert least.mean_step_s(2.0, 3.0) == pytest.approx(6.2)
    nothing = np.zeros(3)
    found = least.durations_s(np.array([0, 1, 3]), np.array([0, 4, 4]), nothing, nothing)
    assert found == pytest.approx([0.0, 4.1, 8.3])
    assert least.scaled(2.0).round_s(np.array([1]), 0, 0.0) == pytest.approx([8.2])


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("llama-3.1-8b-instruct", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("mixtral-8x7b", 46_702_792_704),
    ],
)
def test_parameters_are_those_of_the_published_checkpoint(name: str, published: int) -> None:
    arch = model(name).architecture
    assert parameters(arch) == published
    if not arch.experts:
        assert active_parameters(arch) == published
        assert active_parameters(arch, input_embedding=False) == published - arch.vocab_size * arch.hidden_size
