"""Files that take long to read are told of while they are read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.workload.tables import Table

EVERY_S = 3.0
"""Between two words of it; what is read within that time is not told of."""
Tell = Callable[[Path, int], None]
"""Takes the file and the rows that are read so far."""
_TELL: ContextVar[Tell | None] = ContextVar("tell", default=None)


_HEAD_BYTES = 2**18
"""Of a file, by which its lines are taken to be as long as those."""
_TEXT = (".csv", ".tsv", ".jsonl", ".ndjson")


def so_far(file: Path, rows: int) -> str:
    """How far the reading of a file is, where it is plain text with about what share of it."""
    share = "" if file.suffix.lower() not in _TEXT else f", about {min(rows * _line_bytes(file), 0.99):.0%}"
    return f"{rows:,} rows so far{share}"


@lru_cache
def _line_bytes(file: Path) -> float:
    """Mean length of the first lines of a file, as a share of all of it."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    return len(head) / max(head.count(b"\n"), 1) / max(file.stat().st_size, 1)


@contextmanager
def long_reads(tell: Tell) -> Iterator[None]:
    """Within it `tell` hears of files whose reading takes long, every few seconds."""
    token = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(token)


def watched(file: Path, pieces: Iterator[Table], clock: Callable[[], float] = time.monotonic) -> Iterator[Table]:
    """The pieces of a file, of which whoever asked for it (`long_reads`) is told."""
    told_s, rows = clock(), 0
    for piece in pieces:
        rows += len(piece.line)
        if (tell := _TELL.get()) is not None and clock() - told_s >= EVERY_S:
            told_s = clock()
            tell(file, rows)
        yield piece
