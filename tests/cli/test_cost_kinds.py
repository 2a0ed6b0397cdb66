"""Fifteen kinds of questions that published cost studies ask, each as a user asks it: `servecast run`, right values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.cli.main import _run

HOURS = 730.0
HEAD = """schema_version: 1
name: kinds
model: {model}
engine: {{max_model_len: 4096, enable_prefix_caching: false{engine}}}
workload:
  classes:
    - name: chat
      arrivals: {arrivals}
      lengths: {{isl: 300, osl: 100}}
      data_class: public
topologies:
{topologies}
cost: {{draws: 0, discount_rate: 0}}
study: {{months: {months}}}
run: {{horizon_s: {horizon_s}, warmup_s: 5, keep_requests: false}}
"""
FREE = "storage_gb: 0, egress_usd_per_gb: 0"
QUIET = ("--no-advice", "--quiet")
Capture = pytest.CaptureFixture[str]


def written(folder: Path, topologies: dict[str, str], **more: Any) -> Path:
    lines = "\n".join(f"  {name}: {topology}" for name, topology in topologies.items())
    given = {"model": "llama-3.1-8b-instruct", "engine": "", "arrivals": poisson(2), "months": 12, "horizon_s": 60}
    file = folder / "kinds.yaml"
    file.write_text(HEAD.format(**given | more, topologies=lines))
    return file


def poisson(rate_rps: float) -> str:
    return f"{{kind: poisson, rate_rps: {rate_rps}}}"


def ran(folder: Path, topologies: dict[str, str], *options: str, **more: Any) -> tuple[dict[str, Any], Path]:
    """Topologies of the summary, with what is decided of them, and the bundle."""
    out = folder / "runs"
    assert _run(["run", str(written(folder, topologies, **more)), "--out", str(out), *QUIET, *options]) == 0
    bundle = max(out.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    summary, decision = (json.loads((bundle / name).read_text()) for name in ("summary.json", "decision.json"))
    return {name: found | decision["topologies"][name] for name, found in summary["topologies"].items()}, bundle


def refused(folder: Path, capsys: Capture, topologies: dict[str, str], *options: str, **more: Any) -> str:
    assert _run(["run", str(written(folder, topologies, **more)), "--out", str(folder), *QUIET, *options]) == 2
    return capsys.readouterr().err


def rented(more: str = "", gpu: str = "h100-sxm", site: str = "lambda", usd: float | None = 4.0) -> str:
    price = "" if usd is None else f", price_usd_per_gpu_hour: {usd}"
    return f"{{pools: [{{name: g, site: {site}, gpu: {gpu}, {FREE}{price}{more}}}]}}"


def api(prices: str, more: str = "") -> str:
    latency = "ttft_s: {median: 0.1}, tpot_s: {median: 0.005}, data_classes: [public]"
    return f"{{providers: [{{name: v, prices: [{prices}], {latency}{more}}}]}}"


def lines_of(bundle: Path) -> pd.DataFrame:
    return pd.read_parquet(bundle / "costs.parquet")


def against(found: dict[str, Any], rival: str) -> dict[str, Any]:
    (pair,) = (pair for pair in found["break_even"] if pair["rival"] == rival)
    return dict(pair)


def test_kind_1_a_price_of_rent_is_that_of_the_card_that_is_simulated(tmp_path: Path, capsys: Capture) -> None:
    """6.98 USD an hour on Azure is an H100 NVL; measured there: 8B in fp8, 512 + 256 tokens, E2E p50 1.24 s at 1/s."""
    words = refused(tmp_path, capsys, {"r": rented(gpu="h100-pcie", site="azure-us-east", usd=None)})
    assert "no on_demand offer of h100-pcie at azure-us-east" in words
    assert "h100-nvl on_demand" in words
    pool = "name: g, site: azure-us-east, gpu: h100-pcie, instance: NC40ads_H100_v5"
    words = refused(tmp_path, capsys, {"r": f"{{pools: [{{{pool}}}]}}"})
    assert "NC40ads_H100_v5 has h100-nvl, not the h100-pcie of this pool" in words
    lengths = "workload.classes[0].lengths={isl: 512, osl: 256}"
    nvl = {"r": rented(gpu="h100-nvl", site="azure-us-east", usd=None)}
    found, _ = ran(tmp_path, nvl, "--set", lengths, engine=", quantization: fp8", arrivals=poisson(1), horizon_s=200)
    assert found["r"]["cost"]["usd_per_month"] == pytest.approx(6.98 * HOURS)
    assert found["r"]["metrics"]["e2e_s"]["p50"] == pytest.approx(1.24, rel=0.1)


@pytest.mark.parametrize(
    ("gpu", "gpus", "capex_usd", "host_kw", "gpu_kw"),
    [
        ("a100-pcie", 1, 15_000, 0.05, 0.3),
        ("h100-sxm", 2, 80_000, 0.6, 0.7),
        ("l40s", 4, 52_390, 0.5, 0.35),
        ("h100-sxm", 8, 250_000, 2.0, 0.7),
        ("gb200", 36, 1_500_000, 13.0, 1.2),
        ("gb200", 72, 2_500_000, 25.0, 1.2),
    ],
)
def test_kind_2_a_server_has_its_own_number_of_gpus(
    gpu: str, gpus: int, capex_usd: int, host_kw: float, gpu_kw: float, tmp_path: Path
) -> None:
    """One replica more than a server holds takes two, each with its price, host and space by its power."""
    server = f"name: m, site: colo, gpu: {gpu}, gpus_per_server: {gpus}, capex_usd: {capex_usd}, host_kw: {host_kw}, "
    server += f"reserved_kw: {host_kw + gpus * gpu_kw}, space_usd_per_kw_month: 100, spares: 0, life_years: 5, "
    server += "network_storage_share: 0, residual_share: 0, maintenance_share_per_year: 0, pue: 1, "
    pool = f"{{name: g, site: colo, gpu: {gpu}, billing: owned, replicas: {gpus + 1}}}"
    own = f"{{servers: [{{{server}electricity_usd_per_kwh: 0.1}}], pools: [{pool}], staff: {{}}}}"
    found, bundle = ran(tmp_path, {"own": own}, arrivals=poisson(0.5))
    assert found["own"]["cost"]["capex_usd"] == 2 * capex_usd
    usd = lines_of(bundle).groupby(["category"])["usd_per_month"].sum()
    assert usd["hardware"] == pytest.approx(2 * capex_usd / 60)
    assert usd["space"] == pytest.approx(2 * (host_kw + gpus * gpu_kw) * 100)
    hosts = lines_of(bundle).set_index("part").loc["hosts", "usd_per_month"]
    assert hosts == pytest.approx(2 * host_kw * HOURS * 0.1)


@pytest.mark.parametrize(
    ("model", "pool", "engine", "said"),
    [
        pytest.param("gpt-oss-120b", "tensor_parallel_size: 8", "", None, marks=pytest.mark.exhaustive),
        ("deepseek-v3", "tensor_parallel_size: 8", "", "no model with latent attention was measured serving"),
        pytest.param(
            "deepseek-v3",
            "replicas: 32",
            ", data_parallel_size: 32, enable_expert_parallel: true, max_num_seqs: 64",
            "expert parallelism over 32 GPUs of several nodes is extrapolated",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_kind_3_an_error_is_quoted_for_what_was_measured_alone(
    model: str, pool: str, engine: str, said: str | None, tmp_path: Path, capsys: Capture
) -> None:
    found, _ = ran(tmp_path, {"r": rented(f", {pool}", gpu="h200")}, model=model, engine=engine)
    shown = " ".join(capsys.readouterr().out.split())
    assert (found["r"]["expected_error"] is None) == (said is not None)
    assert ("expected error TTFT, TPOT not known" in shown) == (said is not None)
    assert said is None or said in shown


@pytest.mark.parametrize("drain_s", [0, 600])
def test_kind_4_rates_and_cost_per_token_are_of_the_same_window(drain_s: int, tmp_path: Path) -> None:
    """Long answers, many of them under way when arrivals end."""
    sets = (f"run.drain_s={drain_s}", "workload.classes[0].lengths={isl: 100, osl: 3000}", "run.warmup_s=30")
    options = [part for text in sets for part in ("--set", text)]
    found, _ = ran(tmp_path, {"r": rented()}, *options, arrivals=poisson(4))
    cost, metrics = found["r"]["cost"], found["r"]["metrics"]
    million = metrics["output_tokens_per_s"] * HOURS * 3600 / 1e6
    assert cost["usd_per_million_output_tokens"] * million == pytest.approx(cost["usd_per_month"], rel=1e-9)
    assert cost["output_tokens_per_month"] == pytest.approx(million * 1e6, rel=1e-9)
    assert cost["usd_per_month"] == pytest.approx(4.0 * HOURS)


@pytest.mark.exhaustive
def test_kind_5_rent_breaks_even_with_tokens(tmp_path: Path, capsys: Capture) -> None:
    """4,672 USD a month against 0.25 USD per million tokens: from 18,688 million on."""
    speed = ", engine: {throughput: {output_tokens_per_s: 20000}}"
    topologies = {"rent": rented(speed, usd=6.4), "api": api("{input: 0.25, output: 0.25}")}
    found, _ = ran(tmp_path, topologies, "--explore-s", "600", arrivals="{kind: gamma, rate_rps: 20, cv: 0.01}")
    volume = against(found["rent"], "api")["volume"]
    assert volume["side"] == "above"
    assert volume["tokens_per_month"] / 1e6 == pytest.approx(18_688, rel=0.01)
    assert "tokens a month" in capsys.readouterr().out


def test_kind_6_commitments_have_terms_of_their_own(tmp_path: Path) -> None:
    """Half of five years upfront against the hourly price, and a name for each term that the catalog sells."""
    topologies = {
        "demand": rented(usd=12.29),
        "year": rented(", billing: reserved_1y", usd=7.865),
        "five": rented(", billing: reserved, term_months: 60, upfront_share: 0.5", usd=4.915),
        "named": "{pools: [{name: g, site: azure-us-east, gpu: h100-sxm, tensor_parallel_size: 8, "
        f"billing: reserved_5y, {FREE}}}]}}",
    }
    found, bundle = ran(tmp_path, topologies, months=60)
    usd = {name: one["cost"]["usd_per_month"] / HOURS for name, one in found.items()}
    assert usd == pytest.approx({"demand": 12.29, "year": 7.865, "five": 4.915, "named": 39.32})
    upfront = 4.915 / 2 * 60
    assert against(found["five"], "demand")["months"] == pytest.approx(upfront / (12.29 - 4.915 / 2), rel=1e-6)
    terms = json.loads((bundle / "terms.json").read_text())["named"]["rented"][0]["commitments"]
    assert [one["term_months"] for one in terms] == [60]


def test_kind_7_a_throughput_may_be_given(tmp_path: Path) -> None:
    speed = ", engine: {throughput: {output_tokens_per_s: 1000}}"
    users = "{kind: closed_loop, concurrency: 256}"
    found, _ = ran(tmp_path, {"r": rented(speed, usd=8.0)}, arrivals=users, horizon_s=120)
    assert found["r"]["cost"]["usd_per_million_output_tokens"] == pytest.approx(8.0 / 3.6, rel=0.01)


def test_kind_8_a_finite_job_has_a_duration_a_cost_and_a_deadline(tmp_path: Path, capsys: Capture) -> None:
    """2,000 requests of 100 tokens at 1,000 tokens/s: 200 s of a GPU for 3.6 USD an hour, 0.20 USD."""
    cold = "cold_start: {provision_s: 0, image_s: 0, weights_s: 0, engine_s: 0}, billing_minimum_s: 0, "
    pool = f", {cold}billing_granularity_s: 0, engine: {{throughput: {{output_tokens_per_s: 1000}}}}"
    for deadline_s, met in ((300, True), (150, False)):
        job = f"{{kind: job, requests: 2000, deadline_s: {deadline_s}}}"
        found, _ = ran(tmp_path, {"r": rented(pool, usd=3.6)}, "--set", "run.warmup_s=0", arrivals=job, horizon_s=400)
        assert found["r"]["metrics"]["slo_met"] is met
        assert found["r"]["cost"]["job"]["job_s"] == pytest.approx(200, rel=0.03)
        assert found["r"]["cost"]["job"]["usd_per_job"] == pytest.approx(0.2, rel=0.03)
    assert "$ per job" in (shown := capsys.readouterr().out)
    assert "0.20" in shown, "cents are shown"


def test_kind_8_answers_within_a_day_can_be_asked_for(tmp_path: Path) -> None:
    day = ("workload.classes[0].service_tier=batch", "workload.classes[0].slo={e2e_s: {p99: 86400}}")
    found, _ = ran(tmp_path, {"r": rented()}, "--set", day[0], "--set", day[1])
    assert found["r"]["metrics"]["slo_met"] is True


def test_kind_9_flat_fees_and_units_of_throughput_are_paid_whatever_is_used(tmp_path: Path) -> None:
    units = ", provisioned_units: 15, usd_per_unit_hour: 1.0, tokens_per_minute_per_unit: 2500, "
    flat = api("{input: 0, output: 0}", f"{units}fixed_usd_per_month: 100")
    endpoint = f"{rented()[:-1]}, fees: [{{name: endpoint, usd_per_month: 55}}]}}"
    found, bundle = ran(tmp_path, {"flat": flat, "endpoint": endpoint}, arrivals=poisson(1))
    assert found["flat"]["cost"]["usd_per_month"] == pytest.approx(15 * HOURS + 100)
    assert found["endpoint"]["cost"]["usd_per_month"] == pytest.approx(4 * HOURS + 55)
    assert {"flat fee", "provisioned throughput", "endpoint"} <= set(lines_of(bundle)["category"])
    asked_per_s = sum(found["flat"]["metrics"][f"{kind}_tokens_per_s"] for kind in ("input", "output"))
    units_usd = 15 * HOURS * (1 - asked_per_s * 60 / (15 * 2500))
    assert found["flat"]["cost"]["unused_share"] == pytest.approx(units_usd / (15 * HOURS + 100), rel=0.02)


@pytest.mark.exhaustive
def test_kind_10_redundant_experts_fill_the_slots_of_the_gpus(tmp_path: Path, capsys: Capture) -> None:
    """288 slots on 144 GPUs for 256 experts, 32 of them twice."""
    wide = ", data_parallel_size: 144, enable_expert_parallel: true, max_num_seqs: 64"
    pool = {"r": rented(", replicas: 144", gpu="h200")}
    words = refused(tmp_path, capsys, pool, model="deepseek-v3", engine=wide)
    assert "does not divide the 256 experts" in words
    assert "num_redundant_experts: 32" in words
    engine = f"{wide}, eplb_config: {{num_redundant_experts: 32}}"
    found, _ = ran(tmp_path, pool, model="deepseek-v3", engine=engine)
    assert found["r"]["cost"]["usd_per_month"] == pytest.approx(144 * 4 * HOURS)


def test_kind_11_dollars_per_million_output_tokens_are_shown_everywhere(tmp_path: Path, capsys: Capture) -> None:
    topologies = {"r": rented(", engine: {throughput: {output_tokens_per_s: 2000}}")}
    label = "$ per 1M tokens, output"
    found, bundle = ran(tmp_path, topologies)
    price = f"{found['r']['cost']['usd_per_million_output_tokens']:,.3f}"
    assert found["r"]["cost"]["usd_per_million_tokens"] == pytest.approx(float(price) / 4, rel=0.05)
    shown = [capsys.readouterr().out]
    file = str(tmp_path / "kinds.yaml")
    for command in (
        ["compare", str(bundle)],
        ["plan", file, "--topology", "r"],
        ["sweep", file, "--grid", "run.seed=0,1", "--out", str(tmp_path / "sweep"), "--jobs", "1"],
    ):
        assert _run(command) == 0, command
        shown.append(capsys.readouterr().out)
    assert all(label in text and price in text for text in shown)
    assert _run(["report", str(bundle)]) == 0
    pages = [path.read_text() for path in bundle.rglob("*.html")] + [capsys.readouterr().out]
    assert any(label in page and price in page for page in pages)


def test_kind_12_months_have_fractions_and_every_rival(tmp_path: Path, capsys: Capture) -> None:
    """10,000 USD against rent of 33,333, 4,405, 1,997 and 1,074 USD a month: 0.3, 2.27, 5.008 and 9.31 months."""
    server = "name: m, site: colo, gpu: h100-sxm, gpus_per_server: 1, capex_usd: 10000, host_kw: 0, reserved_kw: 0, "
    server += "spares: 0, life_years: 5, network_storage_share: 0, residual_share: 0, maintenance_share_per_year: 0, "
    server += "electricity_usd_per_kwh: 0"
    pool = "{name: g, site: colo, gpu: h100-sxm, billing: owned}"
    right = {"a": 0.3, "b": 2.27, "c": 5.008, "d": 9.31}
    topologies = {"own": f"{{servers: [{{{server}}}], pools: [{pool}], staff: {{}}}}"}
    topologies |= {name: rented(usd=10_000 / months / HOURS) for name, months in right.items()}
    found, _ = ran(tmp_path, topologies)
    pairs = {name: against(found["own"], name)["months"] for name in right}
    assert pairs == pytest.approx(right, rel=1e-6)
    shown = capsys.readouterr().out
    assert all(months in shown for months in ("0.30", "2.27", "5.01", "9.31"))


@pytest.mark.exhaustive
def test_kind_13_every_answer_of_the_page_on_cost_has_a_command(tmp_path: Path, capsys: Capture) -> None:
    """Lenovo LP2225: 833,806 USD and 0.87 USD an hour against 98.32, 77.43 and 53.95 USD an hour."""
    server = "name: m, site: colo, gpu: h100-sxm, gpus_per_server: 8, capex_usd: 833806, host_kw: 0, reserved_kw: 0, "
    server += "spares: 0, life_years: 5, network_storage_share: 0, residual_share: 0, maintenance_share_per_year: 0, "
    server += "electricity_usd_per_kwh: 0"
    pool = "{name: g, site: colo, gpu: h100-sxm, tensor_parallel_size: 8, billing: owned}"
    fees = f"fees: [{{name: running, usd_per_month: {0.87 * HOURS}}}]"
    topologies = {"own": f"{{servers: [{{{server}}}], pools: [{pool}], staff: {{}}, {fees}}}"}
    right = {"demand": (98.32, 8_556), "year": (77.43, 10_891), "three": (53.95, 15_708)}
    eight = ", tensor_parallel_size: 8, gpus_per_instance: 8"
    topologies |= {name: rented(eight, usd=usd / 8) for name, (usd, _) in right.items()}
    found, _ = ran(tmp_path, topologies, "--explore-s", "600", months=60)
    for name, (usd, hours) in right.items():
        pair = against(found["own"], name)
        assert pair["months"] * HOURS == pytest.approx(hours, abs=1)
        own_usd = 833_806 / 60 + 0.87 * HOURS
        assert pair["hours_per_day"] == pytest.approx(24 * own_usd / (usd * HOURS), rel=1e-6)
    levelised = sum(found["own"]["cost"]["cash_flow_usd"]) / (-60 * found["own"]["cost"]["tokens_per_month"] / 1e6)
    assert found["own"]["cost"]["usd_per_million_tokens"] == pytest.approx(levelised)
    shown = capsys.readouterr().out
    assert "hours of use a day" in shown
    assert "of its capacity" in shown


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        (
            api("{input: 1, output: 2}", ", input_usd_per_mtok: 3"),
            "unknown key 'input_usd_per_mtok': did you mean 'prices'",
        ),
        (rented(", input_usd_per_mtok: 3"), "it is called 'prices' and belongs to topologies.providers"),
        (rented(", fixed_usd_per_month: 3"), "it belongs to topologies.providers"),
        (rented(", gpus_per_server: 4"), "it belongs to servers or topologies.servers"),
        (rented(", tokens_per_s: 4"), "it is called 'throughput' and belongs to engine"),
        (rented(", billing: reserved_4y"), "did you mean 'reserved_"),
    ],
)
def test_kind_14_a_wrong_key_is_led_to_the_right_one(
    topology: str, words: str, tmp_path: Path, capsys: Capture
) -> None:
    assert words in refused(tmp_path, capsys, {"x": topology})


def test_kind_14_entries_of_the_catalog_are_found_by_name(capsys: Capture) -> None:
    assert _run(["catalog", "gpu_offers", "azure-us-east/h100-nvl/on_demand"]) == 0
    assert "6.98" in capsys.readouterr().out
    assert _run(["catalog", "gpu_offers", "azure-us-east/h100-nvl"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_kind_15_an_override_of_a_table_is_for_all_of_it_or_for_a_part(tmp_path: Path) -> None:
    server = "name: m, site: colo, gpu: h100-sxm, gpus_per_server: 8, capex_usd: 96000, spares: 0, life_years: 4, "
    server += "network_storage_share: 0"
    pool = "{name: g, site: colo, gpu: h100-sxm, billing: owned}"
    own = {"own": f"{{servers: [{{{server}}}], pools: [{pool}], staff: {{}}}}"}
    for text, share in (
        ("cost.overrides.onprem.residual_fraction=0", 0.0),
        ("cost.overrides={onprem.residual_fraction: {48m: 0.5}}", 0.5),
        ("cost.overrides={onprem.residual_fraction.48m: 0.5}", 0.5),
        ("cost.overrides[onprem.residual_fraction]=0.25", 0.25),
    ):
        _, bundle = ran(tmp_path, own, "--set", text)
        costs = lines_of(bundle)
        hardware = costs[costs["category"] == "hardware"]["usd_per_month"].sum()
        assert hardware == pytest.approx(96_000 * (1 - share) / 48), text
