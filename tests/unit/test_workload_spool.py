"""A trace that is described from disk, piece by piece, is described as one that is held."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from simulator.errors import InputError
from simulator.rng import stream
from simulator.workload import pieces, spool
from simulator.workload.describe import describe_file, describe_trace
from simulator.workload.reading import AS_IT_SAYS
from simulator.workload.requests import make_requests
from simulator.workload.spool import Piece, Spool
from simulator.workload.traces import TRACE_SOURCES

N = 9000
SOURCE = TRACE_SOURCES[0]


def _clock(kind: str) -> np.ndarray:
    """Arrivals of three busy and three idle minutes in turn, as a clock of that kind says them."""
    times = np.sort(stream(1, "times").random(N)) * 900
    times = times + (times // 180) * 180
    return np.floor(times / 3) * 3 if kind == "coarse" else times


def _written(file: Path, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times = _clock(kind)
    isl = stream(1, "isl").geometric(0.002, N)
    osl = stream(1, "osl").geometric(0.01, N)
    order = np.argsort(times + stream(1, "late").random(N) * 40) if kind == "late" else np.arange(N)
    rows = zip(times[order].tolist(), isl[order].tolist(), osl[order].tolist(), strict=True)
    lines = [f"{time!r},{prompt},{answer}" for time, prompt, answer in rows]
    file.write_text("\n".join(["arrival_s,input_tokens,output_tokens", *lines]) + "\n", encoding="utf-8")
    return times, isl, osl


@pytest.mark.parametrize("kind", ["plain", "late", "coarse"])
def test_a_file_is_described_as_what_it_holds(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times, isl, osl = _written(tmp_path / "t.csv", kind)
    monkeypatch.setattr(pieces, "PIECE_ROWS", 1000)
    monkeypatch.setattr(spool, "_VECTORS", 1)
    found, was_read = describe_file(tmp_path / "t.csv", AS_IT_SAYS, SOURCE, "2026-01-01", 7.0)
    held = describe_trace(make_requests(times, isl, osl), SOURCE, "2026-01-01", 7.0)
    assert found == held
    assert (was_read.out_of_order > 0) == (kind == "late")
    assert found["requests"] == sum(found["counts"]) == sum(found["lengths"]["count"]) == N
    for name, values in (("isl", isl), ("osl", osl)):
        expected = {f"p{q}": round(float(np.percentile(values, q)), 1) for q in (1, 10, 25, 50, 75, 90, 99)}
        assert found[name] == {"mean": round(values.mean(), 3), "min": values.min(), **expected, "max": values.max()}


def test_burstiness_is_that_of_the_gaps_one_by_one(tmp_path: Path) -> None:
    times, _, _ = _written(tmp_path / "t.csv", "plain")
    found, _ = describe_file(tmp_path / "t.csv", AS_IT_SAYS, SOURCE, "2026-01-01", 7.0)
    start = times - times[0]
    counts = np.array(found["counts"])
    edges = [*(7.0 * np.arange(len(counts))), found["duration_s"]]
    gaps = np.diff(np.interp(start, edges, [0, *np.cumsum(counts)]))
    assert found["burstiness_cv"] == round(gaps.std() / gaps.mean(), 4)


def test_rows_come_back_in_order_of_time_and_equal_times_as_they_came() -> None:
    with Spool() as rows:
        rows.add(Piece(np.array([5.0, 1.0, 5.0]), np.array([1, 2, 3], np.int32), np.array([7, 7, 7], np.int32)))
        rows.add(Piece(np.array([]), np.array([], np.int32), np.array([], np.int32)))
        rows.add(Piece(np.array([5.0, 0.0]), np.array([4, 5], np.int32), np.array([8, 7], np.int32)))
        for _ in range(2):
            (piece,) = rows.pieces()
            assert piece.isl.tolist() == [5, 2, 1, 3, 4]
        assert [each.tolist() for each in rows.lengths("osl")] == [[7, 8], [4, 1]]


@pytest.mark.parametrize(
    ("pieces", "order"),
    [
        (([3.0], [1.0]), [2, 1]),
        (([1.0, 4.0], [2.0, 3.0]), [1, 3, 4, 2]),
        (([1.0, 2.0], [2.0, 3.0]), [1, 2, 3, 4]),
        (([9.0], [], [1.0, 2.0]), [2, 3, 1]),
    ],
)
def test_pieces_each_in_order_may_not_be_so_together(pieces: tuple[list[float], ...], order: list[int]) -> None:
    with Spool() as rows:
        number = 1
        for times in pieces:
            numbers = np.arange(number, number + len(times), dtype=np.int32)
            rows.add(Piece(np.array(times), numbers, numbers))
            number += len(times)
        assert [row for piece in rows.pieces() for row in piece.isl.tolist()] == order


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Spool() as rows:
        assert len([*tmp_path.iterdir()]) == 1
        monkeypatch.setattr(rows, "_rows", _Full(rows._rows))
        with pytest.raises(InputError, match="TMPDIR"):
            rows.add(Piece(np.array([1.0]), np.array([1], np.int32), np.array([1], np.int32)))
    assert not [*tmp_path.iterdir()]


class _Full:
    """A database whose disk is full."""

    def __init__(self, rows: duckdb.DuckDBPyConnection) -> None:
        self.close, self.register = rows.close, rows.register

    def cursor(self) -> _Full:
        return self

    def execute(self, query: str) -> None:
        raise duckdb.IOException(f"No space left on device: {query}")
