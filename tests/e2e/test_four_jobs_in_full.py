"""The same jobs at the size at which people came with them, on the command line and in a real browser.

Those that take minutes run in `make test-e2e PART=all`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from forms import BY_DAY_S, choose, run_it, run_shorter, say, write_log
from playwright.sync_api import Browser, Page, expect

from bench.browser import chromium, settle
from simulator.cli.main import _run
from simulator.run.evaluate import evaluate
from simulator.scenario.load import load_scenario

Capture = pytest.CaptureFixture[str]
PATIENCE_MS = 240_000
SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"


def answer(capsys: Capture, *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert _run([*arguments, "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def short(horizon_s: int) -> list[str]:
    return ["--set", f"run.horizon_s={horizon_s}", "--set", "run.warmup_s=60", "--jobs", "1"]


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield opened(browser)


def opened(browser: Browser) -> Page:
    found = browser.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True).new_page()
    found.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    return found


@pytest.mark.exhaustive
def test_300_developers_on_16_gpus_until_june(tmp_path: Path, capsys: Capture) -> None:
    """Agents in working hours, 8 % more a month: the month until which two servers of 8 H100 last."""
    file = tmp_path / "agents.yaml"
    said = ["--model", "qwen3-32b", "--users", "300", "--requests-per-user-per-hour", "90", "--owned-gpus", "16"]
    said += ["--turns", "20", "--think-s", "10", "--isl", "16000", "--osl", "400", "--ttft-s", "5"]
    assert _run(["new", str(file), *said, "--growth-per-month", "0.08", "--months", "7", "--no-ask"]) == 0
    found = answer(capsys, "run", str(file), "--out", str(tmp_path), *short(600))["decision"]["topologies"]
    last = found["on_prem"]["lasts_until"]
    assert 0 < last < 7
    assert [month["meets"] for month in found["on_prem"]["months"]] == [month <= last for month in range(1, 8)]
    assert found["cloud"]["meets"]
    assert found["cloud"]["lasts_until"] is None
    for month, meets in ((last, True), (last + 1, False)):
        sets = [f"workload.classes[requests].arrivals.rate_rps={7.5 * 1.08 ** (month - 1)}", "study.months=1"]
        sets += ["run.horizon_s=600", "run.warmup_s=60", "study.growth_per_year=0"]
        assert evaluate(load_scenario(file, sets=sets), "on_prem").slo_met is meets, month


TODAY = ["--spend-usd-per-month", "180000", "--offer", "openai/gpt-4.1", "--cached-share", "0.4"]


@pytest.mark.exhaustive
def test_180_000_dollars_a_month_of_which_some_data_may_not_leave(tmp_path: Path, capsys: Capture) -> None:
    """All at the API costs what is paid today; with a tenth that is restricted nine tenths of it stay there."""
    bills: dict[str, dict[str, Any]] = {}
    lines = pd.DataFrame()
    for name, share in (("all", "0"), ("some", "0.1")):
        file = tmp_path / f"{name}.yaml"
        said = ["--model", "qwen3-32b", *TODAY, "--isl", "4000", "--osl", "400", "--months", "36"]
        assert _run(["new", str(file), *said, "--other-share", share, "--no-ask"]) == 0
        found = answer(capsys, "run", str(file), "--out", str(tmp_path), *short(240))
        bills[name], lines = found["topologies"], pd.read_parquet(Path(found["bundle"]) / "costs.parquet")
    assert set(bills["all"]) == {"on_prem", "cloud", "api", "hybrid", "hybrid_cloud"}
    assert bills["all"]["api"]["cost"]["usd_per_month"] == pytest.approx(180_000, rel=0.1)
    assert set(bills["some"]) == {"on_prem", "hybrid", "hybrid_cloud", "split", "split_cloud"}
    is_tokens = (lines["topology"] == "split") & (lines["category"] == "tokens")
    tokens = lines[is_tokens]["usd_per_month"].sum()
    assert tokens == pytest.approx(162_000, rel=0.1)
    owned = bills["some"]["on_prem"]["cost"]["usd_per_month"]
    assert owned == pytest.approx(bills["all"]["on_prem"]["cost"]["usd_per_month"], rel=0.3)
    assert owned < 180_000


def test_three_days_of_an_access_log(tmp_path: Path, capsys: Capture) -> None:
    """Settings that keep p95 TTFT below a second; then a node dies on the second day, and the API answers 429."""
    count = write_log(tmp_path / "log.csv")
    file = tmp_path / "log.yaml"
    file.write_text("""schema_version: 1
