"""A pool without a replica is no part of the fleet, whether a search found that or a scenario says so."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.plan.options import PlanOptions
from simulator.plan.plan import plan_fleet
from simulator.run.simulate import Run, simulate
from simulator.scenario.load import load_scenario

OWN = {"name": "own", "site": "datacentre", "gpu": "h100-sxm", "billing": "owned", "replicas": 1}
RENTED = {"name": "rented", "site": "aws-us-east", "gpu": "h100-sxm", "replicas": 0}
API = {"name": "mini", "offer": "openai/gpt-4o-mini"}
WEIGHTS = {"kind": "weighted", "weights": {"own": 3, "rented": 1}}
OVERFLOW = {"kind": "overflow", "order": ["rented", "own"]}


def scenario(pools: list[dict[str, Any]], routing: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    topology: dict[str, Any] = {"pools": pools, **({"routing": routing} if routing else {})}
    slo = {"ttft_s": {"p95": 1.0}}
    chat = {"name": "chat", "arrivals": {"kind": "poisson", "rate_rps": 5}, "lengths": {"isl": 300, "osl": 60}}
    return {
        "schema_version": 1,
        "name": "none",
        "model": "llama-3.1-8b-instruct",
        "engine": {"max_model_len": 4096},
        "workload": {"classes": [{**chat, "slo": slo}]},
        "topologies": {"t": topology},
        "study": {"months": 4, **more},
        "run": {"horizon_s": 60, "keep_requests": False},
    }


def ran(study: dict[str, Any], *sets: str) -> Run:
    return simulate(load_scenario(study, sets=list(sets)), out=None)


def figures(run: Run) -> tuple[Any, ...]:
    cost = run.summary["topologies"]["t"]["cost"]
    months = run.decision["topologies"]["t"]["months"]
    return cost["usd_per_month"], [(month["usd"], month["meets"]) for month in months], run.decision["winners"]


@pytest.mark.parametrize("routing", [None, WEIGHTS, OVERFLOW])
def test_it_gets_no_requests_and_costs_nothing(routing: dict[str, Any] | None) -> None:
    found = ran(scenario([OWN, RENTED], routing))
    assert figures(found) == figures(ran(scenario([OWN])))
    assert found.decision["winners"] == ["t"]
    texts = [warning["text"] for warning in found.summary["topologies"]["t"]["warnings"]]
    assert "no replica, so left out: rented" in texts


def test_the_sizes_of_a_plan_are_those_of_a_run() -> None:
    study = scenario([{**OWN, "replicas": "auto"}, {**RENTED, "replicas": "auto"}], WEIGHTS)
    loaded = load_scenario(study)
    (row,) = plan_fleet(loaded, PlanOptions()).fleets
    assert "topologies.t.pools[rented].replicas=0" in row["set"]
    assert figures(ran(study, *row["set"])) == figures(ran(study))


def test_an_event_takes_a_pool_out_and_another_brings_it_back() -> None:
    out = {"name": "out", "from_month": 2, "topology": "t", "change": {"pools": [{"name": "rented", "replicas": 0}]}}
    back = {"name": "back", "from_month": 4, "topology": "t", "change": {"pools": [{"name": "rented", "replicas": 1}]}}
    _, months, winners = figures(ran(scenario([OWN, {**RENTED, "replicas": 1}], WEIGHTS, events=[out, back])))
    _, (own, *_), _ = figures(ran(scenario([OWN])))
    assert winners == ["t"]
    assert months[1] == months[2] == own
    assert months[3][0] == pytest.approx(months[0][0])


def test_one_that_nothing_stands_in_for_stays() -> None:
    routing = {"kind": "cascade", "first": "own", "second": "rented", "escalate": {"share": 1.0}}
    assert figures(ran(scenario([OWN, RENTED], routing)))[2] == []
    hours = [{"hours": "8-20", "use": ["own"]}, {"hours": "20-8", "use": ["rented"]}]
    assert figures(ran(scenario([OWN, RENTED], {"kind": "weighted", "windows": hours})))[2] == []
