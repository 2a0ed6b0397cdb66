"""What is kept of a trace's rows while its file is read piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Problem
from simulator.workload.dates import EXAMPLE, Dates, hinted, in_digits_alone
from simulator.workload.hashes import BlockSizes, hash_ids, in_one_row
from simulator.workload.mixed_units import of_two_units
from simulator.workload.reading import SECONDS_PER_UNIT, Reading
from simulator.workload.shared_blocks import SharedBlocks
from simulator.workload.spool import Piece, Spool
from simulator.workload.spreadsheets import rounded, serial_days
from simulator.workload.tables import Table, as_numbers, number_column, problems_at, token_column
from simulator.workload.time_order import TimeOrder

EPOCH_S = 1e8
"""A clock that begins after it counts from a year long ago, not from the start of the trace."""
_EPOCH_UNITS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (np.inf, "ns"))
"""Unit of a clock that counts from 1970, by the numbers below which it lies: 1e11 of each is after the year 5000, and
1e8 of the next in 1973."""
_LONG = {"mooncake": 1e9}
"""Numbers below which the clock of a format counts from the start of the trace, where its unit is not said."""
_CHATS = ("chat_id", "parent_chat_id")
"""Columns of Bailian's traces: a request, and the one that it goes on with."""
_ZONE = r"\d[T ]\d.*(?:Z|[+-]\d\d(?::?\d\d)?)\s*$"
"""A date whose time of day says its zone."""


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
    think_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    cached: NDArray[np.int32]


def _rows_of(column: NDArray[Any], keep: NDArray[np.bool_]) -> NDArray[Any]:
    """Some rows of a column; of one that repeats a single value no copies are made."""
    return column[: np.count_nonzero(keep)] if column.strides == (0,) else column[keep]


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """One column of all its parts, without copies where they repeat one value."""
    if all(part.strides == (0,) for part in parts) and len({*(value for part in parts for value in part[:1])}) <= 1:
        filled = next((part for part in parts if len(part)), parts[0])
        return np.broadcast_to(filled[:1], sum(map(len, parts))) if len(filled) else filled
    return np.concatenate(parts)


