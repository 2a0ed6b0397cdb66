"""What is kept of a trace's rows while its file is read piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Problem
from simulator.workload.hashes import BlockSizes, hash_ids
from simulator.workload.reading import SECONDS_PER_UNIT, Reading
from simulator.workload.tables import Table, number_column, problems_at, token_column

EPOCH_S = 1e8
"""A clock that begins after it counts from a year long ago, not from the start of the trace."""


@dataclass(frozen=True, slots=True)
class Span:
    """All rows of a class, those after the simulated time included.

    Attributes
    ----------
    first_s, last_s : arrivals
    """

    rows: int
    first_s: float
    last_s: float

    @property
    def gap_s(self) -> float:
        """Mean gap of two arrivals."""
        return (self.last_s - self.first_s) / max(self.rows - 1, 1)


@dataclass(frozen=True, slots=True)
class _Kept:
    times: NDArray[np.float64]
    isl: NDArray[np.int32]
    osl: NDArray[np.int32]
    labels: NDArray[np.int64]
    sessions: NDArray[np.int64]
    blocks: list[list[int]]


class _Names:
    """Text by number, in the order in which it comes."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def numbers(self, values: Sequence[object]) -> NDArray[np.int64]:
        known = self.known
        return np.array([known.setdefault(str(value), len(known)) for value in values], np.int64)

    def sorted(self) -> tuple[list[str], NDArray[np.int64]]:
        """The texts in order, and for each number its place among them."""
        names = sorted(self.known)
        place = np.empty(len(names), np.int64)
        place[[self.known[name] for name in names]] = np.arange(len(names))
        return names, place


@dataclass
class Rows:
    """Rows of one trace file, those after `until_s` counted but not kept.

    Attributes
    ----------
    kind, columns : format, and its columns of time, prompt and output
    dated : the times are dates; None before the first piece
    whole : all times are whole numbers
    spans : rows, least and most time of each label, by its number (0 where there are no labels)
    """

    kind: str
    columns: tuple[str, str, str]
    reading: Reading
    until_s: float
    dated: bool | None = None
    whole: bool = True
    problems: list[Problem] = field(default_factory=list)
    sizes: BlockSizes = field(default_factory=BlockSizes)
    labels: _Names = field(default_factory=_Names)
    sessions: _Names = field(default_factory=_Names)
    spans: dict[int, tuple[int, float, float]] = field(default_factory=dict)
    has: frozenset[str] = frozenset()
    _kept: list[_Kept] = field(default_factory=list)
    _least: float = np.inf
    _base: Any = None

    def add(self, table: Table) -> None:
        """Take the rows of a piece."""
        self.has = frozenset(str(name) for name in table.frame.columns)
        if table.frame.empty:
            return
        time, isl_name, osl_name = self.columns
        times = self._times(table, time)
        isl, isl_problems = token_column(table, isl_name)
        osl, osl_problems = token_column(table, osl_name)
        self.problems += isl_problems + [_explained(problem) for problem in osl_problems]
        blocks: list[list[int]] = []
        if "hash_ids" in self.has:
            blocks, problems = hash_ids(table)
            self.problems += problems
            self.sizes.add(table, blocks, isl)
        labels, sessions = (
            names.numbers(list(table.frame[column])) if self._names(column) else np.zeros(len(isl), np.int64)
            for names, column in ((self.labels, "class"), (self.sessions, "session_id"))
        )
        if self.problems:
            return
        self._count(times, labels)
        keep = self._inside(times)
        blocks = [block for block, inside in zip(blocks, keep, strict=True) if inside] if blocks else blocks
        self._kept.append(_Kept(times[keep], isl[keep], osl[keep], labels[keep], sessions[keep], blocks))

    def all(self) -> _Kept:
        """What was kept of all pieces, its times as they stand in the file."""
        kept = self._kept
        return _Kept(
            np.concatenate([one.times for one in kept]),
            np.concatenate([one.isl for one in kept]),
            np.concatenate([one.osl for one in kept]),
            np.concatenate([one.labels for one in kept]),
            np.concatenate([one.sessions for one in kept]),
            [block for one in kept for block in one.blocks],
        )

    @property
    def unit(self) -> str:
        """Of the times; as said, else by the format and what they look like."""
        if self.dated:
            return "date"
        return self.reading.time_unit or ("ms" if self.kind == "mooncake" and self.whole else "s")

    @property
    def factor(self) -> float:
        """Seconds of a unit of the times."""
        return 1.0 if self.dated else SECONDS_PER_UNIT[self.unit]

    @property
    def start(self) -> float:
        """Time in the file at which the clock of the trace begins."""
        counts = self.kind == "table" and not self.dated and self._least * self.factor < EPOCH_S
        return 0.0 if counts else self._least

    def _names(self, column: str) -> bool:
        return self.kind == "table" and column in self.has

    def _times(self, table: Table, column: str) -> NDArray[np.float64]:
        import pandas as pd

        raw = table.frame[column]
        if self.dated is None:
            self.dated = self.kind == "azure" or self._looks_dated(raw)
        if not self.dated:
            values, problems = number_column(table, column)
            self.problems += problems
            self.whole &= bool(np.all(values[np.isfinite(values)] % 1 == 0))
            return values
        times = pd.to_datetime(raw, errors="coerce", utc=True, format="ISO8601")
        self.problems += problems_at(table, raw, times.isna().to_numpy(), f"{column} must be a date and time")
        self._base = times.min() if self._base is None else self._base
        return np.asarray((times - self._base).dt.total_seconds(), np.float64)

    def _looks_dated(self, raw: Any) -> bool:
        import pandas as pd

        if self.reading.time_unit is not None or not pd.to_numeric(raw, errors="coerce").isna().all():
            return False
        return bool(pd.to_datetime(raw, errors="coerce", utc=True, format="ISO8601").notna().any())

    def _count(self, times: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
        self._least = min(self._least, float(np.nanmin(times)))
        for label in np.unique(labels).tolist():
            mine = times[labels == label]
            rows, first, last = self.spans.get(label, (0, np.inf, -np.inf))
            self.spans[label] = rows + len(mine), min(first, float(mine.min())), max(last, float(mine.max()))

    def _inside(self, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Rows that may be before the end, whatever later rows say of the unit and of the clock's start."""
        factor = 1.0 if self.dated else min(self.factor, 1e-3 if self.kind == "mooncake" else np.inf)
        counts = self.kind == "table" and not self.dated and self._least * factor < EPOCH_S
        inside: NDArray[np.bool_] = (times - (0.0 if counts else self._least)) * factor < self.until_s
        return inside


def _explained(problem: Problem) -> Problem:
    if problem.got not in ("0", "0.0"):
        return problem
    hint = f"{problem.message}; a request that failed: leave_out_failures: true leaves such rows out"
    return Problem(hint, file=problem.file, line=problem.line, got=problem.got)
