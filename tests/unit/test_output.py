"""Tables that fold and progress without a terminal."""

from __future__ import annotations

import io
import sys
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cli import output
from simulator.cli.output import folded, progress_bar

WORD = st.text("abc", min_size=1, max_size=9)


@given(st.lists(WORD, min_size=1, max_size=8), st.integers(1, 40))
@settings(deadline=None)
def test_a_folded_table_shows_each_column_once_beside_the_first(headers: list[str], width: int) -> None:
    parts = folded([], headers, width)
    assert all(part[0] == 0 for part in parts)
    assert [column for part in parts for column in part[1:]] == list(range(1, len(headers)))
    for part in parts:
        if len(part) > 2:
            assert sum(len(headers[column]) + 2 for column in part) - 2 <= width


def test_a_table_that_fits_is_one() -> None:
    assert folded([["a", "b"]], ["1", "2"], 4) == [[0, 1]]
    assert folded([["a", "b", "c"]], ["1", "2", "3"], 4) == [[0, 1], [0, 2]]


def test_without_a_terminal_progress_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(0.0, 2.0)
    monkeypatch.setattr(output.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar(False) as tell:
        for done in range(7):
            tell("cloud", done / 6)
    assert sys.stderr.getvalue().splitlines() == [" 33% simulating cloud", " 83% simulating cloud"]
    with progress_bar(True) as tell:
        tell("cloud", 1.0)
    assert len(sys.stderr.getvalue().splitlines()) == 2
