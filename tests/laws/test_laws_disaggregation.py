"""Prefill and decode on different replicas: the compiled fleet gives what the plain-Python reference gives."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from engine_cases import configs, random_config, random_requests, step_time, workloads
from fleet_cases import ENGINE, STEP_S, Served, Source, evenly, fleet, poisson, pool, provider, serve
from hypothesis import given, settings
from hypothesis import strategies as st
from parts import few

from simulator.engine.config import EngineConfig
from simulator.engine.reference.disaggregation import DisaggregatedRun, KvLink, run_disaggregated
from simulator.engine.reference.worker import drawn
from simulator.engine.state import FREE
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import Status
from simulator.fleet.single import SingleRun, run_replicas
from simulator.metrics.laws import check_causality
from simulator.rng import stream
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, KvTransfer, PoolSpec, RoutingSpec
from simulator.workload.requests import Requests, make_requests

LINKS = st.builds(
    KvLink, st.sampled_from([0.0, 1.0, 40.0]), st.sampled_from([1.0, 8.0]), st.sampled_from([0.0, 0.25, 3.0])
)


def pair(prefill: EngineConfig, decode: EngineConfig, link: KvLink) -> FleetSpec:
    transfer = KvTransfer(link.block_bytes, link.bytes_per_s, link.latency_s, 30.0)
    pools = tuple(
        PoolSpec(name, "", 1, 1, config, step_time(config), np.zeros(config.max_num_seqs + 1), hands_to=hands_to)
        for name, config, hands_to in (("prefill", prefill, 1), ("decode", decode, None))
    )
    pools = tuple(replace(pool, kv_transfer=transfer) for pool in pools)
    routing = RoutingSpec(TargetRouting.WEIGHTED, (0,))
    return FleetSpec("pair", pools, (), routing, (ClassSpec("a", (True, True)),))


def assert_same(prefill: EngineConfig, decode: EngineConfig, link: KvLink, requests: Requests) -> DisaggregatedRun:
    prefill, decode = (replace(side, drafted_share=1.0) for side in (prefill, decode))
    accepting = {"draft_acceptance": prefill.draft_acceptance, "acceptance_std": prefill.acceptance_std}
    decode = replace(decode, block_size=prefill.block_size, **accepting)
    sides = (prefill, step_time(prefill)), (decode, step_time(decode))
    expected = run_disaggregated(*sides, link, requests, drawn(decode))
    spec = pair(prefill, decode, link)
    logged = run_replicas(spec, requests, log=True)
    assert_same_steps(expected, logged)
    assert_same_records(expected, logged)
    assert_same_records(expected, run_replicas(spec, requests))
    return expected


def assert_same_steps(expected: DisaggregatedRun, run: SingleRun) -> None:
    for replica, steps in enumerate((expected.prefill_steps, expected.decode_steps)):
        actual = [
            (step.start_s, step.scheduled, step.preempted, step.free_blocks)
            for step in run.steps
            if step.replica == replica and (step.scheduled or step.preempted)
        ]
        assert actual == [(step.start_s, step.scheduled, step.preempted, step.free_blocks) for step in steps]


def assert_same_records(expected: DisaggregatedRun, run: SingleRun) -> None:
    records = sorted(expected.records, key=lambda record: record.row)
    actual = np.sort(run.records, order="request")
    assert len(actual) == len(records)
    assert (actual["status"] == Status.COMPLETED).tolist() == [record.status == "completed" for record in records]
    for name in ("generated", "cached_tokens", "preemptions"):
        assert actual[name].tolist() == [getattr(record, name) for record in records], name
    for name in ("arrival_s", "scheduled_s", "prefilled_s", "transferred_s", "first_token_s", "finish_s"):
        times = np.array([getattr(record, name) for record in records], float)
        np.testing.assert_array_equal(actual[name], times, err_msg=name)


@settings(max_examples=200, deadline=None)
@given(configs(), configs(), LINKS, workloads())
def test_small_bursts(prefill: EngineConfig, decode: EngineConfig, link: KvLink, requests: Requests) -> None:
    assert_same(prefill, decode, link, requests)


def large_case(seed: int) -> tuple[EngineConfig, EngineConfig, KvLink, Requests]:
    rng = stream(seed, "kernel", "disaggregation")
    prefill, decode = random_config(rng), random_config(rng)
    size = prefill.block_size
    decode = replace(decode, block_size=size, num_blocks=int(rng.integers(240, 700)) // size + 2)
    link = KvLink(size * float(rng.choice([0.0, 0.05, 0.3])), 1.0, float(rng.choice([0.0, 0.5])))
    return prefill, decode, link, random_requests(rng, 120, float(rng.choice([2.0, 8.0, 30.0])))


@pytest.mark.parametrize("seed", few(range(24), *range(4)))
def test_large_random_runs(seed: int) -> None:
    assert_same(*large_case(seed))


def test_the_large_runs_preempt_hit_and_wait() -> None:
    """What the equality above is worth: transfers in line, preemption and recomputation, prefix hits on both sides."""
    preempted = fetched_less = waited = ran_late = 0
    for seed in range(12):
        prefill, decode, link, requests = large_case(seed)
        run = run_replicas(pair(prefill, decode, link), requests)
        done = run.records[run.records["status"] == Status.COMPLETED]
        preempted += int(done["preemptions"].sum() > 0)
        fetched_less += int(done["cached_tokens"].sum() > 0)
        waited += int((done["transferred_s"] - done["prefilled_s"] > link.latency_s + 1.0).any())
        ran_late += int((done["first_token_s"] - done["transferred_s"] > 5.0).any())
    assert min(preempted, fetched_less, waited, ran_late) >= 3


@st.composite
def disaggregated(draw: st.DrawFn) -> FleetSpec:
    """Prefill pools that hand over to a decode pool, and one that does all by itself."""
    engine = replace(ENGINE, enable_prefix_caching=draw(st.booleans()), num_blocks=draw(st.integers(12, 60)))
    transfer = KvTransfer(draw(st.sampled_from([0.0, 1e6, 5e6])), 1e8, draw(st.sampled_from([0.0, 0.02])), 1.0)
    limits = {"kv_transfer": transfer, "network_s": draw(st.sampled_from([0.0, 0.02]))}
    pools = (
        pool("decode", draw(st.integers(1, 3)), draw(st.sampled_from(ReplicaRouting)), engine, **limits),
        pool("prefill", draw(st.integers(1, 3)), engine=engine, hands_to=0, **limits),
        pool("all", 1, engine=engine, max_waiting_per_replica=4),
    )
    routing = RoutingSpec(
        draw(st.sampled_from([TargetRouting.WEIGHTED, TargetRouting.OVERFLOW])),
        (1, 2),
        (3.0, 1.0),
        overflow_waiting=(2.0, np.inf),
    )
    timeout = draw(st.sampled_from([0.0, 1.0]))
    return fleet(pools, routing=routing, classes=tuple(ClassSpec(name, (True,) * 3, timeout, 2) for name in "ab"))


@settings(max_examples=100, deadline=None)
@given(disaggregated(), st.integers(0, 10), st.sampled_from([2.0, 1e5]), st.integers(-1, 4), st.floats(0.1, 8.0))
def test_nothing_is_lost_whatever_fails(spec: FleetSpec, seed: int, until_s: float, lost: int, lost_s: float) -> None:
    """One status for each request, blocks of both sides come back, Little's law holds at every pool."""
    rng = stream(seed, "laws", "disaggregation")
    requests = poisson(rng, 120, 25.0, priority=rng.integers(0, 3, 120))
    n_replicas = sum(p.replicas for p in spec.pools)
    lose = (lost, min(lost_s, until_s)) if 0 <= lost < n_replicas else None
    run = serve(spec, requests, until_s=until_s, lose=lose)
    records, engines = run.records, run.plane.engines
    assert sorted(records["request"]) == list(range(int((requests.arrival_s <= until_s).sum())))
    assert (engines.slots["state"] == FREE).all()
    assert (records["generated"][records["status"] == Status.COMPLETED] == requests.osl[_completed(records)]).all()
    for row in engines.pools:
        assert row["n_in_system"] == row["n_waiting"] == row["n_queued"] == 0
        assert row["arrivals"] == row["departures"]
        assert row["in_system_s"] == pytest.approx(row["sojourn_s"], rel=1e-9, abs=1e-9), "Little"
    for r, replica in enumerate(engines.replicas):
        if until_s == 1e5 and (lose is None or lose[0] != r):
            assert replica["free_blocks"] == spec.pools[replica["pool"]].engine.num_blocks - 1
        assert replica["n_kept"] == replica["n_holding"] == replica["n_received"] == 0
        if engines.pools[replica["pool"]]["prefix_caching"]:
            assert replica["n_free_rows"] == replica["row_capacity"]
    assert_tokens_count_where_they_were_computed(run, spec)
    assert_parts_of_the_way_add_up(records, spec)


