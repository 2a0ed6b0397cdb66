"""Tables from outside: CSV and Parquet files read as they are, and columns checked value by value."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem, unknown_name
from simulator.results.inputs import input_file

if TYPE_CHECKING:
    import pandas as pd

MAX_PROBLEMS = 20
_AS_WRITTEN: Any = {"skip_blank_lines": False, "keep_default_na": False}
SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Between the values of a line, unless its first line has none; then what it has instead."""
PACKINGS: Mapping[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What unpacks a file, by the last end of its name."""
JSON_LINES = (".jsonl", ".ndjson")
_REST = "\0"
ENDINGS = (*SEPARATORS, *JSON_LINES, ".parquet")
"""Kinds of files that are read."""
_MAX_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows as text or typed values, with the line (CSV, JSON lines) or row (Parquet) of each.

    Attributes
    ----------
    frame : one row per record
    line : int64 (n,), 1-based place of each record in the file
    is_text : values are text, as in CSV
    """

    file: Path
    frame: pd.DataFrame
    line: NDArray[np.int64]
    is_text: bool = True

    def having(self, frame: pd.DataFrame) -> Table:
        """The same rows with other columns."""
        return replace(self, frame=frame)

    def rows(self, keep: NDArray[np.bool_]) -> Table:
        """Some of its rows."""
        return replace(self, frame=self.frame[keep], line=self.line[keep])


def read_table(file: Path) -> Table:
    """Read a file by the end of its name (`ENDINGS`), packed (`PACKINGS`) or not.

    Raises
    ------
    InputError : the file is missing, of another kind, or its rows differ in length
    """
    input_file(file, None)
    ending = next((suffix for suffix in reversed(file.suffixes) if suffix not in PACKINGS), "").lower()
    if ending == ".parquet" and file.suffix not in PACKINGS:
        return _read_parquet(file)
    if ending in SEPARATORS:
        return _read_csv(file, SEPARATORS[ending])
    if ending in JSON_LINES:
        return _read_json_lines(file)
    raise InputError(
        Problem(f"must be one of {', '.join(ENDINGS)}, or packed as {', '.join(PACKINGS)}", file=str(file))
    )


def _opened(file: Path) -> IO[str]:
    unpack: Any = PACKINGS.get(file.suffix, open)
    opened: IO[str] = unpack(file, "rt", encoding="utf-8", errors="replace")
    return opened


def _read_json_lines(file: Path) -> Table:
    import pandas as pd

    records, lines = [], []
    problems: list[Problem] = []
    try:
        with _opened(file) as text:
            for number, content in enumerate(text, start=1):
                if not content.strip():
                    continue
                record = _json_object(content)
                if record is None:
                    got = content.strip()[:60]
                    problems.append(Problem("is not a JSON object", file=str(file), line=number, got=got))
                    if len(problems) == MAX_PROBLEMS:
                        break
                else:
                    records.append(record)
                    lines.append(number)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(Problem(f"cannot be unpacked: {error}", file=str(file))) from error
    raise_problems(problems)
    return Table(file, pd.DataFrame.from_records(records), np.array(lines, np.int64), is_text=False)


def _json_object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_parquet(file: Path) -> Table:
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(Problem(f"is not a Parquet file: {error}", file=str(file))) from error
    return Table(file, frame, np.arange(1, len(frame) + 1), is_text=False)


def _read_csv(file: Path, separator: str) -> Table:
    import pandas as pd

    try:
        with _opened(file) as text:
            head = text.readline()
        separator = next((each for each in (separator, ";", "\t") if each in head), separator)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = _rows_of_csv(file, separator)
    except pd.errors.ParserWarning as error:
        raise InputError(Problem("its rows have more values than its first line has names", file=str(file))) from error
    except pd.errors.ParserError as error:
        place = re.search(r"line (\d+)", str(error))
        line = int(place[1]) if place else None
        raise InputError(Problem(f"is not CSV with equal rows: {error}".strip(), file=str(file), line=line)) from error
    except (pd.errors.EmptyDataError, UnicodeDecodeError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(Problem(f"is not a CSV file: {error}", file=str(file))) from error
    filled = (frame.fillna("") != "").any(axis=1).to_numpy()
    return Table(file, frame[filled], np.flatnonzero(filled) + 2)


def _rows_of_csv(file: Path, separator: str) -> pd.DataFrame:
    """Rows of a CSV file; one separator at the end of each line names no column and holds nothing."""
    import pandas as pd

    how: Any = {"sep": separator, "dtype": str, "index_col": False, **_AS_WRITTEN}
    try:
        frame: pd.DataFrame = pd.read_csv(file, **how)
    except pd.errors.ParserWarning:
        names = list(pd.read_csv(file, nrows=0, **how).columns)
        frame = pd.read_csv(file, header=0, names=[*names, _REST], **how)
        if (frame[_REST].fillna("") != "").any():
            raise
        frame = frame.drop(columns=_REST)
    return frame


def _column(table: Table, name: str) -> pd.Series:
    if name not in table.frame.columns:
        known = [str(column) for column in table.frame.columns]
        raise InputError(Problem(unknown_name("column", name, known), file=str(table.file)))
    return table.frame[name]


def number_column(table: Table, name: str) -> tuple[NDArray[np.float64], list[Problem]]:
    """Column as float64, NaN where a value is no finite number of at least 0, with a problem for each of these."""
    import pandas as pd

    raw = _column(table, name)
    values = pd.to_numeric(raw, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~(np.isfinite(values) & (values >= 0))
    return np.where(bad, np.nan, values), problems_at(table, raw, bad, f"{name} must be a finite number, at least 0")


def token_column(table: Table, name: str) -> tuple[NDArray[np.int32], list[Problem]]:
    """Column as int32 tokens, 1 where a value is no whole number of at least 1, with a problem for each of these."""
    import pandas as pd

    raw = _column(table, name)
    values = pd.to_numeric(raw, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~((values >= 1) & (values <= _MAX_TOKENS) & (values == np.floor(values)))
    problems = problems_at(table, raw, bad, f"{name} must be a whole number, at least 1")
    return np.where(bad, 1, values).astype(np.int32), problems


def problems_at(table: Table, raw: pd.Series, bad: NDArray[np.bool_], message: str) -> list[Problem]:
    """One problem for each bad row, by line, the first `MAX_PROBLEMS` of them."""
    rows = np.flatnonzero(bad)[:MAX_PROBLEMS]
    return [
        Problem(message, file=str(table.file), line=int(table.line[row]), got=str(raw.iloc[row]) or "nothing")
        for row in rows
    ]


def raise_problems(problems: list[Problem]) -> None:
    """Raise the first `MAX_PROBLEMS` problems in order of line, if there are any."""
    if problems:
        ordered = sorted(problems, key=lambda problem: problem.line or 0)
        raise InputError(*ordered[:MAX_PROBLEMS])
