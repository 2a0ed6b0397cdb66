"""Tables from outside: columns checked value by value."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem, unknown_name

if TYPE_CHECKING:
    import pandas as pd

_COMMA_HINT = (re.compile(r"\s*-?\d+,\d+\s*"), "write the decimal comma as a point: ")
_THOUSANDS = r"\s*\d{1,3}(?:[., \u2019'\u00a0\u202f]\d{3})+\s*"
_THOUSANDS_HINT = (re.compile(_THOUSANDS), "write it without separators of thousands: ")
MAX_PROBLEMS = 20
_MAX_TOKENS = 2**31 - 1


def two_columns(name: str) -> str:
    """What is wrong with a file that has a name twice."""
    return f"has two columns called {name}"


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows as text or typed values, with the line (CSV, JSON lines) or row (Parquet) of each.

    Attributes
    ----------
    frame : one row per record
    line : int64 (n,), 1-based place of each record in the file
    is_text : values are text, as in CSV
    decimal_comma : numbers may have a comma before their fractions, as where values end at semicolons

    Raises
    ------
    InputError : two columns have one name
    """

    file: Path
    frame: pd.DataFrame
    line: NDArray[np.int64]
    is_text: bool = True
    decimal_comma: bool = False

    def __post_init__(self) -> None:
        columns = self.frame.columns
        if not columns.is_unique:
            twice = columns[columns.duplicated()][0]
            raise InputError(Problem(two_columns(str(twice)), file=str(self.file), line=1))

    def having(self, frame: pd.DataFrame) -> Table:
        """The same rows with other columns."""
        return replace(self, frame=frame)

    def is_text_in(self, name: str) -> bool:
        """Whether the first value of a column, if it has one, is text."""
        values = self.frame[name]
        return bool(len(values)) and isinstance(values.iloc[0], str)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """As `as_numbers` of a column."""
        raw = _column(self, name)
        if self.decimal_comma and self.is_text_in(name):
            raw = raw.replace(r"^\s*(\d+),(\d+)\s*$", r"\1.\2", regex=True)
        return as_numbers(raw)

    def rows(self, keep: NDArray[np.bool_]) -> Table:
        """Some of its rows."""
        return replace(self, frame=self.frame[keep], line=self.line[keep])


def _column(table: Table, name: str) -> pd.Series:
    if name not in table.frame.columns:
        known = [str(column) for column in table.frame.columns]
        raise InputError(Problem(unknown_name("column", name, known), file=str(table.file)))
    return table.frame[name]


def as_numbers(raw: pd.Series) -> NDArray[np.float64]:
    """Values as float64, NaN where one is no number, infinite where a whole one is beyond a float."""
    import pandas as pd

    try:
        numbers = pd.to_numeric(raw, errors="coerce")
    except OverflowError:
        numbers = pd.to_numeric(raw.map(_within_a_float), errors="coerce")
    return numbers.to_numpy(np.float64, na_value=np.nan)


def _within_a_float(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, int) else value
    except OverflowError:
        return np.inf


def number_column(table: Table, name: str) -> tuple[NDArray[np.float64], list[Problem]]:
    """Column as float64, NaN where a value is no finite number of at least 0, with a problem for each of these."""
    values = table.numbers(name)
    raw = table.frame[name]
    bad = ~(np.isfinite(values) & (values >= 0))
    return np.where(bad, np.nan, values), problems_at(table, raw, bad, f"{name} must be a finite number, at least 0")


def token_column(table: Table, name: str) -> tuple[NDArray[np.int32], list[Problem]]:
    """Column as int32 tokens, 1 where a value is no whole number of at least 1, with a problem for each of these."""
    values = table.numbers(name)
    raw = table.frame[name]
    large = (values > _MAX_TOKENS) & (values == np.floor(values))
    bad = ~((values >= 1) & (values == np.floor(values))) | large
    if table.decimal_comma and table.is_text_in(name):
        bad |= raw.astype(str).str.fullmatch(_THOUSANDS).to_numpy(np.bool_)
    problems = problems_at(table, raw, bad & ~large, f"{name} must be a whole number, at least 1", _THOUSANDS_HINT)
    problems += problems_at(table, raw, large, f"{name} must be at most {_MAX_TOKENS:,}")
    return np.where(bad, 1, values).astype(np.int32), problems


def problems_at(
    table: Table,
    raw: pd.Series,
    bad: NDArray[np.bool_],
    message: str,
    hint: tuple[re.Pattern[str], str] = _COMMA_HINT,
) -> list[Problem]:
    """One problem for each bad row, by line, the first `MAX_PROBLEMS` of them; what matches the hint's has it first."""
    rows = np.flatnonzero(bad)[:MAX_PROBLEMS]
    return [_problem(table, int(table.line[row]), str(raw.iloc[row]) or "nothing", message, hint) for row in rows]


def _problem(table: Table, line: int, got: str, message: str, hint: tuple[re.Pattern[str], str]) -> Problem:
    form, words = hint
    return Problem(f"{words if form.fullmatch(got) else ''}{message}", file=str(table.file), line=line, got=got)


def raise_problems(problems: list[Problem]) -> None:
    """Raise the first `MAX_PROBLEMS` problems in order of line, if there are any; so many are seldom all of them."""
    if problems:
        ordered = sorted(problems, key=lambda problem: problem.line or 0)[:MAX_PROBLEMS]
        ordered[-1] = replace(ordered[-1], is_last=len(ordered) == MAX_PROBLEMS)
        raise InputError(*ordered)
