"""Trace loaders: every format, and broken rows by file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.errors import InputError
from simulator.workload.reading import Reading
from simulator.workload.requests import Requests
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Constant, Trace, WorkloadSpec
from simulator.workload.trace_file import load_trace

TRACES = Path(__file__).resolve().parents[1] / "data" / "traces"


def segments(requests: Requests, row: int) -> list[tuple[int, int]]:
    span = slice(requests.segment_start[row], requests.segment_start[row + 1])
    return list(zip(requests.segment_id[span].tolist(), requests.segment_tokens[span].tolist(), strict=True))


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


def test_unknown_format_names_the_closest() -> None:
    with pytest.raises(InputError, match="did you mean 'azure'"):
        load_trace(TRACES / "azure.csv", Reading("azur"))
    with pytest.raises(InputError, match="needs the column"):
        load_trace(TRACES / "azure.csv", Reading("burstgpt"))


def replayed(trace: Trace, horizon_s: float, name: str = "chat", isl: Constant | None = None) -> Requests:
    spec = WorkloadSpec((ClassWorkload(name, trace, isl),))
    (chunk,) = build_source(spec, horizon_s, 1).chunks()
    return chunk


OWN = TRACES / "table.csv"
CHAT, CODE = Trace(OWN, Reading(leave_out=("code",))), Trace(OWN, Reading(leave_out=("chat",)))


def test_replay_divides_times_and_ends() -> None:
    requests = replayed(Trace(TRACES / "burstgpt.csv", rate_scale=4.0), 1e6)
    assert requests.arrival_s.tolist() == [0.0, 10.0, 28.25]
    assert replayed(Trace(TRACES / "burstgpt.csv"), 100.0).isl.tolist() == [472, 1087]


def test_loop_keeps_the_mean_gap_and_brings_new_content() -> None:
    requests = replayed(Trace(TRACES / "mooncake.jsonl", loop=True), 3 * 3.518 * 1.5 - 1e-9)
    assert len(requests) == 9
    period_s = 3.518 * 1.5
    np.testing.assert_allclose(requests.arrival_s[3:], requests.arrival_s[:-3] + period_s)
    assert requests.isl.tolist() == [1400, 1024, 600] * 3
    rounds = [{segment for row in range(3 * k, 3 * k + 3) for segment, _ in segments(requests, row)} for k in range(3)]
    assert len(set.union(*rounds)) == sum(len(ids) for ids in rounds)
    assert len(requests) / (3 * period_s) == pytest.approx(2 / 3.518)


def test_class_takes_the_rows_labelled_with_its_name() -> None:
    assert replayed(CHAT, 100.0).isl.tolist() == [700, 40, 1500]
    assert replayed(CODE, 100.0, "code").isl.tolist() == [512]
    both = WorkloadSpec((ClassWorkload("chat", Trace(OWN)), ClassWorkload("code", Trace(OWN))))
    (chunk,) = build_source(both, 100.0, 1).chunks()
    assert sorted(chunk.isl.tolist()) == [40, 512, 700, 1500]
    with pytest.raises(InputError, match="unknown class 'chatt': did you mean 'chat'"):
        replayed(Trace(TRACES / "table.csv"), 100.0, "chatt")


def test_own_lengths_replace_recorded_ones_and_segments_still_fit() -> None:
    requests = replayed(Trace(TRACES / "mooncake.jsonl"), 100.0, isl=Constant(700))
    assert requests.isl.tolist() == [700, 700, 700]
    assert requests.osl.tolist() == [52, 26, 3]
    assert segments(requests, 0) == [(0, 512), (1, 188)]


def test_a_trace_without_duration_cannot_loop(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("arrival_s,input_tokens,output_tokens\n0,1,2\n")
    with pytest.raises(InputError, match="cannot loop"):
        replayed(Trace(tmp_path / "one.csv", loop=True), 10.0)


def written(tmp_path: Path, name: str, text: str) -> Path:
    file = tmp_path / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(text.encode()))
    else:
        file.write_text(text)
    return file


HEADER = "arrival_s,input_tokens,output_tokens"


def test_rows_whose_label_no_class_has_are_refused_with_their_number(tmp_path: Path) -> None:
    rows = [f"{k},100,10,{label}" for k, label in enumerate(["chat", "Chat", "batch"] * 20)]
    file = written(tmp_path, "labels.csv", "\n".join([f"{HEADER},class", *rows]) + "\n")
    with pytest.raises(InputError, match="40 of 60 rows bear labels that no class has: 'Chat' 20, 'batch' 20"):
        replayed(Trace(file), 100.0)
    assert len(replayed(Trace(file, Reading(leave_out=("Chat", "batch"))), 100.0)) == 20
    with pytest.raises(InputError, match="unknown class 'bath': did you mean 'batch'"):
        load_trace(file, Reading(leave_out=("bath",)))


@pytest.mark.parametrize("size", [16, 64, 512])
@pytest.mark.parametrize("rounds_up", [True, False])
def test_the_size_of_a_block_is_read_off_the_lengths(tmp_path: Path, size: int, rounds_up: bool) -> None:
    prompts = [5 * size + 3, 9 * size + 1, 12 * size]
    rows = [
        {
            "timestamp": 0.25 * k,
            "input_length": isl,
            "output_length": 5,
            "hash_ids": list(range(-(-isl // size) if rounds_up else isl // size)),
            "type": "text",
        }
        for k, isl in enumerate(prompts)
    ]
    file = written(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    trace = load_trace(file)
    assert (trace.was_read.hash_block_tokens, trace.was_read.time_unit) == (size, "s")
    assert trace.requests.arrival_s.tolist() == [0.0, 0.25, 0.5]
    assert segments(trace.requests, 0)[0] == (0, size)


def test_hashes_that_fit_no_block_size_ask_for_it(tmp_path: Path) -> None:
    row = {"timestamp": 1, "input_length": 100, "output_length": 5, "hash_ids": [1, 2, 3, 4, 5]}
    file = written(tmp_path, "t.jsonl", json.dumps(row) + "\n")
    with pytest.raises(InputError, match="5 for 100 prompt tokens"):
        load_trace(file)
    assert segments(load_trace(file, Reading(hash_block_tokens=20)).requests, 0) == [(k, 20) for k in range(5)]


def test_more_hashes_than_a_prompt_has_blocks_are_refused_and_not_cut_off(tmp_path: Path) -> None:
    rows = [(95, 4), (100, 4), (100, 3)]
    lines = [f"{k},{isl},5,{' '.join(map(str, range(hashes)))}" for k, (isl, hashes) in enumerate(rows)]
    file = written(tmp_path, "t.csv", "\n".join([f"{HEADER},hash_ids", *lines]) + "\n")
    with pytest.raises(InputError, match=f"{file}:2: 4 hashes for 95 prompt tokens, which are 3 blocks of 40"):
        load_trace(file, Reading(hash_block_tokens=40))
    assert len(load_trace(file, Reading(hash_block_tokens=31)).requests) == 3


@pytest.mark.parametrize("given", [None, 16])
def test_rows_without_hashes_beside_rows_with_them_are_refused(tmp_path: Path, given: int | None) -> None:
    """A prompt shorter than a block has none; one of several blocks would share nothing without a word."""
    hashes = "1 2 3 4 5 6 7"
    rows = [f"0,112,5,{hashes}", "1,15,5,", f"2,112,5,{hashes}", "3,112,5,"]
    file = written(tmp_path, "t.csv", "\n".join([f"{HEADER},hash_ids", *rows[:3]]) + "\n")
    assert len(load_trace(file, Reading(hash_block_tokens=given)).requests) == 3
    file = written(tmp_path, "half.csv", "\n".join([f"{HEADER},hash_ids", *rows]) + "\n")
    with pytest.raises(InputError, match=f"{file}:5: 0 hashes for 112 prompt tokens, which are 7 blocks of 16"):
        load_trace(file, Reading(hash_block_tokens=given))


def test_hexadecimal_hashes_are_equal_where_their_text_is(tmp_path: Path) -> None:
    rows = ["0,1200,5,a1b2c3d4 00ff00ff 1234abcd", "1,1200,5,A1B2C3D4 00ff00ff 12345678"]
    requests = load_trace(written(tmp_path, "h.csv", "\n".join([f"{HEADER},hash_ids", *rows]) + "\n")).requests
    one, two = ([segment for segment, _ in segments(requests, row)] for row in (0, 1))
    assert one[:2] == two[:2]
    assert one[2] != two[2]
    with pytest.raises(InputError, match="hash_ids must be a list"):
        load_trace(written(tmp_path, "bad.csv", f"{HEADER},hash_ids\n0,1200,5,first second third\n"))


def test_hashes_may_have_64_bits_and_more(tmp_path: Path) -> None:
    big = [2**64 - 1, 2**63, -1]
    rows = [f'{k},1200,5,"[{", ".join(map(str, hashes))}]"' for k, hashes in enumerate([big, [*big[:2], 2**70]])]
    requests = load_trace(written(tmp_path, "h.csv", "\n".join([f"{HEADER},hash_ids", *rows]) + "\n")).requests
    assert [segment for segment, _ in segments(requests, 0)] == [2, 1, 0]
    assert [segment for segment, _ in segments(requests, 1)] == [2, 1, 3]


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


@pytest.mark.parametrize(
    ("times", "unit", "seconds"),
    [
        (["1764000001.5", "1764000003.0"], None, [0.0, 1.5]),
        (["1764000001500", "1764000003000"], "ms", [0.0, 1.5]),
        (["2026-11-26T08:00:00Z", "2026-11-26T10:00:01.5+02:00"], None, [0.0, 1.5]),
        (["1764000001500", "1764000003000"], None, [0.0, 1.5]),
        (["1764000001500000", "1764000003000000"], None, [0.0, 1.5]),
        (["1764000001500000000", "1764000003000000000"], None, [0.0, 1.5]),
        (["10", "1510"], "ms", [0.01, 1.51]),
        (["10", "11.5"], None, [10.0, 11.5]),
    ],
)
def test_clocks_may_count_from_1970_or_be_dates(
    tmp_path: Path, times: list[str], unit: str | None, seconds: list[float]
) -> None:
    file = written(tmp_path, "t.csv", "\n".join([HEADER, *(f"{time},10,5" for time in times)]) + "\n")
    np.testing.assert_allclose(load_trace(file, Reading(time_unit=unit)).requests.arrival_s, seconds, atol=1e-6)


def test_columns_of_other_tools_are_mapped(tmp_path: Path) -> None:
    text = "startTime,prompt_tokens,completion_tokens,arrival_s\n2,10,5,x\n1,20,6,y\n"
    file = written(tmp_path, "log.csv", text)
    columns = (("arrival_s", "startTime"), ("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    requests = load_trace(file, Reading(columns=columns)).requests
    assert requests.arrival_s.tolist() == [1.0, 2.0]
    assert requests.isl.tolist() == [20, 10]
    with pytest.raises(InputError, match="unknown column 'begin'"):
        load_trace(file, Reading(columns=(("arrival_s", "begin"),)))


def test_failures_are_refused_or_counted_and_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, "t.csv", f"{HEADER}\n0,10,5\n1,10,0\n2,10,7\n")
    with pytest.raises(InputError, match="leave_out_failures"):
        load_trace(file)
    trace = load_trace(file, Reading(leaves_out_failures=True))
    assert trace.requests.arrival_s.tolist() == [0.0, 2.0]
    assert trace.was_read.failures == 1


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


@pytest.mark.parametrize(
    ("times", "unit", "row"),
    [
        (["1764000000", "1764000001", "1764000002000"], None, 4),
        (["1764000000000", "1764000001"], None, 3),
        (["0.5", "1764000001"], None, 3),
        (["1764000000000", "12"], "ms", 3),
        (["2026-11-26T08:00:00Z", "2026-11-26T09:00:01"], None, 3),
        (["2026-11-26T08:00:00", "2026-11-26T09:00:01+01:00"], None, 3),
        (["2026-11-26T08:00:00", "12.5"], None, 2),
    ],
)
def test_times_of_several_clocks_in_one_column_are_refused(
    tmp_path: Path, times: list[str], unit: str | None, row: int
) -> None:
    file = written(tmp_path, "t.csv", "\n".join([HEADER, *(f"{time},10,5" for time in times)]) + "\n")
    with pytest.raises(InputError) as caught:
        load_trace(file, Reading(time_unit=unit))
    assert caught.value.problems[0].line == row
    assert caught.value.problems[0].got == times[row - 2]


def test_a_clock_in_ms_may_run_for_days(tmp_path: Path) -> None:
    file = written(tmp_path, "t.csv", f"{HEADER}\n0,10,5\n864000000,10,5\n")
    assert load_trace(file, Reading(time_unit="ms")).requests.arrival_s.tolist() == [0.0, 864_000.0]


def test_a_clock_that_begins_again_is_refused_and_rows_out_of_order_are_counted(tmp_path: Path) -> None:
    again = written(tmp_path, "again.csv", "\n".join([HEADER, *(f"{k % 20},10,5" for k in range(40))]) + "\n")
    with pytest.raises(InputError, match=f"{again}:22: arrival_s begins again"):
        load_trace(again)
    by_end = [1.0, 4.0, 2.0, 3.0, 9.0, 5.0, 7.0, 6.0, 8.0, 10.0]
    ended = load_trace(written(tmp_path, "t.csv", "\n".join([HEADER, *(f"{at},10,5" for at in by_end)]) + "\n"))
    assert ended.was_read.out_of_order == 3
    assert ended.requests.arrival_s.tolist() == sorted(by_end)
    backwards = "\n".join([HEADER, *(f"{k},10,5" for k in range(40, 0, -1))]) + "\n"
    assert load_trace(written(tmp_path, "back.csv", backwards)).was_read.out_of_order == 39


def test_bailian_has_seconds_whole_or_not(tmp_path: Path) -> None:
    row = {"chat_id": 0, "parent_chat_id": -1, "input_length": 32, "output_length": 5, "turn": 1, "hash_ids": [1, 2]}
    text = "\n".join(json.dumps({**row, "timestamp": 10 * k}) for k in range(3)) + "\n"
    trace = load_trace(written(tmp_path, "t.jsonl", text))
    assert (trace.was_read.time_unit, trace.was_read.hash_block_tokens) == ("s", 16)
    assert trace.requests.arrival_s.tolist() == [0.0, 10.0, 20.0]


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
