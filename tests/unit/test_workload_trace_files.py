"""Trace loaders: every format and kind of file, and broken rows by file and line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trace_cases import HEADER, TRACES, segments, written

from simulator.errors import InputError
from simulator.workload.describe import describe_trace
from simulator.workload.reading import Reading
from simulator.workload.trace_file import load_trace
from simulator.workload.traces import TRACE_SOURCES


def problems_of(file: Path) -> list[tuple[int | None, str | None]]:
    with pytest.raises(InputError) as caught:
        load_trace(file)
    assert all(problem.file == str(file) for problem in caught.value.problems)
    return [(problem.line, problem.got) for problem in caught.value.problems]


def test_azure_is_sorted_and_starts_at_zero() -> None:
    requests = load_trace(TRACES / "azure.csv").requests
    np.testing.assert_allclose(requests.arrival_s, [0.0, 0.01, 0.052, 0.098189], atol=1e-7)
    assert requests.isl.tolist() == [4808, 7, 3180, 110]
    assert requests.osl.tolist() == [10, 16, 8, 27]


def test_azure_of_2024_has_time_zones() -> None:
    np.testing.assert_allclose(load_trace(TRACES / "azure_2024.csv").requests.arrival_s, [0.0, 1.007405], atol=1e-6)


def test_mooncake_blocks_become_segments_that_fit_the_prompt() -> None:
    requests = load_trace(TRACES / "mooncake.jsonl").requests
    np.testing.assert_allclose(requests.arrival_s, [0.0, 3.053, 3.518])
    assert segments(requests, 0) == [(0, 512), (1, 512), (2, 376)]
    assert segments(requests, 1) == [(0, 512), (1, 512)]
    assert segments(requests, 2) == [(0, 512), (3, 88)]


def test_burstgpt() -> None:
    requests = load_trace(TRACES / "burstgpt.csv").requests
    assert requests.arrival_s.tolist() == [0.0, 40.0, 113.0]
    assert requests.isl.tolist() == [472, 1087, 417]
    assert requests.osl.tolist() == [18, 230, 276]


def test_own_format_keeps_its_clock_and_sorts_stably() -> None:
    trace = load_trace(TRACES / "table.csv")
    assert trace.requests.arrival_s.tolist() == [1.0, 2.5, 2.5, 4.0]
    assert trace.requests.isl.tolist() == [512, 700, 40, 1500]
    assert trace.requests.session_id.tolist() == [1, 0, 0, 2]
    assert trace.labels is not None
    assert trace.labels.tolist() == ["code", "chat", "chat", "chat"]
    assert [segments(trace.requests, row) for row in range(4)] == [
        [(0, 512)], [(0, 512), (1, 188)], [], [(0, 512), (1, 512), (2, 476)]
    ]  # fmt: skip


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"arrival_s": [0.5, 0.1], "input_tokens": [600, 10], "output_tokens": [3, 4], "hash_ids": [[9, 4], []]}
    )
    frame.to_parquet(tmp_path / "trace.parquet")
    requests = load_trace(tmp_path / "trace.parquet").requests
    assert requests.arrival_s.tolist() == [0.1, 0.5]
    assert segments(requests, 1) == [(1, 512), (0, 88)]


def test_broken_rows_are_named_by_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0,10,5\n1,-3,5\n\nnan,10,5\n3,10,0\n4,ten,5\n5,10\n6,7,8\n")
    assert problems_of(file) == [(3, "-3"), (5, "nan"), (6, "0"), (7, "ten"), (8, "nothing")]


def test_only_the_first_twenty_problems_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "broken.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n" + "0,0,0\n" * 50)
    found = problems_of(file)
    assert len(found) == 20
    assert [line for line, _ in found[:4]] == [2, 2, 3, 3]


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ("not json", "not json"),
        ('{"timestamp": 0, "input_length": 0, "output_length": 1, "hash_ids": [1]}', "0"),
        ('{"timestamp": -5, "input_length": 9, "output_length": 1, "hash_ids": [1]}', "-5"),
        ('{"timestamp": 5, "input_length": 9, "output_length": 1, "hash_ids": "one"}', "one"),
    ],
)
def test_broken_json_lines(tmp_path: Path, row: str, got: str) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_text('{"timestamp": 0, "input_length": 9, "output_length": 1, "hash_ids": [1]}\n' + row + "\n")
    assert problems_of(file) == [(2, got)]


def test_rows_of_different_length_are_named(tmp_path: Path) -> None:
    file = tmp_path / "ragged.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0,1,2\n1,2,3,4\n")
    assert problems_of(file) == [(3, None)]


def test_failed_burstgpt_requests_are_explained(tmp_path: Path) -> None:
    file = tmp_path / "burst.csv"
    file.write_text("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,GPT-4,10,0,10,API log\n")
    with pytest.raises(InputError, match="leave_out_failures"):
        load_trace(file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("blanks.csv", "arrival_s input_tokens output_tokens\n0 3 4\n", "it looks blank-separated"),
        (
            "decimal.csv",
            'arrival_s,input_tokens,output_tokens\n"0,5",3,4\n',
            r"decimal.csv:2: write the decimal comma as a point: arrival_s .*got 0,5",
        ),
        (
            "twice.csv",
            "arrival_s,input_tokens,output_tokens,input_tokens\n0,3,4,5\n",
            r"twice.csv:1: has two columns called input_tokens",
        ),
        ("large.csv", "arrival_s,input_tokens,output_tokens\n0,3000000000,4\n", "must be at most 2,147,483,647"),
        (
            "impossible.csv",
            "arrival_s,input_tokens,output_tokens\n01.02.2026 10:00:00,3,4\n31.02.2026 10:00:00,3,4\n",
            r"impossible.csv:3: .*got 31.02.2026 10:00:00",
        ),
        (
            "orders.csv",
            "arrival_s,input_tokens,output_tokens\n13/02/2026 10:00:00,3,4\n02/13/2026 10:00:00,3,4\n",
            r"orders.csv:3: .*whose day comes first.*got 02/13/2026 10:00:00",
        ),
        (
            "morning.csv",
            "arrival_s,input_tokens,output_tokens\n11/29/2026 11:30 AM,3,4\n11/29/2026 13:30 AM,3,4\n",
            r"morning.csv:3: .*got 11/29/2026 13:30 AM",
        ),
        ("odd.csv", "when,what\n1,2\n", "columns match no trace format"),
        ("empty.csv", "", "is not a CSV file"),
        ("header.csv", "arrival_s,input_tokens,output_tokens\n", "has no rows"),
        ("trace.parquet", "no parquet", "is not a Parquet file"),
        ("trace.xlsx", "", "must be one of .csv, .tsv, .jsonl, .ndjson, .parquet"),
    ],
)
def test_files_that_are_no_trace(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_trace(tmp_path / name)


@pytest.mark.parametrize(
    ("separator", "tokens", "refused"),
    [
        (";", "1.000", True),
        (";", "1,000", True),
        (";", "2.147.000", True),
        (";", "1 500", True),
        (",", '"1,000"', True),
        (";", "1000", False),
        (";", "1000.0", False),
        (",", "1.000", False),
    ],
)
def test_tokens_with_a_separator_of_thousands_are_never_read_as_a_thousandth(
    tmp_path: Path, separator: str, tokens: str, refused: bool
) -> None:
    """In files of semicolons both marks may be either; where values end at commas a point begins a fraction."""
    file = tmp_path / "thousands.csv"
    rows = (("arrival_s", "input_tokens", "output_tokens"), ("0", tokens, "4"))
    file.write_text("".join(separator.join(row) + "\n" for row in rows))
    if refused:
        with pytest.raises(InputError, match=r"thousands.csv:2: write it without separators of thousands: input_"):
            load_trace(file)
    else:
        assert load_trace(file).requests.isl.tolist() == [float(tokens)]


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    file = tmp_path / "excel.csv"
    for encoding in ("utf-16", "latin-1"):
        file.write_text("arrival_s,input_tokens,output_tokens,größe\n0,3,4,5\n", encoding)
        with pytest.raises(InputError, match=r"excel.csv: is not text in UTF-8: save it as CSV UTF-8"):
            load_trace(file)


def test_unknown_format_names_the_closest() -> None:
    with pytest.raises(InputError, match="did you mean 'azure'"):
        load_trace(TRACES / "azure.csv", Reading("azur"))
    with pytest.raises(InputError, match="needs the column"):
        load_trace(TRACES / "azure.csv", Reading("burstgpt"))


@pytest.mark.parametrize(
    "name", ["t.csv", "t.csv.gz", "t.tsv", "t.TSV", "semicolon.csv", "tab.csv", "t.jsonl", "t.ndjson.gz"]
)
def test_all_kinds_of_files_hold_the_same(tmp_path: Path, name: str) -> None:
    separator = {"semicolon.csv": ";", "tab.csv": "\t"}.get(name, "\t" if name.lower().endswith("tsv") else ",")
    rows = [(0.5, 100, 10), (1.5, 200, 20)]
    if "json" in name:
        keys = HEADER.split(",")
        text = "\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows)
    else:
        text = "\n".join([HEADER.replace(",", separator), *(separator.join(map(str, row)) for row in rows)])
    requests = load_trace(written(tmp_path, name, text + "\n")).requests
    assert requests.arrival_s.tolist() == [0.5, 1.5]
    assert requests.isl.tolist() == [100, 200]


def test_a_packed_file_that_is_cut_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, "t.jsonl.gz", '{"arrival_s": 0, "input_tokens": 1, "output_tokens": 1}\n' * 50)
    file.write_bytes(file.read_bytes()[:-12])
    with pytest.raises(InputError, match=str(file)):
        load_trace(file)


def test_columns_of_other_tools_are_mapped(tmp_path: Path) -> None:
    text = "startTime,prompt_tokens,completion_tokens,arrival_s\n2,10,5,x\n1,20,6,y\n"
    file = written(tmp_path, "log.csv", text)
    columns = (("arrival_s", "startTime"), ("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    requests = load_trace(file, Reading(columns=columns)).requests
    assert requests.arrival_s.tolist() == [1.0, 2.0]
    assert requests.isl.tolist() == [20, 10]
    with pytest.raises(InputError, match="unknown column 'begin'"):
        load_trace(file, Reading(columns=(("arrival_s", "begin"),)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", f"{HEADER}\n0,10,5\n1,10,0\n2,10,7\n"),
        ("t.csv", f"{HEADER}\n0,10,5\n1,10,\n2,10,7\n"),
        ("t.csv", f"{HEADER}\n0,10,5\n1,10, \n2,10,7\n"),
        (
            "t.jsonl",
            "".join(
                f'{{"arrival_s": {k}, "input_tokens": 10, "output_tokens": {osl}}}\n'
                for k, osl in enumerate((5, "null", 7))
            ),
        ),
    ],
)
def test_failures_are_refused_or_counted_and_left_out(tmp_path: Path, name: str, text: str) -> None:
    """No output token is written as 0 or as nothing."""
    file = written(tmp_path, name, text)
    with pytest.raises(InputError, match="leave_out_failures"):
        load_trace(file)
    trace = load_trace(file, Reading(leaves_out_failures=True))
    assert trace.requests.arrival_s.tolist() == [0.0, 2.0]
    assert trace.requests.osl.tolist() == [5, 7]
    assert trace.was_read.failures == 1


def test_an_answer_that_is_no_number_is_no_failure(tmp_path: Path) -> None:
    file = written(tmp_path, "t.csv", f"{HEADER}\n0,10,5\n1,10,many\n")
    with pytest.raises(InputError, match=r"t\.csv:3: output_tokens must be a whole number"):
        load_trace(file, Reading(leaves_out_failures=True))


def test_a_trace_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    file = written(tmp_path, "t.csv", f"{HEADER}\n0,10,5\n")
    assert load_trace(file) is load_trace(file)
    written(tmp_path, "t.csv", f"{HEADER}\n0,10,5\n1,20,5\n")
    assert load_trace(file).requests.isl.tolist() == [10, 20]


def test_rows_with_more_values_than_names_are_refused_and_not_cut(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0.0,10,5,7\n1.0,20,5,7\n")
    with pytest.raises(InputError, match="more values than its first line has names"):
        load_trace(file)
    file.write_text("arrival_s,input_tokens,output_tokens\n0.0,10,5,\n1.0,20,5,\n")
    assert len(load_trace(file).requests) == 2


def test_azure_of_2025_has_pictures_beside(tmp_path: Path) -> None:
    text = (
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2024-10-15 00:00:00.5,1,2162,5\n2024-10-15 00:00:02,0,7,6\n"
    )
    requests = load_trace(written(tmp_path, "t.csv", text)).requests
    assert requests.arrival_s.tolist() == [0.0, 1.5]
    assert requests.isl.tolist() == [2162, 7]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_rows_without_a_session_have_none(tmp_path: Path, name: str) -> None:
    sessions = ["b", None, "a", None]
    if name.endswith("csv"):
        text = "\n".join([f"{HEADER},session_id", *(f"{k},10,5,{each or ''}" for k, each in enumerate(sessions))])
    else:
        keys = [*HEADER.split(","), "session_id"]
        text = "\n".join(json.dumps(dict(zip(keys, (k, 10, 5, each), strict=True))) for k, each in enumerate(sessions))
    assert load_trace(written(tmp_path, name, text + "\n")).requests.session_id.tolist() == [1, -1, 0, -1]


def test_blanks_around_the_names_of_columns_are_none_of_them(tmp_path: Path) -> None:
    requests = load_trace(written(tmp_path, "t.csv", f"{HEADER.replace(',', ', ')}\n1, 10, 5\n")).requests
    assert requests.isl.tolist() == [10]


def test_a_whole_number_beyond_any_float_is_told_at_its_line(tmp_path: Path) -> None:
    rows = [{"timestamp": k, "input_length": 9, "output_length": 9, "hash_ids": [k]} for k in range(4)]
    for k, name in enumerate(("timestamp", "input_length", "output_length"), 1):
        rows[k][name] = 10**400
    file = tmp_path / "huge.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert [line for line, _ in problems_of(file)] == [2, 3, 4]


def test_bins_that_no_memory_holds_are_refused() -> None:
    source = TRACE_SOURCES[0]
    with pytest.raises(InputError, match="take wider ones"):
        describe_trace(load_trace(TRACES / "azure.csv").requests, source, "2026-11-29", 1e-9)
