"""`servecast sweep` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from simulator.cli.main import _run
from simulator.sweep.result import SweepRun

SIZED = str(Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml")
RATE = "workload.classes[chat].arrivals.rate_rps"
GRID = ["--grid", f"{RATE}=10,500", "--grid", "topologies.own.pools[base].tensor_parallel_size=1,3"]
FIXED = ["--set", "run.replications=1", "--set", "run.horizon_s=20", "--jobs", "1"]

Capture = pytest.CaptureFixture[str]


def sweep(tmp_path: Path, *more: str) -> list[str]:
    return ["sweep", SIZED, *GRID, *FIXED, "--out", str(tmp_path), *more]


def test_the_table_counts_failures_and_names_the_bundle(tmp_path: Path, capsys: Capture) -> None:
    assert _run(sweep(tmp_path)) == 0
    shown = capsys.readouterr().out
    (bundle,) = tmp_path.iterdir()
    assert "4 points, 2 failed" in shown
    assert f"bundle: {bundle}" in shown
    assert "! own, rate_rps=10, tensor_parallel_size=3:" in shown
    header = shown.splitlines()[0]
    for words in ("rate_rps", "tensor_parallel_size", "topology", "SLO met", "TPOT p99 [ms]", "$ per month"):
        assert words in header
    assert _run(sweep(tmp_path)) == 0
    assert capsys.readouterr().out == shown
    assert _run(["report", str(bundle)]) == 2
    assert "is the result of a sweep" in capsys.readouterr().err


def test_json_and_csv_have_every_row(tmp_path: Path, capsys: Capture) -> None:
    assert _run(sweep(tmp_path, "--format", "json")) == 0
    data = json.loads(capsys.readouterr().out)
    assert (len(data["rows"]), data["points"], data["failed_points"]) == (12, 4, 2)
    assert _run(sweep(tmp_path, "--format", "csv")) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["topology"] for row in rows] == [row["topology"] for row in data["rows"]]
    assert float(rows[0]["usd_per_month"]) == data["rows"][0]["usd_per_month"]


@pytest.mark.exhaustive
def test_check_answers_no_when_nothing_meets_the_slo(tmp_path: Path) -> None:
    never = ["--set", "workload.classes[chat].slo.tpot_s.p95=0.0001"]
    assert _run(sweep(tmp_path, "--check")) == 0
    assert _run(sweep(tmp_path, "--check", *never)) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid", "run.seed"], "must have the form path=value,value"),
        (["--grid", "run.sed=1,2"], "did you mean 'seed'"),
        (["--jobs", "0", "--grid", "run.seed=1"], "--jobs: must be at least 1"),
        ([], "nothing to vary"),
    ],
)
def test_bad_input_ends_with_2(arguments: list[str], words: str, tmp_path: Path, capsys: Capture) -> None:
    assert _run(["sweep", SIZED, "--out", str(tmp_path), *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err
    assert not list(tmp_path.iterdir())


def test_shards_merge_into_the_same_output(tmp_path: Path, capsys: Capture) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    grid = ["--grid", f"{RATE}=10", "--grid", "topologies.own.pools[base].tensor_parallel_size=1,3", *FIXED]
    assert _run(["sweep", SIZED, *grid, "--out", str(whole), "--format", "csv"]) == 0
    rows = capsys.readouterr().out.splitlines()
    shards = []
    for number in (1, 2):
        assert _run(["sweep", SIZED, *grid, "--out", str(parts), "--shard", f"{number}/2", "--format", "csv"]) == 0
        found = capsys.readouterr()
        assert f"shard {number}/2; `servecast merge` takes the folders of all 2" in found.err
        shards += found.out.splitlines()[1:]
    assert sorted(row.split(",")[:4] for row in shards) == sorted(row.split(",")[:4] for row in rows[1:])
    folders = sorted(map(str, parts.iterdir()))
    assert _run(["merge", *folders, "--out", str(whole), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == rows
    assert _run(["merge", *folders, "--out", str(whole), "--check"]) == 0
    assert f"bundle: {next(whole.iterdir())}" in capsys.readouterr().out
    assert _run(["merge", folders[0], "--out", str(whole)]) == 2
    assert "missing: 2/2" in capsys.readouterr().err
    assert _run(["runs", "list", str(parts)]) == 0
    assert capsys.readouterr().out.count("shard-") == 2
    assert _run(["sweep", SIZED, *grid, "--out", str(parts), "--shard", "3/2"]) == 2
    assert "--shard: must be a share" in capsys.readouterr().err


@pytest.mark.parametrize(("check", "code"), [([], 0), (["--check"], 1)])
def test_shards_of_which_no_point_meets_the_slo_end_with_1_where_that_is_asked(
    check: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame([{"topology": "own", "status": "ok", "slo_met": False}])
    none_meets = SweepRun(table, 1, 0, 0, tmp_path)
    monkeypatch.setattr("simulator.sweep.merge.merge_shards", lambda shards, out: none_meets)
    assert _run(["merge", "a", "b", "--format", "csv", *check]) == code