class _Names:
    """Text by number, in the order in which it comes."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def numbers(self, values: Sequence[object]) -> NDArray[np.int64]:
        known = self.known
        return np.array([known.setdefault(text_of(value), len(known)) for value in values], np.int64)

    def sorted(self) -> NDArray[np.int64]:
        """For each number the place of its text in order, -1 for no text."""
        names = sorted(name for name in self.known if name)
        place = np.full(len(self.known), -1, np.int64)
        place[[self.known[name] for name in names]] = np.arange(len(names))
        return place


def text_of(value: object) -> str:
    """Of a cell; nothing where it is empty, null or not a number."""
    return "" if value is None or value != value else str(value)


@dataclass
class Rows:
    """Rows of one trace file, those after `until_s` counted but not kept.

    Attributes
    ----------
    kind, columns : format, and its columns of time, prompt and output
    spool, shared : where times and lengths, and blocks of prompts, go instead of being kept
    dated : the times are dates; None before the first piece
    whole : all times are whole numbers
    spans : rows, least and most time of each label, by its number (0 where there are no labels)
    prompt_tokens, cached_tokens : of all rows; the second from a column of what was found in a cache
    """

    kind: str
    columns: tuple[str, str, str]
    reading: Reading
    until_s: float
    spool: Spool | None = None
    shared: SharedBlocks | None = None
    dated: bool | None = None
    whole: bool = True
    order: TimeOrder = field(default_factory=TimeOrder)
    problems: list[Problem] = field(default_factory=list)
    sizes: BlockSizes = field(default_factory=BlockSizes)
    labels: _Names = field(default_factory=_Names)
    sessions: _Names = field(default_factory=_Names)
    spans: dict[int, tuple[int, float, float]] = field(default_factory=dict)
    has: frozenset[str] = frozenset()
    prompt_tokens: int = 0
    cached_tokens: int = 0
    _kept: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    _blocks: list[list[int]] = field(default_factory=list)
    _least: float = np.inf
    _base: Any = None
    _clock: int | None = None
    _dates: Dates = field(default_factory=Dates)
    _first_chat: dict[str, str] = field(default_factory=dict)

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
        acceptance = self._acceptance(table)
        cached = self._cached(table, isl)
        self.prompt_tokens += int(isl.sum(dtype=np.int64))
        self.cached_tokens += int(cached.sum(dtype=np.int64))
        labels = (
            self.labels.numbers(list(table.frame["class"])) if self._names("class") else np.broadcast_to(0, len(isl))
        )
        if self.spool is not None:
            if not self.problems:
                self.order.add(table, time, times, self._local_s)
                self._count(times, labels)
                self.spool.add(Piece(times, isl, osl))
                if self.shared is not None:
                    self.shared.add(times, isl, *in_one_row(blocks))
            return
        think_s, e2e_s = (self._seconds(table, name) for name in ("think_s", "e2e_s"))
        if self.problems:
            return
        self.order.add(table, time, times, self._local_s)
        self._count(times, labels)
        keep = self._inside(times)
        self._blocks += [block for block, inside in zip(blocks, keep, strict=True) if inside] if blocks else []
        columns: dict[str, NDArray[Any]] = {"times": times, "isl": isl, "osl": osl, "labels": labels}
        columns |= {"think_s": think_s, "e2e_s": e2e_s, "acceptance": acceptance, "cached": cached}
        kept = {name: _rows_of(column, keep) for name, column in columns.items()}
        alike = np.broadcast_to(0, len(kept["times"]))
        kept["sessions"] = self.sessions.numbers(self._sessions(table.rows(keep))) if self.talks else alike
        self._kept.append(kept)

    def all(self) -> _Kept:
        """What was kept of all pieces, its times as they stand in the file; the pieces are gone then."""
        pieces, self._kept = self._kept, []
        return _Kept(blocks=self._blocks, **{name: _joined([one.pop(name) for one in pieces]) for name in [*pieces[0]]})

    @property
    def unit(self) -> str:
        """Of the times; as said, else by the format and what they look like."""
        if self.dated:
            return "date"
        if self.reading.time_unit is not None:
            return self.reading.time_unit
        if self._least >= self._long:
            return _epoch_unit(self._least)
        return "ms" if self.kind == "mooncake" and self.whole and _CHATS[0] not in self.has else "s"

    @property
    def _long(self) -> float:
        """Numbers from which on times count from 1970."""
        said = self.reading.time_unit
        return EPOCH_S / SECONDS_PER_UNIT[said] if said is not None else _LONG.get(self.kind, EPOCH_S)

    @property
    def factor(self) -> float:
        """Seconds of a unit of the times."""
        return 1.0 if self.dated else SECONDS_PER_UNIT[self.unit]

    @property
    def start(self) -> float:
        """Time in the file at which the clock of the trace begins."""
        counts = self.kind == "table" and not self.dated and self._least * self.factor < EPOCH_S
        return 0.0 if counts else self._least

    @property
    def since_1970_s(self) -> float | None:
        """Second since 1970, UTC, at which the clock of the trace begins; None where the file does not say it."""
        counted = self.start * self.factor if self._least >= self._long else None
        return float(self._base.timestamp()) + self._least if self.dated else counted

    @property
    def _local_s(self) -> float | None:
        """Where times are dates without a zone, the first piece's least as seconds since 1970."""
        return float(self._base.timestamp()) if self.dated and not self._clock else None

    @property
    def talks(self) -> bool:
        """Rows say which conversation they are of."""
        return self._names("session_id") or (self.kind == "mooncake" and self.has.issuperset(_CHATS))

    @property
    def drafts(self) -> bool:
        """Rows say how many of their drafts are accepted."""
        return self._names("acceptance")

    @property
    def counts_cached(self) -> bool:
        """Rows say how many tokens of their prompts were found in a cache."""
        return self._names("cached_tokens")

    def says(self, column: str) -> bool:
        """The column is there and is asked for: it is of turns."""
        return self.reading.turns and column in self.has

    def _sessions(self, table: Table) -> Sequence[object]:
        """Conversation of each row: as it says, or the first chat of the chain that it goes on with."""
        if self.kind == "table":
            return list(table.frame["session_id"])
        chats, parents = ([text_of(value) for value in table.frame[name]] for name in _CHATS)
        for chat, parent in zip(chats, parents, strict=True):
            self._first_chat[chat] = self._first_chat.get(parent, chat)
        return [self._first_chat[chat] for chat in chats]

    def _seconds(self, table: Table, column: str) -> NDArray[np.float64]:
        """A column of turns; 0 where it is empty, as of first turns."""
        return self._numbers(table, column, 0.0) if self.says(column) else np.broadcast_to(0.0, len(table.frame))

    def _acceptance(self, table: Table) -> NDArray[np.float64]:
        """Of drafts; negative where it is empty."""
        if not self.drafts:
            return np.broadcast_to(-1.0, len(table.frame))
        found = self._numbers(table, "acceptance", -1.0)
        self.problems += problems_at(table, table.frame["acceptance"], found > 1.0, "acceptance must be at most 1")
        return found

    def _cached(self, table: Table, isl: NDArray[np.int32]) -> NDArray[np.int32]:
        """Prompt tokens that were found in a cache; 0 where it is empty."""
        if not self.counts_cached:
            return np.broadcast_to(np.int32(0), len(table.frame))
        found = self._numbers(table, "cached_tokens", 0.0)
        text = "cached_tokens must be at most input_tokens, which count all of the prompt"
        text += " (of columns that count apart: input_tokens=one+other)"
        self.problems += problems_at(table, table.frame["cached_tokens"], found > isl, text)
        return np.minimum(np.nan_to_num(found), isl).astype(np.int32)

    def _numbers(self, table: Table, column: str, empty: float) -> NDArray[np.float64]:
        found = np.full(len(table.frame), empty)
        filled = np.array([text_of(value) != "" for value in table.frame[column]])
        found[filled], problems = number_column(table.rows(filled), column)
        self.problems += problems
        return found

    def _names(self, column: str) -> bool:
        return self.kind == "table" and column in self.has

    def _times(self, table: Table, column: str) -> NDArray[np.float64]:
        import pandas as pd

        given, raw = table, table.frame[column]
        if pd.api.types.is_timedelta64_dtype(raw):
            raw = raw.dt.total_seconds()
            given = table = table.having(table.frame.assign(**{column: raw}))
        elif self.dated is not False and table.is_text_in(column):
            table = self._dates.iso(table, column)
            raw = table.frame[column]
        if self.dated is None:
            self.dated = self.kind == "azure" or self._looks_dated(raw)
        if not self.dated:
            values, problems = number_column(given, column)
            self.problems += [
                hinted(replace(each, message=f"{each.message}, or a date as {EXAMPLE}")) for each in problems
            ]
            self.problems += in_digits_alone(given, column, values, self.reading.time_unit)
            self.problems += rounded(given, column, values)
            if self.reading.time_unit is None and self.kind == "table":
                self.problems += serial_days(given, column, values)
            self.whole &= bool(np.all(values[np.isfinite(values)] % 1 == 0))
            self.problems += self._of_another_clock(table, column, values)
            if self.reading.time_unit is None and not self.problems:
                self.problems += of_two_units(given, column, values)
            return values
        times = pd.to_datetime(raw, errors="coerce", utc=True, format="ISO8601")
        bad = times.isna().to_numpy()
        text = f"{column} must be a date and time{self._dates.order}"
        self.problems += map(hinted, problems_at(given, given.frame[column], bad, text))
        self.problems += self._of_another_zone(table, column, ~bad)
        self._base = times.min() if self._base is None else self._base
        return np.asarray((times - self._base).dt.total_seconds(), np.float64)

    def _of_another_clock(self, table: Table, column: str, values: NDArray[np.float64]) -> list[Problem]:
        """Rows whose times count from elsewhere, or in another unit, than those of the first row."""
        limits = np.array([self._long] if self.reading.time_unit else [self._long, *(most for most, _ in _EPOCH_UNITS)])
        clock = np.searchsorted(limits, np.nan_to_num(values), side="right")
        text = (
            f"{column} is of another unit or clock than in the first row: give all rows one, and say its time_unit "
            "(--time-unit)"
        )
        return self._unlike_the_first(table, column, clock, np.isfinite(values), text)

    def _of_another_zone(self, table: Table, column: str, dated: NDArray[np.bool_]) -> list[Problem]:
        """Rows whose dates have a zone where the first row's has none, and the other way round."""
        zoned = table.frame[column].astype(str).str.contains(_ZONE, regex=True).to_numpy(np.bool_)
        text = f"{column} has a time zone in some rows and none in others: give all one"
        return self._unlike_the_first(table, column, zoned, dated, text)

    def _unlike_the_first(
        self,
        table: Table,
        column: str,
        clock: NDArray[np.int64] | NDArray[np.bool_],
        is_time: NDArray[np.bool_],
        text: str,
    ) -> list[Problem]:
        """Rows of another clock than the first time of the file; what is no time has none."""
        if self._clock is None and is_time.any():
            self._clock = int(clock[is_time][0])
        unlike = is_time & (clock != self._clock)
        count = int(unlike.sum())
        return problems_at(
            table, table.frame[column], unlike, f"{text} (so are {count:,} rows)" if count > 1 else text
        )[:1]

    def _looks_dated(self, raw: Any) -> bool:
        import pandas as pd

        if pd.api.types.is_datetime64_any_dtype(raw):
            return True
        if self.reading.time_unit is not None or not np.isnan(as_numbers(raw)).all():
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
        later = self.kind == "mooncake" and self._least < self._long
        factor = 1.0 if self.dated else min(self.factor, 1e-3 if later else np.inf)
        counts = self.kind == "table" and not self.dated and self._least * factor < EPOCH_S
        inside: NDArray[np.bool_] = (times - (0.0 if counts else self._least)) * factor < self.until_s
        return inside


def _epoch_unit(time: float) -> str:
    return next(unit for below, unit in _EPOCH_UNITS if time < below)


def _explained(problem: Problem) -> Problem:
    if str(problem.got).strip() not in ("", "-", "0", "0.0", "nothing", "nan", "None", "<NA>"):
        return problem
    hint = f"{problem.message}; leave_out_failures: true (--leave-out-failures) leaves out requests that failed"
    return Problem(hint, file=problem.file, line=problem.line, got=problem.got)
