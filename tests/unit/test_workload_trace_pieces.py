"""A trace read in pieces is the trace; behind the simulated time rows are counted and not kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.workload import pieces, trace_file
from simulator.workload.describe import describe_file, describe_trace
from simulator.workload.reading import Reading
from simulator.workload.replay import trace_rows, trace_span
from simulator.workload.requests import Requests
from simulator.workload.rows import select
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Trace, WorkloadSpec
from simulator.workload.trace_file import LoadedTrace, load_trace
from simulator.workload.traces import TRACE_SOURCES

N = 23


def _azure(file: Path) -> Path:
    rows = [f"2024-05-10 00:00:{k * 7 % N:02d}.{k:06d}+00:00,{k + 5},{k % 4 + 1}" for k in range(N)]
    file.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return file


def _mooncake(file: Path) -> Path:
    rows = [
        {"timestamp": 900 * (k * 5 % N), "input_length": 40 + k, "output_length": 3, "hash_ids": [0, k % 3 + 1, 90 + k]}
        for k in range(N)
    ]
    with gzip.open(file, "wt", encoding="utf-8") as text:
        text.writelines(json.dumps(row) + "\n" for row in rows)
    return file


def _burstgpt(file: Path) -> Path:
    rows = [f"{k * 3},ChatGPT,{k + 9},{k % 5},{2 * k},API log" for k in range(N)]
    file.write_text("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n" + "\n".join(rows))
    return file


def _own(file: Path) -> Path:
    pd.DataFrame(
        {
            "arrival_s": [1.7e9 + (k * 11 % N) / 2 for k in range(N)],
            "input_tokens": [k + 1 for k in range(N)],
            "output_tokens": [2] * N,
            "class": ["chat" if k % 3 else "code" for k in range(N)],
            "session_id": [f"s{k * 7 % 5}" for k in range(N)],
        }
    ).to_parquet(file)
    return file


def _trailing(file: Path) -> Path:
    rows = [f"{k};{k + 2};3;" for k in range(N)]
    file.write_text("arrival_s;input_tokens;output_tokens\n" + "\n".join(rows), encoding="utf-8")
    return file


FILES: dict[str, tuple[Callable[[Path], Path], Reading]] = {
    "azure.csv": (_azure, Reading()),
    "mooncake.jsonl.gz": (_mooncake, Reading()),
    "burstgpt.csv": (_burstgpt, Reading(leaves_out_failures=True)),
    "own.parquet": (_own, Reading()),
    "trailing.csv": (_trailing, Reading()),
}


def _same(one: Requests, other: Requests) -> None:
    for field in fields(Requests):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs, field.name)


def _in_pieces(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(pieces, "PIECE_ROWS", rows)
    monkeypatch.setattr(pieces, "_JSON_ROWS", rows)
    trace_file._load.cache_clear()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("rows", [1, 4, N])
def test_the_size_of_a_piece_changes_nothing(
    tmp_path: Path, name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, reading = FILES[name]
    file = write(tmp_path / name)
    whole = load_trace(file, reading)
    _in_pieces(monkeypatch, rows)
    found = load_trace(file, reading)
    _same(found.requests, whole.requests)
    assert (found.was_read, found.spans) == (whole.was_read, whole.spans)
    assert (found.labels is None) == (whole.labels is None)
    assert found.labels is None or found.labels.tolist() == whole.labels.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", FILES)
def test_a_description_is_that_of_the_rows(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write, reading = FILES[name]
    file = write(tmp_path / name)
    whole = load_trace(file, reading)
    _in_pieces(monkeypatch, 4)
    found, was_read = describe_file(file, reading, TRACE_SOURCES[0], "2026-01-01")
    assert found == describe_trace(whole.requests, TRACE_SOURCES[0], "2026-01-01")
    assert was_read == whole.was_read


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("until_s", [0.4, 6.0, 1e9])
def test_rows_before_the_end_are_those_of_the_whole(
    tmp_path: Path, name: str, until_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, reading = FILES[name]
    file = write(tmp_path / name)
    whole = load_trace(file, reading)
    inside = np.flatnonzero(whole.requests.arrival_s < until_s)
    _in_pieces(monkeypatch, 4)
    found = load_trace(file, reading, until_s)
    cut = select(whole.requests, inside)
    np.testing.assert_array_equal(found.requests.arrival_s, cut.arrival_s)
    np.testing.assert_array_equal(found.requests.isl, cut.isl)
    np.testing.assert_array_equal(found.requests.segment_tokens, cut.segment_tokens)
    assert (found.was_read, found.spans) == (whole.was_read, whole.spans)
    kept = trace_file._load.__wrapped__(file, reading, until_s, None)
    assert isinstance(kept, LoadedTrace)
    assert len(kept.requests) == len(inside)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 90)), min_size=1, max_size=12),
    st.floats(0.5, 200.0),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.booleans(),
)
def test_a_replay_is_that_of_all_rows(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int]],
    horizon_s: float,
    rate_scale: float,
    loop: bool,
) -> None:
    """By definition: round r of a row comes at (r period + its time) / rate_scale, the period one mean gap longer."""
    file = tmp_path_factory.mktemp("trace") / "own.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{at},{n},1\n" for at, n in rows))
    times = sorted(at for at, _ in rows)
    period_s = times[-1] + (times[-1] - times[0]) / max(len(times) - 1, 1)
    if loop and period_s == 0:
        return
    trace = Trace(str(file), rate_scale=rate_scale, loop=loop)
    source = build_source(WorkloadSpec((ClassWorkload("all", trace),)), horizon_s, 1)
    found = [at for chunk in source.chunks() for at in chunk.arrival_s.tolist()]
    rounds = int(horizon_s * rate_scale / period_s) + 1 if loop else 1
    wanted = [(r * period_s + at) / rate_scale for r in range(rounds) for at in times]
    assert found == [at for at in wanted if at < horizon_s]


def test_a_class_is_counted_behind_the_end_and_its_labels_are_known_there(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    rows = [f"{k},5,1,{'late' if k > 50 else 'early'}" for k in range(100)]
    file.write_text("arrival_s,input_tokens,output_tokens,class\n" + "\n".join(rows), encoding="utf-8")
    trace = Trace(str(file))
    assert len(trace_rows(trace, "late", horizon_s=20.0)) == 0
    span = trace_span(trace, "late", 20.0)
    assert (span.rows, span.first_s, span.last_s, span.gap_s) == (49, 51.0, 99.0, 1.0)
    with pytest.raises(InputError, match="labels that no class has: 'late' 49"):
        trace_rows(trace, "early", ["early"], 20.0)


def test_a_late_column_of_json_lines_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.jsonl"
    row = {"arrival_s": 1, "input_tokens": 5, "output_tokens": 1}
    file.write_text("\n".join(json.dumps(each) for each in (row, row, row, {**row, "class": "a"})), encoding="utf-8")
    _in_pieces(monkeypatch, 2)
    with pytest.raises(InputError, match="the first 2 rows have no 'class'") as caught:
        load_trace(file)
    assert caught.value.problems[0].line == 4


def test_problems_keep_their_lines_in_later_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0,1,1\n1,1,1\n\n2,x,1\n3,1,1\n4,0,1\n", encoding="utf-8")
    _in_pieces(monkeypatch, 2)
    with pytest.raises(InputError) as caught:
        load_trace(file)
    assert [(each.line, each.got) for each in caught.value.problems] == [(5, "x"), (7, "0")]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "twice.csv"
    file.write_text("arrival_s,input_tokens,output_tokens,session_id,session_id \n0,1,1,a,\n1,1,1,a,\n", "utf-8")
    with pytest.raises(InputError, match=r"twice\.csv:1: has two columns called session_id"):
        load_trace(file, Reading())


def test_rows_in_order_are_taken_as_they_are_and_give_what_others_give(tmp_path: Path) -> None:
    """Without a copy of any column; a file that is out of order is sorted, ties as they stand."""
    rows = [f"{k // 2},{10 + k},{k % 3 + 1}" for k in range(12)]
    files = {"sorted": rows, "mixed": rows[:8] + rows[10:] + rows[8:10]}
    loaded = {}
    for name, lines in files.items():
        file = tmp_path / f"{name}.csv"
        file.write_text("arrival_s,input_tokens,output_tokens\n" + "\n".join(lines) + "\n", "utf-8")
        loaded[name] = load_trace(file, Reading(), until_s=5.0).requests
    assert list(loaded["sorted"].isl) == list(range(10, 20))
    for each in fields(Requests):
        one, other = (getattr(requests, each.name) for requests in loaded.values())
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other, err_msg=each.name)
    assert trace_file._order(np.array([0.0, 1.0, 1.0, 2.0]), 2.0) == slice(0, 3)


def test_conversations_behind_the_end_are_not_kept(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("arrival_s,input_tokens,output_tokens,session_id\n" + "".join(f"{k},5,1,s{k}\n" for k in range(50)))
    rows, _, _ = trace_file._rows(own, Reading(), 4.0)
    assert [*rows.sessions.known] == ["s0", "s1", "s2", "s3"]
    chats = tmp_path / "chats.jsonl"
    row = {"input_length": 16, "output_length": 1, "turn": 1, "hash_ids": [1]}
    lines = [{**row, "timestamp": 1000 * k, "chat_id": k, "parent_chat_id": k - 2 if k > 1 else -1} for k in range(50)]
    chats.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, _, _ = trace_file._rows(chats, Reading(), 6.0)  # whether they are seconds or ms is not known yet
    assert [*rows.sessions.known] == ["0", "1"]
    assert len(rows._first_chat) == 6
    assert load_trace(chats, Reading(), 6000.0).requests.session_id.tolist() == [0, 1, 0, 1, 0, 1]
