"""Laws of the data plane: nothing is lost, time and tokens add up, and the same input gives the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import random_sessions
from fleet_cases import ENGINE, STEP_S, WATTS, Served, Source, fleet, poisson, pool, provider, serve
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.state import FREE, FUTURE
from simulator.fleet.records import Status
from simulator.rng import stream
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, RoutingSpec
from simulator.workload.requests import ClosedLoop, Requests, make_requests


@st.composite
def fleets(draw: st.DrawFn) -> FleetSpec:
    n_pools, n_providers = draw(st.integers(1, 3)), draw(st.integers(0, 1))
    targets = n_pools + n_providers
    pools = tuple(
        pool(
            f"p{k}",
            draw(st.integers(1, 5)),
            draw(st.sampled_from(ReplicaRouting)),
            replace(ENGINE, enable_prefix_caching=draw(st.booleans()), num_blocks=draw(st.integers(16, 60))),
            max_waiting_per_replica=draw(st.sampled_from([0, 0, 3])),
            network_s=draw(st.sampled_from([0.0, 0.02])),
        )
        for k in range(n_pools)
    )
    providers = (provider(requests_per_minute=120.0, max_wait_s=1.0, error_probability=0.1),) * n_providers
    routing = RoutingSpec(
        draw(st.sampled_from(TargetRouting)),
        tuple(draw(st.permutations(range(targets)))),
        overflow_waiting=(draw(st.sampled_from([0.0, 2.0, np.inf])),) * targets,
        overflow_kv=(draw(st.sampled_from([0.3, 1.0])),) * targets,
        max_complexity=tuple(draw(st.lists(st.sampled_from([0.5, 1.0]), min_size=targets, max_size=targets))),
    )
    allowed = st.lists(st.booleans(), min_size=targets, max_size=targets).map(tuple)
    timeout = st.sampled_from([0.0, 0.0, 1.0])
    classes = tuple(ClassSpec(name, draw(allowed), draw(timeout)) for name in "ab")
    return fleet(pools, providers, routing, classes)


def mixed(seed: int, n: int = 150, rate: float = 25.0) -> Requests:
    """Open arrivals with shared prefixes, sessions as keys, priorities and complexities."""
    rng = stream(seed, "laws", "dataplane")
    requests = poisson(rng, n, rate)
    return make_requests(
        requests.arrival_s,
        requests.isl,
        requests.osl,
        class_id=requests.class_id,
        complexity=rng.random(n),
        priority=rng.integers(0, 3, n),
        session_id=rng.integers(0, 20, n),
        output_continues=rng.random(n) < 0.3,
        segment_start=np.arange(n + 1),
        segment_id=rng.integers(0, 6, n),
        segment_tokens=np.minimum(rng.integers(0, 60, n), requests.isl),
    )


def split(requests: Requests, size: int) -> tuple[Requests, ...]:
    """The same open requests in chunks of `size`."""
    parts = []
    for start in range(0, len(requests), size):
        rows = slice(start, start + size)
        begin = requests.segment_start[start]
        bounds = requests.segment_start[start : start + size + 1] - begin
        names = ("class_id", "complexity", "priority", "session_id", "output_continues")
        columns = {name: getattr(requests, name)[rows] for name in names}
        segments = {
            "segment_start": bounds,
            "segment_id": requests.segment_id[begin : begin + bounds[-1]],
            "segment_tokens": requests.segment_tokens[begin : begin + bounds[-1]],
        }
        parts.append(
            make_requests(requests.arrival_s[rows], requests.isl[rows], requests.osl[rows], **columns, **segments)
        )
    return tuple(parts)


def assert_adds_up(run: Served, spec: FleetSpec, n: int) -> None:
    records, engines = run.records, run.plane.engines
    assert sorted(records["request"]) == list(range(n))
    assert run.plane.in_flight() == 0
    assert np.isin(engines.slots["state"], (FREE, FUTURE)).all(), "only turns still to come keep a slot"
    done = records["status"] == Status.COMPLETED
    assert (records["generated"][done] == records["osl"][done]).all()
    assert (records["generated"] <= records["osl"]).all()
    assert (records["cached_tokens"] < records["isl"] + records["osl"]).all()
    assert (records["finish_s"] >= records["arrival_s"]).all()
    assert (records["first_token_s"][done] >= records["scheduled_s"][done]).all()
    assert (records["first_token_s"][done] <= records["finish_s"][done]).all()
    own = records["target"] < len(spec.pools)
    for k, row in enumerate(engines.pools):
        assert row["n_in_system"] == row["n_waiting"] == row["n_queued"] == 0
        assert row["arrivals"] == row["departures"]
        assert row["in_system_s"] == pytest.approx(row["sojourn_s"], rel=1e-9, abs=1e-9), "Little"
        replicas = engines.replicas[engines.replicas["pool"] == k]
        served = records[(records["target"] == k) & done]
        assert replicas["input_tokens"].sum() == served["isl"].sum()
        assert replicas["cached_tokens"].sum() == served["cached_tokens"].sum()
        assert replicas["preemptions"].sum() >= served["preemptions"].sum()
        assert replicas["output_tokens"].sum() == records["generated"][(records["target"] == k)].sum()
    assert engines.itl_counts.sum() == (records["generated"][own] - (records["generated"][own] > 0)).sum()


@settings(max_examples=120, deadline=None)
@given(fleets(), st.integers(0, 10), st.sampled_from([3.0, 1e5]))
def test_nothing_is_lost_and_everything_adds_up(spec: FleetSpec, seed: int, until_s: float) -> None:
    requests = mixed(seed)
    run = serve(spec, requests, until_s=until_s)
    assert_adds_up(run, spec, int((requests.arrival_s <= until_s).sum()))
    assert (run.plane.engines.slots["state"] == FREE).all()
    records = run.records
    assert until_s < 1e5 or not (records["status"] == Status.UNFINISHED).any()
    if until_s == 1e5:
        replicas = run.plane.engines.replicas
        assert (replicas["free_blocks"] == [spec.pools[r["pool"]].engine.num_blocks - 1 for r in replicas]).all()
        assert replicas["busy_s"] == pytest.approx(replicas["steps"] * STEP_S)


@settings(max_examples=60, deadline=None)
@given(fleets(), st.integers(0, 10), st.sampled_from([1, 7, 64]))
def test_chunks_make_no_difference(spec: FleetSpec, seed: int, size: int) -> None:
    requests = mixed(seed)
    whole, parts = serve(spec, requests), serve(spec, Source(split(requests, size)))
    assert whole.content == parts.content


@settings(max_examples=40, deadline=None)
@given(fleets(), st.integers(0, 10), st.lists(st.floats(0.0, 20.0), max_size=6))
def test_stopping_on_the_way_makes_no_difference(spec: FleetSpec, seed: int, stops_s: list[float]) -> None:
    requests = mixed(seed)
    whole = serve(spec, requests)
    halted = serve(spec, requests, stops_s=tuple(sorted(stops_s)))
    assert halted.content == whole.content


def test_the_seed_decides_where_requests_go() -> None:
    spec = fleet((pool(replicas=4, routing=ReplicaRouting.RANDOM),), (provider(),))
    runs = [serve(spec, mixed(0), seed=seed).content for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_energy_is_power_times_busy_time() -> None:
    engine = replace(ENGINE, max_num_seqs=8)
    lone = make_requests(np.array([0.0]), np.array([5]), np.array([40]))
    run = serve(fleet((pool(engine=engine),)), lone)
    (replica,) = run.plane.engines.replicas
    assert replica["busy_s"] == pytest.approx(40 * STEP_S)
    assert replica["energy_j"] == pytest.approx(40 * STEP_S * WATTS[1])
    blocks = [-(-(5 + k) // 16) for k in range(40)]
    assert replica["kv_block_s"] == pytest.approx(STEP_S * sum(blocks))


def test_a_run_that_ends_within_a_step_counts_the_part_it_took() -> None:
    lone = make_requests(np.array([0.0]), np.array([5]), np.array([40]))
    run = serve(fleet((pool(),)), lone, until_s=10.5 * STEP_S)
    (replica,), (record,) = run.plane.engines.replicas, run.records
    assert record["status"] == Status.UNFINISHED
    assert record["generated"] == 10
    assert replica["busy_s"] == pytest.approx(10.5 * STEP_S)
    assert replica["energy_j"] == pytest.approx(10.5 * STEP_S * WATTS[1])
    assert replica["kv_block_s"] == pytest.approx(10.5 * STEP_S)


def test_a_lost_replica_breaks_streams_and_sends_the_rest_again() -> None:
    spec = fleet((pool(replicas=2, routing=ReplicaRouting.ROUND_ROBIN, engine=replace(ENGINE, max_num_seqs=1)),))
    requests = make_requests(np.array([0.0, 0.0, 0.01, 0.01]), np.full(4, 4), np.full(4, 20))
    run = serve(spec, requests, lose=(0, 0.5))
    records = run.by_arrival
    assert records["status"].tolist() == [Status.FAILED, 0, 0, 0]
    assert records["retries"].tolist() == [0, 0, 1, 0]
    assert records["replica"].tolist() == [0, 1, 1, 1]
    assert records["finish_s"][0] == 0.5
    assert_adds_up(run, spec, 4)


def test_sessions_and_closed_loops_beside_open_requests() -> None:
    rng = stream(1, "laws", "sessions")
    rows = replace(mixed(9, 30), class_id=np.ones(30, np.int32), think_s=np.full(30, 0.4))
    loop = ClosedLoop(np.linspace(0.0, 2.0, 6), rows)
    sessions = random_sessions(rng, 40, 4)
    spec = fleet((pool("p", 2, ReplicaRouting.SESSION_STICKY), pool("q", 2, ReplicaRouting.PREFIX_AFFINITY)))
    run = serve(spec, Source((sessions,), (loop,)), until_s=900.0)
    records = run.records
    assert_adds_up(run, spec, len(records))
    turns = records[records["class_id"] == 0]
    assert (records["cached_tokens"] > 0).any()
    assert 40 < len(turns) <= 160
    again = serve(spec, Source((sessions,), (loop,)), until_s=900.0)
    assert again.content == run.content
