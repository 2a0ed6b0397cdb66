"""A class without a target that may and can take it is refused where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.sizes import alone
from simulator.resolve.topology import plan_topologies, plan_topology
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.workload.describe import describe_trace, write_description
from simulator.workload.trace_file import load_trace
from simulator.workload.traces import TRACE_SOURCES

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
CHAT = "workload.classes[chat]"


def refused(*sets: str, topology: str = "own") -> InputError:
    with pytest.raises(InputError) as caught:
        plan_topologies(alone(load_scenario(SCENARIO, sets=sets), topology))
    return caught.value


def test_a_data_class_that_no_target_may_take_is_told_at_its_place() -> None:
    plan_topology(load_scenario(SCENARIO, sets=[f"{CHAT}.data_class=restricted"]), "own")
    plan_topology(load_scenario(SCENARIO, sets=[f"{CHAT}.data_class=restricted"]), "api")
    (problem,) = refused(f"{CHAT}.data_class=restricted", topology="api").problems
    assert problem.path == "workload.classes[0].data_class"
    assert "no target of topology api (together) may take" in problem.message


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ((f"{CHAT}.data_class=restricted",), "data class"),
        (
            (
                f"{CHAT}.lengths={{isl: 8000, osl: 300}}",
                "engine.max_model_len=16384",
                "topologies.cloud.pools[rented].engine={max_model_len: 8192}",
                f"{CHAT}.slo={{e2e_s: {{p90: 600}}}}",
                f"{CHAT}.arrivals={{kind: poisson, rate_rps: 0.5}}",
                "topologies.api=null",
            ),
            "too long",
        ),
    ],
)
def test_a_topology_that_may_not_or_cannot_serve_a_class_misses_the_slo_beside_others(
    sets: tuple[str, ...], words: str
) -> None:
    auto = "topologies.cloud.pools[rented].replicas=auto"
    run = simulate(load_scenario(SCENARIO, sets=[*sets, auto, "run.horizon_s=40"]), None)
    found = run.summary["topologies"]["cloud"]
    assert run.decision["winners"] == ["own"]
    assert not found["metrics"]["slo_met"]
    assert found["metrics"]["reasons"] == {"rejected": {words.replace(" ", "_"): found["metrics"]["arrived"]}}
    assert words in found["search"]["infeasible"]
    assert found["search"]["tried"] < 9


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


@pytest.mark.parametrize(("lengths", "fits"), [("", False), (", lengths: {isl: 100, osl: 10}", True)])
def test_recorded_traffic_has_a_shortest_request_too(lengths: str, fits: bool, tmp_path: Path) -> None:
    trace = tmp_path / "long.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n0.0,9000,10\n1.0,8192,1\n2.0,20000,5\n")
    traffic = tmp_path / "long.json"
    write_description(describe_trace(load_trace(trace).requests, TRACE_SOURCES[0], "2026-01-01"), traffic)
    for arrivals in (f"{{kind: trace, file: {trace}}}", f"{{kind: profile, file: {traffic}}}"):
        chat = f"workload.classes=[{{name: chat, arrivals: {arrivals}{lengths}}}]"
        if fits:
            plan_topology(load_scenario(SCENARIO, sets=[chat]), "own")
            continue
        (problem,) = refused(chat).problems
        assert problem.path == "workload.classes[0].arrivals"
        assert "and no target of topology own that may take it holds more than 8,192" in problem.message
