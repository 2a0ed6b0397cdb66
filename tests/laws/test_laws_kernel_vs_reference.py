"""The compiled engine gives what the plain-Python reference gives: every step, every time, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import configs, random_config, random_requests, random_sessions, step_time, without_drafts, workloads
from hypothesis import given, settings
from parts import few

from simulator.engine.config import EngineConfig
from simulator.engine.reference.engine import ReferenceRun, run_reference
from simulator.engine.reference.worker import drawn, found
from simulator.fleet.records import Status
from simulator.fleet.single import SingleRun, run_single
from simulator.rng import stream
from simulator.workload.requests import Requests, make_requests

STATUS = {"completed": Status.COMPLETED, "rejected": Status.REJECTED, "left": Status.TIMED_OUT}


def reference(config: EngineConfig, requests: Requests) -> ReferenceRun:
    return run_reference(config, step_time(config), requests, drawn(config, requests), found(config, requests))


def assert_same_records(requests: Requests, expected: ReferenceRun, run: SingleRun) -> None:
    """Compares in order of arrival, in which the kernel numbers requests; equal arrivals are in order of rows."""
    ordered = sorted(expected.records, key=lambda record: (record.arrival_s, record.row))
    actual = np.sort(run.records, order="request")
    assert actual["request"].tolist() == list(range(len(ordered)))
    rows = [record.row for record in ordered]
    assert actual["status"].tolist() == [STATUS[record.status] for record in ordered]
    assert actual["isl"].tolist() == requests.isl[rows].tolist()
    assert actual["osl"].tolist() == requests.osl[rows].tolist()
    for name in ("generated", "cached_tokens", "preemptions"):
        assert actual[name].tolist() == [getattr(record, name) for record in ordered], name
    for name in ("arrival_s", "scheduled_s", "first_token_s", "finish_s"):
        times = np.array([getattr(record, name) for record in ordered], float)
        np.testing.assert_array_equal(actual[name], times, err_msg=name)


def assert_same_steps(expected: ReferenceRun, run: SingleRun) -> None:
    numbers = {
        record.row: number
        for number, record in enumerate(sorted(expected.records, key=lambda record: (record.arrival_s, record.row)))
    }
    steps = [
        (
            step.start_s,
            tuple((numbers[row], tokens, before) for row, tokens, before in step.scheduled),
            tuple(numbers[row] for row in step.preempted),
            step.free_blocks,
        )
        for step in expected.steps
    ]
    assert [(step.start_s, step.scheduled, step.preempted, step.free_blocks) for step in run.steps] == steps


def assert_same(config: EngineConfig, requests: Requests) -> ReferenceRun:
    expected = reference(config, requests)
    logged = run_single(config, step_time(config), requests, log=True)
    assert_same_steps(expected, logged)
    assert_same_records(requests, expected, logged)
    assert_same_records(requests, expected, run_single(config, step_time(config), requests))
    return expected


@settings(max_examples=250, deadline=None)
@given(configs(), workloads())
def test_small_bursts(config: EngineConfig, requests: Requests) -> None:
    assert_same(config, requests)


def large_case(seed: int) -> tuple[EngineConfig, Requests]:
    rng = stream(seed, "kernel", "large")
    return random_config(rng), random_requests(rng, 200, float(rng.choice([2.0, 8.0, 40.0])))


@pytest.mark.parametrize("seed", few(range(24), *range(4)))
def test_large_random_runs(seed: int) -> None:
    assert_same(*large_case(seed))


@pytest.mark.parametrize("seed", few(range(10), 0, 1))
def test_sessions(seed: int) -> None:
    rng = stream(seed, "kernel", "sessions")
    config = replace(without_drafts(random_config(rng)), enable_prefix_caching=seed % 5 > 0)
    run = assert_same(config, random_sessions(rng, 30, 4))
    assert config.enable_prefix_caching == any(record.cached_tokens for record in run.records)


def test_the_large_runs_preempt_reject_and_hit() -> None:
    seen = {"preempted": 0, "cached": 0, "rejected": 0}
    for seed in range(24):
        config, requests = large_case(seed)
        run = run_single(config, step_time(config), requests)
        seen["preempted"] += int(run.records["preemptions"].sum() > 0)
        seen["cached"] += int(run.records["cached_tokens"].sum() > 0)
        seen["rejected"] += int((run.records["status"] == Status.REJECTED).any())
    assert min(seen.values()) >= 2, seen


@pytest.mark.parametrize("caching", [False, True])
def test_outputs_longer_than_the_calendar_of_ends(caching: bool) -> None:
    config = EngineConfig(num_blocks=1200, block_size=16, max_num_seqs=4, enable_prefix_caching=caching)
    requests = make_requests(np.array([0.0, 3.0, 3.0, 90.0]), np.full(4, 20), np.array([4097, 4096, 8200, 4300]))
    assert_same(replace(config, max_num_batched_tokens=64), requests)
