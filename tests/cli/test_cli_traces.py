"""`servecast traces`: the published ones, and a file described into something a scenario can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.cli.traces import traces
from simulator.errors import InputError
from simulator.rng import stream
from simulator.workload.description import read_description


def trace(tmp_path: Path, broken: bool = False) -> Path:
    draw = stream(3, "trace")
    arrival_s = draw.exponential(0.5, 400).cumsum()
    rows = [f"{t:.4f},{draw.integers(10, 900)},{draw.integers(1, 90)}" for t in arrival_s]
    if broken:
        rows[6] = "4.0,minus,3"
    file = tmp_path / "mine.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return file


def test_the_published_traces_have_a_licence_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert traces(format="json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {"azure-llm-2023-conv", "mooncake-conversation", "burstgpt"}
    assert all(row["licence"] and row["file"].startswith("https://") for row in rows)


def test_a_poisson_trace_is_seen_as_one_and_its_description_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.json"
    assert traces(trace(tmp_path), write=out, format="json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["requests"] == 400
    assert found["requests"] / found["duration_s"] == pytest.approx(2.0, rel=0.15)
    assert found["burstiness_cv"] == pytest.approx(1.0, abs=0.15)
    assert found["licence"] == "not published"
    assert read_description(out).duration_s == found["duration_s"]


def test_a_broken_row_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    with pytest.raises(InputError, match=r"mine\.csv:8"):
        traces(trace(tmp_path, broken=True), write=out)
    assert not out.exists()


def test_an_unknown_source_shows_the_closest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'burstgpt'"):
        traces(trace(tmp_path), source="burst-gpt")
