"""Clocks of traces: units, dates, times of several clocks, and clocks that begin again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from trace_cases import HEADER, written

from simulator.errors import InputError
from simulator.workload.reading import Reading
from simulator.workload.trace_file import load_trace


def of_times(times: Iterable[object]) -> str:
    return "\n".join([HEADER, *(f"{time},10,5" for time in times)]) + "\n"


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
    file = written(tmp_path, "t.csv", of_times(times))
    np.testing.assert_allclose(load_trace(file, Reading(time_unit=unit)).requests.arrival_s, seconds, atol=1e-6)


@pytest.mark.parametrize(
    ("times", "unit", "row"),
    [
        (["1764000000", "1764000001", "1764000002000"], None, 4),
        (["1764000000000", "1764000001"], None, 3),
        (["0.5", "1764000001"], None, 3),
        (["1764000000000", "12"], "ms", 3),
        (["2026-11-26T08:00:00Z", "2026-11-26T09:00:01"], None, 3),
        (["2026-11-26T08:00:00", "2026-11-26T09:00:01+01:00"], None, 3),
        (["2026-11-26 08:00:00+02", "2026-11-26 09:00:01"], None, 3),
        (["2026-11-26T08:00:00", "12.5"], None, 2),
    ],
)
def test_times_of_several_clocks_in_one_column_are_refused(
    tmp_path: Path, times: list[str], unit: str | None, row: int
) -> None:
    file = written(tmp_path, "t.csv", of_times(times))
    with pytest.raises(InputError) as caught:
        load_trace(file, Reading(time_unit=unit))
    assert caught.value.problems[0].line == row
    assert caught.value.problems[0].got == times[row - 2]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (["26.11.2026 08:00:00", "1.12.2026 08:00:01,5"], 5 * 86_400 + 1.5),
        (["26/Nov/2026:23:59:59 +0100", "26/Nov/2026:23:00:01 +0000"], 2.0),
        (["[26/Nov/2026:23:59:59 +0100]", "[27/Nov/2026:00:00:01 +0100]"], 2.0),
        (["Nov 26, 2026 @ 08:00:00.250", "Dec 1, 2026 @ 08:00:00.750"], 5 * 86_400 + 0.5),
        (["November 9, 2026 11:59:59 AM", "November 9, 2026 12:00:01 PM"], 2.0),
        (["2/1/2026 08:00", "13/1/2026 08:00"], 11 * 86_400.0),
        (["1/2/2026 08:00", "1/13/2026 08:00"], 11 * 86_400.0),
        (["1/12/2026 12:30:00 AM", "1/13/2026 1:30:00 PM"], 86_400 + 13 * 3600.0),
        (["30/1/2026 12:30:00 AM", "1/2/2026 1:30:00 p.m."], 2 * 86_400 + 13 * 3600.0),
        (["26-11-2026 08:00:00", "01-12-2026 08:00:01"], 5 * 86_400 + 1.0),
        (["2026-11-26 08:00:00,250", "2026-11-26 08:00:01,750"], 1.5),
        (["2026-11-26 08:00:00 AM", "2026-11-26 08:00:01 PM"], 12 * 3600 + 1.0),
        (["Thu, 26 Nov 2026 08:00:00 GMT", "Thu, 26 Nov 2026 10:00:01 +0200"], 1.0),
        (["26-Nov-2026 08:00:00", "1-Dec-2026 08:00:01"], 5 * 86_400 + 1.0),
        (["26. November 2026 08:00", "1. December 2026 08:00:01"], 5 * 86_400 + 1.0),
        (["2/1/2026 08:00:00 UTC", "13/1/2026 08:00:00 GMT"], 11 * 86_400.0),
    ],
)
def test_dates_may_stand_as_logs_and_spreadsheets_write_them(tmp_path: Path, times: list[str], seconds: float) -> None:
    text = "\n".join([HEADER.replace(",", ";"), *(f"{time};10;5" for time in times)]) + "\n"
    arrival_s = load_trace(written(tmp_path, "t.csv", text)).requests.arrival_s
    np.testing.assert_allclose(arrival_s, [0.0, seconds], atol=1e-6)


@pytest.mark.parametrize("clock", ["08:00", "08:00 AM"])
def test_dates_whose_days_and_months_cannot_be_told_apart_are_refused(tmp_path: Path, clock: str) -> None:
    file = written(tmp_path, "t.csv", of_times([f"1/2/2026 {clock}", f"3/2/2026 {clock}"]))
    with pytest.raises(InputError, match=f"{file}:2: arrival_s may begin with the day or with the month") as caught:
        load_trace(file)
    assert caught.value.problems[0].got == f"1/2/2026 {clock}"


@pytest.mark.parametrize("unit", [None, "s"])
def test_dates_in_digits_alone_are_no_count_of_anything(tmp_path: Path, unit: str | None) -> None:
    file = written(tmp_path, "t.csv", of_times(["20261129100000", "20261129100100"]))
    with pytest.raises(InputError, match=f"{file}:2: arrival_s looks like a date in digits alone: write it as 2026-"):
        load_trace(file, Reading(time_unit=unit))
    assert load_trace(file, Reading(time_unit="us")).requests.arrival_s.tolist() == pytest.approx(
        [20261129.1, 20261129.1001]
    )
    clock = written(tmp_path, "ms.csv", of_times(["20269929100000", "20269929100100"]))
    assert load_trace(clock, Reading(time_unit=unit)).was_read.time_unit == (unit or "ms")


def test_numbers_beside_semicolons_may_have_a_comma(tmp_path: Path) -> None:
    text = HEADER.replace(",", ";") + "\n0,5;10;5\n1,25;10;5\n"
    assert load_trace(written(tmp_path, "t.csv", text)).requests.arrival_s.tolist() == [0.5, 1.25]
    with pytest.raises(InputError, match=r"input_tokens must be a whole number.*got 10,5"):
        load_trace(written(tmp_path, "u.csv", text.replace(";10;", ";10,5;")))
    with pytest.raises(InputError, match="got 0,5"):
        load_trace(written(tmp_path, "v.csv", HEADER + '\n"0,5",10,5\n1,10,5\n'))


@pytest.mark.parametrize(
    "times",
    [
        ["26.11.2026 08:00:00", "26.11.2026 08:00:01"],
        ["2026-11-26T08:00:00Z", "2026-11-26T08:00:01Z"],
        ["2026-11-26 08:00:00+02", "2026-11-26 08:00:01+02:00"],
        [" 2026-11-26", " 2026-11-27T08:00:00"],
        ["1764000000", "1764000001"],
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_without_a_time_says_nothing_of_the_clock_of_others(tmp_path: Path, times: list[str], place: int) -> None:
    assert len(load_trace(written(tmp_path, "t.csv", of_times(times))).requests) == 2
    with pytest.raises(InputError) as caught:
        load_trace(written(tmp_path, "t.csv", of_times([*times[:place], "nope", *times[place:]])))
    assert [(problem.line, problem.got) for problem in caught.value.problems] == [(place + 2, "nope")]


def test_a_clock_in_ms_may_run_for_days(tmp_path: Path) -> None:
    file = written(tmp_path, "t.csv", of_times([0, 864_000_000]))
    assert load_trace(file, Reading(time_unit="ms")).requests.arrival_s.tolist() == [0.0, 864_000.0]


def test_a_clock_that_begins_again_is_refused_and_rows_out_of_order_are_counted(tmp_path: Path) -> None:
    again = written(tmp_path, "again.csv", of_times(k % 20 for k in range(40)))
    with pytest.raises(InputError, match=f"{again}:22: arrival_s begins again"):
        load_trace(again)
    by_end = [1.0, 4.0, 2.0, 3.0, 9.0, 5.0, 7.0, 6.0, 8.0, 10.0]
    ended = load_trace(written(tmp_path, "t.csv", of_times(by_end)))
    assert ended.was_read.out_of_order == 3
    assert ended.requests.arrival_s.tolist() == sorted(by_end)
    assert load_trace(written(tmp_path, "back.csv", of_times(range(40, 0, -1)))).was_read.out_of_order == 39


def test_bailian_has_seconds_whole_or_not(tmp_path: Path) -> None:
    row = {"chat_id": 0, "parent_chat_id": -1, "input_length": 32, "output_length": 5, "turn": 1, "hash_ids": [1, 2]}
    text = "\n".join(json.dumps({**row, "timestamp": 10 * k}) for k in range(3)) + "\n"
    trace = load_trace(written(tmp_path, "t.jsonl", text))
    assert (trace.was_read.time_unit, trace.was_read.hash_block_tokens) == ("s", 16)
    assert trace.requests.arrival_s.tolist() == [0.0, 10.0, 20.0]
