"""Whether the times of a trace file follow one another, and where its clock begins again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Problem
from simulator.workload.tables import Table

_RARELY = 0.1
"""Share of rows before the row above up to which a file is in order of time."""
_STAYS = 5
"""Rows behind the latest so far, for each row before the one above, from which on a clock that fell has begun again."""


@dataclass
class TimeOrder:
    """How the times of a file follow one another.

    Attributes
    ----------
    rows, back, behind : rows, those earlier than the one before, those earlier than any before
    again : line and time at which the clock first fell back by more than half of its time
    """

    rows: int = 0
    back: int = 0
    behind: int = 0
    again: tuple[int, str] | None = None
    _least: float = np.inf
    _most: float = -np.inf
    _last: float = -np.inf

    def add(self, table: Table, column: str, times: NDArray[np.float64]) -> None:
        """Take the rows of a piece."""
        before = np.concatenate([[self._last], times[:-1]])
        least = np.minimum(np.minimum.accumulate(times), self._least)
        most = np.maximum(np.maximum.accumulate(times), self._most)
        falls = times < before
        self.rows, self.back = self.rows + len(times), self.back + int(falls.sum())
        self.behind += int((times < most).sum())
        deep = np.flatnonzero(falls & (times < (least + most) / 2))
        if self.again is None and len(deep):
            row = int(deep[0])
            self.again = int(table.line[row]), str(table.frame[column].iloc[row])
        self._least, self._most, self._last = float(least[-1]), float(most[-1]), float(times[-1])

    def begins_again(self, file: str, column: str) -> list[Problem]:
        """A problem where the clock of a file that is in order begins again."""
        if self.again is None or self.back > _RARELY * self.rows or self.behind < _STAYS * self.back:
            return []
        line, got = self.again
        text = (
            f"{column} begins again, while the file is in order of time elsewhere (of {self.rows:,} rows {self.back:,} "
            "are before the row above): give each part a file of its own, or all rows times of one clock"
        )
        return [Problem(text, file=file, line=line, got=got)]
