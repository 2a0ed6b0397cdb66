"""Where requests go: replicas within a pool, targets of a topology, and what rate limits let through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleet_cases import ENGINE, STEP_S, Source, evenly, fleet, in_flight_at, poisson, pool, provider, serve

from simulator.fleet.records import Status
from simulator.rng import stream
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.fleet import CascadeSpec, ClassSpec, RoutingSpec
from simulator.workload.requests import ClosedLoop, make_requests

R = ReplicaRouting


def test_round_robin_takes_turns() -> None:
    run = serve(fleet((pool(replicas=3, routing=R.ROUND_ROBIN),)), evenly(30, 0.01))
    assert run.by_arrival["replica"].tolist() == [0, 1, 2] * 10


def test_random_is_even_and_not_in_turns() -> None:
    run = serve(fleet((pool(replicas=4, routing=R.RANDOM),)), evenly(4000, 0.1))
    counts = np.bincount(run.records["replica"], minlength=4)
    assert abs(counts - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)
    assert len(np.unique(np.diff(run.by_arrival["replica"]))) > 2


def test_least_outstanding_goes_to_the_emptiest() -> None:
    run = serve(fleet((pool(replicas=3),)), poisson(stream(1, "routing"), 400, 20.0))
    records = run.by_arrival
    for k, record in enumerate(records):
        before = records[:k]
        load = np.bincount(before["replica"][before["finish_s"] > record["arrival_s"]], minlength=3)
        assert record["replica"] == int(load.argmin())
    assert np.bincount(records["replica"]).min() > 50


def test_least_kv_goes_to_the_most_free_blocks() -> None:
    requests = make_requests(np.array([0.0, 0.01, 0.2, 0.21, 0.22]), np.array([100, 1, 1, 1, 1]), np.full(5, 30))
    engine = replace(ENGINE, enable_prefix_caching=False)
    run = serve(fleet((pool(replicas=2, routing=R.LEAST_KV, engine=engine),)), requests)
    assert run.by_arrival["replica"].tolist()[2:] == [1, 1, 1]


def test_power_of_two_evens_out_better_than_chance() -> None:
    requests = poisson(stream(2, "routing"), 1500, 50.0)
    waits = {}
    for routing in (R.RANDOM, R.POWER_OF_TWO, R.LEAST_OUTSTANDING):
        records = serve(fleet((pool(replicas=8, routing=routing),)), requests).records
        waits[routing] = (records["finish_s"] - records["arrival_s"]).mean()
        assert set(records["replica"]) == set(range(8))
    assert waits[R.LEAST_OUTSTANDING] < waits[R.POWER_OF_TWO] < waits[R.RANDOM]


def test_sessions_stick_to_a_replica_and_spread_over_all() -> None:
    session = stream(3, "routing").integers(0, 60, 600)
    requests = poisson(stream(4, "routing"), 600, 30.0, session_id=session)
    for routing, kept in ((R.SESSION_STICKY, True), (R.LEAST_OUTSTANDING, False)):
        records = serve(fleet((pool(replicas=4, routing=routing),)), requests).by_arrival
        homes = [len(np.unique(records["replica"][session == s])) for s in range(60)]
        assert (max(homes) == 1) == kept
        assert np.bincount(records["replica"], minlength=4).min() > 0


def test_a_replica_that_is_gone_moves_only_its_own_sessions() -> None:
    session = np.arange(200)
    homes = []
    for replicas in (4, 3):
        requests = evenly(200, 1.0, session_id=session)
        run = serve(fleet((pool(replicas=replicas, routing=R.SESSION_STICKY),)), requests)
        homes.append(run.by_arrival["replica"])
    stayed = homes[0] < 3
    assert (homes[0][stayed] == homes[1][stayed]).all()
    assert 20 < (~stayed).sum() < 90


def test_prefix_affinity_finds_the_cache_and_gives_way_under_load() -> None:
    n = 400
    prefix = stream(5, "routing").integers(0, 12, n)
    columns = {"segment_start": np.arange(n + 1), "segment_id": 7 + prefix, "segment_tokens": np.full(n, 96)}
    calm, cached = evenly(n, 0.5, 100, 4, **columns), {}
    for routing in (R.ROUND_ROBIN, R.PREFIX_AFFINITY):
        records = serve(fleet((pool(replicas=3, routing=routing),)), calm).by_arrival
        cached[routing] = int(records["cached_tokens"].sum())
        homes = [len(np.unique(records["replica"][prefix == p])) for p in range(12)]
        assert (max(homes) == 1) == (routing == R.PREFIX_AFFINITY)
    assert cached[R.PREFIX_AFFINITY] > cached[R.ROUND_ROBIN]
    same = {**columns, "segment_id": np.full(n, 7)}
    records = serve(fleet((pool(replicas=3, routing=R.PREFIX_AFFINITY),)), evenly(n, 0.01, 100, 4, **same)).records
    assert np.bincount(records["replica"], minlength=3).min() > n // 6


def test_weights_share_out_among_the_allowed() -> None:
    routing = RoutingSpec(TargetRouting.WEIGHTED, (2, 0, 1), weights=(1.0, 3.0, 0.0))
    classes = (ClassSpec("a", (True, True, True)), ClassSpec("b", (False, True, True)))
    records = serve(
        fleet((pool("p"), pool("q")), (provider(),), routing, classes), poisson(stream(6, "routing"), 4000, 5.0)
    ).records
    targets = np.bincount(records["target"][records["class_id"] == 0], minlength=3)
    assert targets[1] == 0
    assert abs(targets[0] / targets.sum() - 0.75) < 0.04
    assert set(records["target"][records["class_id"] == 1]) == {2}


RULES = (
    RoutingSpec(TargetRouting.WEIGHTED, (2, 0, 1)),
    RoutingSpec(TargetRouting.OVERFLOW, (2, 0, 1), overflow_waiting=(0.0, 0.0, 0.0)),
    RoutingSpec(TargetRouting.COMPLEXITY, (2, 0, 1), max_complexity=(0.4, 0.7, 1.0)),
    RoutingSpec(TargetRouting.CASCADE, (2, 0), cascade=CascadeSpec(share=0.5)),
)


@pytest.mark.parametrize("routing", RULES, ids=[rule.kind.name for rule in RULES])
def test_data_never_goes_where_its_class_may_not(routing: RoutingSpec) -> None:
    assert {rule.kind for rule in RULES} == set(TargetRouting)
    n = 1500
    classes = (ClassSpec("a", (True, True, False)), ClassSpec("b", (False, False, True)))
    rng = stream(7, "routing")
    requests = poisson(rng, n, 60.0, complexity=rng.random(n))
    records = serve(fleet((pool("p"), pool("q")), (provider(),), routing, classes), requests).records
    allowed = np.array([cls.allowed for cls in classes])
    placed = records["target"] >= 0
    assert allowed[records["class_id"][placed], records["target"][placed]].all()
    assert set(records["target"][placed]) == set(routing.order)
    assert (records["status"][~placed] == Status.REJECTED).all()


def test_a_class_that_may_go_nowhere_is_rejected() -> None:
    records = serve(fleet((pool(),), classes=(ClassSpec("a", (False,)),)), evenly(5, 1.0)).records
    assert (records["status"] == Status.REJECTED).all()
    assert (records["target"] == -1).all()


def test_complexity_goes_to_the_first_target_that_is_good_enough() -> None:
    routing = RoutingSpec(TargetRouting.COMPLEXITY, (0, 1), max_complexity=(0.3, 0.8))
    complexity = np.array([0.0, 0.3, 0.31, 0.8, 0.81])
    records = serve(fleet((pool("p"), pool("q")), (), routing), evenly(5, 1.0, complexity=complexity)).by_arrival
    assert records["target"].tolist() == [0, 0, 1, 1, -1]


@pytest.mark.parametrize("threshold", [0.0, 2.0])
def test_overflow_passes_over_a_pool_only_above_its_waiting_threshold(threshold: float) -> None:
    routing = RoutingSpec(TargetRouting.OVERFLOW, (0, 1), overflow_waiting=(threshold, np.inf))
    engine = replace(ENGINE, max_num_seqs=1)
    requests = make_requests(np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 99.0]), np.ones(7, int), np.full(7, 100))
    records = serve(fleet((pool(engine=engine),), (provider(),), routing), requests).by_arrival
    stay = 2 + int(threshold)
    assert records["target"].tolist() == [0] * stay + [1] * (6 - stay) + [0]
    assert (records["overflowed"] == records["target"]).all()


def test_overflow_by_requests_in_flight_and_by_kv() -> None:
    requests = evenly(6, 0.001, 100, 100)
    outstanding = RoutingSpec(TargetRouting.OVERFLOW, (0, 1), overflow_outstanding=(2.0, np.inf))
    records = serve(fleet((pool(replicas=1),), (provider(),), outstanding), requests).by_arrival
    assert records["target"].tolist() == [0, 0, 0, 1, 1, 1]
    engine = replace(ENGINE, num_blocks=29, enable_prefix_caching=False, max_num_batched_tokens=200)
    kv = RoutingSpec(TargetRouting.OVERFLOW, (0, 1), overflow_kv=(0.2, 1.0))
    records = serve(fleet((pool(engine=engine),), (provider(),), kv), evenly(4, 1.0, 100, 100)).by_arrival
    assert records["target"].tolist() == [0, 1, 1, 1]


def test_without_an_open_target_the_first_ready_pool_takes_it_and_counts_as_overflow_only_if_not_first_choice() -> None:
    shut = (provider(requests_per_minute=1.0, max_wait_s=0.0),)
    engine = replace(ENGINE, max_num_seqs=1)
    routing = RoutingSpec(TargetRouting.OVERFLOW, (1, 0), overflow_waiting=(np.inf, -1.0))
    records = serve(fleet((pool(engine=engine),), shut, routing), evenly(3, 0.001)).by_arrival
    assert records["target"].tolist() == [1, 0, 0]
    assert records["overflowed"].tolist() == [0, 1, 1]
    assert (records["status"] == Status.COMPLETED).all()


def test_requests_per_minute_admit_at_most_rate_times_time_plus_burst() -> None:
    limit = 30.0
    spec = fleet((), (provider(requests_per_minute=limit, max_wait_s=3.0),))
    records = serve(spec, poisson(stream(8, "routing"), 3000, 8.0)).records
    sent = np.sort(records["scheduled_s"][records["status"] == Status.COMPLETED])
    k = np.arange(len(sent))
    ahead = k - sent * limit / 60.0  # the worst window [s, t] holds max over s <= t of ahead(t) - ahead(s) + 1
    worst = (ahead - np.minimum.accumulate(ahead)).max() + 1
    assert worst <= limit + 1e-6
    assert len(sent) > 0.95 * (sent[-1] * limit / 60.0 + limit)
    started = records[records["status"] == Status.COMPLETED]
    assert (started["scheduled_s"] - started["arrival_s"]).max() <= 3.0 + 1e-9
    assert (started["scheduled_s"] > started["arrival_s"]).any()
    assert (records["status"] == Status.REJECTED).any()


@pytest.mark.parametrize(
    "limits",
    [
        {"tokens_per_minute": 2000.0},
        {"input_tokens_per_minute": 1500.0},
        {"output_tokens_per_minute": 700.0},
        {"input_tokens_per_minute": 1500.0, "output_tokens_per_minute": 700.0},
        {"tokens_per_minute": 1000.0, "input_tokens_per_minute": 590.0, "output_tokens_per_minute": 415.0},
    ],
)
def test_tokens_per_minute_admit_at_most_rate_times_time_plus_burst(limits: dict[str, float]) -> None:
    """Beside a second arithmetic of the buckets, call by call; each limit that is given turns calls away."""
    spec = fleet((), (provider(**limits, max_wait_s=0.0),))
    records = serve(spec, poisson(stream(9, "routing"), 2000, 4.0)).by_arrival
    sent = records[records["status"] == Status.COMPLETED]
    levels, last_s, full = dict(limits), 0.0, set()
    for record in records:
        isl, osl = int(record["isl"]), int(record["osl"])
        takes = {
            "tokens_per_minute": isl + osl,
            "input_tokens_per_minute": isl,
            "output_tokens_per_minute": osl,
        }
        for name, limit in limits.items():
            levels[name] = min(levels[name] + (record["arrival_s"] - last_s) * limit / 60.0, limit)
        last_s = record["arrival_s"]
        over = {name for name in limits if takes[name] > levels[name]}
        if all(abs(takes[name] - levels[name]) > 1e-6 for name in limits):
            assert (record["status"] == Status.COMPLETED) == (not over)
        full |= over
        for name in limits if record["status"] == Status.COMPLETED else ():
            levels[name] -= takes[name]
    assert 0 < len(sent) < len(records)
    assert full == set(limits)


def test_provider_times_are_lognormal_about_their_medians_and_grow_with_the_prompt() -> None:
    once = tuple(ClassSpec(name, (True,), max_retries=0) for name in ("a", "b"))
    spec = fleet((), (provider(ttft_s_per_input_token=0.01, error_probability=0.2),), classes=once)
    records = serve(spec, poisson(stream(10, "routing"), 6000, 5.0)).records
    done = records[records["status"] == Status.COMPLETED]
    ttft = np.log((done["first_token_s"] - done["arrival_s"] - 0.01 * done["isl"]) / 0.5)
    assert abs(ttft.mean()) < 4 * 0.3 / np.sqrt(len(done))
    assert abs(ttft.std() - 0.3) < 0.02
    longer = done[done["osl"] > 1]
    tpot = np.log((longer["finish_s"] - longer["first_token_s"]) / (longer["osl"] - 1) / 0.02)
    assert abs(tpot.mean()) < 4 * 0.3 / np.sqrt(len(longer))
    assert abs(len(done) / len(records) - 0.8) < 0.03
    failed = records[records["status"] == Status.FAILED]
    assert len(failed) + len(done) == len(records)
    assert np.isnan(failed["first_token_s"]).all()
    assert not failed["generated"].any()


def test_a_token_api_without_a_first_token_in_time_is_a_timeout_error_or_not() -> None:
    spec = fleet((), (provider(error_probability=0.5),), classes=(ClassSpec("a", (True,), 0.5, max_retries=0),) * 2)
    records = serve(spec, poisson(stream(11, "routing"), 2000, 5.0)).records
    late = records[records["status"] == Status.TIMED_OUT]
    assert late["finish_s"] - late["arrival_s"] == pytest.approx(0.5)
    assert abs(len(late) / len(records) - 0.5) < 0.05
    in_time = records[records["status"] == Status.FAILED]
    assert (in_time["finish_s"] - in_time["arrival_s"]).max() <= 0.5


def test_requests_too_long_for_a_target_go_elsewhere_or_are_rejected() -> None:
    requests = make_requests(np.array([0.0, 1.0, 2.0]), np.array([100, 1500, 9000]), np.full(3, 10))
    records = serve(fleet((pool(),), (provider(max_context_tokens=2000),)), requests, seed=3).by_arrival
    assert records["target"].tolist()[1:] == [1, -1]
    assert records["status"].tolist() == [Status.COMPLETED, Status.COMPLETED, Status.REJECTED]


def test_a_full_queue_rejects() -> None:
    spec = fleet((pool(engine=replace(ENGINE, max_num_seqs=1), max_waiting_per_replica=2),))
    records = serve(spec, evenly(6, 0.001, 1, 100)).by_arrival
    # the first step begins at once with the first request, so two wait and three are turned away
    assert records["status"].tolist() == [0, 0, 0, 1, 1, 1]
    assert records["scheduled_s"][:3] == pytest.approx([0.0, 100 * STEP_S, 200 * STEP_S])


def test_waiting_requests_time_out_and_started_ones_do_not() -> None:
    classes = (ClassSpec("a", (True,), timeout_s=1.0),) * 2
    spec = fleet((pool(engine=replace(ENGINE, max_num_seqs=1)),), classes=classes)
    records = serve(spec, evenly(4, 0.3, 1, 16)).by_arrival
    assert records["status"].tolist() == [0, 0, 3, 0]
    assert records["finish_s"][2] == pytest.approx(0.6 + 1.0)
    assert np.isnan(records["first_token_s"][2])


@pytest.mark.parametrize("pauses_s", [(0.0,), (0.7, 0.2, 0.0)])
def test_a_closed_loop_keeps_each_user_to_one_request(pauses_s: tuple[float, ...]) -> None:
    users = 5
    rows = poisson(stream(12, "routing"), 40, 1.0)
    rows = replace(rows, think_s=np.resize(pauses_s, len(rows)))
    loop = ClosedLoop(np.linspace(0.0, 1.0, users), rows)
    records = serve(fleet((pool(replicas=2),)), Source((), (loop,)), until_s=60.0).records
    inside = in_flight_at(records, np.sort(records["arrival_s"]))
    assert inside.max() <= users
    assert inside.max() >= users - 1
    finished = records[records["status"] == Status.COMPLETED]
    pause_s = rows.think_s[finished["request"] % len(rows)]
    calls = np.sort(np.append(loop.start_s, finished["finish_s"] + pause_s))[: len(records)]
    assert np.sort(records["arrival_s"]).tolist() == calls.tolist()
    assert records["isl"][np.argsort(records["request"])].tolist() == np.resize(rows.isl, len(records)).tolist()
    assert len(records) > 100


def test_the_next_turn_comes_after_thinking_and_not_after_a_failure() -> None:
    requests = make_requests(
        np.array([0.0, 1.0, np.nan, np.nan, np.nan]),
        np.array([5, 5000, 9, 9, 9]),
        np.full(5, 10),
        session_id=np.array([0, 1, 0, 0, 1]),
        next_turn=np.array([2, 4, 3, -1, -1]),
        think_s=np.array([0.0, 0.0, 2.5, 0.0, 1.0]),
    )
    records = serve(fleet((pool(network_s=0.1),)), requests).by_arrival
    assert records["status"].tolist() == [0, 1, 0, 0]
    first, _, second, third = records
    assert first["finish_s"] == pytest.approx(10 * STEP_S + 0.2)
    assert second["arrival_s"] == first["finish_s"] + 2.5
    assert third["arrival_s"] == second["finish_s"]
