"""A pool without a replica is no part of the fleet, whether a search found that or a scenario says so."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import InputError
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


CASCADE = {"kind": "cascade", "first": "own", "second": "rented", "escalate": {"share": 1.0}}
HOURS = [{"hours": "8-20", "use": ["own"]}, {"hours": "20-8", "use": ["rented"]}]
NEVER = "has no replica at any time, and nothing stands in for it: its requests would wait for ever"


@pytest.mark.parametrize(
    ("pools", "routing", "told"),
    [
        ([RENTED], None, "pools[0].replicas: rented"),
        ([{**RENTED, "schedule": [{"hours": "8-20", "replicas": 0}]}], None, "pools[0].replicas: rented"),
        ([RENTED, {**RENTED, "name": "other"}], None, "pools[1].replicas: other"),
        ([OWN, RENTED], {"kind": "complexity", "limits": {"rented": 0.5}}, "pools[1].replicas: rented"),
        ([OWN, RENTED], CASCADE, "pools[1].replicas: rented"),
        ([OWN, RENTED], {"kind": "overflow", "order": ["rented"]}, "pools[1].replicas: rented"),
        ([OWN, RENTED], {"kind": "weighted", "weights": {"own": 0, "rented": 1}}, "pools[1].replicas: rented"),
        ([OWN, RENTED], {"kind": "weighted", "windows": HOURS}, "pools[1].replicas: rented"),
    ],
)
def test_where_nothing_stands_in_it_is_refused_at_its_place(
    pools: list[dict[str, Any]], routing: dict[str, Any] | None, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        ran(scenario(pools, routing))
    assert f"topologies.t.{told} {NEVER}" in str(caught.value)


def test_an_event_that_leaves_none_is_refused_at_its_change() -> None:
    event = {"name": "off", "from_month": 3, "topology": "t", "change": {"pools": [{"name": "own", "replicas": 0}]}}
    with pytest.raises(InputError) as caught:
        ran(scenario([OWN], events=[event]))
    assert f"study.events[0].change.pools[0].replicas: off: own {NEVER}" in str(caught.value)


def test_an_event_that_sends_all_to_a_pool_that_is_left_out_is_refused() -> None:
    """The other pool stands, and gets no request from then on."""
    routing = {"kind": "overflow", "order": ["rented"]}
    event = {"name": "swap", "from_month": 3, "topology": "t", "change": {"routing": routing}}
    with pytest.raises(InputError) as caught:
        ran(scenario([OWN, RENTED], events=[event]))
    assert f"study.events[0].change: swap: pools[1].replicas: rented {NEVER}" in str(caught.value)


def test_a_search_leaves_no_pool_out_for_one_that_gets_no_request() -> None:
    """Each could serve alone, and the rented one for less; all requests go to the other."""
    both = [{**OWN, "replicas": "auto"}, {**RENTED, "replicas": "auto"}]
    found = ran(scenario(both, {"kind": "overflow", "order": ["own"]})).summary["topologies"]["t"]
    assert [pool["name"] for pool in found["pools"]] == ["own"]


def test_what_is_paid_without_a_replica_gets_no_share_of_the_requests() -> None:
    """Overflow passes it by, and its instances are paid; a share by weight would never be answered."""
    paid = {**RENTED, "billing": "reserved_1y", "commitments": 1}
    with pytest.raises(InputError, match="rented is paid without a replica"):
        ran(scenario([OWN, paid]))
    usd, months, winners = figures(ran(scenario([OWN, paid], OVERFLOW)))
    alone, _, _ = figures(ran(scenario([OWN])))
    assert winners == ["t"]
    assert usd > alone + 730
    assert all(meets for _, meets in months)


def test_errors_of_pools_after_it_keep_their_place() -> None:
    wrong = {**OWN, "name": "wrong", "site": "aws-us-east"}
    with pytest.raises(InputError) as caught:
        ran(scenario([RENTED, OWN, wrong]))
    assert "topologies.t.pools[2].billing: aws-us-east rents out GPUs" in str(caught.value)


def test_requests_that_wait_for_the_windows_of_a_schedule_are_said_to() -> None:
    study = scenario([{**RENTED, "schedule": [{"hours": "8-20", "replicas": 1}]}, OWN])
    summary = ran(study).summary["topologies"]["t"]
    waited = summary["metrics"]["statuses"]["unfinished"]
    assert waited > 0
    texts = [warning["text"] for warning in summary["warnings"]]
    words = f"rented has no replica outside the windows of its schedule, and {waited} of the {waited} requests"
    assert sum(text.startswith(words) for text in texts) == 1
    study["topologies"]["t"]["routing"] = OVERFLOW
    summary = ran(study).summary["topologies"]["t"]
    assert not summary["metrics"]["statuses"]["unfinished"]
    assert not any("outside the windows" in warning["text"] for warning in summary["warnings"])


def test_no_size_serves_what_has_no_target() -> None:
    """Requests above every limit of complexity are rejected at the gateway: more replicas are not what is missing."""
    study = scenario([OWN, {**RENTED, "replicas": 1}])
    study["topologies"]["t"]["routing"] = {"kind": "complexity", "limits": {"own": 0.2, "rented": 0.5}}
    study["workload"]["classes"][0]["complexity"] = {"kind": "uniform", "low": 0.0, "high": 1.0}
    (row,) = plan_fleet(load_scenario(study), PlanOptions()).fleets
    assert row["reason"].startswith("routing: chat: ")
    assert row["reason"].endswith(" (no target)")
    assert "may be raised" not in row["reason"]
