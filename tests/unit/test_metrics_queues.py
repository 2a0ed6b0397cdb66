"""A replica that is at its limit while its pool is not, by hand, and in a run of sticky conversations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scenario_cases import chat, written

from simulator.fleet.records import RECORD
from simulator.metrics.queues import Hot, Queues, hot_words
from simulator.resolve.topology import plan_topology
from simulator.run.simulate import simulate
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of

WINDOW_S = 100.0


def queues(*waits: tuple[int, int, float, int]) -> Queues:
    """Of (pool, replica, seconds waited by each, requests)."""
    found = Queues()
    for pool, replica, waited_s, count in waits:
        records = np.zeros(count, RECORD)
        records["target"], records["replica"], records["prefill_target"] = pool, replica, -1
        records["arrival_s"], records["scheduled_s"] = 10.0, 10.0 + waited_s
        found.add(records)
    return found


def test_requests_that_wait_on_average_are_their_seconds_by_the_window() -> None:
    """60 requests of 10 s in 100 s are 6; each of the other two has 0.1; a fourth replica is another pool's."""
    found = queues((0, 0, 0.5, 20), (0, 1, 10.0, 60), (0, 2, 0.5, 20), (1, 3, 20.0, 10))
    (hot,) = found.hot(WINDOW_S)
    assert hot == Hot(0, 3, 0.6, 6.0, pytest.approx(0.1))
    assert hot_words([Queues(), found], WINDOW_S, ["base", "other"]) == {
        "base": "one replica of 3 is at its limit while the others have room: 60% of the requests went to it, and on "
        "average 6 wait for it, 0.1 for each other"
    }


def test_replicas_that_served_nobody_have_room() -> None:
    """All to one of two: nothing but the number of replicas tells it from a pool of one."""
    found = queues((0, 0, 10.0, 60))
    assert found.hot(WINDOW_S) == []
    found.replicas = (2,)
    assert found.hot(WINDOW_S) == [Hot(0, 2, 1.0, 6.0, 0.0)]
    for too_few in (1, 0):
        found.replicas = (too_few,)
        assert found.hot(WINDOW_S) == []


@pytest.mark.parametrize(
    "waits",
    [
        [(0, 0, 10.0, 60), (0, 1, 2.0, 40)],  # a tenth of six wait for the other too: the pool is full
        [(0, 0, 1.0, 90), (0, 1, 0.0, 10)],  # nine in ten go to one, which takes them
        [(0, 0, 10.0, 60)],  # nothing beside it
    ],
)
def test_a_full_pool_and_a_replica_with_room_are_not_hot(waits: list[tuple[int, int, float, int]]) -> None:
    assert queues(*waits).hot(WINDOW_S) == []


def test_who_is_not_begun_waits_until_it_leaves_and_cold_starts_are_no_queue() -> None:
    records = np.zeros(2, RECORD)
    records["prefill_target"], records["arrival_s"] = -1, 10.0
    records["scheduled_s"], records["finish_s"] = [np.nan, 30.0], [25.0, 40.0]
    records["no_replica_s"] = [0.0, 20.0]
    found = Queues()
    found.add(records)
    assert found.waited_s.tolist() == [15.0]
    records["prefill_target"] = 1
    found.add(records)
    assert found.requests.tolist() == [2], "their prompts waited at another pool"


@pytest.mark.parametrize(("routing", "is_hot"), [("prefix_affinity", True), ("least_outstanding", False)])
def test_a_run_says_which_pool_has_a_hot_replica(tmp_path: Path, routing: str, is_hot: bool) -> None:
    """Conversations that begin alike go to one of four replicas, which takes two at a time, until four more are there.

    Of some 5 requests a second that take 0.45 s each, all four could take 17.
    """
    pool = (
        "{name: base, site: datacentre, gpu: h100-sxm, billing: owned, replicas: 4, "
        f"engine: {{max_num_seqs: 2, enable_prefix_caching: true}}, routing: {routing}}}"
    )
    text = chat(f"t: {{pools: [{pool}]}}", study="", osl=60, horizon_s=60, warmup_s=5)
    arrivals = "{kind: sessions, rate_rps: 5, think_s: 1, turns: 2, system_tokens: 500, user_tokens: 100}"
    text = text.replace("{kind: poisson, rate_rps: 15}", arrivals).replace("p99: 1.0", "p99: 0.2")
    found = simulate(written(tmp_path, text), None)
    said = [row["text"] for row in found.summary["topologies"]["t"]["warnings"] if "at its limit" in row["text"]]
    binding = found.decision["topologies"]["t"]["months"][0]["binding"]
    assert ("at its limit" in binding) is bool(said) is is_hot
    if is_hot:
        hot = "base: one replica of 4 is at its limit while the others have room"
        assert said[0].startswith(hot)
        assert f"(routing: {routing})" in said[0]
        assert hot in binding


def test_a_queue_from_before_others_were_launched_is_not_by_the_routing(tmp_path: Path) -> None:
    """Whoever comes while one replica is there waits for that one, as three more start for 80 s."""
    pool = (
        "{name: base, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 3, failures: false, "
        "engine: {max_num_seqs: 2}, autoscaler: {min: 1, max: 4, target_per_replica: 2, down_window_s: 30}, "
        "cold_start: {provision_s: 60, image_s: 0, weights_s: 0, engine_s: 20}}"
    )
    text = chat(f"t: {{pools: [{pool}]}}", study="", osl=60, rate_rps=5, horizon_s=400, warmup_s=5)
    loaded = written(tmp_path, text)
    metrics = simulate_one(subject_of(plan_topology(loaded, "t")), demand_of(loaded), 0).metrics
    waiting = metrics.queues[0].waited_s / 395
    assert waiting.max() > 1.0 > 0.1 > np.sort(waiting)[:-1].max(), "one replica alone has a queue"
    assert metrics.hot_replicas == {}
