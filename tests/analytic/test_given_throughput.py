"""A throughput that is given is reached at full load, and not exceeded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.fleet.records import Status
from simulator.fleet.single import run_single
from simulator.resolve.engines import PlannedEngine
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import load_scenario
from simulator.workload.requests import make_requests

SCENARIO = Path(__file__).parents[1] / "data/scenarios/small.yaml"


def engine(given: str, *more: str) -> PlannedEngine:
    scenario = load_scenario(SCENARIO, sets=[f"engine.throughput={given}", *more])
    return plan_topology(scenario, "own").engines[0]


@pytest.mark.parametrize("batch", [8, 64])
@pytest.mark.parametrize(
    ("isl", "osl", "prompt"), [(1, 100, None), (500, 100, None), (500, 100, 8000.0), (900, 20, 900.0)]
)
def test_a_full_replica_makes_what_is_given(isl: int, osl: int, prompt: float | None, batch: int) -> None:
    words = f"{{output_tokens_per_s: 1000, input_tokens_per_s: {prompt or 'null'}}}"
    planned = engine(words, f"engine.max_num_seqs={batch}")
    n = 2000
    requests = make_requests(np.zeros(n), np.full(n, isl, np.int32), np.full(n, osl, np.int32))
    records = run_single(planned.config, planned.step_time, requests).records
    assert (records["status"] == Status.COMPLETED).all()
    expected_s = n * (osl / 1000 + ((isl - 1) / prompt if prompt else 0.0))
    assert records["finish_s"].max() == pytest.approx(expected_s, rel=0.01)


def test_a_request_alone_takes_the_least_time_per_token() -> None:
    planned = engine("{output_tokens_per_s: 2000, input_tokens_per_s: 1000, tpot_s: 0.02}")
    (record,) = run_single(
        planned.config,
        planned.step_time,
        make_requests(np.zeros(1), np.array([501], np.int32), np.array([11], np.int32)),
    ).records
    assert record["first_token_s"] == pytest.approx(0.5 + 1 / 2000, abs=1e-6)
    assert record["finish_s"] - record["first_token_s"] == pytest.approx(10 * 0.02)


@pytest.mark.parametrize(("isl", "osl"), [(401, 1), (401, 3), (5, 1)])
def test_prompts_take_what_is_given_where_a_least_time_per_token_is_too(isl: int, osl: int) -> None:
    """As of an embedding model: nothing else is done but prompts, in steps of a few, or of many short ones."""
    n = 2000
    planned = engine("{output_tokens_per_s: 2000, input_tokens_per_s: 40000, tpot_s: 0.01}")
    requests = make_requests(np.zeros(n), np.full(n, isl, np.int32), np.full(n, osl, np.int32))
    records = run_single(planned.config, planned.step_time, requests).records
    assert records["finish_s"].max() == pytest.approx(n * ((isl - 1) / 40_000 + osl / 2000), rel=0.02)


def test_a_step_takes_no_less_than_the_least_time() -> None:
    """A prompt of 51 tokens beside two answers: 50 / 10,000 + 3 / 1,000 s are less than the 20 ms of a token."""
    step = engine("{output_tokens_per_s: 1000, input_tokens_per_s: 10000, tpot_s: 0.02}").step_time
    times_s = [step.mean_step_s(3, 53, True), step.mean_step_s(3, 203, True), step.mean_step_s(30, 80, True)]
    assert times_s == pytest.approx([0.02, 0.02 + 0.003, 0.005 + 0.03])


def test_a_least_time_needs_no_table_of_sequences_by_tokens() -> None:
    """960 sequences of 131,072 tokens would be a table of 1 GB; steps follow from three numbers."""
    given = "{output_tokens_per_s: 960, input_tokens_per_s: 10000, tpot_s: 1}"
    step = engine(given, "engine.max_num_seqs=960", "engine.max_num_batched_tokens=131072").step_time
    assert sum(table.nbytes for table in (step.token_time_s, step.seq_time_s)) < 2**21
    n, t = np.array([1, 7, 959, 960, 500]), np.array([1, 9_000, 959, 131_072, 10_000])
    nothing = np.zeros(5)
    expected_s = np.maximum((t - n) / 10_000 + n / 960, 1.0)
    assert step.durations_s(n, t, nothing, nothing) == pytest.approx(expected_s)
    assert step.durations_s(np.array([0]), np.array([0]), nothing[:1], nothing[:1]) == pytest.approx(1e-6)


def test_twice_the_throughput_takes_half_the_time() -> None:
    once, twice = (engine(f"{{output_tokens_per_s: {rate}}}").step_time for rate in (1000, 2000))
    assert np.allclose(once.seq_time_s[1:], 2 * twice.seq_time_s[1:])
    assert once.expected_error is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{output_tokens_per_s: 10000000}", "engine.throughput.output_tokens_per_s: is more than published peaks of 1"),
        ("{output_tokens_per_s: 5000, tpot_s: 1}", "engine.throughput.tpot_s: cannot be with 5000 output tokens/s"),
        ("{output_tokens_per_s: 0}", "must be greater than 0"),
        ("{input_tokens_per_s: 5}", "'output_tokens_per_s' is missing"),
    ],
)
def test_what_cannot_be_is_refused(given: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        engine(given)
    assert told in str(caught.value)


def test_what_is_given_is_said_with_its_source() -> None:
    planned = engine("{output_tokens_per_s: 2000, source: own benchmark, date: 2026-11-01}")
    assert planned.notes == ("throughput given: 2000 output tokens/s (own benchmark, 2026-11-01)",)
    assert replace(planned, notes=()).step_time.calibrated
