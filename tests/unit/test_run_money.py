"""Money of whole runs: every price is a line, lines sum, draws are paired, options that contradict are refused."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.catalog.costs import cost_entry
from simulator.catalog.servers import server_kinds, servers_of
from simulator.cost.breakeven import owned_units
from simulator.cost.lines import total_usd
from simulator.cost.report import mean_report
from simulator.errors import InputError
from simulator.perf.steptime import ExpectedError
from simulator.report.table import comparison
from simulator.resolve.prices import topology_prices, unused_overrides
from simulator.resolve.terms import unknown_prices
from simulator.resolve.topology import plan_topology
from simulator.run.cost_summary import compare_costs
from simulator.run.hybrid import hybrid_rule
from simulator.run.priced import priced
from simulator.run.simulate import simulate
from simulator.run.uncertainty import (
    GPU_PRICE,
    SPEED,
    TOKEN_PRICE,
    Case,
    Inputs,
    draw_costs,
    draw_inputs,
    tornado_of,
)
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of

SMALL = Path(__file__).parents[1] / "data/scenarios/small.yaml"
RENTED = "{pools: [{name: rented, site: aws-us-east, gpu: h100-sxm, replicas: 1}]}"
API = "{providers: [{name: mini, offer: openai/gpt-4o-mini, residency: true}]}"
QUICK = ["run.horizon_s=60", "run.warmup_s=5"]
ONCE = "run.replications=1"


def loaded(*changes: str) -> LoadedScenario:
    return load_scenario(SMALL, (), changes)


def case(scenario: LoadedScenario, name: str) -> Case:
    planned = plan_topology(scenario, name)
    prices = topology_prices(scenario, planned)
    runs = scenario.scenario.run.replications
    return Case(
        planned,
        prices,
        [priced(simulate_one(subject_of(planned), demand_of(scenario), k), prices) for k in range(runs)],
    )


def only(topologies: str, *more: str) -> LoadedScenario:
    return loaded(f"topologies={topologies}", "workload.classes[secret].data_class=internal", *QUICK, *more)


def lines_of(found: Case) -> dict[tuple[str, str], Any]:
    return {(line.category, line.name): line for line in found.replications[0].cost.lines}


def test_traffic_and_storage_of_a_rented_pool_are_lines() -> None:
    found = case(only("{cloud: " + RENTED + "}"), "cloud")
    usage, lines = found.replications[0].usage, lines_of(found)
    egress, storage = lines["egress", "output tokens"], lines["storage", "volumes"]
    per_month = 730 * 3600 / usage.end_s
    size = cost_entry("egress.bytes_per_output_token").number()
    assert egress.quantity == pytest.approx(usage.pools[0].output_tokens * per_month * size / 1e9)
    assert egress.unit_price_usd == pytest.approx(cost_entry("egress.aws_per_gb").number())
    assert storage.quantity == pytest.approx(found.planned.engines[0].weight_bytes_total / 1e9 + 12)
    assert storage.unit_price_usd == pytest.approx(0.023)
    free = "{pools: [{name: r, site: verda, gpu: h100-sxm, storage_gb: 100, storage_usd_per_gb_month: 0.05}]}"
    other = case(only("{cloud: " + free + "}"), "cloud")
    assert other.prices.unknown == ("egress at verda",)
    assert lines_of(other)["storage", "volumes"].usd_per_month == pytest.approx(5.0)
    assert unknown_prices(found.planned.settings.pools[0]) == []


def test_residency_and_batch_prices_of_a_provider_are_lines() -> None:
    batch = ["workload.classes[chat].service_tier=batch", "workload.classes[chat].slo={}"]
    found = case(only("{api: " + API.replace("gpt-4o-mini", "gpt-5.4-mini") + "}", *batch), "api")
    lines = lines_of(found)
    assert lines["tokens", "input"].unit_price_usd == pytest.approx(0.75e-6)
    assert lines["tokens", "output"].unit_price_usd == pytest.approx(4.5e-6)
    assert lines["batch tokens", "input"].unit_price_usd == pytest.approx(0.375e-6)
    rest = sum(line.usd_per_month for (category, _), line in lines.items() if category != "residency")
    assert lines["residency", "premium"].usd_per_month == pytest.approx(0.1 * rest)
    usage = found.replications[0].usage
    tokens = sum(line.quantity for (category, _), line in lines.items() if "tokens" in category)
    assert tokens == pytest.approx(
        (usage.providers[0].input_tokens + usage.providers[0].output_tokens) * 730 * 3600 / usage.end_s
    )


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
    assert by_hour["electricity", "gpus"].usd_per_month == pytest.approx(flat["electricity", "gpus"].usd_per_month)
    assert by_hour["electricity", "gpus"].unit_price_usd == pytest.approx(0.3)


def test_overrides_reach_the_figures_of_sites_and_idle_ones_are_named() -> None:
    own = "{own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}}"
    scenario = only(own, "cost.overrides={power.electricity: 0.5, egress.aws_per_gb: 1, price.monthly_log_vol: 0}")
    found = case(scenario, "own")
    assert lines_of(found)["electricity", "gpus"].unit_price_usd == pytest.approx(0.5)
    assert unused_overrides(scenario.scenario.cost, [found.prices]) == [
        "overrides without effect on costs: egress.aws_per_gb"
    ]


@pytest.mark.parametrize("gpu", sorted({kind.gpu for kind in server_kinds().values()}))
def test_gpus_with_a_server_price_can_be_owned(gpu: str) -> None:
    own = f"{{own: {{pools: [{{name: base, site: datacentre, gpu: {gpu}, tensor_parallel_size: 2, billing: owned}}]}}}}"
    scenario = only(own)
    prices = topology_prices(scenario, plan_topology(scenario, "own"))
    kind = servers_of(gpu)[0]
    assert prices.pools["base"].server_capex_usd == kind.capex.value  # type: ignore[union-attr]
    if kind.capex.entry is not None:
        low, value, high = prices.ranges[kind.capex.entry]
        assert low <= value <= high


def certain(inputs: Inputs, cases: Sequence[Case]) -> Inputs:
    """The same inputs with everything at its base value."""
    figures = {name: value for found in cases for name, (_, value, _) in found.prices.ranges.items()}
    flat = np.ones_like(inputs.gpu_path)
    return Inputs(figures, flat, flat, {name: np.zeros_like(draws) for name, draws in inputs.speed.items()})


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
        single = replace(found, replications=found.replications[:1])
        base = certain(draw_inputs([single], settings, 1), [single])
        drawn = draw_costs(single, settings, base, 1)
        assert drawn.usd_per_month == pytest.approx(single.replications[0].cost.usd_per_month, rel=1e-12)
        assert drawn.usd_per_million_tokens == pytest.approx(single.replications[0].cost.usd_per_million_tokens)
        assert drawn.usage_usd_per_month == pytest.approx(total_usd(single.replications[0].cost.lines, "usage"))


def test_a_commitment_keeps_its_price_for_its_term() -> None:
    """Prices double after month 0: a 12-month term in a horizon of 24 pays half of its months at the new price."""
    scenario = only(COMMITTED.replace("replicas: 2", "replicas: 1"), "cost.draws=1", "study.months=24")
    found = replace(case(scenario, "r"), replications=case(scenario, "r").replications[:1])
    settings = scenario.scenario.cost
    base = certain(draw_inputs([found], settings, 1), [found])
    doubled = np.full((1, 25), 2.0)
    doubled[0, 0] = 1.0
    usd = found.replications[0].cost.usd_per_month
    reserved = sum(line.usd_per_month for line in found.replications[0].cost.lines if line.category == "reserved")
    assert reserved > 0.9 * usd
    drawn = draw_costs(found, settings, replace(base, gpu_path=doubled), 1)
    assert drawn.usd_per_month[0] == pytest.approx(usd + 0.5 * reserved)


def test_topologies_share_their_draws(three: tuple[LoadedScenario, dict[str, Case]]) -> None:
    scenario, cases = three
    summaries: dict[str, dict[str, Any]] = {
        name: {"metrics": {"slo_met": name != "v"}} for name in ("a", "twin", "c", "v")
    }
    compare_costs(summaries, {**cases, "twin": cases["a"]}, scenario.scenario.cost, 0.0, 7)
    shares = {name: found["uncertainty"]["probability_cheapest"] for name, found in summaries.items()}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["a"] == shares["twin"]
    among = [found["uncertainty"]["probability_cheapest_meeting_slo"] for found in summaries.values()]
    assert among[3] is None
    assert sum(share for share in among if share is not None) == pytest.approx(1.0)
    for found in summaries.values():
        interval = found["uncertainty"]["usd_per_month"]
        assert interval["low"] < interval["median"] < interval["high"]
    again: dict[str, dict[str, Any]] = {"a": {"metrics": {"slo_met": True}}}
    compare_costs(again, {"a": cases["a"]}, scenario.scenario.cost, 0.0, 7)
    assert again["a"]["uncertainty"]["usd_per_month"] == summaries["a"]["uncertainty"]["usd_per_month"]
    assert again["a"]["break_even"] is None


def test_swings_hold_the_base_and_only_inputs_that_matter(three: tuple[LoadedScenario, dict[str, Case]]) -> None:
    scenario, cases = three
    expected = {"a": "onprem.server_capex.8xH100", "c": GPU_PRICE, "v": TOKEN_PRICE}
    for name, found in cases.items():
        swings = tornado_of(found, scenario.scenario.cost)
        usd = mean_report([run.cost for run in found.replications]).usd_per_month
        assert expected[name] in [swing["input"] for swing in swings]
        for swing in swings:
            assert swing["usd_per_month_base"] == pytest.approx(usd)
            assert swing["low"] <= swing["base"] <= swing["high"]
        widths = [abs(swing["usd_per_month_high"] - swing["usd_per_month_low"]) for swing in swings]
        assert widths == sorted(widths, reverse=True)
    assert {swing["input"] for swing in tornado_of(cases["v"], scenario.scenario.cost)} == {TOKEN_PRICE}


def test_a_measured_error_of_the_speed_widens_the_interval(three: tuple[LoadedScenario, dict[str, Case]]) -> None:
    scenario, cases = three
    settings = scenario.scenario.cost
    known = ExpectedError(0.1, 0.1, 0.2, "test")
    engines = tuple(
        replace(engine, step_time=replace(engine.step_time, expected_error=known))
        for engine in cases["a"].planned.engines
    )
    unknown = tuple(
        replace(engine, step_time=replace(engine.step_time, expected_error=None))
        for engine in cases["a"].planned.engines
    )
    bare = replace(cases["a"], planned=replace(cases["a"].planned, engines=unknown))
    measured = replace(cases["a"], planned=replace(cases["a"].planned, engines=engines))
    summaries: dict[str, dict[str, Any]] = {name: {"metrics": {"slo_met": True}} for name in ("plain", "measured")}
    compare_costs(summaries, {"plain": bare, "measured": measured}, settings, 0.0, 7)
    plain, wide = summaries["plain"]["uncertainty"], summaries["measured"]["uncertainty"]
    assert (plain["covers_speed"], wide["covers_speed"]) == (False, True)
    assert wide["usd_per_month"]["low"] < plain["usd_per_month"]["low"]
    assert wide["usd_per_month"]["high"] > plain["usd_per_month"]["high"]
    assert SPEED in [swing["input"] for swing in summaries["measured"]["tornado"]]


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


def test_without_draws_there_are_no_intervals(tmp_path: Path) -> None:
    result = simulate(only(TWO, "cost.draws=0"), tmp_path)
    assert all(found["uncertainty"] is None for found in result.summary["topologies"].values())
    assert "draws" not in result.summary["verdict"]


HYBRID = (
    "{h: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}, "
    "{name: burst, site: lambda, gpu: h100-sxm, replicas: 1}], "
    "routing: {kind: overflow, when: {outstanding_per_replica: 2}}}}"
)


def test_the_hybrid_rule_is_given_for_hybrids_alone(three: tuple[LoadedScenario, dict[str, Case]]) -> None:
    found = case(only(HYBRID), "h")
    report = mean_report([run.cost for run in found.replications])
    rule = hybrid_rule(found, report, 5.0)
    assert rule is not None
    wanted = []
    for run in found.replications:
        samples = pd.DataFrame(run.run.samples)
        late = samples[samples["time_s"] >= 5.0]
        requests = (late["running"] + late["waiting"]).groupby(late["time_s"]).sum()
        wanted += [-(-int(n) // 2) for n in requests]
    prices = [rule[f"{name}"] for name in rule if name.endswith(("year", "hour"))]
    assert rule["rule_replicas"] == owned_units(wanted, *prices)
    assert (rule["owned_replicas"], rule["requests_per_replica"]) == (1, 2)
    gpu_price = next(line.unit_price_usd for line in report.lines if line.category == "on demand")
    assert rule["rented_usd_per_replica_hour"] == pytest.approx(gpu_price)
    staff = sum(line.usd_per_month for line in report.lines if line.category == "staff")
    owned = sum(line.usd_per_month for line in report.lines if line.pool == "base")
    of_gpus = rule["owned_usd_per_replica_hour"] * 730
    assert rule["fixed_usd_per_replica_year"] / 12 == pytest.approx(owned - staff - of_gpus)
    assert all(hybrid_rule(other, report, 0.0) is None for other in three[1].values())


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
        (["study.first_month=2027-13"], "pattern"),
    ],
)
def test_prices_that_contradict_are_refused(changes: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _price(changes)


def _price(changes: list[str]) -> None:
    scenario = loaded(*changes)
    topology_prices(scenario, plan_topology(scenario, "mixed"))


def test_an_outage_of_a_provider_is_in_the_summary(tmp_path: Path) -> None:
    down = "topologies.mixed.providers[api].outages={windows: [{start_s: 30, duration_s: 15}]}"
    changes = ["topologies.mixed.routing={kind: overflow, order: [api, base, burst]}", down]
    result = simulate(loaded(*QUICK, ONCE, *changes), tmp_path)
    (provider,) = result.summary["topologies"]["mixed"]["providers"]
    assert provider["availability"] == pytest.approx(0.75)
    assert provider["outages"] == 1
    rows, _ = comparison(result.summary["topologies"])
    assert ["token API up", "-", "75.00%"] in rows
    rows = pd.read_parquet(result.bundle / "requests.parquet")
    chat = rows[(rows["topology"] == "mixed") & (rows["class"] == "chat")]
    during = chat[(chat["arrival_s"] > 30) & (chat["arrival_s"] < 45)]
    assert set(during["target"]) == {"base"}
    assert (during["overflowed"] == 1).all()
