"""A run says which rows of its traces nobody serves, over the whole file, and keeps it in its summary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator import simulate
from simulator.run.traces_read import left_out_words, traces_read
from simulator.scenario.load import LoadedScenario

OWN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}"
ROWS = ["0,100,10,chat", "1,100,0,chat", "2,100,10,spam", "3,100,10,chat", "9000,100,,chat", "9001,100,5,chat"]


def replaying(folder: Path, rows: list[str], more: str) -> LoadedScenario:
    (folder / "mine.csv").write_text("arrival_s,input_tokens,output_tokens,class\n" + "\n".join(rows) + "\n")
    text = chat(OWN, study="months: 1", warmup_s=0)
    trace = f"{{kind: trace, {more if 'file:' in more else f'file: mine.csv, {more}'}}}"
    return written(folder, text, f"workload.classes[chat].arrivals={trace}", "workload.classes[chat].lengths=null")


def test_rows_without_output_and_of_other_labels_are_told(tmp_path: Path) -> None:
    """Two of six have no output, one behind the simulated time; one is of a class that nobody serves."""
    loaded = replaying(tmp_path, ROWS, "leave_out_failures: true, leave_out_classes: [spam]")
    found = simulate(loaded, out=tmp_path / "runs")
    summary = json.loads((found.bundle / "summary.json").read_text(encoding="utf-8"))
    (trace,) = summary["traces"]
    assert (trace["file"], trace["classes"], trace["rows"]) == ("mine.csv", ["chat"], 6)
    assert (trace["read_as"]["failures"], trace["read_as"]["left_out"]) == (2, 1)
    told = [warning["text"] for warning in summary["topologies"]["own"]["warnings"]]
    assert "2 of 6 rows of mine.csv are left out: no output token" in told
    assert "1 of 6 rows of mine.csv are left out: labels in leave_out_classes" in told


@pytest.mark.parametrize("more", ["leave_out_failures: true", "rate_scale: 1"])
def test_a_trace_of_which_nothing_is_left_out_says_nothing(tmp_path: Path, more: str) -> None:
    loaded = replaying(tmp_path, [ROWS[0], ROWS[3], ROWS[5]], more)
    (trace,) = found = traces_read(loaded, 60.0)
    assert trace["rows"] == 3
    assert not left_out_words(found)


def test_a_trace_is_named_without_its_folders(tmp_path: Path) -> None:
    """They are those of whoever ran it, and a run is shown to others."""
    loaded = replaying(tmp_path, ROWS, f"leave_out_failures: true, file: {tmp_path / 'mine.csv'}")
    (told,) = left_out_words(traces_read(loaded, 60.0))
    assert told == "2 of 6 rows of mine.csv are left out: no output token"


def test_nothing_is_kept_where_no_trace_is_replayed(tmp_path: Path) -> None:
    assert not traces_read(written(tmp_path, chat(OWN, study="months: 1")), 60.0)
