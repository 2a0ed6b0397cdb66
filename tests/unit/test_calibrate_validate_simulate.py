"""A measured run served again by the simulator, and how much slower the machine was, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibrate.recording.run import MeasuredRun
from calibrate.recording.steps import Steps, steps_from_batches, steps_since_prefill
from calibrate.validate.simulate import measured, measured_slowness, simulate, token_gaps_s
from simulator.engine.config import EngineConfig
from simulator.perf.steptime import constant_step_time


def run(**given: Any) -> MeasuredRun:
    """Three requests on an engine whose steps take a second; of the last one one token."""
    known = {
        "rate_rps": 1.0,
        "arrival_s": [0.0, 10.0, 20.5],
        "isl": [8, 8, 8],
        "osl": [3, 2, 1],
        "first_token_s": [1.5, 11.5, 22.0],
        "finished_s": [3.5, 12.5, 22.0],
        "gaps_s": [],
        "step_start_s": [0.5, 1.5, 2.5, 10.5, 11.5, 21.0],
        "step_duration_s": [1.0] * 6,
        "step_sequences": [1] * 6,
        "step_tokens": [8, 1, 1, 8, 1, 8],
    }
    whole = {"isl": np.int32, "osl": np.int32, "step_sequences": np.int64, "step_tokens": np.int64}
    columns = {
        name: value if name == "rate_rps" else np.array(value, whole.get(name, np.float64))
        for name, value in (known | given).items()
    }
    return MeasuredRun(**columns)  # type: ignore[arg-type]


def test_what_was_measured_is_told_by_request_and_gaps_follow_from_steps() -> None:
    found = measured(run())
    assert found.ttft_s.tolist() == [1.5, 1.5, 1.5]
    assert found.tpot_s[:2].tolist() == [1.0, 1.0]
    assert np.isnan(found.tpot_s[2]), "one token has no time between tokens"
    assert found.e2e_s.tolist() == [3.5, 2.5, 1.5]
    assert found.gaps_s.tolist() == [1.0, 1.0, 1.0]
    assert found.output_tokens_per_s == 6 / 22.0
    assert measured(run(gaps_s=[0.25])).gaps_s.tolist() == [0.25], "those that were recorded"


def test_the_same_requests_are_served_after_the_hand_over_that_was_measured() -> None:
    """Half a second from each arrival at an idle engine to its step; of two at once the second waits a step."""
    config = EngineConfig(num_blocks=100, max_num_batched_tokens=8, max_num_seqs=4, max_model_len=64)
    step_time = constant_step_time(1.0, 8, 4)
    found, steps = simulate(run(), config, step_time)
    assert found.ttft_s == pytest.approx([1.5, 1.5, 1.5])
    assert found.tpot_s[:2] == pytest.approx([1.0, 1.0])
    assert found.e2e_s == pytest.approx([3.5, 2.5, 1.5])
    assert found.gaps_s == pytest.approx([1.0, 1.0, 1.0])
    assert found.output_tokens_per_s == pytest.approx(6 / 22.0)
    assert steps.tokens.tolist() == [8, 1, 1, 8, 1, 8]
    assert steps.duration_s == pytest.approx([1.0] * 6)
    busy = run(arrival_s=[0.0, 0.75, 20.5], finished_s=[3.5, 4.5, 22.0], first_token_s=[1.5, 3.0, 22.0])
    found, _ = simulate(busy, config, step_time)
    # the first begins at 0.5; the second finds it busy, joins at 1.5 with 7 of its 8 tokens, and ends its prompt at 3.5
    assert found.ttft_s == pytest.approx([1.5, 3.5 - 0.75, 1.5])
    rejected, _ = simulate(run(isl=[8, 80, 8]), config, step_time)
    assert np.isnan(rejected.ttft_s).tolist() == [False, True, False]
    assert rejected.output_tokens_per_s == pytest.approx(4 / 22.0)


def test_gaps_are_between_the_ends_of_steps_where_these_add_up() -> None:
    ends_s = np.array([1.0, 2.0, 4.0, 5.0, 9.0])
    first_s, finish_s = np.array([1.0, 2.0, 5.0, 1.0]), np.array([4.0, np.nan, 5.0, 5.0])
    found = token_gaps_s(first_s, finish_s, np.array([3, 4, 1, 3], np.int32), ends_s)
    assert found.tolist() == [1.0, 2.0], "one ended in no time, one has a single token, one was preempted"
    assert len(token_gaps_s(first_s[1:2], finish_s[1:2], np.array([4], np.int32), ends_s)) == 0


def decodes(durations_s: list[float], sequences: int = 2, prefill: bool = True) -> Steps:
    """A prefill, where one is wanted, and decode steps behind it."""
    batches = [[[1, 64]] * sequences for _ in durations_s]
    first = [[[32, 0]]] if prefill else []
    return steps_from_batches([9.0] * len(first) + durations_s, [*first, *batches])


def test_slowness_is_that_of_decode_steps_of_equal_batches_by_their_number() -> None:
    ours = decodes([1.0] * 6)
    profiled = decodes([1.0] * 10)
    tokens = [32, *[2] * 5]
    theirs = run(step_duration_s=[9.0, 1.25, 1.5, 1.5, 1.5, 8.0], step_sequences=[1, *[2] * 5], step_tokens=tokens)
    assert measured_slowness(theirs, ours, profiled) == 1.5
    few = run(
        step_start_s=np.arange(5.0),
        step_duration_s=[9.0, *[1.5] * 4],
        step_sequences=[1, *[2] * 4],
        step_tokens=[32, *[2] * 4],
    )
    assert measured_slowness(few, ours, profiled) == 1.0, "four steps tell nothing"
    assert measured_slowness(theirs, decodes([1.0] * 4), profiled) == 1.0
    assert measured_slowness(theirs, decodes([1.0] * 6, sequences=3), profiled) == 1.0, "no batch that both have"


def test_steps_far_behind_a_prefill_do_not_count_where_the_profile_has_none_so_far() -> None:
    profiled = decodes([1.0] * 10)  # nine of ten lie at most 9.1 steps behind their prefill
    tokens = [32, *[2] * 20]
    theirs = run(
        step_start_s=np.arange(21.0),
        step_duration_s=[9.0, *[2.0] * 9, *[4.0] * 11],
        step_sequences=[1, *[2] * 20],
        step_tokens=tokens,
    )
    assert measured_slowness(theirs, decodes([1.0] * 9 + [100.0] * 11), profiled) == 2.0
    assert measured_slowness(theirs, decodes([1.0] * 9 + [100.0] * 11), decodes([], prefill=True)) == 0.04


def test_batches_count_by_their_steps() -> None:
    ours = steps_from_batches([9.0, *[1.0] * 5, *[2.0] * 10], [[[32, 0]], *[[[1, 64]] * 2] * 5, *[[[1, 64]] * 3] * 10])
    theirs = run(
        step_start_s=np.arange(16.0),
        step_duration_s=[9.0, *[3.0] * 5, *[2.0] * 10],
        step_sequences=[1, *[2] * 5, *[3] * 10],
        step_tokens=[32, *[2] * 5, *[3] * 10],
    )
    profiled = decodes([1.0] * 100)
    assert measured_slowness(theirs, ours, profiled) == pytest.approx((5 * 3.0 + 10 * 1.0) / 15)


def test_steps_are_counted_from_the_last_prefill_on() -> None:
    assert steps_since_prefill(np.array([False, False, True, False, False, True])).tolist() == [0, 1, 0, 1, 2, 0]


def test_a_request_decodes_where_it_gets_one_token_on_top_of_computed_ones() -> None:
    found = steps_from_batches(
        [1.0] * 4, [[[1, 0]], [[1, 5]], [[1, 5], [3, 2]], [[1, 5], [3, 2]]], [0.1, 0.2, 0.3, 0.4]
    )
    assert found.regime.tolist() == [0, 1, 2, 2], "a prompt of one token is a prompt"
    assert found.prefill_units.tolist() == [1.0, 0.0, 3 * (2 + 2), 12.0]
    assert found.decode_context.tolist() == [0.0, 6.0, 6.0, 6.0]
    assert found.tokens.tolist() == [1, 1, 4, 4]
    assert found.sequences.tolist() == [1, 1, 2, 2]
    assert found.repeated.tolist() == [False, False, False, True]
    assert found.gap_s.tolist() == [0.1, 0.2, 0.3, 0.4]