name: three-days
model: llama-3.1-70b-instruct
engine: {quantization: fp8, max_model_len: 8192}
workload:
  classes:
    - {name: chat, arrivals: {kind: trace, file: log.csv}, slo: {ttft_s: {p95: 1.0}}}
topologies:
  cloud:
    pools: [{name: rented, site: lambda, gpu: h100-sxm, tensor_parallel_size: 2, autoscaler: auto}]
  api: {providers: [{name: together, offer: together/llama-3.3-70b}]}
cost: {draws: 0}
run: {horizon_s: 259200, warmup_s: 3600, start: mon 0:00}
""")
    plain = answer(capsys, "run", str(file), "--out", str(tmp_path), "--jobs", "1")
    cloud = plain["topologies"]["cloud"]
    assert cloud["metrics"]["slo_met"]
    assert cloud["metrics"]["arrived"] == pytest.approx(count, rel=0.05)
    assert cloud["search"]["sizes"]["rented"]
    noon_s = BY_DAY_S + 12 * 3600
    faults = ["--set", f"topologies.cloud.pools[rented].server_failures=[{{start_s: {noon_s}, duration_s: 3600}}]"]
    faults += ["--set", "topologies.api.providers[together].tokens_per_minute=20000"]
    bundle = Path(plain["bundle"]) / "scenario.resolved.yaml"
    hit = answer(capsys, "run", str(bundle), "--out", str(tmp_path), "--jobs", "1", *faults)["topologies"]
    assert hit["cloud"]["metrics"]["slo_attainment"] < cloud["metrics"]["slo_attainment"]
    assert hit["api"]["metrics"]["reasons"]["rejected"]["rate_limit"] > 0
    assert not plain["topologies"]["api"]["metrics"]["reasons"].get("rejected", {}).get("rate_limit")


def test_does_self_hosting_pay_in_the_browser(page: Page, server: str, runs: Path) -> None:
    page.goto(f"{server}/start")
    settle(page)
    choose(page, "Which model do you serve?", "Qwen3 32B (Qwen/Qwen3-32B)")
    page.get_by_role("radio", name="Money paid for tokens").click()
    settle(page)
    say(page, "What do you pay for tokens a month today", 180_000)
    say(page, "How many tokens has a prompt?", 4000)
    say(page, "How many tokens has an answer?", 400)
    say(page, "What share of the prompts' tokens is the same", 0.4)
    choose(page, "Which token API would you use instead?", "GPT-4.1 (OpenAI)")
    say(page, "What share of the requests has data of another kind?", 0.1)
    run_shorter(page, 120)
    expect(page.get_by_text("the cheapest topology that meets the SLO").first).to_be_visible()
    expect(page.get_by_text("Today $180,000 a month is paid").first).to_be_visible()
    (folder,) = runs.glob("new-*")
    found = json.loads((folder / "summary.json").read_text())
    assert set(found["topologies"]) == {"on_prem", "hybrid", "hybrid_cloud", "split", "split_cloud"}


@pytest.mark.exhaustive
def test_how_long_two_servers_last_in_the_browser(page: Page, server: str, runs: Path) -> None:
    """As on the command line, where the same scenario is checked month by month."""
    page.goto(f"{server}/start")
    settle(page)
    choose(page, "Which model do you serve?", "Qwen3 32B (Qwen/Qwen3-32B)")
    say(page, "How many people use it?", 300)
    say(page, "How often does one of them ask", 90)
    say(page, "How many tokens has a prompt?", 16_000)
    say(page, "How many tokens has an answer?", 400)
    say(page, "How many requests follow each other in one session", 20)
    say(page, "How long is it from an answer to the session's next request", 10)
    say(page, "How long may the first token take", 5)
    say(page, "How many of them do you have already?", 16)
    say(page, "By what share does the load grow each month?", 0.08)
    say(page, "For how many months do you decide?", 7)
    before = {*runs.glob("new-*")}
    run_shorter(page, 600)
    (folder,) = {*runs.glob("new-*")} - before
    own = json.loads((folder / "decision.json").read_text())["topologies"]["on_prem"]
    assert 0 < own["lasts_until"] < 7
    page.get_by_role("link", name="Sizing", exact=True).click()
    settle(page)
    expect(page.get_by_text(f"lasts until month {own['lasts_until']};").first).to_be_visible()


@pytest.mark.exhaustive
def test_which_autoscaler_settings_in_the_browser(page: Page, server: str, runs: Path, tmp_path: Path) -> None:
    """An access log answers how much and when; settings keep p95 TTFT below a second, then a node dies."""
    log = tmp_path / "access log.csv"
    count = write_log(log)
    page.goto(f"{server}/start")
    settle(page)
    page.get_by_role("radio", name="An access log").click()
    settle(page)
    expect(page.get_by_text("upload the log")).to_be_visible()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(log)
    expect(page.get_by_text(f"{count:,} requests in 72 h").first).to_be_visible()
    expect(page.get_by_label("How many tokens has a prompt?")).to_have_count(0)
    say(page, "How long may the first token take", 1)
    choose(page, "Which token API would you use instead?", "Llama 3.3 70B (Together AI)")
    before = {*runs.glob("new-*")}
    page.get_by_role("button", name="Write the scenario").click()
    expect(page.get_by_text("Beside it lies access-log.csv")).to_be_visible()
    run_it(page, f"about {4 * count:,} requests to simulate")
    (folder,) = {*runs.glob("new-*")} - before
    found = json.loads((folder / "summary.json").read_text())["topologies"]
    assert found["cloud"]["metrics"]["slo_met"]
    assert found["cloud"]["metrics"]["arrived"] == pytest.approx(count, rel=0.05)
    (settings,) = found["cloud"]["search"]["sizes"].values()
    page.get_by_role("link", name="Sizing", exact=True).click()
    settle(page)
    assert settings
    page.get_by_role("link", name="What-if", exact=True).click()
    settle(page)
    choose(page, "What fails", "one server at Lambda fails")
    expect(page.get_by_text("server_failures").first).to_be_visible()
    choose(page, "What fails", "the token API api, Llama 3.3 70B (Together AI), is down")
    expect(page.get_by_text("providers[api].outages").first).to_be_visible()


def test_which_and_why_in_the_browser_alone(page: Page, server: str, runs: Path) -> None:
    """Which, why, what if demand doubles, and a memo: no other page is needed than those of the menu."""
    (run,) = (folder.name for folder in runs.glob("small-*"))
    page.goto(f"{server}/?run={run}")
    settle(page)
    verdict = page.get_by_text("the cheapest topology that meets the SLO").first
    expect(verdict).to_be_visible()
    best = verdict.inner_text().split(":")[0].split()[-1]
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(page.get_by_text(re.compile(r"costs \$[\d,]+ a month (more|less) than")).first).to_be_visible()
    page.goto(f"{server}/what-if?run={run}&what_if.demand=2")
    settle(page)
    expect(page.get_by_text("arrivals.rate_rps=8")).to_be_visible()
    page.get_by_role("link", name="Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Memo (HTML)").click()
    assert best in Path(download.value.path()).read_text()