def _completed(records: Any) -> Any:
    return records["request"][records["status"] == Status.COMPLETED]


def assert_tokens_count_where_they_were_computed(run: Served, spec: FleetSpec) -> None:
    records, replicas = run.records, run.plane.engines.replicas
    done = records[records["status"] == Status.COMPLETED]
    for k in range(len(spec.pools)):
        own = replicas[replicas["pool"] == k]
        here = np.where(done["prefill_target"] < 0, done["target"], done["prefill_target"]) == k
        assert own["input_tokens"].sum() == done["isl"][here].sum()
        assert own["cached_tokens"].sum() == done["cached_tokens"][here].sum()
        assert own["output_tokens"].sum() == records["generated"][records["target"] == k].sum()


def assert_parts_of_the_way_add_up(records: Any, spec: FleetSpec) -> None:
    """Arrival, start, end of the prefill, KV arrived, first token, end: in this order; a transfer takes its time."""
    moved = records[(records["prefill_target"] >= 0) & (records["status"] == Status.COMPLETED)]
    parts = ("arrival_s", "scheduled_s", "prefilled_s", "transferred_s", "first_token_s", "finish_s")
    for earlier, later in itertools.pairwise(parts):
        assert (moved[earlier] <= moved[later]).all(), (earlier, later)
    assert (moved["target"] == 0).all()
    assert (moved["prefill_target"] == 1).all()
    transfer = spec.pools[1].kv_transfer
    whole = -(-moved["isl"] // 16) * transfer.block_bytes / transfer.bytes_per_s + transfer.latency_s
    if not spec.pools[0].engine.enable_prefix_caching:
        assert (moved["transferred_s"] - moved["prefilled_s"] >= whole - 1e-9).all()
    stayed = records[records["prefill_target"] < 0]
    assert np.isnan(stayed["prefilled_s"]).all()
    assert np.isnan(stayed["transferred_s"]).all()


def lone(isl: int, osl: int) -> Requests:
    return make_requests(np.array([0.0]), np.array([isl]), np.array([osl]))


def lone_pair(latency_s: float = 0.7, **limits: Any) -> FleetSpec:
    transfer = KvTransfer(1e6, 1e8, latency_s, 5.0)
    pools = (pool("prefill", hands_to=1, kv_transfer=transfer), pool("decode", kv_transfer=transfer, **limits))
    return fleet(pools, routing=RoutingSpec(TargetRouting.WEIGHTED, (0,)))


def test_a_lone_request_waits_for_its_blocks_and_computes_one_token_again() -> None:
    run = serve(lone_pair(), lone(100, 5))
    (record,) = run.records
    assert record["prefilled_s"] == STEP_S
    assert record["transferred_s"] == pytest.approx(STEP_S + 7 * 1e6 / 1e8 + 0.7)
    assert record["first_token_s"] == pytest.approx(record["transferred_s"] + STEP_S)
    assert record["finish_s"] == pytest.approx(record["transferred_s"] + 5 * STEP_S)
    assert run.plane.engines.replicas["output_tokens"].tolist() == [0, 5]


def test_transfers_of_one_link_follow_each_other() -> None:
    requests = make_requests(np.zeros(3), np.full(3, 16), np.full(3, 2))
    spec = lone_pair(latency_s=0.0)
    slow = tuple(replace(p, kv_transfer=replace(p.kv_transfer, block_bytes=1e8)) for p in spec.pools)
    records = serve(replace(spec, pools=slow), requests).by_arrival
    assert records["transferred_s"] == pytest.approx(records["prefilled_s"][0] + np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("lost", [0, 1])
def test_a_replica_lost_during_the_transfer_costs_a_retry(lost: int) -> None:
    spec = lone_pair()
    pools = tuple(replace(p, replicas=2) for p in spec.pools)
    run = serve(replace(spec, pools=pools), lone(100, 5), lose=(2 * lost, 0.3))
    (record,) = run.records
    assert (record["status"], record["retries"]) == (Status.COMPLETED, 1)
    assert record["prefilled_s"] == pytest.approx(0.3 + STEP_S)


def test_blocks_that_nobody_fetches_are_given_up_when_their_lease_ends() -> None:
    spec = replace(lone_pair(), classes=tuple(ClassSpec(name, (True, True), max_retries=0) for name in "ab"))
    plane = DataPlane(spec, Source((lone(100, 5),)), (1, 1), 1, lambda records: None)
    for r in range(2):
        plane.activate(r, 0.0)
    plane.advance(0.3)
    plane.lose(1, 0.3)
    kept = [int(plane.engines.replicas[0]["free_blocks"])]
    for until_s in (5.29, 5.31):
        plane.advance(until_s)
        kept.append(int(plane.engines.replicas[0]["free_blocks"]))
    assert kept == [199 - 7, 199 - 7, 199]


def test_a_draining_prefill_replica_stays_until_its_blocks_are_sent() -> None:
    plane = DataPlane(lone_pair(), Source((lone(100, 5),)), (1, 1), 1, lambda records: None)
    for r in range(2):
        plane.activate(r, 0.0)
    plane.advance(0.3)
    assert not plane.drain(0)
    assert plane.advance(10.0) == 0
    assert plane.engines.replicas[0]["step_start_s"] == pytest.approx(STEP_S + 7 * 1e6 / 1e8 + 0.7)


def test_a_request_that_waits_for_decoding_times_out_and_one_whose_blocks_come_does_not() -> None:
    classes = tuple(ClassSpec(name, (True, True), timeout_s=0.5) for name in "ab")
    spec = replace(lone_pair(engine=replace(ENGINE, num_blocks=8)), classes=classes)
    records = serve(spec, make_requests(np.zeros(2), np.full(2, 100), np.full(2, 5))).by_arrival
    assert records["status"].tolist() == [Status.COMPLETED, Status.TIMED_OUT]
    assert records["finish_s"][1] == 0.5


def test_a_prompt_that_is_lost_is_answered_whole_by_whoever_takes_it_next() -> None:
    link = KvTransfer(1.0, 100.0, 0.0, 30.0)
    prefill, decode = pool("prefill", hands_to=1, kv_transfer=link), pool("decode", kv_transfer=link)
    routing = RoutingSpec(TargetRouting.OVERFLOW, (0, 2), overflow_waiting=(np.inf, np.inf))
    requests = evenly(20, 0.02, isl=60, osl=12)
    records = serve(fleet((prefill, decode), (provider(),), routing), requests, lose=(0, 0.3)).by_arrival
    check_causality(records)
    moved = (records["target"] == 2) & (records["retries"] > 0)
    assert moved.any()
    assert (records["generated"][moved] == 12).all()
