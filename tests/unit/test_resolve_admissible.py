"""A class without a target that may and can take it is refused where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
CHAT = "workload.classes[chat]"


def refused(*sets: str, topology: str = "own") -> InputError:
    with pytest.raises(InputError) as caught:
        plan_topology(load_scenario(SCENARIO, sets=sets), topology)
    return caught.value


def test_a_data_class_that_no_target_may_take_is_told_at_its_place() -> None:
    plan_topology(load_scenario(SCENARIO, sets=[f"{CHAT}.data_class=restricted"]), "own")
    (problem,) = refused(f"{CHAT}.data_class=restricted", topology="api").problems
    assert problem.path == "workload.classes[0].data_class"
    assert "no target of topology api (together) may take" in problem.message


@pytest.mark.parametrize(
    ("lengths", "fits"),
    [
        ("{isl: 8000, osl: 192}", True),
        ("{isl: 8000, osl: 193}", False),
        ("{isl: {kind: uniform, low: 8000, high: 9000}, osl: {kind: lognormal, mean: 300, cv: 1, min: 192}}", True),
        ("{isl: {kind: uniform, low: 8000, high: 9000}, osl: {kind: lognormal, mean: 300, cv: 1, min: 193}}", False),
        ("{isl: {kind: lognormal, mean: 20000, cv: 1}, osl: 10}", True),
        ("{isl: {kind: lognormal, mean: 20000, cv: 0}, osl: 10}", False),
    ],
)
def test_the_shortest_request_has_to_fit_somewhere(lengths: str, fits: bool) -> None:
    sets = [f"{CHAT}.lengths={lengths}"]
    if fits:
        plan_topology(load_scenario(SCENARIO, sets=sets), "own")
        return
    error = refused(*sets)
    assert error.problems[0].path == "workload.classes[0].lengths"
    assert "holds more than 8,192" in error.problems[0].message


def test_a_conversation_begins_with_its_system_prompt() -> None:
    turns = "{kind: sessions, rate_rps: 1, turns: 2, think_s: 1, user_tokens: 100, system_tokens: %d}"
    answers = f"{CHAT}.lengths={{isl: 10, osl: 92}}"
    plan_topology(load_scenario(SCENARIO, sets=[f"{CHAT}.arrivals={turns % 8000}", answers]), "own")
    assert "8,193 tokens" in str(refused(f"{CHAT}.arrivals={turns % 8001}", answers))
