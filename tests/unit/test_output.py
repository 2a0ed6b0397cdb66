"""Tables that fold and progress without a terminal."""

from __future__ import annotations

import io
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabulate import tabulate

from simulator.cli.output import progress_bar
from simulator.report.parts import folded, in_parts, wrapped_cells
from simulator.size.expected import share_done

WORD = st.text("abc", min_size=1, max_size=9)


def printed_width(rows: list[list[str]], headers: list[str]) -> int:
    shown = tabulate(rows, headers, tablefmt="simple", disable_numparse=True)
    return max(len(line.rstrip()) for line in shown.splitlines())


@given(st.lists(WORD, min_size=1, max_size=8), st.integers(1, 40))
@settings(deadline=None)
def test_a_folded_table_shows_each_column_once_beside_the_first(headers: list[str], width: int) -> None:
    parts = folded([], headers, width)
    assert all(part[0] == 0 for part in parts)
    assert [column for part in parts for column in part[1:]] == list(range(1, len(headers)))
    for part in parts:
        if len(part) > 2:
            assert printed_width([], [headers[column] for column in part]) <= width


def test_a_table_that_fits_is_one() -> None:
    rows, headers = [["aaaa", "bbbb", "cccc"]], ["1", "2", "3"]
    assert printed_width(rows, headers) == 16
    assert folded(rows, headers, 16) == [[0, 1, 2]]
    assert folded(rows, headers, 15) == [[0, 1], [0, 2]]
    assert folded(rows, headers, 1) == [[0, 1], [0, 2]], "no part has the first column alone"


@given(
    st.lists(st.tuples(WORD, st.lists(WORD, max_size=30).map(", ".join), WORD), min_size=1, max_size=5),
    st.integers(24, 60),
)
@settings(deadline=None)
def test_long_cells_are_wrapped_so_that_each_part_fits(rows: list[tuple[str, str, str]], width: int) -> None:
    headers = ["name", "aliases", "date"]
    shown = wrapped_cells(rows, headers, width)
    assert [[" ".join(cell.split()) for cell in row] for row in shown] == [list(row) for row in rows]
    for part in folded(shown, headers, width):
        cells = [[row[column] for column in part] for row in shown]
        assert printed_width(cells, [headers[column] for column in part]) <= width


def test_each_part_has_its_headers_and_sides_and_without_a_width_there_is_one() -> None:
    rows, headers = [["$", "5", "yes it is"], ["a", "66", "no"]], ["", "own", "rented"]
    assert in_parts(rows, headers, 12, ["left", "right", "left"]).split("\n\n") == [
        "      own\n--  -----\n$       5\na      66",
        "    rented\n--  ---------\n$   yes it is\na   no",
    ]
    assert in_parts(rows, headers).split("\n")[1:] == ["--  -----  ---------", "$   5      yes it is", "a   66     no"]


def test_without_a_terminal_progress_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar(False, lambda: now[0]) as tell:
        for done in range(7):
            tell("cloud", done / 8)
            now[0] += 4.0
    assert sys.stderr.getvalue().splitlines() == [
        " 25% cloud, about 24 s left",
        " 50% cloud, about 16 s left",
        " 75% cloud, about 8 s left",
    ]  # 4 s for each eighth, of which the first call with any begins the count
    with progress_bar(True) as tell:
        tell("cloud", 1.0)
    assert len(sys.stderr.getvalue().splitlines()) == 3


def test_progress_never_goes_back_and_tells_no_time_before_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar(False, lambda: now[0]) as tell:
        for share in (0.01, 0.5, 0.1, 2.0):
            now[0] += 100.0
            tell("cloud", share)
    assert sys.stderr.getvalue().splitlines() == [
        "  1% cloud",
        " 50% cloud, about 102 s left",
        " 50% cloud, about 3 min left",
        "100% cloud, about 0 s left",
    ]


@given(st.integers(1, 200))
def test_the_share_of_a_search_rises_and_stays_below_one(expected: int) -> None:
    shares = [share_done(trials / 4, expected) for trials in range(4 * 400)]
    assert shares[0] == 0.0
    assert all(before < after < 1.0 for before, after in pairwise(shares))
    assert share_done(expected / 2, expected) <= 0.5
    assert share_done(4 * expected, expected) < 0.8
