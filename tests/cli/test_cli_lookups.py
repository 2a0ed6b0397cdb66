"""Commands that only tell: what is kept, what a key means, what a trace holds, how fast it runs; each line by hand."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from simulator.cli.cache import cache
from simulator.cli.doctor import doctor
from simulator.cli.explain import explain
from simulator.cli.main import _run
from simulator.cli.report import report
from simulator.cli.traces import traces
from simulator.errors import InputError
from simulator.scenario.keys import scenario_keys
from simulator.simulate import store

Capture = pytest.CaptureFixture[str]


def test_what_is_kept_is_told_and_cleared(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "trials"
    monkeypatch.setattr(store, "FOLDER", folder)
    monkeypatch.setenv("TZ", "UTC")
    limit = f"{store.Store(folder).limit_bytes / 1e6:,.0f}"
    assert cache() == 0
    assert capsys.readouterr().out.splitlines() == [
        f"folder: {folder}",
        "simulations: 0",
        f"size: 0.0 MB of {limit} MB",
    ]
    folder.mkdir()
    for k, size in enumerate((1_500_000, 250_000)):
        file = folder / f"{k}{store._SUFFIX}"
        file.write_bytes(b"0" * size)
        os.utime(file, (86_400.0 * (k + 1), 86_400.0 * (k + 1)))
    store.user_store()._counts_file.write_text("[3, 1]")
    assert cache() == 0
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told["simulations"] == "2"
    assert told["size"] == f"1.8 MB of {limit} MB"
    assert [text[:10] for text in told["last used"].split(" to ")] == ["1970-01-02", "1970-01-03"]
    assert told["hits"] == "3 of 4 look-ups (75%) on this machine"
    assert cache(clear=True) == 0
    assert capsys.readouterr().out == f"removed 2 simulations from {folder}\n"
    assert store.user_store().files() == []


@pytest.mark.parametrize(
    ("asked", "kinds"), [({}, 0), ({"warm": True}, 1), ({"warm_all": True}, 5), ({"warm": True, "warm_all": True}, 5)]
)
def test_kernels_are_compiled_where_that_is_asked_for(
    asked: dict[str, bool], kinds: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []
    monkeypatch.setattr("simulator.run.bench.warm_up", compiled.append)
    monkeypatch.setattr("simulator.processes.cores", lambda: 1)
    assert doctor(**asked) == 0
    assert (len(compiled), "kernels are compiled" in capsys.readouterr().out) == (kinds, kinds > 0)


@pytest.mark.parametrize(
    ("tp", "says"),
    # 2 GPUs of 40 GiB have no room for 41.9 billion parameters in 16 bit, 83.7 GB; 4 have
    [("2", "does not start"), ("4", "starts")],
)
def test_a_plan_says_first_whether_vllm_starts(tp: str, says: str, capsys: Capture) -> None:
    assert _run(["memory", "phi-3.5-moe", "--gpu", "a100-40", "--tp", tp, "--version", "0.24.0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"phi-3.5-moe on {tp} x a100-40, vLLM 0.24.0: {says}"
    assert any(line.startswith("would start: ") for line in lines) == (says == "does not start")
    assert lines[1].startswith("  ") == (says == "does not start"), "why, where it does not"


@pytest.mark.parametrize(
    ("form", "made_by", "name"),
    [
        ("html", "html.render", "report.html"),
        ("md", "memo.memo", "memo.md"),
        ("memo", "memo_html.memo_page", "memo.html"),
        ("pdf", "memo_pdf.memo_pdf", "memo.pdf"),
        ("docx", "memo_docx.memo_document", "memo.docx"),
        ("xlsx", "bill_xlsx.bill_workbook", "bill.xlsx"),
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_report_is_written_in_each_form_where_it_is_asked_for(
    form: Any,
    made_by: str,
    name: str,
    elsewhere: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    is_text = form in ("html", "md", "memo")
    monkeypatch.setattr("simulator.results.bundle.read_bundle", lambda folder: f"read of {folder.name}")

    def made(bundle: str) -> str | bytes:
        return f"{form}: {bundle}" if is_text else f"{form}: {bundle}".encode()

    monkeypatch.setattr(f"simulator.report.{made_by}", made)
    (bundle := tmp_path / "run").mkdir()
    target = tmp_path / f"mine.{form}" if elsewhere else bundle / name
    assert report(bundle, out=target if elsewhere else None, format=form) == 0
    assert target.read_bytes() == f"{form}: read of run".encode()
    assert capsys.readouterr().out == f"{target}\n"
    assert [file.name for file in bundle.iterdir()] == ([] if elsewhere else [name])


def test_a_key_is_explained_in_words(capsys: Capture) -> None:
    (key,) = (one for one in scenario_keys() if one.path == "engine.max_num_seqs")
    assert explain("engine.max_num_seqs") == 0
    assert capsys.readouterr().out == (
        f"{key.path}\n  {key.text}\n  {key.values}; {key.unless_given}\n  vLLM: --max-num-seqs\n"
    )
    assert explain("carbon") == 0
    told = capsys.readouterr().out
    assert told.startswith("no key of a scenario is called 'carbon'; it is spoken of in\n\n")
    assert "co2_usd_per_tonne\n" in told
    assert explain("engine.max_num_seqs", format="json") == 0
    assert json.loads(capsys.readouterr().out) == [{**vars(key), "vllm": "--max-num-seqs"}]
    assert explain() == 0
    shown = capsys.readouterr().out
    assert shown.endswith("\nservecast explain KEY says more of one; docs/keys.md has them all\n")
    assert [line.split()[0] for line in shown.splitlines()[2:-2]] == [
        one.path for one in scenario_keys() if "." not in one.path
    ]
    assert explain("watermrk") == 0
    head, _, near = capsys.readouterr().out.partition("\n\n")
    assert head == "no key of a scenario is called 'watermrk': close are watermark"
    assert near.startswith("engine.watermark\n")
    with pytest.raises(InputError, match="lists the sections"):
        explain("zzz")


def test_what_holds_unless_a_key_is_given(capsys: Capture) -> None:
    by_path = {one.path: one for one in scenario_keys()}
    assert by_path["schema_version"].unless_given == "must be given"
    assert by_path["run.replications"].unless_given.endswith(" unless given")
    assert by_path["study"].unless_given == "may be left out"


def shown_rows(text: str) -> dict[str, str]:
    lines = [line.strip().rsplit("  ", 1) for line in text.splitlines()[2:] if "  " in line.strip()]
    return {label.strip(): value.strip() for label, value in lines}


def test_a_trace_is_told_line_by_line(tmp_path: Path, capsys: Capture) -> None:
    """Four requests in 12 s, one every 4 s: a trace of 16 s; 3 in its first 10 s, 1 in the 6 s that are left."""
    rows = ["1,300,30", "0,100,10", "2,200,20", "12,400,40"]
    file = tmp_path / "mine.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n" + "\n".join(rows) + "\n")
    assert traces(file) == 0
    told = shown_rows(capsys.readouterr().out)
    assert told["requests"] == "4"
    assert told["rows out of order, sorted"] == "1"
    assert (told["read as"], told["times in"]) == ("table", "s")
    assert told["prompt blocks seen before"] == "not recorded"
    assert told["ISL mean [tokens]"] == "250"
    assert told["OSL mean [tokens]"] == "25"
    assert not [name for name in told if name.startswith("left out")]
    assert (told["duration [s]"], told["rate [requests/s]"]) == ("16.0", "0.25")
    assert told["busiest 10 s [requests/s]"] == "0.3"


def test_failures_that_are_left_out_are_told(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0,10,1\n1,10,0\n2,10,1\n5,10,1\n9,10,0\n")
    assert traces(file, leave_out_failures=True) == 0
    told = shown_rows(capsys.readouterr().out)
    assert (told["requests"], told["left out: no output token"]) == ("3", "2")


def test_columns_of_another_name_are_read_as_they_are_given(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("at,prompt,answer\n0,10,1\n1000,20,2\n2000,30,3\n")
    named = ["arrival_s=at", "input_tokens=prompt", "output_tokens=answer"]
    assert traces(file, column=named, time_unit="ms", format="json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["isl"]["mean"], found["osl"]["mean"]) == (3, 20.0, 2.0)
    assert found["read_as"]["time_unit"] == "ms"
    assert found["duration_s"] >= 2.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bin_s": 0.0}, r"--bin-s.*must be positive"),
        ({"bin_s": float("inf")}, r"--bin-s.*must be positive and finite"),
        ({"hash_block_tokens": 0}, "--hash-block-tokens.*must be at least 1"),
        ({"column": ["arrival_s"]}, "--column.*must be ours=theirs"),
        ({"column": ["arrival_s="]}, "--column.*must be ours=theirs"),
        ({"column": ["arival_s=at"]}, "--column.*did you mean 'arrival_s'"),
    ],
)
def test_options_of_a_trace_are_refused_by_name(tmp_path: Path, given: dict[str, object], words: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0,10,1\n1,10,1\n")
    with pytest.raises(InputError, match=words):
        traces(file, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="need a trace file"):
        traces(write=tmp_path / "x.json")


def test_published_traces_stand_in_a_table(capsys: Capture) -> None:
    assert traces() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["name", "format", "licence", "described"]
    assert any(line.split()[0] == "burstgpt" for line in lines)


def test_the_speed_of_each_benchmark_is_told(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.cli.bench import bench

    found = {"one": {"requests_per_s": 12345.6}, "two": {"requests_per_s": 7.0}, "note": "of one core"}
    monkeypatch.setattr(import_module("simulator.run.bench"), "run_benchmarks", lambda: found)
    assert bench() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in (lines[0], *lines[2:])] == [
        ["benchmark", "simulated", "requests/s"],
        ["one", "12,346"],
        ["two", "7"],
    ]
    assert bench(format="json") == 0
    assert json.loads(capsys.readouterr().out) == found


@pytest.mark.parametrize(
    ("owners", "state", "code"),
    [
        ({"simulator": ["servecast"]}, "ok", 0),
        ({}, "ok", 0),
        ({"simulator": ["servecast", "rival", "other"]}, "also claimed by rival, other", 1),
    ],
)
def test_who_else_owns_a_name_is_told(
    owners: dict[str, list[str]], state: str, code: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: owners)
    assert doctor() == code
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines()[2:])
    assert (told["simulator"].strip(), told["calibrate"].strip()) == (state, "ok")


def test_a_package_that_is_not_there_is_told(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "dashboard" else True)
    assert doctor() == 1
    assert "not found" in next(line for line in capsys.readouterr().out.splitlines() if line.startswith("dashboard"))
