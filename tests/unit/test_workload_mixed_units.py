"""Times of two units in one column are refused at the row that changes it; whatever one clock can say is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from trace_cases import HEADER, written

from simulator.errors import InputError
from simulator.workload.reading import Reading
from simulator.workload.trace_file import load_trace

RNG = np.random.default_rng(19)
CALM = np.cumsum(RNG.exponential(0.8, 40))


def text(times: Sequence[float]) -> str:
    return "\n".join([HEADER, *(f"{time:.6f},10,5" for time in times)]) + "\n"


def every_second(times: Sequence[float], factor: float) -> list[float]:
    return [time * factor if k % 2 else time for k, time in enumerate(times)]


@pytest.mark.parametrize(
    ("times", "row"),
    [
        ([*range(1, 10), *range(10_000, 20_000, 1000)], 11),
        ([*CALM[:20], *CALM[20:] * 1e3], 22),
        ([*CALM[:4], *CALM[4:] * 1e6], 6),
        ([0.001, 0.002, 0.003, 0.004, *range(5, 40)], 6),
        ([*CALM[:20] * 1e-2, *CALM[20:] * 10], 22),
        ([*CALM[:36] * 1e-3, *CALM[36:] * 1e6], 38),
        (every_second(range(500, 600), 1e3), 3),
        (every_second(range(1000, 1100), 1e-3), 3),
        ([time * 1e3 if k % 10 == 9 else time for k, time in enumerate(np.arange(5e3, 5.1e3))], 11),
    ],
)
def test_the_row_that_changes_the_unit_is_named(tmp_path: Path, times: Sequence[float], row: int) -> None:
    file = written(tmp_path, "t.csv", text(times))
    with pytest.raises(InputError, match="as of another unit: give all rows one") as caught:
        load_trace(file)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(file), row)
    assert problem.got == f"{times[row - 2]:.6f}"
    if np.all(np.diff(times) >= 0):
        assert len(load_trace(file, Reading(time_unit="s")).requests) == len(times)


@pytest.mark.parametrize(
    "times",
    [
        CALM,
        CALM[::-1],
        [0, 1, 2, *range(9, 30)],
        [*CALM[:20], *CALM[20:] + 1e4],
        [*CALM[:20], *(CALM[20:] * 1e3 + 1e6)],
        [*CALM[:20], *(CALM[20:] * 100)],
        [1e-3, 1.0, *CALM + 1],
        [1, 1000, 1001, 1002, 1003, 1004, 1005, 1006],
        RNG.uniform(0, 1e6, 5000),
        np.sort(RNG.uniform(0, 1e6, 5000)),
        np.sort(RNG.lognormal(0, 5, 5000)),
        np.cumsum(RNG.pareto(0.7, 3000) + 1e-3),
        [7.0] * 50,
        [1.0, 1000.0, 1e6],
        [0.001, 0.002, 0.003, 0.004, 4.2, 5.1, 6.4, 7.2, 8.8, 9.9, 11.0],
        [0.012, 0.025, 0.031, 0.040, 41.5, 60.2, 75.1, 99.3, 120.5, 133.7],
    ],
)
def test_pauses_bursts_and_rows_in_any_order_are_of_one_unit(tmp_path: Path, times: Sequence[float]) -> None:
    file = written(tmp_path, "t.csv", text(times))
    assert len(load_trace(file).requests) == len(times)


@pytest.mark.parametrize(
    ("time", "words"),
    [
        *[
            (time, "write its year with four digits: ")
            for time in ("29.11.26 10:00:00", "26-11-29 10:00", "11/29/26 9:00")
        ],
        *[(time, "write its year with four digits: ") for time in ("29/Nov/26:10:00:00 +0100", "29-Nov-26 10:00")],
        *[
            (time, "write the number alone, and its unit as time_unit")
            for time in ("12 ms", "0.5s", "3 sec", "7µs", "1,5 h")
        ],
        *[(time, "t.csv:3: arrival_s must be") for time in ("soon", "12 apples", "12:30", "1-2-3", "ms")],
    ],
)
@pytest.mark.parametrize("first", ["1.5", "2026-11-29T10:00:00Z"])
def test_a_time_that_is_nearly_one_is_told_with_what_to_do(tmp_path: Path, time: str, words: str, first: str) -> None:
    file = written(tmp_path, "t.csv", f'{HEADER}\n{first},10,5\n"{time}",10,5\n')
    with pytest.raises(InputError) as caught:
        load_trace(file)
    (problem,) = caught.value.problems
    assert problem.line == 3
    assert words in str(problem)
    assert ("write" in problem.message) == words.startswith("write")


@pytest.mark.parametrize(
    ("name", "between", "looks"),
    [
        ("t.csv", " ", "blank"),
        ("t.csv", ":", "':'"),
        ("t.tsv", "/", "'/'"),
        ("t.csv", "^", "'^'"),
        ("t.csv", "~", "'~'"),
    ],
)
def test_a_separator_that_nobody_reads_is_named(tmp_path: Path, name: str, between: str, looks: str) -> None:
    content = f"{HEADER}\n0,10,5\n".replace(",", between)
    with pytest.raises(InputError, match=f"it looks {looks.replace('^', chr(92) + '^')}-separated"):
        load_trace(written(tmp_path, name, content))


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
@pytest.mark.parametrize("between", [",", ";", "\t", "|"])
def test_the_first_line_tells_the_separator_whatever_the_file_is_called(
    tmp_path: Path, name: str, between: str
) -> None:
    content = f"{HEADER}\n2,10,5\n".replace(",", between)
    requests = load_trace(written(tmp_path, name, content)).requests
    assert (requests.arrival_s.tolist(), requests.isl.tolist(), requests.osl.tolist()) == ([2.0], [10], [5])


@pytest.mark.parametrize(
    ("cell", "row", "words"), [("1e-320", 0, ""), ("1e308", 12, "another unit"), ("1e400", 12, "finite")]
)
def test_times_at_the_ends_of_floats_are_read_or_refused_without_a_warning(
    tmp_path: Path, cell: str, row: int, words: str
) -> None:
    rows = [cell if k == row else str(k + 1) for k in range(20)]
    file = written(tmp_path, "t.csv", "\n".join([HEADER, *(f"{time},10,5" for time in rows)]) + "\n")
    if not words:
        assert len(load_trace(file).requests) == len(rows)
        return
    with pytest.raises(InputError, match=words):
        load_trace(file)
