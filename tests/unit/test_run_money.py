"""Money of whole runs: every price is a line, lines sum, draws are paired, options that contradict are refused."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.bill.focus import usd_per_unit
from simulator.catalog.costs import cost_entry
from simulator.catalog.servers import server_kinds, servers_of
from simulator.decide.draws import (
    GPU_PRICE,
    TOKEN_PRICE,
    Case,
    Inputs,
    draw_costs,
    draw_inputs,
    tornado_of,
)
from simulator.errors import InputError
from simulator.perf.steptime import ExpectedError
from simulator.report.cost_charts import paid_usd
from simulator.report.table import comparison
from simulator.resolve.idle_terms import unused_overrides
from simulator.resolve.offers import unknown_prices
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.cost_summary import Comparison, compare_costs, cost_summary
from simulator.run.loads import loads_of
from simulator.run.months import served, walk_months
from simulator.run.priced import priced_months
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of
from simulator.study.bill import Line

SMALL = Path(__file__).parents[1] / "data/scenarios/small.yaml"
RENTED = "{pools: [{name: rented, site: aws-us-east, gpu: h100-sxm, replicas: 1}]}"
API = "{providers: [{name: mini, offer: openai/gpt-4o-mini, residency: true}]}"
QUICK = ["run.horizon_s=60", "run.warmup_s=5"]
ONCE = "run.replications=1"


def loaded(*changes: str) -> LoadedScenario:
    return load_scenario(SMALL, (), changes)


def case(scenario: LoadedScenario, name: str) -> Case:
    planned = plan_topology(scenario, name)
    prices = resolve_terms(planned)
    demand = demand_of(scenario)
    outcomes = [simulate_one(subject_of(planned), demand, k) for k in range(demand.replications)]
    walked = walk_months(loads_of(scenario), planned, served(outcomes, demand)).months
    return Case(planned, prices, priced_months(outcomes, prices.terms, walked))


def only(topologies: str, *more: str) -> LoadedScenario:
    return loaded(f"topologies={topologies}", "workload.classes[secret].data_class=internal", *QUICK, *more)


def lines_of(found: Case) -> dict[tuple[str, str], Line]:
    return {(line.category, line.part): line for line in found.priced.bill.lines}


def usd_of(found: Case) -> dict[tuple[str, str], float]:
    return {key: float(line.usd) for key, line in lines_of(found).items()}


def mean_use(found: Case, name: str, room: str = "pools") -> float:
    """Mean over the replications, per month, of a count of the first pool or provider."""
    return float(
        np.mean(
            [getattr(getattr(one.usage, room)[0], name) * 730 * 3600 / one.usage.span_s for one in found.replications]
        )
    )


def test_traffic_and_storage_of_a_rented_pool_are_lines() -> None:
    found = case(only("{cloud: " + RENTED + "}"), "cloud")
    lines = lines_of(found)
    egress, storage = lines["egress", "output tokens"], lines["storage", "volumes"]
    size = cost_entry("egress.bytes_per_output_token").number()
    assert egress.quantity == pytest.approx(mean_use(found, "output_tokens") * size / 1e9)
    assert usd_per_unit(egress) == pytest.approx(cost_entry("egress.aws_per_gb").number())
    assert storage.quantity == pytest.approx(16.06 + 12, rel=2e-3), "the published files, and the image"
    assert usd_per_unit(storage) == pytest.approx(0.023)
    free = "{pools: [{name: r, site: verda, gpu: h100-sxm, storage_gb: 100, storage_usd_per_gb_month: 0.05}]}"
    other = case(only("{cloud: " + free + "}"), "cloud")
    assert other.prices.unknown == ("egress at verda",)
    assert usd_of(other)["storage", "volumes"] == pytest.approx(5.0)
    none = other.planned.settings.pools[0].model_copy(update={"storage_gb": 0, "storage_usd_per_gb_month": None})
    assert unknown_prices(none) == ["egress at verda"], "of no volume nothing is left uncharged"
    assert unknown_prices(found.planned.settings.pools[0]) == []


def test_residency_and_batch_prices_of_a_provider_are_lines() -> None:
    batch = ["workload.classes[chat].service_tier=batch", "workload.classes[chat].slo={}"]
    found = case(only("{api: " + API.replace("gpt-4o-mini", "gpt-5.4-mini") + "}", *batch), "api")
    lines = lines_of(found)
    assert usd_per_unit(lines["tokens", "input"]) == pytest.approx(0.75e-6)
    assert usd_per_unit(lines["tokens", "output"]) == pytest.approx(4.5e-6)
    assert usd_per_unit(lines["batch tokens", "input"]) == pytest.approx(0.375e-6)
    usd = usd_of(found)
    rest = sum(value for (category, _), value in usd.items() if category != "residency")
    assert usd["residency", "premium"] == pytest.approx(0.1 * rest)
    tokens = sum(line.quantity for (category, _), line in lines.items() if "tokens" in category)
    assert tokens == pytest.approx(sum(mean_use(found, f"{kind}_tokens", "providers") for kind in ("input", "output")))


def test_batch_requests_pay_the_usual_price_where_there_is_no_batch_price(tmp_path: Path) -> None:
    together = "{providers: [{name: t, offer: together/llama-3.3-70b}]}"
    slo = ["workload.classes[chat].service_tier=batch", "workload.classes[chat].slo={}"]
    result = simulate(only("{api: " + together + "}", *slo), tmp_path)
    assert any("no batch price" in warning["text"] for warning in result.summary["topologies"]["api"]["warnings"])
    costs = pd.read_parquet(result.bundle / "costs.parquet")
    assert set(costs["category"]) == {"tokens"}


def test_electricity_by_the_hour_costs_what_its_first_hour_does_in_a_short_run() -> None:
    own = "{own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}}"
    day = f"cost.electricity_by_hour_usd_per_kwh={[0.3] + [0.05] * 23}"
    by_hour, flat = (lines_of(case(only(own, change), "own")) for change in (day, "cost.electricity_usd_per_kwh=0.3"))
    assert by_hour["electricity", "gpus"].usd == pytest.approx(flat["electricity", "gpus"].usd)
    assert usd_per_unit(by_hour["electricity", "gpus"]) == pytest.approx(0.3)


def test_overrides_reach_the_figures_of_sites_and_idle_ones_are_named() -> None:
    own = "{own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}}"
    scenario = only(own, "cost.overrides={power.electricity: 0.5, egress.aws_per_gb: 1, price.monthly_log_vol: 0}")
    found = case(scenario, "own")
    assert usd_per_unit(lines_of(found)["electricity", "gpus"]) == pytest.approx(0.5)
    assert unused_overrides(scenario.scenario.cost, [found.prices]) == [
        "overrides without effect on costs: egress.aws_per_gb"
    ]


@pytest.mark.parametrize("gpu", sorted({kind.gpu for kind in server_kinds().values()}))
def test_gpus_with_a_server_price_can_be_owned(gpu: str) -> None:
    own = f"{{own: {{pools: [{{name: base, site: datacentre, gpu: {gpu}, tensor_parallel_size: 2, billing: owned}}]}}}}"
    scenario = only(own)
    prices = resolve_terms(plan_topology(scenario, "own"))
    kind = servers_of(gpu)[0]
    assert prices.terms.owned[0].server.capex_usd == kind.capex.value
    if kind.capex.entry is not None:
        low, value, high = prices.ranges[kind.capex.entry]
        assert low <= value <= high


def certain(inputs: Inputs, cases: Sequence[Case]) -> Inputs:
    """The same inputs with everything at its base value."""
    figures = {name: value for found in cases for name, (_, value, _) in found.prices.ranges.items()}
    flat = np.ones_like(inputs.gpu_path)
    return Inputs(figures, flat, flat)


TWO = "{a: {pools: [{name: x, site: datacentre, gpu: h100-sxm, billing: owned}]}, c: " + RENTED + ", v: " + API + "}"
COMMITTED = (
    "{r: {pools: [{name: rented, site: aws-us-east, gpu: h100-sxm, replicas: 2, billing: reserved_1y, "
    "commitments: 1}]}}"
)


@pytest.fixture(scope="module")
def three() -> tuple[LoadedScenario, dict[str, Case]]:
    scenario = only(TWO, "cost.draws=400", "study.months=24")
    return scenario, {name: case(scenario, name) for name in ("a", "c", "v")}


def test_draws_at_base_values_are_the_cost_itself(three: tuple[LoadedScenario, dict[str, Case]]) -> None:
    scenario, cases = three
    committed = only(COMMITTED, "cost.draws=400", "study.months=24")
    for settings, found in [(scenario.scenario.cost, case_) for case_ in cases.values()] + [
        (committed.scenario.cost, case(committed, "r"))
    ]:
        base = certain(draw_inputs([found], settings.overrides, settings.draws, 1), [found])
        drawn = draw_costs(found, settings.overrides, base, 1)
        assert drawn.usd_per_month.mean() == pytest.approx(found.priced.usd_per_month, rel=0.1)
        one = replace(found, priced=replace(found.priced, replications=found.replications[:1]))
        drawn = draw_costs(one, settings.overrides, base, 1)
        assert drawn.usd_per_month == pytest.approx(found.replications[0].usd_per_month, rel=1e-12)
        assert drawn.tokens_per_month == pytest.approx(found.replications[0].tokens.delivered)


def test_a_quarter_of_the_draws_needs_the_size_of_a_slower_engine(
    three: tuple[LoadedScenario, dict[str, Case]],
) -> None:
    scenario, cases = three
    settings = scenario.scenario.cost
    inputs = draw_inputs([cases["a"]], settings.overrides, settings.draws, 1)
    usual, shifted = (
        draw_costs(cases["a"], settings.overrides, inputs, 1, shifts).usd_per_month
        for shifts in ((0.0, 0.0), (900.0, -300.0))
    )
    by = np.round(shifted - usual, 6)
    assert set(by) == {900.0, 0.0, -300.0}
    assert [np.mean(by == usd) for usd in (900.0, 0.0, -300.0)] == pytest.approx([0.25, 0.5, 0.25], abs=0.08)


def test_a_commitment_keeps_its_price_for_its_term() -> None:
    """Prices double after month 0: a 12-month term in a horizon of 24 pays half of its months at the new price."""
    scenario = only(COMMITTED.replace("replicas: 2", "replicas: 1"), "cost.draws=1", "study.months=24", ONCE)
    found = case(scenario, "r")
    settings = scenario.scenario.cost
    base = certain(draw_inputs([found], settings.overrides, settings.draws, 1), [found])
    doubled = np.full((1, 25), 2.0)
    doubled[0, 0] = 1.0
    usd = found.priced.usd_per_month
    reserved = sum(value for (category, _), value in usd_of(found).items() if category == "committed")
    assert reserved > 0.9 * usd
    drawn = draw_costs(found, settings.overrides, replace(base, gpu_path=doubled), 1)
    assert drawn.usd_per_month[0] == pytest.approx(usd + 0.5 * reserved)


def uncertainty(found: Comparison, name: str) -> dict[str, Any]:
    said = found.compared[name].uncertainty
    assert said is not None
    return said


def test_topologies_share_their_draws(three: tuple[LoadedScenario, dict[str, Case]]) -> None:
    scenario, cases = three
    found = compare_costs({**cases, "twin": cases["a"]}, {"a", "twin", "c"}, scenario.scenario.cost, 7)
    said = {name: uncertainty(found, name) for name in ("a", "twin", "c", "v")}
    shares = {name: one["probability_cheapest"] for name, one in said.items()}
    assert shares["a"] == shares["twin"]
    assert sum(shares.values()) - shares["twin"] == pytest.approx(1.0), "a fleet under two names is counted once"
    among = [one["probability_cheapest_meeting_slo"] for one in said.values()]
    assert among[3] is None
    assert sum(share for share in among if share is not None) - among[1] == pytest.approx(1.0)
    assert set(found.cheapest_in) == {"a", "twin", "c"}
    for one in said.values():
        interval = one["usd_per_month"]
        assert interval["low"] < interval["median"] < interval["high"]
    again = compare_costs({"a": cases["a"]}, {"a"}, scenario.scenario.cost, 7)
    assert uncertainty(again, "a")["usd_per_month"] == said["a"]["usd_per_month"]


def test_swings_hold_the_base_and_only_inputs_that_matter(three: tuple[LoadedScenario, dict[str, Case]]) -> None:
    scenario, cases = three
    expected = {"a": "onprem.server_capex.8xH100", "c": GPU_PRICE, "v": TOKEN_PRICE}
    for name, found in cases.items():
        swings = tornado_of(found, scenario.scenario.cost.overrides)
        usd = found.priced.usd_per_month
        assert expected[name] in [swing.name for swing in swings]
        for swing in swings:
            assert swing.base_usd == pytest.approx(usd)
            assert swing.low <= swing.base <= swing.high
        widths = [abs(swing.high_usd - swing.low_usd) for swing in swings]
        assert widths == sorted(widths, reverse=True)
    assert {swing.name for swing in tornado_of(cases["v"], scenario.scenario.cost.overrides)} == {TOKEN_PRICE}


def test_an_error_of_the_speed_moves_no_price(three: tuple[LoadedScenario, dict[str, Case]]) -> None:
    scenario, cases = three
    known = ExpectedError(0.1, 0.1, 0.2, "test")
    engines = tuple(
        replace(engine, step_time=replace(engine.step_time, expected_error=known))
        for engine in cases["a"].planned.engines
    )
    measured = replace(cases["a"], planned=replace(cases["a"].planned, engines=engines))
    both = {"plain": cases["a"], "measured": measured}
    compared = compare_costs(both, set(both), scenario.scenario.cost, 7).compared
    assert compared["plain"] == compared["measured"]


def test_the_export_adds_up_to_the_summary(tmp_path: Path) -> None:
    result = simulate(only(TWO, "study.first_month=2027-12"), tmp_path)
    text = (result.bundle / "costs_focus.csv").read_text(encoding="utf-8")
    frame = pd.read_csv(io.StringIO(text))
    summary = json.loads((result.bundle / "summary.json").read_text(encoding="utf-8"))
    for name, found in summary["topologies"].items():
        cents = round(frame[frame["SubAccountId"] == name]["EffectiveCost"].sum() * 100)
        assert cents == round(found["cost"]["usd_per_month"] * 100)
    assert set(frame["BillingPeriodEnd"]) == {"2028-01-01T00:00:00Z"}
    assert set(frame["ProviderName"]) == {"Own data centre", "AWS us-east-1", "OpenAI"}
    assert "draws" in result.summary["verdict"]


def test_a_token_api_of_the_name_of_its_topology_is_its_own_provider(tmp_path: Path) -> None:
    """Only what a topology pays as a whole is in house: staff, not the tokens of an API that is called as it is."""
    own = "providers: [{name: mine, prices: [{input: 1, output: 1}], ttft_s: {median: 0.2}, tpot_s: {median: 0.01}, "
    own += "data_classes: [public, internal]}], staff: {base_fte: 1}"
    chosen = only(f"{{mine: {{{own}}}}}")
    result = simulate(chosen, tmp_path)
    frame = pd.read_csv(result.bundle / "costs_focus.csv")
    assert dict(zip(frame["ServiceName"], frame["ProviderName"], strict=True)) == {
        "tokens": "mine",
        "staff": "in house",
    }


def test_without_draws_there_are_no_intervals(tmp_path: Path) -> None:
    result = simulate(only(TWO, "cost.draws=0"), tmp_path)
    assert all(found["uncertainty"] is None for found in result.summary["topologies"].values())
    assert "draws" not in result.summary["verdict"]


TOPOLOGY = "topologies.mixed.pools[burst]"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["topologies.mixed.providers[api].residency=true"], "no premium of together/llama-3.3-70b"),
        (["workload.classes[chat].service_tier=batch"], "drop the timeout and all of the SLO"),
        (["cost.electricity_usd_per_kwh=0.1", f"cost.electricity_by_hour_usd_per_kwh={[0.1] * 24}"], "one price or 24"),
        ([f"cost.electricity_by_hour_usd_per_kwh={[0.1] * 23}"], "at least 24"),
        ([f"{TOPOLOGY}.price_usd_per_gpu_hour=2", f"{TOPOLOGY}.price_by_hour_usd_per_gpu_hour={[1] * 24}"], "not both"),
        ([f"topologies.own.pools[base].price_by_hour_usd_per_gpu_hour={[1] * 24}"], "billing is owned"),
        (["topologies.own.pools[base].storage_gb=3"], "is a term of rented instances"),
        (["topologies.mixed.providers[api].outages={mtbf_h: 3}"], "'mttr_h' is missing"),
        ([f"{TOPOLOGY}.outages={{mttr_h: 3}}"], "'mtbf_h' is missing"),
        (["study.first_month=2027-13"], "must be a month of the calendar"),
    ],
)
def test_prices_that_contradict_are_refused(changes: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _price(changes)


def _price(changes: list[str]) -> None:
    scenario = loaded(*changes)
    resolve_terms(plan_topology(scenario, "mixed"))


def test_an_outage_of_a_provider_is_in_the_summary(tmp_path: Path) -> None:
    down = "topologies.mixed.providers[api].outages={windows: [{start_s: 30, duration_s: 15}]}"
    changes = ["topologies.mixed.routing={kind: overflow, order: [api, base, burst]}", down]
    result = simulate(loaded(*QUICK, ONCE, *changes), tmp_path)
    (provider,) = result.summary["topologies"]["mixed"]["providers"]
    assert provider["availability"] == pytest.approx(1 - 15 / 55), "of the window, 5 s of warm-up apart"
    assert provider["outages"] == 1
    rows, _ = comparison(result.summary["topologies"])
    assert ["token API up", "-", "72.73%"] in rows
    rows = pd.read_parquet(result.bundle / "requests.parquet")
    chat = rows[(rows["topology"] == "mixed") & (rows["class"] == "chat")]
    during = chat[(chat["arrival_s"] > 30) & (chat["arrival_s"] < 45)]
    assert set(during["target"]) == {"base"}
    assert (during["overflowed"] == 1).all()


def test_what_is_paid_over_the_horizon_ends_with_the_study() -> None:
    """A year's commitment in a study of four months: eight months of it are owed, not paid."""
    pool = "name: rented, site: aws-us-east, gpu: h100-sxm, replicas: 1, billing: reserved_1y, upfront_share: 0.25"
    found = case(only(f"{{r: {{pools: [{{{pool}}}]}}}}", "study.months=4", ONCE), "r")
    cost = cost_summary(found.priced, found.planned)
    (term,) = cost["commitments"]
    whole_usd = term["instances"] * term["usd_per_instance_hour"] * 730 * 12
    by_month = math.fsum(float(line.usd) for line in found.priced.bill.lines if line.kind != "committed")
    assert cost["upfront_usd"] == pytest.approx(0.25 * whole_usd)
    assert cost["liability_usd"] == pytest.approx(0.75 * whole_usd * 8 / 12)
    assert paid_usd({"cost": cost}) == pytest.approx(whole_usd - cost["liability_usd"] + 4 * by_month)
