"""Whether the times of a trace file follow one another, and where its clock begins again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Problem
from simulator.workload.tables import Table

_RARELY = 0.1
"""Share of rows before the row above up to which a file is in order of time."""
_STAYS = 5
"""Rows behind the latest so far, for each row before the one above, from which on a clock that fell has begun again."""
_HOUR_S, _PAUSE_S = 3600.0, 300.0
"""What clocks are set back by, and the pause between two rows that may hide a part of it."""


def _summer_may_end(local_s: float) -> bool:
    """Whether clocks are set back after such a time: on a Sunday between one and three, in October or November."""
    date = datetime.fromtimestamp(local_s, UTC)
    return date.weekday() == 6 and date.hour in (1, 2) and date.month in (10, 11)


@dataclass
class TimeOrder:
    """How the times of a file follow one another.

    Attributes
    ----------
    rows, back, behind : rows, those earlier than the one before, those earlier than any before
    again : line and time at which the clock first fell back by more than half of its time
    set_back : line and time at which a clock without a zone first fell back as where summer ends
    """

    rows: int = 0
    back: int = 0
    behind: int = 0
    again: tuple[int, str] | None = None
    set_back: tuple[int, str] | None = None
    _least: float = np.inf
    _most: float = -np.inf
    _last: float = -np.inf

    def add(self, table: Table, column: str, times: NDArray[np.float64], local_s: float | None = None) -> None:
        """Take the rows of a piece.

        Parameters
        ----------
        local_s : where times are dates without a zone, the date of time 0 as seconds since 1970
        """
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
        if local_s is not None and self.set_back is None:
            hours = np.flatnonzero((before - times > _HOUR_S - _PAUSE_S) & (before - times <= _HOUR_S))
            summer_ends = [row for row in hours if _summer_may_end(local_s + float(before[row]))]
            if summer_ends:
                row = int(summer_ends[0])
                self.set_back = int(table.line[row]), str(table.frame[column].iloc[row])
        self._least, self._most, self._last = float(least[-1]), float(most[-1]), float(times[-1])

    def begins_again(self, file: str, column: str) -> list[Problem]:
        """A problem where the clock of a file that is in order begins again, or is set back by an hour."""
        if self.back > _RARELY * self.rows or self.behind < _STAYS * self.back:
            return []
        if self.again is None and self.set_back is not None:
            line, got = self.set_back
            text = f"{column} is set back by an hour, as where summer ends: write dates with their zone, as +01:00"
            return [Problem(text, file=file, line=line, got=got)]
        if self.again is None:
            return []
        line, got = self.again
        text = (
            f"{column} begins again, while the file is in order of time elsewhere (of {self.rows:,} rows {self.back:,} "
            "are before the row above): give each part a file of its own, or all rows times of one clock"
        )
        return [Problem(text, file=file, line=line, got=got)]
