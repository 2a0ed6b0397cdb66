"""A classifier takes its time before a request has a target: first token and end are later by it, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_cases import STEP_S, Source, classes, evenly, fleet, pool

from simulator.fleet.records import RECORD, Status
from simulator.fleet.simulate import simulate_fleet
from simulator.resolve.topology import plan_topology
from simulator.run.loads import loads_of
from simulator.run.sizer import Sizer
from simulator.scenario.load import load_scenario
from simulator.simulate.key import fleet_key
from simulator.simulate.one import subject_of
from simulator.simulate.store import Store
from simulator.size.found import Limits
from simulator.study.choices import TargetRouting
from simulator.study.fleet import RoutingSpec
from simulator.workload.requests import ClosedLoop, make_requests

CASCADE = Path(__file__).parents[2] / "scenarios/hybrid/cascade.yaml"
CLASSIFY_S = 0.3


def served(source: Source, classify_s: float, timeout_s: float = 0.0, horizon_s: float = 20.0) -> np.ndarray[Any, Any]:
    routing = RoutingSpec(TargetRouting.COMPLEXITY, (0, 1), max_complexity=(0.5, np.inf), classify_s=classify_s)
    spec = fleet((pool("small"), pool("large")), routing=routing, classes=classes(2, timeout_s=timeout_s))
    found: list[np.ndarray[Any, Any]] = [np.zeros(0, RECORD)]
    simulate_fleet(spec, source, horizon_s=horizon_s, drain_s=100.0, warmup_s=0.0, seed=1, sink=found.append)
    return np.sort(np.concatenate(found), order=["arrival_s", "request"])


def test_first_token_and_end_are_later_by_what_the_classifier_takes() -> None:
    """Answers of four steps of 50 ms, one request a second: the first token comes 0.3 + 0.05 s after it was sent."""
    source = Source((evenly(20, 1.0, isl=5, osl=4),), class_names=("a",))
    rows = served(source, CLASSIFY_S)
    assert (rows["status"] == Status.COMPLETED).all()
    assert rows["arrival_s"] == pytest.approx(np.arange(20.0))
    assert rows["first_token_s"] - rows["arrival_s"] == pytest.approx(CLASSIFY_S + STEP_S)
    assert rows["finish_s"] - rows["arrival_s"] == pytest.approx(CLASSIFY_S + 4 * STEP_S)
    at_once = served(source, 0.0)
    assert rows["first_token_s"] == pytest.approx(at_once["first_token_s"] + CLASSIFY_S)


def test_who_was_sent_before_the_end_is_served_though_it_is_classified_after_it() -> None:
    source = Source((make_requests(np.array([19.9]), np.array([5]), np.array([1])),), class_names=("a",))
    assert served(source, CLASSIFY_S)["finish_s"].tolist() == pytest.approx([19.9 + CLASSIFY_S + STEP_S])


def test_later_turns_and_waiting_users_are_classified_too() -> None:
    """A second turn 2 s after the first answer; a user who sends a request 1 s after each answer, from 0.5 s on."""
    turns = make_requests(
        np.array([1.0, np.nan]), np.array([5, 5]), np.array([2, 2]), next_turn=[1, -1], think_s=[0.0, 2.0]
    )
    each_s = CLASSIFY_S + 2 * STEP_S
    rows = served(Source((turns,), class_names=("a",)), CLASSIFY_S)
    assert rows["arrival_s"] == pytest.approx([1.0, 3.0 + each_s])
    assert rows["finish_s"] - rows["arrival_s"] == pytest.approx(each_s)
    loop = ClosedLoop(
        np.array([0.5]), make_requests(np.full(4, np.nan), np.full(4, 5), np.full(4, 2), think_s=np.ones(4))
    )
    rows = served(Source((), (loop,), ("a",)), CLASSIFY_S, horizon_s=4.0)
    assert rows["arrival_s"] == pytest.approx(0.5 + (1.0 + each_s) * np.arange(3))
    assert rows["finish_s"] - rows["arrival_s"] == pytest.approx(each_s)


@pytest.mark.parametrize(("timeout_s", "timed_out"), [(0.45, 1), (0.6, 0)])
def test_a_timeout_counts_from_when_the_request_was_sent(timeout_s: float, timed_out: int) -> None:
    """Eight of nine are answered at once in 0.2 s, the ninth begins 0.3 + 0.2 s after it was sent."""
    source = Source((evenly(9, 0.0, isl=5, osl=4),), class_names=("a",))
    assert (served(source, CLASSIFY_S, timeout_s)["status"] == Status.TIMED_OUT).sum() == timed_out


def test_a_scenario_says_it() -> None:
    name, *_ = (
        key for key, one in load_scenario(CASCADE).scenario.topologies.items() if one.routing.kind == "complexity"
    )
    path = f"topologies.{name}.routing.classify_s"
    plain, slow = (plan_topology(load_scenario(CASCADE, sets=[f"{path}={s}"]), name) for s in (0, 0.05))
    assert (plain.fleet.routing.classify_s, slow.fleet.routing.classify_s) == (0.0, 0.05)
    assert plain.fleet == replace(slow.fleet, routing=plain.fleet.routing)
    assert fleet_key(subject_of(plain)) != fleet_key(subject_of(slow))


def test_a_classifier_that_takes_longer_than_the_limit_is_the_reason() -> None:
    """A limit of 8 s for the first token, and 9 s before a request has a target: no number of replicas mends that."""
    own = "topologies.by_complexity"
    sets = ["topologies.inside=null", "topologies.cascade=null", f"{own}.pools[small].replicas=auto"]
    sets += [f"{own}.routing.classify_s=9", "workload.classes[records]=null", "run.horizon_s=120", "run.warmup_s=20"]
    loaded = load_scenario(CASCADE, sets=sets)
    answer = Sizer(Store(), Limits(max_replicas=4)).answer(loaded, "by_complexity", loads_of(loaded))
    assert answer is not None
    assert answer.infeasible.startswith("classifier: without it ")
