"""With plans in flight the compiled engine gives what the reference gives: every step, every time, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from engine_cases import configs, random_config, random_requests, random_sessions, step_time, without_drafts, workloads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from parts import few
from test_laws_kernel_vs_reference import assert_same, assert_same_records, reference

from simulator.engine.config import Batching, EngineConfig, Policy
from simulator.engine.modes.spec import Flight, Modes
from simulator.engine.rules import V0_32, V0_33
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import Status
from simulator.fleet.single import RequestList, run_replicas, run_single
from simulator.perf.steptime import constant_step_time
from simulator.rng import stream
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, RoutingSpec
from simulator.workload.requests import Requests, make_requests

FLIGHTS = {
    "async": Flight(2, True),
    "pipeline": Flight(3, False, stages=3),
    "pipeline, async": Flight(3, True, eligible_after=2, stages=2),
}


def in_flight(config: EngineConfig, flight: Flight, rules: str = "0.32.0") -> EngineConfig:
    version = V0_32 if rules == V0_32.version else V0_33
    plain = replace(without_drafts(config), batching=Batching.CONTINUOUS, drop_last_hit_block=False)
    return replace(plain, modes=Modes(flight=flight), rules=version)


@settings(max_examples=200, deadline=None)
@given(configs(), workloads(), st.sampled_from(sorted(FLIGHTS)), st.sampled_from(["0.32.0", "0.33.0"]), st.data())
def test_small_bursts(config: EngineConfig, requests: Requests, name: str, version: str, data: st.DataObject) -> None:
    stops = data.draw(st.lists(st.booleans(), min_size=len(requests), max_size=len(requests)))
    assert_same(in_flight(config, FLIGHTS[name], version), replace(requests, stops=np.array(stops)))


def large_case(seed: int) -> tuple[EngineConfig, Requests]:
    rng = stream(seed, "kernel", "flight")
    requests = random_requests(rng, 200, float(rng.choice([2.0, 8.0, 40.0])))
    return random_config(rng), replace(requests, stops=rng.random(200) < (0.0, 0.4)[seed % 2])


@pytest.mark.parametrize("name", sorted(FLIGHTS))
@pytest.mark.parametrize("seed", few(range(12), 0, 3))
def test_large_random_runs(seed: int, name: str) -> None:
    config, requests = large_case(seed)
    assert_same(in_flight(config, FLIGHTS[name], ("0.32.0", "0.33.0")[seed // 2 % 2]), requests)


@pytest.mark.parametrize("name", sorted(FLIGHTS))
def test_a_request_that_preempts_itself_holds_back_one_that_ends(name: str) -> None:
    """By the rules of 0.32 nobody behind it is in that plan: a last token comes while its request still decodes."""
    preemptions = 0
    for num_blocks in (7, 8):
        config = EngineConfig(
            num_blocks=num_blocks,
            block_size=4,
            max_num_batched_tokens=48,
            max_num_seqs=6,
            max_model_len=40,
            enable_prefix_caching=False,
            policy=Policy.PRIORITY,
            reserve_full_isl=False,
        )
        for osl in range(1, 9):
            requests = make_requests(
                np.array([0.0, 2.0]), np.array([5, 10]), np.array([20, osl]), priority=np.array([1, 0])
            )
            run = assert_same(in_flight(config, FLIGHTS[name]), replace(requests, stops=np.ones(2, bool)))
            preemptions += sum(record.preemptions for record in run.records)
    assert preemptions > 0


@pytest.mark.parametrize("seed", range(4))
def test_sessions(seed: int) -> None:
    rng = stream(seed, "kernel", "flight sessions")
    config = in_flight(random_config(rng), FLIGHTS["async"])
    assert_same(replace(config, enable_prefix_caching=seed > 0), random_sessions(rng, 30, 4))


def test_the_large_runs_preempt_and_hit() -> None:
    runs = [
        run_single(config, step_time(config), requests).records
        for config, requests in (
            (in_flight(config, FLIGHTS["async"]), requests) for config, requests in map(large_case, range(12))
        )
    ]
    assert sum(bool(records["preemptions"].any()) for records in runs) >= 2
    assert sum(bool(records["cached_tokens"].any()) for records in runs) >= 2


def test_a_request_waits_for_the_plan_in_flight() -> None:
    """Alone a request takes as long as ever; one that arrives while another runs sees its first token a step later."""
    config = EngineConfig(num_blocks=400, max_num_batched_tokens=64, max_num_seqs=8, enable_prefix_caching=False)
    requests = make_requests(np.array([0.0, 10.5]), np.full(2, 20), np.array([30, 5]))
    first = {}
    for modes in (Modes(), Modes(flight=FLIGHTS["async"])):
        run = run_single(replace(config, modes=modes), constant_step_time(1.0, 64, 8), requests)
        first[modes.flight is not None] = np.sort(run.records, order="request")["first_token_s"].tolist()
    assert first == {False: [1.0, 12.0], True: [1.0, 13.0]}


def test_plain_engines_give_the_same_beside_others() -> None:
    """A pool without plans in flight gives the same whether or not another pool of its fleet has them."""
    rng = stream(1, "kernel", "flight beside")
    config = replace(without_drafts(random_config(rng)), batching=Batching.CONTINUOUS)
    requests = random_requests(rng, 150)

    def pools(modes: Modes) -> tuple[PoolSpec, ...]:
        return tuple(
            PoolSpec(name, "", 1, 1, replace(config, modes=mode), step_time(config), np.zeros(config.max_num_seqs + 1))
            for name, mode in (("a", Modes()), ("b", modes))
        )

    runs = [
        run_replicas(
            FleetSpec(
                "two", pools(modes), (), RoutingSpec(TargetRouting.WEIGHTED, (0, 1)), (ClassSpec("all", (True, True)),)
            ),
            requests,
            log=True,
        )
        for modes in (Modes(), Modes(flight=FLIGHTS["async"]))
    ]
    first, second = (np.sort(run.records[run.records["target"] == 0], order="request") for run in runs)
    assert 20 < len(first) < 140
    for name in first.dtype.names:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert [step for step in runs[0].steps if step.replica == 0] == [
        step for step in runs[1].steps if step.replica == 0
    ]


def test_long_outputs_skip_plans() -> None:
    """Long decodes, which are taken in one go without the log, and step by step with it."""
    config = EngineConfig(num_blocks=1200, block_size=16, max_num_seqs=4, max_num_batched_tokens=64)
    rng = stream(2, "kernel", "flight long")
    requests = random_requests(rng, 6, 3000.0)
    requests = replace(
        requests, osl=np.array([4097, 4096, 4300, 900, 901, 5000], np.int32), stops=np.arange(6) % 2 == 0
    )
    engine = in_flight(config, FLIGHTS["async"])
    expected = reference(engine, requests)
    run = run_single(engine, step_time(engine), requests)
    assert_same_records(requests, expected, run)
    assert (run.records["status"] == Status.COMPLETED).all()


@pytest.mark.parametrize("name", sorted(FLIGHTS))
def test_a_lost_replica_takes_back_what_was_on_its_way(name: str) -> None:
    """Every request ends once, tokens delivered are those of the records, and nobody was busy longer than there was."""
    rng = stream(3, "kernel", "flight lost")
    config = replace(in_flight(random_config(rng), FLIGHTS[name]), num_blocks=300)
    n, lost_s = 120, 100.0
    requests = replace(random_requests(rng, n, 2.0), stops=rng.random(n) < 0.3)
    pool = PoolSpec("a", "", 1, 2, config, step_time(config), np.zeros(config.max_num_seqs + 1))
    spec = FleetSpec("lost", (pool,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), (ClassSpec("all", (True,)),))
    found: list[NDArray[Any]] = []
    plane = DataPlane(spec, RequestList(requests), (2,), 0, found.append)
    for r in range(2):
        plane.activate(r, 0.0)
    plane.advance(lost_s)
    plane.lose(0, lost_s)
    busy_s = float(plane.engines.replicas["busy_s"][0])
    plane.advance(np.inf)
    plane.close(np.inf)
    records = np.sort(np.concatenate(found), order="request")
    assert records["request"].tolist() == list(range(n))
    assert (records["status"] == Status.FAILED).any()
    assert (records["generated"] <= records["osl"]).all()
    delivered = int(records["generated"].sum() + records["thrown_tokens"].sum())
    assert delivered == int(plane.engines.replicas["output_tokens"].sum())
    assert 0.0 < busy_s <= lost_s
