"""What a bundle says of use and terms makes its bill again, by a second arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from agreement import second_bill
from scenario_cases import chat, written

from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SMALL = Path(__file__).parents[1] / "data/scenarios/small.yaml"
SHARED = (
    "{own: {servers: [{name: ours, site: datacentre, capex_usd: 320000, network_storage_share: 0.15, spares: 1}], "
    "pools: [{name: x, site: datacentre, gpu: h100-sxm, tensor_parallel_size: 4, billing: owned}, "
    "{name: y, site: datacentre, gpu: h100-sxm, tensor_parallel_size: 4, billing: owned}]}, "
    "aws: {pools: [{name: z, site: aws-us-east, gpu: h100-sxm, tensor_parallel_size: 4}]}, "
    "v: {providers: [{name: mini, offer: openai/gpt-4o-mini}]}}"
)


@pytest.mark.parametrize("study", ["study={months: 30}", "study={months: 4.5, growth_per_year: 0.3}"])
def test_a_bundle_says_enough_to_print_its_bill_again(study: str, tmp_path: Path) -> None:
    """Two TP4 pools stand on one server of eight GPUs; one TP4 replica on AWS pays for the instance of eight."""
    changes = [study, "workload.classes[chat].tenant=acme", "run.horizon_s=60", "run.warmup_s=5"]
    changes += [f"topologies={SHARED}", "workload.classes[secret].data_class=internal"]
    result = simulate(load_scenario(SMALL, (), changes), tmp_path)
    topologies = result.summary["topologies"]
    assert topologies["own"]["cost"]["capex_usd"] == pytest.approx(736_000.0)
    costs = pd.read_parquet(result.bundle / "costs.parquet")
    aws = costs[(costs["topology"] == "aws") & (costs["category"] == "on demand")]
    assert aws["usd_per_month"].sum() == pytest.approx(730 * 55.04)
    for name, found in topologies.items():
        study = second_bill(result.bundle, name)
        rows, lines = study.mean_lines(), costs[costs["topology"] == name]
        assert [row["usd"] for row in rows] == pytest.approx(lines["usd_per_month"].tolist(), rel=1e-9)
        assert study.npv() == pytest.approx(-found["cost"]["npv_usd"], rel=1e-9)
        split = pd.DataFrame(found["cost"]["split"])
        assert split["usd_per_month"].sum() == pytest.approx(found["cost"]["usd_per_month"])
        assert set(split["tenant"].dropna()) == {"acme"}
    output = split[split["token_kind"] == "output"]["usd_per_month"].sum()
    tokens = lines.set_index("part").loc["output", "usd_per_month"]
    assert output == pytest.approx(tokens)
    energy = topologies["own"]["cost"]["energy"][0]["kwh_per_month"]
    assert energy == pytest.approx(costs[costs["category"] == "electricity"]["quantity"].sum())


def test_prices_by_the_hour_are_those_of_each_period_s_clock(tmp_path: Path) -> None:
    """From 8:30 in Beijing, where calls are dear from 9:00 on, and an evening with another price of electricity."""
    own = "{pools: [{name: x, site: datacentre, gpu: h100-sxm, billing: owned}]}"
    apis = "{providers: [{name: d, offer: deepseek/deepseek-v4-flash}]}"
    changes = [f"topologies={{own: {own}, api: {apis}}}", "workload.classes[secret].data_class=public"]
    changes += ["workload.classes[chat].data_class=public", "run.horizon_s=3600", "run.warmup_s=0", "study.months=2"]
    changes += ["run.start=2026-07-01 8:30", "run.time_zone=Asia/Shanghai", "model=llama-3.1-8b-instruct"]
    changes += ["study.periods=[{name: day}, {name: eve, hours_per_month: 200, start_hour: 21, load: 0.5}]"]
    changes += [f"cost.electricity_by_hour_usd_per_kwh={[0.05] * 20 + [0.5] * 4}"]
    result = simulate(load_scenario(SMALL, (), changes), tmp_path)
    used = json.loads((result.bundle / "usage.json").read_text("utf-8"))
    costs = pd.read_parquet(result.bundle / "costs.parquet")
    for name in ("own", "api"):
        lines = costs[costs["topology"] == name]
        rows = second_bill(result.bundle, name).mean_lines()
        assert [row["usd"] for row in rows] == pytest.approx(lines["usd_per_month"].tolist(), rel=1e-9)
    starts = sorted({usage["when"]["start_hour"] for usage in used["api"]["usages"]})
    assert starts == [8.5, 21.0]
    for usage in used["api"]["usages"]:
        counted = [sum(sum(kinds[0]) for kinds in hour) for hour in usage["providers"][0]["tokens_by_hour"]]
        busy = [hour for hour, tokens in enumerate(counted) if tokens]
        assert busy == ([0, 1] if usage["when"]["start_hour"] == 8.5 else [13])


def test_a_period_that_has_what_others_leave_pays_the_prices_of_these_hours(tmp_path: Path) -> None:
    """Calls from 8 to 18 in Berlin cost twice as much: in summer 6 to 16 UTC.

    Of the 50 hours from Monday to Friday, 8 to 18 UTC, 40 are dear, of the other 118 of a week 2 on each working day
    and 10 on each other one.
    """
    peak = "peak: {hours: [8-18], factor: 2.0, time_zone: Europe/Berlin}"
    api = (
        f"api: {{providers: [{{name: p, prices: [{{input: 2, output: 2}}], {peak}, ttft_s: {{median: 0.3}}, "
        "tpot_s: {median: 0.01}, data_classes: [internal]}]}"
    )
    study = "months: 1, periods: [{name: work, days: mon-fri, hours: 8-18}, {name: rest, load: 0.5}]"
    text = chat(api, study=study, horizon_s=600, warmup_s=0)
    text = text.replace("{kind: poisson, rate_rps: 15}", "{kind: gamma, rate_rps: 2, cv: 0.01}")
    found = simulate(written(tmp_path, text, "run.start=2026-07-06 00:00"), tmp_path)
    usd_per_hour = 2 * 3600 * 700 * 2e-6
    hours = 730 / 168 * (50 * (1 + 40 / 50) + 118 * 0.5 * (1 + 30 / 118))
    cost = found.summary["topologies"]["api"]["cost"]["usd_per_month"]
    assert cost == pytest.approx(hours * usd_per_hour, rel=0.005)
    assert "hour of day" not in str(found.summary["topologies"]["api"]["warnings"])
    assert sum(row["usd"] for row in second_bill(found.bundle, "api").mean_lines()) == pytest.approx(cost, rel=1e-9)


def test_electricity_is_paid_by_the_clocks_of_the_site(tmp_path: Path) -> None:
    """An hour from 16:00 UTC on is 18:00 in Berlin in summer, 17:00 in winter; the run's own zone moves nothing."""
    own = "{pools: [{name: own, site: datacentre, gpu: h100-sxm, billing: owned}]}"
    short = [f"topologies={{t: {own}}}", "run.horizon_s=3600", "run.warmup_s=0", "study.months=2", "run.replications=1"]
    short += ["workload.classes[secret].data_class=internal"]
    zone = "servers=[{name: ours, site: datacentre, time_zone: Europe/Berlin}]"
    for start, hour in (("2026-07-01 16:00", 18), ("2026-12-01 16:00", 17)):
        for run, local in (("UTC", start), ("Asia/Tokyo", f"{start[:8]}02 01:00")):
            tariff = f"cost.electricity_by_hour_usd_per_kwh={[1.0 if k == hour else 0.0 for k in range(24)]}"
            sets = (zone, f"run.start={local}", f"run.time_zone={run}", tariff)
            result = simulate(load_scenario(SMALL, (), [*short, *sets]), tmp_path / "runs")
            costs = pd.read_parquet(result.bundle / "costs.parquet")
            (gpus,) = costs[(costs["category"] == "electricity") & (costs["part"] == "gpus")].to_dict("records")
            assert gpus["usd_per_month"] == pytest.approx(gpus["quantity"]), (start, run)
            rows = second_bill(result.bundle, "t").mean_lines()
            assert sum(row["usd"] for row in rows) == pytest.approx(costs["usd_per_month"].sum(), rel=1e-9)
    words = [found["text"] for found in result.summary["topologies"]["t"]["warnings"]]
    assert any("electricity by the hour goes by Europe/Berlin at datacentre, the run by Asia/Tokyo" in w for w in words)
