"""The kernels' mixing function and what is drawn with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from simulator.engine.config import EngineConfig
from simulator.engine.content import mix
from simulator.engine.reference.worker import drawn
from simulator.engine.speculation import uniform

_WORD = (1 << 64) - 1


def splitmix64(value: int) -> int:
    """The finaliser as published, on unsigned 64-bit words."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _WORD
    return value ^ (value >> 31)


@settings(deadline=None)
@given(st.integers(0, _WORD))
@example(0)
@example(_WORD)
@example(1 << 63)
def test_mix_is_the_finaliser_of_splitmix64(value: int) -> None:
    signed = np.uint64(value).astype(np.int64)
    assert int(np.int64(mix(signed)).astype(np.uint64)) == splitmix64(value)


@pytest.mark.parametrize("fixed", [0, 13, 2**61 + 5])
def test_draws_are_uniform_in_either_argument(fixed: int) -> None:
    by_request = [uniform(k, fixed) for k in range(20_000)]
    by_stream = [uniform(fixed, k) for k in range(20_000)]
    for draws in (by_request, by_stream):
        assert stats.kstest(draws, "uniform").pvalue > 1e-3
        assert abs(float(np.corrcoef(draws[1:], draws[:-1])[0, 1])) < 0.03


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.7, 1.0])
def test_each_draft_is_accepted_with_its_probability_given_those_before(acceptance: float) -> None:
    accept = drawn(EngineConfig(num_blocks=2, num_speculative_tokens=3, draft_acceptance=acceptance))
    accepted = np.array([accept(request, 7, 3) for request in range(20_000)])
    for k in range(3):
        reached = accepted[accepted >= k]
        if len(reached) > 1000:
            assert abs(float((reached > k).mean()) - acceptance) < 4 * 0.5 / np.sqrt(len(reached))


def test_drafts_are_accepted_in_the_shares_of_their_positions() -> None:
    """Chances 0.8, 0.75 and 0.5, each given those before: 80 %, 60 % and 30 % of the drafts; the draws are the same."""
    config = EngineConfig(num_blocks=2, num_speculative_tokens=3, acceptance_by_position=(0.8, 0.75, 0.5))
    accept = drawn(config)
    accepted = np.array([accept(request, 7, 3) for request in range(20_000)])
    for k, share in enumerate((0.8, 0.6, 0.3)):
        assert abs(float((accepted > k).mean()) - share) < 4 * 0.5 / np.sqrt(len(accepted))
    equal = drawn(replace(config, acceptance_by_position=(0.7, 0.7, 0.7)))
    one = drawn(replace(config, acceptance_by_position=(), draft_acceptance=0.7))
    assert [equal(request, 7, 3) for request in range(1000)] == [one(request, 7, 3) for request in range(1000)]
