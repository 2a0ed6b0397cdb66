"""No units of throughput is a size, too: the bills of all numbers from none on, written one by one, have their least.

There tokens are paid by their number: of the API itself where it has prices by the token, else of what stands behind.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import written
from test_units_found_by_hand import ALONE, SPILL, run, text, units_by_month

from simulator.errors import InputError
from simulator.plan.options import PlanOptions
from simulator.plan.plan import plan_fleet
from simulator.report.asked import asked
from simulator.resolve.topology import plan_topology
from simulator.results.bundle import read_bundle
from simulator.run.simulate import Run

SOLD_BOTH_WAYS = ALONE.replace("{input: 0, output: 0}", "{input: 1.5, output: 6}")
TOKENS_USD = 5 * 3600 * 730 * (200 * 1.5 + 20 * 6) / 1e6
"""A month of 5 calls a second."""


def usd(found: Run, name: str) -> float:
    return found.summary["topologies"][name]["cost"]["usd_per_month"]


def texts(found: Run, name: str) -> list[str]:
    return [one["text"] for one in found.summary["topologies"][name]["warnings"]]


@pytest.mark.parametrize("usd_per_unit_hour", [0.1, 0.3, 0.45])
def test_beside_a_dearer_price_by_the_token_some_are_best_and_beside_a_cheaper_one_none(
    tmp_path: Path, usd_per_unit_hour: float
) -> None:
    """19.4 units of 3,400 tokens a minute take what costs $5,518 by the token: one that is always full spares $284."""
    price = f"topologies.spill.providers[api].usd_per_unit_hour={usd_per_unit_hour}"
    found = run(tmp_path, text(SPILL), price)
    bills = {
        n: usd(run(tmp_path, text(SPILL), price, f"topologies.spill.providers[api].provisioned_units={n}"), "spill")
        for n in (0, 1, 2, 3, 12, 16, 18, 19, 20, 22, 24)
    }
    (units,) = units_by_month(found, "spill")
    assert usd(found, "spill") == pytest.approx(min(bills.values()), rel=2e-3)
    assert usd(found, "spill") <= min(bills.values())
    assert (units == 0) == (usd_per_unit_hour > 0.39)
    if not units:
        assert usd(found, "spill") == pytest.approx(bills[0])
        assert bills[0] == pytest.approx(TOKENS_USD, rel=0.05)
        assert bills[1] > bills[0]


def test_an_api_that_no_units_are_bought_of_is_left_out_and_said_the_same_by_set(tmp_path: Path) -> None:
    price = "topologies.spill.providers[api].usd_per_unit_hour=1"
    found = run(tmp_path, text(SPILL), price)
    assert "its best needs no api" in texts(found, "spill")
    (row,) = plan_fleet(written(tmp_path, text(SPILL), price), PlanOptions()).fleets
    assert row["units"] == {"api": 0}
    again = run(tmp_path, text(SPILL), price, *row["set"])
    assert usd(again, "spill") == pytest.approx(usd(found, "spill"))
    assert "no units, so left out: api" in texts(again, "spill")
    (data,) = asked([read_bundle(found.bundle)])
    assert [one["name"] for one in data["topologies"]["spill"]["providers"]] == ["payg"]


def test_an_event_that_makes_units_cheaper_brings_the_api_and_one_that_makes_them_dearer_takes_it(
    tmp_path: Path,
) -> None:
    change = "change: {providers: [{name: api, usd_per_unit_hour: 0.1}]}"
    event = f"months: 4, events: [{{name: cheaper, from_month: 3, topology: spill, {change}}}]"
    price = "topologies.spill.providers[api].usd_per_unit_hour=1"
    found = run(tmp_path, text(SPILL, "", event), price)
    units = units_by_month(found, "spill")
    cheaper = run(tmp_path, text(SPILL))
    assert units == [0, 0, *(2 * units_by_month(cheaper, "spill"))]
    assert units[2] > 12
    months = [month["usd"] for month in found.decision["topologies"]["spill"]["months"]]
    none = usd(run(tmp_path, text(SPILL), price), "spill")
    assert months == pytest.approx([none, none, *(2 * [usd(cheaper, "spill")])])
    written_none = run(tmp_path, text(SPILL, "", event), price, "topologies.spill.providers[api].provisioned_units=0")
    assert [month["usd"] for month in _months(written_none)] == pytest.approx([none] * 4)


def _months(found: Run) -> list[dict[str, float]]:
    return found.decision["topologies"]["spill"]["months"]


def test_each_month_buys_units_where_its_load_is_worth_them(tmp_path: Path) -> None:
    """A fee by 100 units at least: worth it at ten times the load alone."""
    steps = "months: 3, load_steps: [{from_month: 2, load: 8}, {from_month: 3, load: 0.5}]"
    found = run(tmp_path, text(SPILL, "unit_minimum: 100, ", steps))
    first, most, last = units_by_month(found, "spill")
    assert (first, last) == (0, 0)
    assert most >= 100
    months = [month["usd"] for month in _months(found)]
    assert months[0] == pytest.approx(TOKENS_USD, rel=0.05)
    assert months[0] < 7300


def test_one_that_has_prices_by_the_token_serves_by_them(tmp_path: Path) -> None:
    """Units come on top of the tokens there, and hold them back: none of them is the least of all bills."""
    found = run(tmp_path, text(SOLD_BOTH_WAYS))
    place = "topologies.alone.providers[api].provisioned_units"
    bills = {
        n: run(tmp_path, text(SOLD_BOTH_WAYS), f"{place}={n}").summary["topologies"]["alone"] for n in (0, 18, 22, 30)
    }
    met = {n: one["cost"]["usd_per_month"] for n, one in bills.items() if one["metrics"]["slo_met"]}
    assert units_by_month(found, "alone") == [0]
    assert 30 in met
    assert 0 in met
    assert usd(found, "alone") == pytest.approx(min(met.values())) == pytest.approx(met[0])
    assert usd(found, "alone") == pytest.approx(TOKENS_USD, rel=0.05)
    assert met[30] == pytest.approx(met[0] + 30 * 73)
    assert "its best buys no units of api: all tokens are paid by their number" in texts(found, "alone")
    assert found.summary["topologies"]["alone"]["search"]["monotone"]


def test_without_units_the_limit_is_that_of_the_offer(tmp_path: Path) -> None:
    """Units of 3,400 tokens a minute replace it, none of them does not."""
    api = "{name: api, offer: openai/gpt-4o-mini, MORE data_classes: [internal]}"
    plain = text(f"alone: {{providers: [{api}]}}", "MORE")
    units = "usd_per_unit_hour: 1, tokens_per_minute_per_unit: 3400, provisioned_units: "
    limits = [
        plan_topology(written(tmp_path, plain.replace("MORE", more)), "alone").fleet.providers[0].tokens_per_minute
        for more in ("", f"{units}0, ", f"{units}20, ")
    ]
    assert limits[0] == limits[1] > 0
    assert limits[2] == 68_000


def test_what_has_no_price_by_the_token_and_nothing_behind_it_needs_units(tmp_path: Path) -> None:
    assert units_by_month(run(tmp_path, text(ALONE)), "alone")[0] > 0
    with pytest.raises(InputError, match="no units, and no price by the token"):
        run(tmp_path, text(ALONE), "topologies.alone.providers[api].provisioned_units=0")
    weighted = SPILL.replace(
        "{kind: overflow, order: [api, payg], when: {outstanding_per_replica: 8}}", "{kind: weighted}"
    )
    assert "kind: weighted" in weighted
    assert units_by_month(run(tmp_path, text(weighted)), "spill")[0] > 0
