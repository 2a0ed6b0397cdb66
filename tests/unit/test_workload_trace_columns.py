"""Traces as other tools write them: columns by other names, parts of objects, separators, dates, types of Parquet."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from trace_cases import HEADER, written

from simulator.cli.traces import traces
from simulator.errors import InputError
from simulator.workload.columns import guessed
from simulator.workload.reading import Reading
from simulator.workload.trace_file import load_trace

ROWS = [(0.5, 700, 20), (2.0, 40, 5), (4.25, 1500, 7)]
NESTED = (("arrival_s", "at"), ("input_tokens", "usage.prompt_tokens"), ("output_tokens", "usage.completion_tokens"))


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def read(file: Path, reading: Reading) -> list[tuple[float, int, int]]:
    found = load_trace(file, reading).requests
    return list(zip(found.arrival_s.tolist(), found.isl.tolist(), found.osl.tolist(), strict=True))


def test_parts_of_objects_are_columns(tmp_path: Path) -> None:
    usage = [{"at": at, "usage": {"prompt_tokens": isl, "completion_tokens": osl}} for at, isl, osl in ROWS]
    assert read(written(tmp_path, "t.jsonl", lines(usage)), Reading(columns=NESTED)) == ROWS
    pd.DataFrame(usage).to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", Reading(columns=NESTED)) == ROWS


def test_names_of_parts_may_hold_points(tmp_path: Path) -> None:
    rows = [
        {"at": at, "attributes": {"gen_ai.usage.input_tokens": isl, "gen_ai": {"usage.output_tokens": osl}}}
        for at, isl, osl in ROWS
    ]
    asked = (
        ("arrival_s", "at"),
        *((f"{way}_tokens", f"attributes.gen_ai.usage.{way}_tokens") for way in ("input", "output")),
    )
    assert read(written(tmp_path, "t.jsonl", lines(rows)), Reading(columns=asked)) == ROWS


def test_a_column_that_is_called_as_it_should_be_is_not_advised(tmp_path: Path) -> None:
    file = written(tmp_path, "t.csv", "arrival_s,prompt_tokens,answered\n1,2,3\n")
    with pytest.raises(InputError, match=r"likely --column 'input_tokens=prompt_tokens' \(got"):
        load_trace(file)


@pytest.mark.parametrize("missing", ["usage.prompt", "used.prompt_tokens", "at.prompt_tokens"])
def test_a_part_that_no_row_has_is_an_unknown_column(tmp_path: Path, missing: str) -> None:
    usage = [{"at": at, "usage": {"prompt_tokens": isl, "completion_tokens": osl}} for at, isl, osl in ROWS]
    asked = (("arrival_s", "at"), ("input_tokens", missing), ("output_tokens", "usage.completion_tokens"))
    with pytest.raises(InputError, match=f"unknown column '{missing}'"):
        load_trace(written(tmp_path, "t.jsonl", lines(usage)), Reading(columns=asked))


@pytest.mark.parametrize(
    ("record", "places"),
    [
        ("startTime endTime prompt_tokens completion_tokens total_tokens", (0, 2, 3)),
        ("id timestamp inputTokens outputTokens totalTokens", (1, 2, 3)),
        ("created usage.total_tokens usage.prompt_tokens usage.completion_tokens", (0, 2, 3)),
        ("startTime usage.input usage.output", (0, 1, 2)),
        ("start_time gen_ai.usage.input_tokens gen_ai.usage.output_tokens", (0, 1, 2)),
        ("time spend input output", (0,)),
    ],
)
def test_columns_that_a_log_likely_means(record: str, places: tuple[int, ...]) -> None:
    row: dict[str, Any] = {}
    for name in record.split():
        whole, _, part = name.partition(".")
        if whole == "usage":
            row.setdefault(whole, {})[part] = 1
        else:
            row[name] = 1
    ours = ("arrival_s", "input_tokens", "output_tokens")
    assert guessed(pd.DataFrame([row])) == dict(zip(ours, (record.split()[place] for place in places), strict=False))


def test_a_description_guesses_and_shows_what_a_run_wants_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = [{"created": at, "usage": {"input_tokens": isl, "output_tokens": osl}} for at, isl, osl in ROWS]
    file = written(tmp_path, "log.jsonl", lines(usage))
    assert traces(file) == 0
    shown = capsys.readouterr().out.split()
    assert {"created", "usage.input_tokens", "usage.output_tokens", "(guessed)"} <= set(shown)
    with pytest.raises(InputError, match=r"likely --column 'arrival_s=created' --column 'input_tokens=usage\.input"):
        load_trace(file)
    own = written(tmp_path, "own.csv", f"{HEADER},timestamp\n1,20,3,7\n2,30,4,8\n4,9,5,9\n")
    assert traces(own) == 0
    assert "guessed" not in capsys.readouterr().out


def test_bars_separate_too(tmp_path: Path) -> None:
    text = "".join(f"{at}|{isl}|{osl}\n" for at, isl, osl in ROWS)
    assert read(written(tmp_path, "t.csv", HEADER.replace(",", "|") + "\n" + text), Reading()) == ROWS


@pytest.mark.parametrize("zone", [" UTC", " GMT", "Z", "+00:00"])
def test_dates_by_the_name_of_their_zone(tmp_path: Path, zone: str) -> None:
    begin = datetime(2026, 3, 1, 10)
    text = "".join(f"{begin + timedelta(seconds=at)}{zone},{isl},{osl}\n" for at, isl, osl in ROWS)
    found = load_trace(written(tmp_path, "t.csv", f"{HEADER}\n{text}"))
    assert found.requests.arrival_s.tolist() == [0.0, 1.5, 3.75]
    assert found.was_read.time_unit == "date"


@pytest.mark.parametrize("year", [1970, 2026])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_timestamps_of_parquet_are_dates_of_any_year_and_unit(tmp_path: Path, year: int, unit: str) -> None:
    """A clock that was stored from its start lies in 1970: its numbers do not tell their unit, its type does."""
    begin = datetime(year, 1, 1, tzinfo=UTC)
    times = pd.Series([begin + timedelta(seconds=at) for at, _, _ in ROWS]).astype(f"datetime64[{unit}, UTC]")
    frame = pd.DataFrame({"arrival_s": times, "input_tokens": [isl for _, isl, _ in ROWS], "output_tokens": 5})
    frame.to_parquet(tmp_path / "t.parquet")
    assert load_trace(tmp_path / "t.parquet").requests.arrival_s.tolist() == [0.0, 1.5, 3.75]


def test_durations_of_parquet_are_seconds(tmp_path: Path) -> None:
    times = pd.to_timedelta([at for at, _, _ in ROWS], unit="s")
    pd.DataFrame({"arrival_s": times, "input_tokens": 10, "output_tokens": 5}).to_parquet(tmp_path / "t.parquet")
    assert load_trace(tmp_path / "t.parquet").requests.arrival_s.tolist() == [0.5, 2.0, 4.25]


def test_a_second_unit_in_a_column_is_told_once_with_its_rows(tmp_path: Path) -> None:
    text = "".join(f"{time},10,5\n" for time in (1772359200, 1772359201, 1772359202000, 1772359203000))
    with pytest.raises(InputError, match=r"another unit or clock .* \(so are 2 rows\)") as caught:
        load_trace(written(tmp_path, "t.csv", f"{HEADER}\n{text}"))
    assert [problem.line for problem in caught.value.problems] == [4]


def test_a_date_that_cannot_be_read_names_the_form(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="or a date as 2026-03-01T10:00:00Z"):
        load_trace(written(tmp_path, "t.csv", f"{HEADER}\n2026 March 1st 10:00,10,5\n"))


def test_no_hashes_in_half_of_the_rows_is_told_once(tmp_path: Path) -> None:
    rows = [{"timestamp": at, "input_length": 1024, "output_length": 5} for at in range(0, 4000, 1000)]
    for row in rows[::2]:
        row["hash_ids"] = [1, 2]  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"0 hashes for 1,024 prompt tokens.* or leave the column out") as caught:
        load_trace(written(tmp_path, "t.jsonl", lines(rows)))
    assert [problem.line for problem in caught.value.problems] == [2]
