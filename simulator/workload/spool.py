"""Rows of a trace on disk while it is described: memory is that of a piece, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.endings import query
from simulator.errors import InputError, Problem
from simulator.results.scratch import scratch

_VECTORS = 128
"""Of 2,048 rows, read at once."""
_MEMORY = "128MB"
"""Of the sort, beyond which it goes to disk."""


class Piece(NamedTuple):
    """Rows of a trace: times as the file counts them, prompt and output tokens; (n,) each."""

    times: NDArray[np.float64]
    isl: NDArray[np.int32]
    osl: NDArray[np.int32]


class Spool:
    """Rows that came in any order and are read back in order of time, equal times as they came, as often as asked.

    For use as a context, after which they are gone. Each method raises `InputError` where the disk of temporary files
    is full.
    """

    def __init__(self) -> None:
        import duckdb

        self._folder = scratch()
        self._rows = duckdb.connect(str(Path(self._folder.name) / "rows"))
        self._rows.execute(f"set memory_limit = '{_MEMORY}'")
        self._rows.execute("set threads = 1")
        self.create("rows", "times double, isl integer, osl integer")
        self._in_order = True
        self._last = -np.inf

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._rows.close()
        self._folder.cleanup()

    def add(self, piece: Piece) -> None:
        """Rows that come after those before."""
        if not len(piece.times):
            return
        self._in_order &= bool(piece.times[0] >= self._last and np.all(piece.times[1:] >= piece.times[:-1]))
        self._last = float(piece.times[-1])
        self.insert("rows", piece._asdict())

    def pieces(self) -> Iterator[Piece]:
        """All rows in order of time."""
        with _disk():
            if not self._in_order:
                self._rows.execute("create table ordered as select * from rows order by times, rowid")
                self._rows.execute("drop table rows")
                self._rows.execute("alter table ordered rename to rows")
                self._in_order = True
        for piece in self.pieces_of("select * from rows"):
            yield Piece(**piece)

    def create(self, table: str, columns: str) -> None:
        """A further table on the same disk, by names and types."""
        self._rows.execute(f"create table {table} ({columns})")

    def insert(self, table: str, columns: dict[str, NDArray[Any]]) -> None:
        """Rows behind those of a table."""
        with _disk():
            into = self._rows.cursor()
            into.register("piece", columns)
            into.execute(f"insert into {table} by name select * from piece")

    def pieces_of(self, query: str) -> Iterator[dict[str, NDArray[Any]]]:
        """Columns of what a query finds, piece by piece; meanwhile other tables may be written."""
        with _disk():
            found = self._rows.cursor().execute(query)
            while len(batch := found.fetch_df_chunk(_VECTORS)):
                yield {str(name): batch[name].to_numpy() for name in batch}

    def lengths(self, column: Literal["isl", "osl"]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Lengths that occur, ascending, and how often each."""
        with _disk():
            query = f"select {column} as length, count(*) as count from rows group by all order by length"
            found = self._rows.execute(query).fetchnumpy()
        return np.asarray(found["length"], np.int64), np.asarray(found["count"], np.int64)


@contextmanager
def _disk() -> Iterator[None]:
    import duckdb

    try:
        with query():
            yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        text = f"cannot keep its rows in the folder of temporary files (TMPDIR): {str(error).splitlines()[0]}"
        raise InputError(Problem(text)) from error
