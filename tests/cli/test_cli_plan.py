"""`servecast plan` as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from simulator.cli.main import _run
from simulator.size.trials import Trials

SIZED = str(Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml")
OWN = ["plan", SIZED, "--topology", "own"]

Capture = pytest.CaptureFixture[str]


def test_the_table_shows_fleets_and_says_how_sure_it_is(capsys: Capture) -> None:
    assert _run([*OWN, "--error", "0.3", "--spare", "1"]) == 0
    shown = capsys.readouterr().out
    for words in ("replicas", "SLO attainment", "TPOT p99 [ms]", "$ per month", "own *", "3 (+1)", "2 of 2"):
        assert words in shown
    counts = re.search(
        r"own: (\d+) replicas needed; the cheapest fleet has (\d+) with step times 30% shorter, (\d+) with 30% longer "
        r"\(given\)",
        " ".join(shown.split()),
    )
    assert counts is not None
    needed, fewer, more = (int(count) for count in counts.groups())
    assert fewer <= needed == 3 <= more
    assert fewer < more
    assert "--set 'topologies.own.pools[base].replicas=3'" in shown
    assert "own: the cheapest fleet that meets the SLO" in shown
    assert _run([*OWN, "--error", "0.3", "--spare", "1"]) == 0
    assert capsys.readouterr().out == shown


def test_the_measured_error_of_step_times_is_the_default(capsys: Capture) -> None:
    assert _run(OWN) == 0
    assert "published points" in capsys.readouterr().out


def test_json_is_whole(capsys: Capture) -> None:
    assert _run([*OWN, "--gpu", "h100-sxm,l4", "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data) == {"scenario", "month", "fleets", "sure", "verdict"}
    assert data["month"] == 1
    assert [row["gpu"] for row in data["fleets"]] == [["h100-sxm"], ["l4"]]
    assert data["fleets"][0]["pools"][0]["replicas"] == 3


def test_check_answers_no_when_no_fleet_is_enough(capsys: Capture) -> None:
    assert _run([*OWN, "--max-replicas", "2", "--check"]) == 1
    shown = capsys.readouterr().out
    assert "infeasible" in shown
    assert "! own on h100-sxm TP 1: with at most 2 replicas: chat: tpot p95 ≤ 0.012 s holds for" in shown
    assert "No fleet meets the SLO." in shown
    assert _run([*OWN, "--check"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tensor-parallel-size", "two"], "--tensor-parallel-size: must be whole numbers, as 1,2,4 (got two)"),
        (["--gpu", "h100sxm"], "did you mean 'h100-sxm'"),
        (["--pool", "bass"], "did you mean 'base'"),
        (["--set", "model=llama"], "unknown model"),
        (["--set", "topologies.own.pools[base].tensor_parallel_size=3"], "topologies.own.pools[0]"),
    ],
)
def test_bad_input_ends_with_2(arguments: list[str], words: str, capsys: Capture) -> None:
    assert _run([*OWN, *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err


def test_other_requests_of_waiting_users_are_said(tmp_path: Path, capsys: Capture) -> None:
    """Ten users at answers of 2 s, and of 20 s: in 99 s 500 calls and 50, so their months are no like for like."""
    api = "name: api, prices: [{input: 1, output: 4}], data_classes: [internal], error_probability: 0"
    text = f"""
schema_version: 1
name: users
model: llama-3.1-8b-instruct
engine: {{max_model_len: 4096}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: closed_loop, concurrency: 10}}
      lengths: {{isl: 1000, osl: 101}}
      data_class: internal
topologies:
  quick: {{providers: [{{{api}, ttft_s: {{median: 1}}, tpot_s: {{median: 0.01}}}}]}}
  slow: {{providers: [{{{api}, ttft_s: {{median: 10}}, tpot_s: {{median: 0.1}}}}]}}
cost: {{draws: 0}}
run: {{horizon_s: 99}}
"""
    file = tmp_path / "users.yaml"
    file.write_text(text)
    assert _run(["plan", str(file), "--quiet"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "topologies were sent 50 to 500 requests" in told
    assert "compare $ per 1M tokens rather than $ per month" in told


def test_an_interrupted_plan_tells_the_best_so_far_and_what_could_be_saved(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped behind the first fleet that met: what the whole plan finds is no cheaper than the best less the gap."""
    assert _run([*OWN, "--format", "json"]) == 0
    whole = min(row["usd_per_month"] for row in json.loads(capsys.readouterr().out)["fleets"])
    real = Trials.__call__
    met: list[str] = []

    def stopped(trials: Trials, *arguments: Any, **options: Any) -> Any:
        if met:
            raise KeyboardInterrupt
        tried = real(trials, *arguments, **options)
        met.extend([str(tried)] if tried.word == "met" else [])
        return tried

    monkeypatch.setattr(Trials, "__call__", stopped)
    assert _run(["plan", SIZED, "--topology", "own", "--gpu", "h100-sxm,l4", "--format", "json"]) == 130
    told = json.loads(capsys.readouterr().out)
    first, second = told["standing"]
    assert told["interrupted"]
    assert (first["state"], second["state"]) == ("interrupted", "not begun")
    assert first["sizes"] == met[0]
    assert first["usd_per_month"] - first["gap_usd"] <= whole <= first["usd_per_month"]
    met.clear()
    assert _run(OWN) == 130
    shown = capsys.readouterr()
    assert re.search(
        r"own \(h100-sxm TP 1\): best so far \d+ at \$[\d,]+ a month, \d+ sizes? tried; at most", shown.out
    )
    assert "interrupted" in shown.err
