"""Hashes of prompt blocks: the tokens of a block, hexadecimal and long ones, rows that have too many or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trace_cases import HEADER, segments, written

from simulator.errors import InputError
from simulator.workload.reading import Reading
from simulator.workload.trace_file import load_trace


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
