"""A class that begins to come in a month of the study, or comes no more: nobody of it is in the others."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.decide.standing import contenders
from simulator.errors import InputError
from simulator.plan.options import PlanOptions
from simulator.plan.plan import plan_fleet
from simulator.plan.table import notes
from simulator.report.month_table import changing, month_table
from simulator.run.simulate import Run, simulate
from simulator.scenario.load import load_scenario
from simulator.simulate.store import Store
from simulator.size.found import Limits

STORE = Store()
API = {
    "name": "m",
    "prices": [{"input": 1.0, "output": 4.0}],
    "ttft_s": {"median": 0.2},
    "tpot_s": {"median": 0.01},
    "data_classes": ["internal"],
}
POOL = {"name": "g", "site": "lambda", "gpu": "h100-sxm", "price_usd_per_gpu_hour": 1.0, "replicas": "auto"}
COMES_AND_GOES = [
    {"from_month": 1, "load_by_class": {"late": 0}},
    {"from_month": 3, "load_by_class": {"late": 1}},
    {"from_month": 6, "load_by_class": {"late": 0}},
]


def study(*names: str, steps: Any = (), **more: Any) -> dict[str, Any]:
    slo = {"e2e_s": {"p90": 8.0}}
    each = {"arrivals": {"kind": "poisson", "rate_rps": 14}, "lengths": {"isl": 200, "osl": 100}, "slo": slo}
    return {
        "schema_version": 1,
        "name": "late",
        "model": "llama-3.1-8b-instruct",
        "engine": {
            "max_model_len": 4096,
            "max_num_seqs": 32,
            "throughput": {"output_tokens_per_s": 2000, "input_tokens_per_s": 20000, "tpot_s": 0.01},
        },
        "workload": {"classes": [{"name": name, **each} for name in names]},
        "topologies": {"rent": {"pools": [POOL]}, "api": {"providers": [API]}},
        "study": {"months": 6, "load_steps": list(steps)},
        "cost": {"draws": 0},
        "run": {"horizon_s": 60, "keep_requests": False, **more},
    }


def ran(scenario: dict[str, Any]) -> Run:
    return simulate(load_scenario(scenario), None, store=STORE)


def months(run: Run, key: str) -> dict[str, list[Any]]:
    return {name: [month[key] for month in found["months"]] for name, found in run.decision["topologies"].items()}


def test_months_without_it_are_those_of_a_study_without_it_and_the_others_of_one_with_it() -> None:
    found, without, with_it = (
        ran(study("always", "late", steps=COMES_AND_GOES)),
        ran(study("always")),
        ran(study("always", "late")),
    )
    for key in ("usd", "replicas", "meets"):
        one, less, more = months(found, key), months(without, key), months(with_it, key)
        for name in ("rent", "api"):
            assert one[name] == [*less[name][:2], *more[name][2:5], *less[name][5:]]
    mean = sum(months(found, "usd")["api"]) / 6
    assert found.summary["topologies"]["api"]["cost"]["usd_per_month"] == pytest.approx(mean)
    assert months(found, "replicas")["rent"] == [[1], [1], [2], [2], [2], [1]]


def test_nothing_of_a_class_of_which_nobody_comes_is_missed_and_all_who_show_it_say_so() -> None:
    found = ran(study("always", "late", steps=COMES_AND_GOES))
    assert found.decision["winners"] == ["rent"]
    assert [one.meets for one in contenders(found.summary["topologies"])] == [True, True]
    assert all(one["metrics"]["slo_met"] is True for one in found.summary["topologies"].values())
    assert changing(found.decision, ["rent", "api"]) == [1, 3, 6]
    rows, _ = month_table(found.decision, ["rent", "api"])
    assert [row[1] for row in rows] == ["× 1.00 / 0.00", "× 1.00", "× 1.00 / 0.00"]


@pytest.mark.parametrize("limit_s", [8.0, 0.001])
def test_why_no_size_serves_says_nothing_of_a_class_of_which_nobody_comes(limit_s: float) -> None:
    """Its requests, of which there is none to tell by, are no reason; nor is a limit that an empty engine misses."""
    text = study("always", "late", steps=COMES_AND_GOES)
    always, late = text["workload"]["classes"] = [dict(one) for one in text["workload"]["classes"]]
    always["arrivals"] = {"kind": "poisson", "rate_rps": 60}
    late["slo"] = {"e2e_s": {"p90": limit_s}}
    found = simulate(load_scenario(text), None, limits=Limits(1), store=STORE)
    rows = found.summary["topologies"]["rent"]["metrics"]["slo_terms"]
    assert {row["class"] for row in rows} == {"always"}
    first = found.decision["topologies"]["rent"]["months"][0]
    assert "always: " in first["binding"]
    assert "late" not in first["binding"]


def test_a_month_before_anybody_comes_costs_what_stands() -> None:
    found = ran(study("always", steps=[{"from_month": 1, "load": 0}, {"from_month": 2, "load": 1}]))
    assert months(found, "meets") == {"rent": [True] * 6, "api": [True] * 6}
    assert (months(found, "usd")["api"][0], months(found, "usd")["rent"][0]) == (0.0, 730.0)


def test_a_plan_is_for_a_month_in_which_it_comes() -> None:
    found = plan_fleet(
        load_scenario(study("always", "late", steps=COMES_AND_GOES)), PlanOptions(topologies=("rent",)), store=STORE
    )
    assert found.month.number == 3
    assert [row["pools"][0]["replicas"] for row in found.fleets] == [2]
    first = plan_fleet(
        load_scenario(study("late", steps=COMES_AND_GOES)), PlanOptions(topologies=("rent",)), store=STORE
    )
    assert any("with load, where month 1 has nobody" in " ".join(notes(first)[:k]) for k in range(1, 4))


def test_one_that_comes_in_no_month_is_refused() -> None:
    with pytest.raises(InputError, match="nobody of class late comes in any month"):
        load_scenario(study("always", "late", steps=COMES_AND_GOES[:1]))


def test_a_class_of_which_no_request_was_measured_is_named() -> None:
    """So few come that the window has none: that is no miss of another class, all of which was served."""
    found = ran(study("always", "late", steps=[{"from_month": 1, "load_by_class": {"late": 1e-9}}]))
    texts = [one["binding"]["text"] for one in found.decision["topologies"].values()]
    assert all(text.endswith("not known, as no request of late came in the window") for text in texts)
    assert str(found.decision["verdict"]).startswith("No verdict: no request of late came in the window; a longer")
