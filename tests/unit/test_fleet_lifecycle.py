"""The ends of a replica's life, at exact times: scaling in while it starts, is down or serves; who leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import simpy
from fleet_cases import pool

from simulator.engine.state import LOG_LOAD, LOG_PREEMPTED, LOG_SCHEDULED, LOG_STEP
from simulator.fleet.autoscale import autoscale
from simulator.fleet.ledger import most_at_once
from simulator.fleet.lifecycle import DOWN, LEAVING, SERVING, STARTING, PoolControl
from simulator.fleet.servers import Luck, Servers
from simulator.fleet.single import steps_of
from simulator.study.fleet import Autoscaler, ColdStart, Reliability

START = ColdStart(provision_s=4.0, image_s=3.0, weights_s=2.0, engine_s=1.0)


@dataclass
class Plane:
    """What the control asks of the data plane; `load` is what each replica has to do."""

    load: np.ndarray
    pools: np.ndarray
    told: list[tuple[Any, ...]] = field(default_factory=list)
    drains_at_once: bool = False

    @property
    def engines(self) -> Plane:
        return self

    def activate(self, r: int, now: float) -> None:
        self.told.append(("activate", r, now))

    def drain(self, r: int) -> bool:
        self.told.append(("drain", r))
        return self.drains_at_once

    def lose(self, r: int, now: float) -> None:
        self.told.append(("lose", r, now))

    def switch_off(self, r: int) -> None:
        self.told.append(("off", r))


def control(
    replicas: int = 2, places: int = 6, load: tuple[int, ...] = (), gpus_per_server: int = 1, **spec: Any
) -> tuple[PoolControl, Plane]:
    """Six places, of which some serve from time 0 on; a cold start takes ten seconds."""
    env = simpy.Environment()
    state = np.zeros(1, [("n_waiting", int), ("n_in_system", int), ("missed", int)])
    plane = Plane(np.array([*load, *[0] * (places - len(load))]), state)
    one = pool(replicas=replicas, cold_start=START, gpus_per_server=gpus_per_server, **spec)
    servers = Servers(env, gpus_per_server, Reliability(), Luck(1, ("a",)), Luck(1, ("z",)))
    found = PoolControl(env, plane, one, 0, places, servers, Luck(1, ("p",)))  # type: ignore[arg-type]
    found.stand_by()
    servers.place_first(found.at_start)
    servers.begin()
    found.begin()
    return found, plane


def states(found: PoolControl) -> list[str | None]:
    return [replica.state for replica in found.replicas]


def at(found: PoolControl, time_s: float) -> None:
    found.env.run(until=time_s)


def test_a_launch_is_there_after_its_stages() -> None:
    found, plane = control(1)
    found.scale_to(2)
    assert found.wanted == 2
    at(found, 9.99)
    assert states(found)[:2] == [SERVING, STARTING]
    at(found, 10.01)
    assert states(found)[:2] == [SERVING, SERVING]
    assert plane.told == [("activate", 0, 0.0), ("activate", 1, 10.0)]
    assert found.ledger.launches == 1
    assert [(span.state, span.start_s, span.end_s, span.stages) for span in found.spans(12.0)] == [
        (STARTING, 0.0, 10.0, (4.0, 3.0, 2.0, 1.0)),
        (SERVING, 0.0, 12.0, ()),
        (SERVING, 10.0, 12.0, ()),
    ]


def test_a_replica_under_repair_counts_as_one_that_is_wanted() -> None:
    """Else an autoscaler would launch another for each that has failed."""
    found, plane = control(3)
    at(found, 5.0)
    found.servers.fail(found.replicas[1].servers[0], 100.0)
    assert states(found)[:3] == [SERVING, DOWN, SERVING]
    assert found.wanted == 3
    found.scale_to(3)
    at(found, 50.0)
    assert states(found)[:4] == [SERVING, DOWN, SERVING, None]
    assert ("lose", 1, 5.0) in plane.told
    assert found.ledger.marks == [("failure", 5.0, 1)]


def test_ranks_that_share_experts_fail_and_start_together() -> None:
    """Two groups of four over servers of two: experts that are gone stop all four, and the other four go on."""
    found, plane = control(8, places=8, gpus_per_server=2, shared_by=4)
    at(found, 5.0)
    plane.told.clear()
    found.servers.fail(found.replicas[2].servers[0], 100.0)
    assert states(found) == [DOWN] * 4 + [SERVING] * 4
    assert plane.told.index(("lose", 0, 5.0)) > max(plane.told.index(("drain", k)) for k in range(4)), "none takes it"
    found.servers.fail(found.replicas[0].servers[0], 200.0)
    at(found, 204.9)
    assert states(found) == [DOWN] * 4 + [SERVING] * 4, "the second server is under repair"
    at(found, 205.1)
    assert states(found)[:4] == [STARTING] * 4
    at(found, 210.0)
    assert states(found) == [SERVING] * 8
    assert [told for told in plane.told if told[0] == "activate"] == [("activate", k, 206.0) for k in range(4)]
    assert found.ledger.marks == [("failure", 5.0, k) for k in range(4)]


def test_a_rented_machine_that_is_back_is_rented_again_while_another_of_its_group_is_not() -> None:
    """Ranks 2 and 3 lose theirs until 105 s, 0 and 1 until 205 s: all start from then on."""
    found, _ = control(4, places=4, gpus_per_server=2, shared_by=4)
    at(found, 5.0)
    first, second = (found.replicas[k].servers[0] for k in (2, 0))
    found.servers.fail(first, 100.0)
    found.servers.fail(second, 200.0)
    at(found, 206.0)
    down = [(span.replica, span.start_s, span.end_s, span.lost) for span in found.spans(206.0) if span.state == DOWN]
    held = {(k, start_s, end_s): lost for k, start_s, end_s, lost in down if end_s > start_s}
    for rank in (2, 3):
        assert held[rank, 105.0, 205.0] == ()
    for rank in (0, 1):
        assert all(lost == (second.number,) for (k, _, _), lost in held.items() if k == rank)
    assert {lost for (k, _, end_s), lost in held.items() if k in (2, 3) and end_s <= 105.0} == {(first.number,)}


def test_a_server_that_fails_while_its_group_starts_stops_the_start_of_all() -> None:
    found, _ = control(4, places=4, gpus_per_server=2, shared_by=4)
    found.servers.fail(found.replicas[0].servers[0], 100.0)
    at(found, 100.5)
    assert states(found) == [STARTING] * 4
    found.servers.fail(found.replicas[3].servers[0], 10.0)
    assert states(found) == [DOWN] * 4
    at(found, 112.0)
    assert states(found) == [SERVING] * 4


def test_ranks_that_share_experts_are_reclaimed_and_replaced_together() -> None:
    """One instance of two is taken back: its group drains, is gone after the notice, and another starts in whole."""
    found, plane = control(4, places=8, gpus_per_server=2, shared_by=4)
    at(found, 5.0)
    found.replicas[3].reclaim()
    found.replicas[2].reclaim()
    at(found, 5.1)
    assert states(found) == [LEAVING] * 4 + [STARTING] * 4
    assert found.wanted == 4
    at(found, 15.1)
    assert states(found) == [LEAVING] * 4 + [SERVING] * 4
    found.replicas[3].take()
    assert states(found) == [None] * 4 + [SERVING] * 4
    assert [told for told in plane.told if told[0] == "lose"] == [("lose", k, 15.1) for k in range(4)]
    assert [mark[2] for mark in found.ledger.marks] == [3, 2]


def test_a_group_is_launched_where_nobody_of_another_is_left() -> None:
    """Two of the first group have drained as the second is reclaimed: its four start once the other two are gone."""
    found, _ = control(4, places=8, gpus_per_server=2, shared_by=4)
    found.replicas[0].reclaim()
    at(found, 20.0)
    for k in (0, 1):
        found.emptied(k)
    found.replicas[4].reclaim()
    at(found, 40.0)
    assert states(found) == [None] * 2 + [LEAVING] * 6
    assert found.wanted == 4
    for k in (4, 5, 2, 3):
        found.emptied(k)
    at(found, 60.0)
    assert states(found) == [SERVING] * 4 + [None] * 2 + [LEAVING] * 2


def test_a_rank_whose_launch_finds_no_capacity_keeps_its_group_waiting() -> None:
    lacking = Reliability(unavailable_probability=0.9, retry_s=50.0)
    found, plane = control(0, places=4, shared_by=4, reliability=lacking)
    found.scale_to(4)
    at(found, 5000.0)
    assert states(found) == [SERVING] * 4
    begun = [span.start_s for span in found.spans(5000.0) if span.state == STARTING]
    assert len(set(begun)) > 1, "they found capacity one after another"
    assert plane.told == [("activate", k, max(begun) + 10.0) for k in range(4)]


@pytest.mark.parametrize(("load", "leaves"), [((5, 2, 9), 1), ((9, 5, 2), 2), ((2, 5, 9), 0), ((4, 4, 4), 0)])
def test_the_least_loaded_replica_leaves_when_the_pool_scales_in(load: tuple[int, ...], leaves: int) -> None:
    found, plane = control(3, load=load)
    found.scale_to(2)
    assert [k for k, state in enumerate(states(found)) if state == LEAVING] == [leaves]
    assert plane.told[-1] == ("drain", leaves)
    assert found.wanted == 2
    found.emptied(leaves)
    assert plane.told[-1] == ("off", leaves)
    assert states(found).count(SERVING) == 2


def test_who_shares_a_server_with_fewest_leaves_first() -> None:
    """Three of two a server: the third is alone on its server, so that it can be given back."""
    found, _ = control(3, load=(0, 0, 9), gpus_per_server=2)
    found.scale_to(2)
    assert states(found)[:3] == [SERVING, SERVING, LEAVING]


def test_a_launch_that_is_asked_for_goes_before_one_that_starts_and_that_before_one_that_is_down() -> None:
    found, plane = control(1)
    at(found, 1.0)
    found.servers.fail(found.replicas[0].servers[0], 1000.0)
    found.launch()
    at(found, 2.0)
    found.launch()  # asked for, and its process has not begun
    assert (states(found)[:3], found.wanted) == ([DOWN, STARTING, None], 3)
    found.retire()
    assert (states(found)[:3], found.wanted, found.replicas[2].asked) == ([DOWN, STARTING, None], 2, False)
    found.retire()
    assert (states(found)[:3], found.wanted) == ([DOWN, None, None], 1)
    found.retire()
    assert (states(found)[:3], found.wanted) == ([None, None, None], 0)
    at(found, 500.0)
    assert states(found) == [None] * 6
    assert [told for told in plane.told if told[0] == "activate"] == [("activate", 0, 0.0)]
    assert found.ledger.launches == 1


def test_of_those_that_start_who_leaves_a_server_empty_goes_first_and_of_equals_the_last() -> None:
    found, _ = control(1, gpus_per_server=2)
    found.scale_to(4)
    at(found, 1.0)
    assert [len(replica.servers[0].tenants) for replica in found.replicas[:4]] == [2, 2, 2, 2]
    found.retire()
    assert states(found)[:4] == [SERVING, STARTING, STARTING, None]
    found.retire()
    assert states(found)[:4] == [SERVING, STARTING, None, None], "its neighbour has gone"


def test_more_than_there_is_place_for_waits_for_a_place() -> None:
    found, _ = control(2, places=2)
    found.launch()
    found.launch()
    assert found.wanted == 4
    found.retire()
    assert found.wanted == 3, "what waits is the first to go"
    found.drain(found.replicas[0])
    found.emptied(0)
    at(found, 0.5)
    assert (states(found), found.wanted) == ([STARTING, SERVING], 2)


def test_a_reclaimed_replica_drains_or_ends_and_another_is_asked_for() -> None:
    found, plane = control(3)
    found.launch()
    at(found, 1.0)
    found.servers.fail(found.replicas[1].servers[0], 1000.0)
    assert states(found)[:4] == [SERVING, DOWN, SERVING, STARTING]
    for k, after in ((0, LEAVING), (1, None), (3, None)):
        found.replicas[k].reclaim()
        assert found.replicas[k].state == after
    assert [mark[0] for mark in found.ledger.marks] == ["failure", "reclaim", "reclaim", "reclaim"]
    at(found, 20.0)
    assert states(found).count(SERVING) == 4, "one that was there, and three that were asked for"
    found.replicas[0].reclaim()
    assert found.wanted == 4, "who leaves is not replaced again"
    found.replicas[0].take()
    assert plane.told[-1] == ("lose", 0, 20.0)


def test_a_failed_replica_that_was_leaving_is_gone() -> None:
    found, plane = control(2, load=(0, 5))
    found.scale_to(1)
    assert states(found)[:2] == [LEAVING, SERVING]
    found.servers.fail(found.replicas[0].servers[0], 10.0)
    assert states(found)[:2] == [None, SERVING]
    assert plane.told[-1] == ("lose", 0, 0.0)


def test_a_zone_that_is_down_loses_all_and_asks_for_those_that_were_to_stay() -> None:
    found, plane = control(3)
    found.scale_to(2)
    found.launch()
    at(found, 1.0)
    found.zone_down()
    assert states(found) == [None] * 6
    assert sorted(told[1] for told in plane.told if told[0] == "lose") == [0, 1, 2]
    assert found.wanted == 3, "not the one that was leaving"
    at(found, 100.0)
    assert states(found) == [None] * 6
    found.zone_up()
    at(found, 109.9)
    assert states(found)[:3] == [STARTING] * 3
    at(found, 110.1)
    assert states(found)[:3] == [SERVING] * 3


def decisions(metric: list[int], policy: Autoscaler, ready: int = 1) -> list[int]:
    """Replicas that are wanted after each period, for what is waiting at its end."""
    found, plane = control(ready, places=40)
    found.env.process(autoscale(found, policy, 0))
    wanted = []
    for k, requests in enumerate(metric):
        plane.pools["n_in_system"] = requests
        at(found, policy.period_s * (k + 1) + 1e-3)
        wanted.append(found.wanted)
    return wanted


def scaler(**given: Any) -> Autoscaler:
    windows = {"period_s": 20.0, "up_window_s": 0.0, "down_window_s": 0.0, "up_step": 99, "tolerance": 0.0}
    return Autoscaler(min_replicas=1, max_replicas=30, target_per_replica=10.0, **{**windows, **given})


@pytest.mark.parametrize(
    ("given", "metric", "wanted"),
    [
        ({}, [10, 50, 50, 20, 90], [1, 5, 5, 2, 9]),
        # up only as far as all of the last 40 s ask for, and down at once
        ({"up_window_s": 40.0}, [50, 60, 70, 40, 90, 90, 90], [1, 1, 5, 4, 4, 4, 9]),
        # down only as far as any of them does; who is there at the start counts
        ({"down_window_s": 40.0}, [50, 10, 10, 10, 10], [5, 5, 5, 1, 1]),
        ({"up_step": 2, "up_factor": 0.0}, [90, 90, 90, 90, 90], [3, 5, 7, 9, 9]),
        ({"up_step": 1, "up_factor": 1.0}, [90, 90, 90, 90, 90], [2, 4, 8, 9, 9]),
        ({"up_step": 1, "up_factor": 0.5}, [90, 90, 90, 90, 90], [2, 3, 5, 8, 9]),
    ],
)
def test_an_autoscaler_decides_by_its_windows_and_steps(
    given: dict[str, Any], metric: list[int], wanted: list[int]
) -> None:
    assert decisions(metric, scaler(**given)) == wanted


def test_most_at_once_takes_the_place_of_who_ends_as_another_begins() -> None:
    assert most_at_once([]) == 0
    assert most_at_once([(0.0, 5.0), (5.0, 9.0)]) == 1
    assert most_at_once([(0.0, 5.0), (4.9, 9.0), (1.0, 2.0), (1.5, 1.6)]) == 3


def test_steps_of_a_log_have_what_was_preempted_and_loaded_before_them() -> None:
    start = np.array([1.5, 2.5, 3.5]).view(np.int64).tolist()
    log = np.array(
        [
            (LOG_PREEMPTED, 7, 0, 0),
            (LOG_LOAD, 8, 4, 0),
            (LOG_STEP, 2, start[0], 90),
            *((LOG_SCHEDULED, 1, 16, 0), (LOG_SCHEDULED, 3, 1, 40)),
            (LOG_STEP, 2, start[1], 91),
            (LOG_LOAD, 9, 5, 0),
            (LOG_STEP, 0, start[2], 92),
        ]
    )
    first, last = steps_of(log)
    assert (first.start_s, first.replica, first.free_blocks) == (1.5, 2, 90)
    assert (first.scheduled, first.preempted, first.loads) == (((1, 16, 0), (3, 1, 40)), (7,), ((8, 4),))
    assert (last.start_s, last.replica, last.scheduled, last.loads) == (3.5, 0, (), ((9, 5),))
    assert [step.start_s for step in steps_of(log, empty=True)] == [1.5, 2.5, 3.5]
    assert [*steps_of(log[:0])] == []


def test_who_joins_a_server_waits_until_it_is_there() -> None:
    """Those of time 0 are there; a third replica needs a server of its own, which a fourth then shares."""
    servers = Servers(simpy.Environment(), 8, Reliability(), Luck(1, ("a",)), Luck(1, ("z",)))
    tenants: list[Any] = [SimpleNamespace(gpus=4, servers=()) for _ in range(4)]
    first, *later = tenants
    servers.place_first([first])
    waits_s = [servers.place(tenant, provision_s) for tenant, provision_s in zip(later, (90.0, 90.0, 5.0), strict=True)]
    assert waits_s == [0.0, 90.0, 90.0]
    assert [[server.number for server in tenant.servers] for tenant in tenants] == [[0], [0], [1], [1]]
