"""Servers: where replicas stand, what a failed one takes along, spares that stand in, instances that are given back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import classes, evenly, fleet, pool
from hypothesis import given
from hypothesis import strategies as st
from parts import few

from simulator.errors import InvariantError
from simulator.fleet.records import Status
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.single import RequestList
from simulator.metrics.laws import check_gpu_seconds, check_stays
from simulator.study.fleet import Autoscaler, ColdStart, Outages, PoolSpec, Reliability
from simulator.study.placement import first_fit_decreasing, servers_needed
from simulator.study.usage import Stay
from simulator.workload.requests import Requests


def run(*pools: PoolSpec, requests: Requests | None = None, horizon_s: float = 100.0) -> FleetRun:
    spec = fleet(pools, classes=classes(len(pools)))
    found = simulate_fleet(
        spec,
        RequestList(requests or evenly(1, 1.0)),
        horizon_s=horizon_s,
        drain_s=10.0,
        warmup_s=0.0,
        seed=3,
        sink=lambda records: None,
        sample_s=horizon_s,
    )
    check_stays(found.usage, spec)
    for usage in found.usage.pools:
        check_gpu_seconds(usage)
    return found


def down(found: FleetRun, k: int = 0) -> list[Stay]:
    return [stay for stay in found.usage.pools[k].stays if stay.state == "down"]


@given(st.lists(st.integers(1, 20), max_size=30), st.integers(1, 8))
def test_no_server_holds_more_than_it_has(gpus: list[int], per_server: int) -> None:
    places = first_fit_decreasing(gpus, per_server)
    held: dict[int, list[int]] = {}
    for size, servers in zip(gpus, places, strict=True):
        assert len(servers) == -(-size // per_server)
        for server in servers:
            held.setdefault(server, []).append(size)
    for sizes in held.values():
        assert sum(sizes) <= per_server or len(sizes) == 1
    assert sorted(held) == list(range(len(held)))


@given(st.lists(st.sampled_from([1, 2, 4, 8, 16]), min_size=1, max_size=30))
def test_powers_of_two_leave_no_gaps(gpus: list[int]) -> None:
    assert servers_needed(gpus, 8) == -(-sum(gpus) // 8)


def test_two_pools_share_a_server_and_its_failure() -> None:
    shared = {"gpus_per_replica": 4, "gpus_per_server": 8, "owned": True, "gpu": "h100"}
    faults = Reliability(mtbf_s=30.0, mttr_s=2.0)
    found = run(pool("a", **shared, reliability=faults), pool("b", **shared, reliability=faults), horizon_s=300.0)
    (servers,) = found.usage.servers
    assert (servers.used, servers.pools, servers.gpus_per_server) == (1, ("a", "b"), 8)
    assert len(down(found)) > 2
    assert [(stay.server, stay.start_s, stay.end_s) for stay in down(found, 0)] == [
        (stay.server, stay.start_s, stay.end_s) for stay in down(found, 1)
    ]
    up_s = 300.0 - sum(stay.end_s - stay.start_s for stay in down(found))
    assert servers.running_s_by_hour.sum() == pytest.approx(up_s)


def test_a_replica_over_two_servers_fails_with_either() -> None:
    """Twice the failures of one server, and both are held for it alone."""
    wide = {"gpus_per_server": 8, "owned": True, "reliability": Reliability(mtbf_s=500.0, mttr_s=1.0)}
    one, two = (
        run(pool(gpus_per_replica=gpus, **wide), pool("small", gpus_per_server=8, owned=True), horizon_s=100_000.0)
        for gpus in (8, 16)
    )
    assert two.usage.pools[0].failures / one.usage.pools[0].failures == pytest.approx(2.0, rel=0.25)
    assert two.usage.servers[0].used == 3
    assert {stay.server for stay in two.usage.pools[0].stays} == {0, 1}


@pytest.mark.parametrize("engine_s", few([0.0, 20.0], 20.0))
def test_availability_without_a_spare(engine_s: float) -> None:
    """Up for the MTBF, then repaired and started; a start of length e that a failure breaks off begins anew.

    Away = MTTR exp(e/MTBF) + MTBF (exp(e/MTBF) - 1), and MTTR alone for e = 0.
    """
    faults = Reliability(mtbf_s=90.0, mttr_s=10.0)
    spec = pool(replicas=4, owned=True, reliability=faults, cold_start=ColdStart(7.0, 7.0, 7.0, engine_s))
    usage = run(spec, horizon_s=100_000.0).usage.pools[0]
    away = (usage.down_s + usage.starting_s) / usage.billed_s
    tries = np.exp(engine_s / 90.0)
    mean_s = 10.0 * tries + 90.0 * (tries - 1)
    assert away == pytest.approx(mean_s / (90.0 + mean_s), rel=4 / np.sqrt(usage.failures))


def test_a_rented_instance_that_failed_is_replaced_by_another_with_its_cold_start() -> None:
    spec = pool(gpus_per_server=2, replicas=2, cold_start=ColdStart(8.0, 4.0, 2.0, 1.0))
    faults = Reliability(mtbf_s=500.0, mttr_s=10.0)
    rented, owned = (
        run(replace(spec, reliability=faults, owned=owned), horizon_s=20_000.0).usage.pools[0]
        for owned in (False, True)
    )
    for usage, longest_s in ((rented, 15.0), (owned, 1.0)):
        starts = [stay.end_s - stay.start_s for stay in usage.stays if stay.state == "starting"]
        assert len(starts) > 40
        assert np.median(starts) == pytest.approx(longest_s)


@pytest.mark.parametrize("spares", few([0, 1, 2], 1))
def test_spares_stand_in_as_the_machine_repair_model_says(spares: int) -> None:
    """Two of 2 + s machines serve, failed ones are repaired at once: a birth and death process of the failed ones."""
    fail, repair = 1 / 100.0, 1 / 50.0
    weights = [1.0]
    for failed in range(2 + spares):
        weights.append(weights[-1] * min(2, 2 + spares - failed) * fail / ((failed + 1) * repair))
    short = sum(weight * max(0, failed - spares) for failed, weight in enumerate(weights)) / sum(weights)
    spec = pool(replicas=2, reliability=Reliability(mtbf_s=100.0, mttr_s=50.0), spares=spares)
    usage = run(spec, horizon_s=200_000.0).usage.pools[0]
    assert usage.down_s / 200_000.0 == pytest.approx(short, rel=0.06)


def test_a_failure_costs_the_swap_time_while_a_spare_is_there() -> None:
    """TP8 twice with one spare: the swap, then image and weights are fetched anew; a second failure in time waits."""
    spec = pool(
        replicas=2,
        gpus_per_replica=8,
        gpus_per_server=8,
        owned=True,
        spares=1,
        swap_s=60.0,
        reliability=Reliability(mtbf_s=20_000.0, mttr_s=4_000.0),
        cold_start=ColdStart(50.0, 5.0, 10.0, 15.0),
    )
    found = run(spec, horizon_s=1_000_000.0)
    lengths = np.array([stay.end_s - stay.start_s for stay in down(found)])
    starts = [stay.end_s - stay.start_s for stay in found.usage.pools[0].stays if stay.state == "starting"]
    swapped = np.isclose(lengths, 60.0)
    assert len(lengths) > 60
    assert 0.6 < swapped.mean() < 0.95
    assert set(np.round(starts, 6)) == {15.0, 30.0}
    assert found.usage.servers[0].used == 2
    assert (lengths[~swapped] > 0).all()


def test_an_instance_is_started_when_none_has_room_and_given_back_when_empty() -> None:
    scaler = Autoscaler(2, 6, 4.0, down_window_s=20.0, up_step=1, up_factor=0.0)
    spec = pool(
        replicas=2,
        gpus_per_replica=2,
        gpus_per_server=4,
        autoscaler=scaler,
        cold_start=ColdStart(provision_s=8.0, engine_s=2.0),
    )
    found = run(spec, requests=evenly(3000, 0.02, isl=5, osl=10), horizon_s=300.0)
    usage = found.usage.pools[0]
    starts = sorted(
        (stay.start_s, stay.server, stay.end_s - stay.start_s) for stay in usage.stays if stay.state == "starting"
    )
    assert [server for _, server, _ in starts[:4]] == [1, 1, 2, 2]
    assert starts[0][2] == pytest.approx(10.0)
    assert starts[1][2] < 10.0  # what is left of the instance's provision, then the engine
    assert usage.peak_replicas == 6
    last = [stay for stay in usage.stays if stay.end_s == 300.0]
    assert [stay.server for stay in last] == [0, 0] or len({stay.server for stay in last}) == 1
    assert usage.billed_s == pytest.approx(sum(stay.end_s - stay.start_s for stay in usage.stays))


def test_a_running_instance_is_not_out_of_stock() -> None:
    scaler = Autoscaler(1, 2, 4.0)
    never = Reliability(unavailable_probability=0.999999, retry_s=1.0)
    spec = pool(gpus_per_replica=2, autoscaler=scaler, reliability=never)
    requests = evenly(3000, 0.02, isl=5, osl=10)
    apart, together = (run(replace(spec, gpus_per_server=gpus), requests=requests).usage.pools[0] for gpus in (2, 4))
    assert (apart.peak_replicas, together.peak_replicas) == (1, 2)
    assert apart.stockouts > 10
    assert together.stockouts == 0


def test_a_server_that_holds_too_much_and_a_lost_second_are_noticed() -> None:
    spec = pool(replicas=2, gpus_per_replica=2, gpus_per_server=4)
    usage = run(spec).usage
    smaller = fleet((replace(spec, gpus_per_server=2),), classes=classes(1))
    with pytest.raises(InvariantError, match="of 2 GPUs holds 4"):
        check_stays(usage, smaller)
    cut = replace(usage.pools[0], stays=usage.pools[0].stays[:1])
    with pytest.raises(InvariantError, match="stays of 100"):
        check_stays(replace(usage, pools=(cut,)), fleet((spec,), classes=classes(1)))


def reclaims(found: FleetRun, k: int) -> list[float]:
    return sorted(float(row["start_s"]) for row in found.events if row["kind"] == 8 and row["target"] == k)


def test_a_reclaim_takes_the_whole_instance_and_a_zone_s_share_takes_all() -> None:
    spec = pool(
        "a",
        replicas=4,
        gpus_per_server=2,
        reliability=Reliability(reclaim_mtbf_s=200.0, reclaim_notice_s=5.0),
        cold_start=ColdStart(engine_s=1.0),
    )
    alone = run(spec, horizon_s=2000.0)
    assert len(reclaims(alone, 0)) > 10
    assert len(set(reclaims(alone, 0))) * 2 == len(reclaims(alone, 0))
    together = replace(spec, reliability=replace(spec.reliability, reclaim_correlation=1.0))
    both = run(together, replace(together, name="b", replicas=1, model="other"), horizon_s=2000.0)
    assert len(set(reclaims(both, 0))) * 4 == len(reclaims(both, 0)) > 10
    assert set(reclaims(both, 1)) == set(reclaims(both, 0))


def test_who_leaves_a_lost_instance_is_served_elsewhere() -> None:
    spec = pool(
        replicas=2,
        reliability=Reliability(reclaim_mtbf_s=30.0, reclaim_notice_s=5.0),
        outages=Outages(windows=((40.0, 50.0),)),
        cold_start=ColdStart(engine_s=1.0),
    )
    ended: list[Any] = []
    simulate_fleet(
        fleet((spec,), classes=classes(1, max_retries=9)),
        RequestList(evenly(150, 0.5, isl=5, osl=10)),
        horizon_s=100.0,
        drain_s=100.0,
        warmup_s=0.0,
        seed=3,
        sink=ended.append,
    )
    records = np.concatenate(ended)
    assert len(records) == 150
    assert (records["status"] == Status.COMPLETED).mean() > 0.9


def test_a_failure_at_a_known_time_takes_one_server_for_as_long_as_it_says() -> None:
    """Two replicas on each server: those of the first in use are down from 20 s to 50 s, and nothing else is."""
    spec = pool(replicas=4, gpus_per_server=2, owned=True, cold_start=ColdStart(8.0, 4.0, 2.0, 1.0))
    found = run(replace(spec, reliability=Reliability(known=((20.0, 50.0),))))
    assert [(stay.server, stay.start_s, stay.end_s) for stay in down(found)] == [(0, 20.0, 50.0)] * 2
    assert found.usage.pools[0].failures == 2
    starts = [(stay.start_s, stay.end_s) for stay in found.usage.pools[0].stays if stay.state == "starting"]
    assert starts == [(50.0, 51.0)] * 2, "the repaired machine starts its engine"
    both = run(replace(spec, reliability=Reliability(known=((20.0, 50.0), (30.0, 40.0)))))
    assert [(stay.server, stay.start_s, stay.end_s) for stay in sorted(down(both), key=lambda stay: stay.start_s)] == [
        *[(0, 20.0, 50.0)] * 2,
        *[(1, 30.0, 40.0)] * 2,
    ], "a second failure takes the first server that still works"


def test_a_known_failure_of_a_rented_instance_or_with_a_spare() -> None:
    spec = pool(
        gpus_per_server=1, cold_start=ColdStart(8.0, 4.0, 2.0, 1.0), reliability=Reliability(known=((20.0, 50.0),))
    )
    rented = run(spec).usage.pools[0]
    assert [(stay.start_s, stay.end_s) for stay in rented.stays if stay.state == "starting"] == [(50.0, 65.0)]
    spared = run(replace(spec, owned=True, spares=1, swap_s=3.0))
    assert [(stay.start_s, stay.end_s) for stay in down(spared)] == [(20.0, 23.0)]


def test_luck_stays_where_a_server_also_fails_at_a_known_time() -> None:
    """Random failures of other servers are those that they would have had."""
    faults = Reliability(mtbf_s=40.0, mttr_s=2.0)
    spec = pool(replicas=3, gpus_per_server=1, owned=True)
    plain, hit = (
        run(replace(spec, reliability=replace(faults, known=known)), horizon_s=300.0)
        for known in ((), ((100.0, 130.0),))
    )
    others = [[(stay.server, stay.start_s) for stay in down(found) if stay.server > 0] for found in (plain, hit)]
    assert others[0] == others[1]
