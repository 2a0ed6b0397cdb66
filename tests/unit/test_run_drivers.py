"""Defaults and estimates behind a bill are told with their share, and a bill of 0 is told without dividing by it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from simulator.catalog.offers import gpu_offer
from simulator.cli.main import _run
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.drivers import driver_words
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
OWED = {"reserved_1y": 1.0, "reserved_3y": 1.5}
"""Paid of a term in a study of two years, as a multiple of what falls into it."""
SHORT = ["run={horizon_s: 40, warmup_s: 5, replications: 2, seed: 3}", "cost.draws=0"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(simulate(load_scenario(SCENARIO, sets=SHORT), tmp_path_factory.mktemp("drivers")).bundle)


def shares(found: dict[str, Any]) -> dict[str, float]:
    return {row["figure"]: row["share"] for row in found["drivers"]}


def test_a_figure_has_the_share_of_the_lines_that_it_is_a_factor_of(bundle: Bundle) -> None:
    own = bundle.summary["topologies"]["own"]
    lines = bundle.table("costs")
    mine = lines[lines["topology"] == "own"]
    staff = mine.loc[mine["category"] == "staff", "usd_per_month"].sum() / mine["usd_per_month"].sum()
    assert staff > 0.2
    found = shares(own)
    assert found["onprem.fte_cost"] == pytest.approx(staff)
    assert found["onprem.fte_per_cluster"] == pytest.approx(staff)
    assert found["onprem.economic_life"] < 0
    assert list(map(abs, found.values())) == sorted(map(abs, found.values()), reverse=True)
    told = " ".join(row["text"] for row in own["warnings"])
    assert f"staff of a cluster = 1 FTE {staff:.0%}" in told
    assert "maintenance of servers = 0.05" in told
    assert "onprem.fte_cost" not in shares(bundle.summary["topologies"]["cloud"])


def test_prices_of_the_catalog_have_the_share_of_what_is_paid_by_them(bundle: Bundle) -> None:
    lines = bundle.table("costs")
    cloud, api = (bundle.summary["topologies"][name] for name in ("cloud", "api"))
    rent = lines[(lines["topology"] == "cloud") & (lines["category"] == "on demand")]["usd_per_month"].sum()
    share = rent / cloud["cost"]["usd_per_month"]
    assert shares(cloud)["lambda/h100-sxm/on_demand"] == pytest.approx(share)
    found = shares(api)
    assert found["together/llama-3.3-70b.input"] + found["together/llama-3.3-70b.output"] == pytest.approx(1)
    assert f"USD per GPU-hour {share:.0%}" in " ".join(row["text"] for row in cloud["warnings"])
    assert "TTFT, TPOT and the SLO rest on them" in " ".join(row["text"] for row in api["warnings"])


def test_an_estimate_of_little_has_its_share_too(bundle: Bundle) -> None:
    own = bundle.summary["topologies"]["own"]
    found = shares(own)
    assert 0 < found["power.h100_bare_idle_w"] < 0.01
    told = " ".join(row["text"] for row in own["warnings"])
    assert f"power of an idle H100 {found['power.h100_bare_idle_w']:.2%}" in told


def test_a_server_that_stands_by_has_what_is_paid_for_it(bundle: Bundle, tmp_path: Path) -> None:
    """A share of servers is rounded up to whole ones, so that a hundredth more of it moves nothing."""
    own = bundle.summary["topologies"]["own"]
    without = simulate(
        load_scenario(SCENARIO, sets=[*SHORT, "servers=[{name: mine, site: datacentre, spares: 0}]"]).only("own"),
        tmp_path,
    )
    usd, usd_without = (found["cost"]["usd_per_month"] for found in (own, without.summary["topologies"]["own"]))
    share = 1 - usd_without / usd
    assert shares(own)["onprem.spare_fraction"] == pytest.approx(share)
    assert f"servers that stand by as spares = 0.05 fraction of servers (estimate) {share:.0%}" in " ".join(
        row["text"] for row in own["warnings"]
    )
    assert "onprem.spare_fraction" not in shares(without.summary["topologies"]["own"])


def test_what_the_scenario_gives_is_no_default(tmp_path: Path) -> None:
    sets = [*SHORT, "cost.overrides={onprem.fte_cost: 100000}"]
    found = simulate(load_scenario(SCENARIO, sets=sets), tmp_path).summary["topologies"]["own"]
    assert "onprem.fte_cost" not in shares(found)
    assert "onprem.fte_per_cluster" in shares(found)


def test_prices_of_ones_own_are_not_those_of_the_catalog_that_others_pay_there(tmp_path: Path) -> None:
    """A GPU at the list price beside one at $9 an hour; tokens at the list price beside others at a dollar."""
    one, reply = "site: lambda, gpu: h100-sxm, replicas: 1", "offer: openai/gpt-4o-mini, error_probability: 0"
    pools = f"{{pools: [{{name: a, {one}}}, {{name: b, {one}, price_usd_per_gpu_hour: 9}}]}}"
    calls = f"{{providers: [{{name: a, {reply}}}, {{name: b, {reply}, prices: [{{input: 1, output: 1}}]}}]}}"
    run = simulate(load_scenario(SCENARIO, sets=[*SHORT, f"topologies={{gpus: {pools}, calls: {calls}}}"]), tmp_path)
    gpus, api = (run.summary["topologies"][name] for name in ("gpus", "calls"))
    listed = gpu_offer("lambda", "h100-sxm", "on_demand", gpus=1).usd_per_instance_hour
    assert shares(gpus)["lambda/h100-sxm/on_demand"] == pytest.approx(listed / (listed + 9))
    lines = read_bundle(run.bundle).table("costs")
    mine = lines[(lines["topology"] == "calls") & (lines["owner"] == "a")]["usd_per_month"].sum()
    assert 0 < mine < 0.5 * api["cost"]["usd_per_month"]
    assert sum(shares(api).values()) == pytest.approx(mine / api["cost"]["usd_per_month"])


def test_an_offer_that_is_paid_at_several_prices_is_told_with_the_lowest_and_the_highest(tmp_path: Path) -> None:
    """One GPU of an instance of one, and two of an instance of two, which cost less each, in either order."""
    one, two = (gpu_offer("lambda", "h100-sxm", "on_demand", gpus=gpus).usd_per_instance_hour / gpus for gpus in (1, 2))
    assert two < one
    pools = [f"{{name: p{tp}, site: lambda, gpu: h100-sxm, tensor_parallel_size: {tp}}}" for tp in (1, 2)]
    topologies = f"topologies={{up: {{pools: [{', '.join(pools)}]}}, down: {{pools: [{', '.join(pools[::-1])}]}}}}"
    found = simulate(load_scenario(SCENARIO, sets=[*SHORT, topologies]), tmp_path).summary["topologies"]
    for name in ("up", "down"):
        (row,) = [row for row in found[name]["drivers"] if row["figure"] == "lambda/h100-sxm/on_demand"]
        assert (row["value"], row["up_to"], row["share"]) == (two, one, pytest.approx(1))
        told = " ".join(row["text"] for row in found[name]["warnings"])
        assert f"on demand = {two:g} to {one:g} USD per GPU-hour 100%" in told


@pytest.mark.exhaustive
def test_a_bill_of_nothing_divides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    price = "price_usd_per_gpu_hour: 0, storage_usd_per_gb_month: 0, egress_usd_per_gb: 0"
    pool = f"{{name: p, site: lambda, gpu: h100-sxm, {price}}}"
    free = f"topologies={{a: {{pools: [{pool}]}}, b: {{pools: [{pool.replace('name: p', 'name: q')}]}}}}"
    sets = [text for one in [*SHORT[:1], "cost.draws=50", free] for text in ("--set", one)]
    assert _run(["run", str(SCENARIO), "--out", str(tmp_path), *sets]) == 0
    out = capsys.readouterr().out
    assert "$0 per month" in out
    assert "share paid but unused" not in out  # nothing was paid
    (folder,) = tmp_path.glob("small-*")
    cost = read_bundle(folder).summary["topologies"]["a"]["cost"]
    assert (cost["usd_per_month"], cost["unused_share"], cost["usd_per_million_tokens"]) == (0, None, 0)
    assert _run(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 0
    assert _run(["report", str(folder), "--format", "md"]) == 0
    assert _run(["compare", str(folder)]) == 0


@pytest.mark.exhaustive
def test_nothing_measured_has_no_verdict_and_no_bug(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = [*SHORT[:1], "cost.draws=50", "workload.classes[chat].arrivals.rate_rps=1.0e-6"]
    sets = [text for one in quiet for text in ("--set", one)]
    assert _run(["run", str(SCENARIO), "--check", "--out", str(tmp_path), *sets]) == 1
    out = capsys.readouterr().out
    assert "No verdict: no request of chat came in the window" in out
    assert out.count("not known") >= 3
    (folder,) = tmp_path.glob("small-*")
    for found in read_bundle(folder).summary["topologies"].values():
        assert found["metrics"]["slo_met"] is None
        assert {found["cost"][key] for key in found["cost"] if key.startswith("usd_per_million")} == {None}
    assert _run(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 0
    assert _run(["report", str(folder), "--format", "md"]) == 0
    assert _run(["compare", str(folder)]) == 0
    assert "No verdict" in capsys.readouterr().out
    assert _run(["plan", str(SCENARIO), "--topology", "cloud", "--quiet", *sets]) == 0
    out = capsys.readouterr().out
    assert "No verdict: no request of chat came in the window" in out
    assert re.search(r"cloud \* .* not known ", out)
    assert not re.search(r"\d of \d|; met: | needed", out)


def test_each_term_and_service_tier_has_a_price_of_its_own(tmp_path: Path) -> None:
    """Of several terms, of one beside what is on demand, of a term without a name; and of batches."""
    pool = "name: p, site: aws-us-east, gpu: h100-sxm, instance: p5.48xlarge"
    terms = "{term_months: 12, instances: 1}, {term_months: 36, instances: 1}"
    ways = {
        "several": f"replicas: 24, commitments: [{terms}]",
        "one": "replicas: 16, commitments: [{term_months: 36, instances: 1}]",
        "unnamed": "replicas: 8, billing: reserved, term_months: 12",
    }
    rented = {name: f"{{pools: [{{{pool}, {way}}}]}}" for name, way in ways.items()}
    calls = "{providers: [{name: a, offer: openai/gpt-4o-mini}]}"
    parts = ", ".join(f"{name}: {text}" for name, text in (*rented.items(), ("api", calls)))
    batch = ("workload.classes[chat].service_tier=batch", "workload.classes[chat].slo={e2e_s: {p99: 86400}}")
    sets = [*SHORT, *batch, f"topologies={{{parts}}}", "study.months=24"]
    summary = simulate(load_scenario(SCENARIO, sets=sets), tmp_path).summary["topologies"]
    offers = {tier: gpu_offer("aws-us-east", "h100-sxm", tier, gpus=8) for tier in ("on_demand", *OWED)}
    month = {tier: 730 * offer.usd_per_instance_hour for tier, offer in offers.items()}

    def told(name: str) -> dict[str, float]:
        usd = summary[name]["cost"]["usd_per_month"]
        return {key.rpartition("/")[2]: share * usd for key, share in shares(summary[name]).items() if "/h100" in key}

    owed = {tier: OWED.get(tier, 1.0) * usd for tier, usd in month.items()}
    assert told("several") == pytest.approx(owed)
    assert told("one") == pytest.approx({tier: owed[tier] for tier in ("on_demand", "reserved_3y")})
    assert told("unnamed") == pytest.approx({"reserved_1y": month["reserved_1y"]})
    found = shares(summary["api"])
    assert found["openai/gpt-4o-mini.batch.input"] > 0
    assert sum(found.values()) == pytest.approx(1)


def behind(share: float, kind: str = "estimate", name: str = "x") -> dict[str, Any]:
    return {"figure": name, "value": 1234.5, "unit": "USD", "kind": kind, "share": share}


def test_what_moves_a_bill_is_told_by_how_much() -> None:
    told = driver_words(
        [
            behind(-0.2, "sourced", "a"),
            behind(0.01, name="b"),
            behind(0.0099, name="c"),
            behind(-0.005, "derived", "d"),
            behind(0.0, name="e"),
        ]
    )
    assert told == [
        "defaults behind the bill, and the share of it that moves with each: a = 1,234.5 USD -20%, b = 1,234.5 USD "
        "(estimate) 1%",
        "estimates that move less than 1% of the bill: c 0.99%",
        "estimates that move nothing of the bill: e",
    ]
    assert driver_words([]) == []
    assert driver_words([behind(0.001, "sourced")]) == []
