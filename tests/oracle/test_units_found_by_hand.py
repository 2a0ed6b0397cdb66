"""Units of throughput that are `auto`: the fewest that are sold and meet the SLO, or those that cost least."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agreement import second_bill
from scenario_cases import written

from simulator.errors import InputError
from simulator.plan.options import PlanOptions
from simulator.plan.plan import plan_fleet
from simulator.report.asked import asked
from simulator.results.bundle import read_bundle
from simulator.run.simulate import Run, simulate

SCENARIO = """
schema_version: 1
name: units
model: llama-3.1-8b-instruct
workload:
  classes:
    - name: calls
      arrivals: {kind: gamma, rate_rps: 5, cv: 0.5}
      lengths: {isl: 200, osl: 20}
      slo: {e2e_s: {p99: 5}}
topologies: {TOPOLOGY}
cost: {draws: 0, discount_rate: 0}
study: {STUDY}
run: {horizon_s: 300, warmup_s: 60, keep_requests: false}
"""
API = (
    "{name: api, prices: [{input: 0, output: 0}], provisioned_units: auto, usd_per_unit_hour: 0.1, MORE"
    "tokens_per_minute_per_unit: 3400, max_wait_s: 0.5, ttft_s: {median: 0.01}, tpot_s: {median: 0.001}, "
    "data_classes: [internal]}"
)
BY_TOKEN = (
    "{name: payg, prices: [{input: 1.5, output: 6}], ttft_s: {median: 0.01}, tpot_s: {median: 0.001}, "
    "data_classes: [internal]}"
)
SPILL = (
    f"spill: {{providers: [{API}, {BY_TOKEN}], "
    "routing: {kind: overflow, order: [api, payg], when: {outstanding_per_replica: 8}}}"
)
ALONE = f"alone: {{providers: [{API}]}}"


def text(topology: str, more: str = "", study: str = "months: 1") -> str:
    return SCENARIO.replace("TOPOLOGY", topology).replace("MORE", more).replace("STUDY", study)


def run(folder: Path, scenario: str, *sets: str) -> Run:
    return simulate(written(folder, scenario, *sets), folder / "runs")


def units_by_month(found: Run, name: str) -> list[int]:
    return [month["units"]["api"] for month in found.decision["topologies"][name]["months"]]


@pytest.mark.parametrize(
    ("more", "step", "least"),
    [("", 1, 1), ("unit_step: 5, ", 5, 5), ("unit_minimum: 40, ", 1, 40), ("unit_minimum: 5000, ", 1, 5000)],
)
def test_one_step_fewer_would_miss_the_slo(tmp_path: Path, more: str, step: int, least: int) -> None:
    """5 calls a second of 220 tokens are 66,000 a minute: about 19.4 units of 3,400."""
    found = run(tmp_path, text(ALONE, more))
    (units,) = units_by_month(found, "alone")
    topology = found.summary["topologies"]["alone"]
    assert topology["metrics"]["slo_met"]
    assert units >= least
    assert units % step == 0
    assert topology["cost"]["usd_per_month"] == pytest.approx(units * 73)
    assert topology["search"]["sizes"] == {"api": str(units)}
    assert topology["search"]["claim"].startswith("proved")
    said = [one["text"] for one in topology["warnings"]]
    assert any(words.startswith(f"sized at api {units:d} units") for words in said)
    assert not any("is the least to try" in words for words in said)
    if units > least:
        fewer = run(tmp_path, text(ALONE, more), f"topologies.alone.providers[api].provisioned_units={units - step}")
        assert not fewer.summary["topologies"]["alone"]["metrics"]["slo_met"]
    assert least >= 40 or 18 <= units <= 25


def test_beside_a_price_by_the_token_those_are_found_that_cost_least_of_all(tmp_path: Path) -> None:
    """Any number meets the SLO, as what it holds back goes elsewhere: the bills of all numbers up to 24 decide."""
    found = run(tmp_path, text(SPILL))
    (units,) = units_by_month(found, "spill")
    place = "topologies.spill.providers[api].provisioned_units"
    usd = {
        n: run(tmp_path, text(SPILL), f"{place}={n}").summary["topologies"]["spill"]["cost"]["usd_per_month"]
        for n in range(12, 25)
    }
    assert found.summary["topologies"]["spill"]["cost"]["usd_per_month"] == pytest.approx(min(usd.values()))
    assert usd[units] == min(usd.values())
    assert 12 < units < 24


def test_each_month_has_the_units_that_it_needs_and_pays_for_them(tmp_path: Path) -> None:
    """Twice the load needs about twice the units; by the hour each month pays for its own."""
    steps = "months: 4, load_steps: [{from_month: 2, load: 2}, {from_month: 4, load: 0.5}]"
    found = run(tmp_path, text(ALONE, "", steps))
    units = units_by_month(found, "alone")
    months = found.decision["topologies"]["alone"]["months"]
    assert all(month["meets"] for month in months)
    assert [month["usd"] for month in months] == pytest.approx([73 * n for n in units])
    assert units[1] == units[2]
    assert 1.6 * units[0] < units[1] < 2.2 * units[0]
    assert 0.4 * units[0] < units[3] < 0.7 * units[0]
    bill = second_bill(found.bundle, "alone").mean_lines()
    assert sum(row["usd"] for row in bill) == pytest.approx(73 * sum(units) / 4)


def test_units_of_a_term_that_a_lighter_month_does_not_need_serve_it_all_the_same(tmp_path: Path) -> None:
    """Twice the load for a month buys a term for the year: at half the load its units take all calls.

    The first term ends with month 12, the other with month 13, and is enough by itself.
    """
    steps = "months: 13, load_steps: [{from_month: 2, load: 2}, {from_month: 3, load: 0.5}]"
    found = run(tmp_path, text(SPILL, "term_months: 12, ", steps))
    first, most, *less = units_by_month(found, "spill")
    assert less == [less[0]] * 11
    assert less[0] < first < most
    usd = [month["usd"] for month in found.decision["topologies"]["spill"]["months"]]
    assert usd[0] > 73 * first + 1, "some calls are paid by the token, so fewer units cost least"
    assert usd[2:] == pytest.approx([73 * most] * 10 + [73 * (most - first)])
    topology = found.summary["topologies"]["spill"]
    said = [one["text"] for one in topology["warnings"]]
    assert f"months 3 to 12: {most} units of api are there, since terms that are paid run on" in said
    bill = second_bill(found.bundle, "spill").mean_lines()
    assert sum(row["usd"] for row in bill) == pytest.approx(topology["cost"]["usd_per_month"])


def test_an_event_may_leave_the_number_open_or_change_what_is_sold(tmp_path: Path) -> None:
    change = "change: {providers: [{name: api, unit_minimum: 30, usd_per_unit_hour: 0.05}]}"
    event = f"months: 4, events: [{{name: offer, from_month: 3, topology: alone, {change}}}]"
    found = run(tmp_path, text(ALONE, "", event))
    units = units_by_month(found, "alone")
    assert units == [units[0]] * 2 + [30] * 2
    months = found.decision["topologies"]["alone"]["months"]
    assert [month["usd"] for month in months] == pytest.approx([73 * units[0]] * 2 + [36.5 * 30] * 2)


def test_units_of_a_term_that_were_found_run_on_where_an_event_writes_fewer(tmp_path: Path) -> None:
    """Found in month 1 for four months; an event in month 3 writes five, which are there from month 5 on."""
    change = "change: {providers: [{name: api, provisioned_units: 5}]}"
    event = f"months: 6, events: [{{name: fewer, from_month: 3, topology: alone, {change}}}]"
    found = run(tmp_path, text(ALONE, "term_months: 4, ", event))
    months = found.decision["topologies"]["alone"]["months"]
    units = months[0]["units"]["api"]
    assert [month["meets"] for month in months] == [True] * 4 + [False] * 2
    assert [month["usd"] for month in months[:4]] == pytest.approx([73 * units + 5 * 73 * 2 / 6] * 4)
    texts = [one["text"] for one in found.summary["topologies"]["alone"]["warnings"]]
    assert f"months 3 to 4: {units} units of api are there, since terms that are paid run on" in texts


def test_a_plan_finds_the_same_number_and_adds_no_spare_units(tmp_path: Path) -> None:
    found = run(tmp_path, text(ALONE))
    (row,) = plan_fleet(written(tmp_path, text(ALONE)), PlanOptions(spare=2)).fleets
    assert row["units"] == {"api": units_by_month(found, "alone")[0]}
    assert row["usd_per_month"] == pytest.approx(found.summary["topologies"]["alone"]["cost"]["usd_per_month"])
    assert row["set"] == [f"topologies.alone.providers[api].provisioned_units={row['units']['api']}"]


def test_a_run_is_told_as_it_was_asked(tmp_path: Path) -> None:
    found = run(tmp_path, text(SPILL))
    (data,) = asked([read_bundle(found.bundle)])
    assert [one["provisioned_units"] for one in data["topologies"]["spill"]["providers"]] == ["auto", 0]


def test_no_number_helps_where_every_answer_is_late(tmp_path: Path) -> None:
    found = run(tmp_path, text(ALONE), "topologies.alone.providers[api].ttft_s={median: 6}")
    assert found.summary["topologies"]["alone"]["search"]["infeasible"].startswith("token API: calls: e2e p99 ≤ 5 s")


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        ({"tokens_per_minute_per_unit": "null"}, "provisioned_units", "auto needs 'tokens_per_minute_per_unit'"),
        ({"tokens_per_minute": "90000"}, "tokens_per_minute", "is the limit however many units are bought"),
        ({"unit_step": "5", "unit_minimum": "12"}, "unit_minimum", "must be a multiple of unit_step (5)"),
        ({"unit_minimum": "12", "provisioned_units": "11"}, "provisioned_units", "must be at least unit_minimum (12)"),
        ({"unit_step": "5", "provisioned_units": "11"}, "provisioned_units", "must be a multiple of unit_step (5)"),
        ({"usd_per_unit_hour": "null"}, "provisioned_units", "'usd_per_unit_hour' is missing"),
    ],
)
def test_a_number_that_is_not_sold_or_cannot_be_found_is_refused(
    tmp_path: Path, change: dict[str, Any], key: str, said: str
) -> None:
    sets = [f"topologies.alone.providers[api].{name}={value}" for name, value in change.items()]
    with pytest.raises(InputError) as caught:
        written(tmp_path, text(ALONE), *sets)
    assert any(
        said in one.message and one.path == f"topologies.alone.providers[0].{key}" for one in caught.value.problems
    )
