"""Four jobs of people who have never seen it, done on the command line alone, with the answers that they should get."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from simulator.cli.main import _run
from simulator.run.evaluate import evaluate
from simulator.scenario.load import load_scenario

Capture = pytest.CaptureFixture[str]
SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
SHORT = ("--set", "run.horizon_s=240", "--set", "run.warmup_s=60", "--set", "run.replications=1", "--jobs", "1")


def answer(capsys: Capture, *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert _run([*arguments, "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_does_it_last(tmp_path: Path, capsys: Capture) -> None:
    """8,000 people on one own GPU, 8 % more each month: until which month does it serve them?"""
    file = tmp_path / "mine.yaml"
    questions = ["--model", "llama-3.1-8b", "--users", "8000", "--owned-gpus", "1", "--growth-per-month", "0.08"]
    assert _run(["new", str(file), *questions, "--busy", "always", "--months", "12", "--no-ask"]) == 0
    found = answer(capsys, "run", str(file), "--out", str(tmp_path), *SHORT)
    decided = found["decision"]["topologies"]["on_prem"]
    last = decided["lasts_until"]
    assert last is not None
    assert 0 < last < 12
    assert [month["meets"] for month in decided["months"]] == [month <= last for month in range(1, 13)]
    assert "p95" in decided["months"][last]["binding"]
    rate = load_scenario(file).scenario.workload.classes[0].arrivals.rate_rps
    for month, meets in ((last, True), (last + 1, False)):
        sets = [f"workload.classes[requests].arrivals.rate_rps={rate * 1.08 ** (month - 1)}", "study.months=1"]
        sets += [one for one in SHORT if "=" in one]
        alone = evaluate(load_scenario(file, sets=[*sets, "study.growth_per_year=0"]), "on_prem")
        assert alone.slo_met is meets, month


def test_does_self_hosting_pay(tmp_path: Path, capsys: Capture) -> None:
    """$1,800 a month for tokens, 40 % of the input cached: the same requests on GPUs, and when that pays."""
    file = tmp_path / "mine.yaml"
    questions = ["--spend-usd-per-month", "1800", "--offer", "openai/gpt-4o-mini", "--cached-share", "0.4"]
    assert _run(["new", str(file), "--model", "llama-3.1-8b", *questions, "--no-ask"]) == 0
    found = answer(capsys, "run", str(file), "--out", str(tmp_path), *SHORT)
    topologies = found["topologies"]
    assert topologies["api"]["cost"]["usd_per_month"] == pytest.approx(1800, rel=0.15)
    meeting = {n: one["usd_per_month"] for n, one in found["decision"]["topologies"].items() if one["meets"]}
    assert found["decision"]["winners"][0] == min(meeting, key=lambda name: meeting[name])
    pairs = found["decision"]["topologies"]["cloud"]["break_even"]
    assert {pair["rival"] for pair in pairs} >= {"api"} - {"cloud"}
    secret = tmp_path / "secret.yaml"
    restricted = [*questions, "--data-class", "restricted", "--no-ask"]
    assert _run(["new", str(secret), "--model", "llama-3.1-8b", *restricted]) == 0
    capsys.readouterr()
    assert _run(["validate", str(secret)]) in (0, 2)
    assert "restricted" in capsys.readouterr().err or "api" not in load_scenario(secret).scenario.topologies


def test_which_autoscaler_settings(tmp_path: Path, capsys: Capture) -> None:
    """An access log, p95 TTFT below a second; then the site goes down, and then an API that answers 429."""
    draw = random.Random(7)
    with (tmp_path / "log.csv").open("w", newline="") as log:
        rows = csv.writer(log)
        rows.writerow(["arrival_s", "input_tokens", "output_tokens"])
        at_s = 0.0
        while at_s < 600:
            at_s += draw.expovariate(30 if 200 < at_s < 400 else 8)
            rows.writerow([f"{at_s:.3f}", draw.randint(50, 900), draw.randint(20, 300)])
    file = tmp_path / "log.yaml"
    file.write_text(
        SCENARIO.read_text()
        .replace("{kind: poisson, rate_rps: 4.0}", "{kind: trace, file: log.csv}")
        .replace("      lengths: {isl: 300, osl: {kind: lognormal, mean: 60, cv: 0.5}}\n", "")
        .replace("ttft_s: {p99: 1.5}, tpot_s: {p95: 0.05}", "ttft_s: {p95: 1.0}")
        .replace("gpu: h100-sxm, replicas: 1}]}", "gpu: h100-sxm, autoscaler: auto}]}")
        .replace("horizon_s: 120, warmup_s: 10, replications: 2", "horizon_s: 600, warmup_s: 60, replications: 1")
    )
    plain = answer(capsys, "run", str(file), "--out", str(tmp_path), "--jobs", "1")
    cloud = plain["topologies"]["cloud"]
    assert plain["decision"]["topologies"]["cloud"]["meets"]
    (sizes,) = cloud["search"]["sizes"].values()
    assert sizes
    bundle = Path(plain["bundle"]) / "scenario.resolved.yaml"
    down = "{windows: [{start_s: 300, duration_s: 60}]}"
    faults = ["--set", f"topologies.cloud.pools[rented].outages={down}"]
    faults += ["--set", "topologies.api.providers[together].tokens_per_minute=60000"]
    hit = answer(capsys, "run", str(bundle), "--out", str(tmp_path), "--jobs", "1", *faults)["topologies"]
    assert [hit["cloud"]["pools"][0][key] for key in ("outages",)] == [1]
    assert hit["cloud"]["metrics"]["slo_met"] is False
    assert hit["own"]["metrics"]["slo_attainment"] == plain["topologies"]["own"]["metrics"]["slo_attainment"]
    assert hit["api"]["metrics"]["reasons"]["rejected"]["rate_limit"] > 0
    assert plain["topologies"]["api"]["metrics"]["reasons"].get("rejected", {}).get("rate_limit", 0) == 0


def test_which_and_why(tmp_path: Path, capsys: Capture) -> None:
    """Which of three, why, what if demand is fifteen times as high, and a memo for the board."""
    found = answer(capsys, "run", str(SCENARIO), "--out", str(tmp_path))
    bills = {name: one["cost"]["usd_per_month"] for name, one in found["topologies"].items()}
    best = min(bills, key=lambda name: bills[name])
    assert best in found["decision"]["winners"], "others may cost the same within the noise"
    assert found["decision"]["verdict"].startswith(f"{best}: the cheapest topology that meets the SLO")
    bundle = found["bundle"]
    told = answer(capsys, "compare", bundle, "--baseline", best)
    for name in bills:
        if name != best:
            (why,) = [note for note in told["why"] if note.startswith(f"{name} costs ")]
            assert "a month more than" in why
            shares = re.findall(r"(\d+)%", why.split(" less (")[0])
            assert not shares or 97 <= sum(map(int, shares)) <= 103
    more = answer(
        capsys, "run", str(SCENARIO), "--out", str(tmp_path), "--set", "workload.classes[chat].arrivals.rate_rps=60"
    )
    for name, one in more["decision"]["topologies"].items():
        assert one["meets"] == more["topologies"][name]["metrics"]["slo_met"]
    assert more["topologies"]["api"]["cost"]["usd_per_month"] == pytest.approx(15 * bills["api"], rel=0.1)
    for form, name in (("memo", "memo.html"), ("md", "memo.md")):
        capsys.readouterr()
        assert _run(["report", bundle, "--format", form, "--out", str(tmp_path / name)]) == 0
        assert best in (tmp_path / name).read_text()
