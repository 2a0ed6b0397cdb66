"""Files of rows, read as they are, in pieces: memory is that of a piece, however large the file."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.results.inputs import input_file
from simulator.workload.long_reads import watched
from simulator.workload.tables import MAX_PROBLEMS, Table, raise_problems, two_columns

if TYPE_CHECKING:
    import pandas as pd

PIECE_ROWS = 100_000
_JSON_ROWS = 20_000
"""Of a piece: rows of text are larger as objects, above all lists of hashes."""
_PIECE_BYTES = 2**28
"""Of a piece of a Parquet file as it is unpacked, texts that come again counted once."""
_VALUE_BYTES, _NESTED_BYTES = 8, 100
"""Of a value of a column, and of one within lists or objects, which become objects of Python."""
_AS_WRITTEN: Any = {"skip_blank_lines": False, "keep_default_na": False}
SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Between the values of a line, unless its first line has none; then what it has instead."""
PACKINGS: Mapping[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What unpacks a file, by the last end of its name."""
JSON_LINES = (".jsonl", ".ndjson")
MOST_COLUMNS = 1_000
LONGEST_LINE = 4 * 2**20
"""Letters of a line: of a file packed a million times smaller no more is unpacked at once."""
_REST = "\0"
ENDINGS = (*SEPARATORS, *JSON_LINES, ".parquet")
"""Kinds of files that are read."""


def is_trace(name: str) -> bool:
    """Whether a file is of a kind that is read, packed or not, by the end of its name."""
    return not {suffix.lower() for suffix in Path(name).suffixes}.isdisjoint(ENDINGS)


def read_table(file: Path) -> Table:
    """A file as a whole, as `read_pieces`."""
    import pandas as pd

    pieces = list(read_pieces(file))
    frame = pd.concat([piece.frame for piece in pieces], ignore_index=True)
    return Table(
        file, frame, np.concatenate([piece.line for piece in pieces]), pieces[0].is_text, pieces[0].decimal_comma
    )


def read_pieces(file: Path) -> Iterator[Table]:
    """Read a file by the end of its name (`ENDINGS`), packed (`PACKINGS`) or not; at least one piece, all alike.

    Raises
    ------
    InputError : the file is missing, of another kind, or its rows differ in length
    """
    input_file(file, None)
    ending = next((suffix for suffix in reversed(file.suffixes) if suffix not in PACKINGS), "").lower()
    if ending == ".parquet" and file.suffix not in PACKINGS:
        return watched(file, _read_parquet(file))
    if ending in SEPARATORS:
        return watched(file, _read_csv(file, SEPARATORS[ending]))
    if ending in JSON_LINES:
        return watched(file, _read_json_lines(file))
    text = f"must be one of {', '.join(ENDINGS)}, or packed as {', '.join(PACKINGS)}"
    if ending == ".json":
        text += ", with a request a line: of a list in one file `jq -c '.[]' FILE.json > FILE.jsonl` makes them"
    raise InputError(Problem(text, file=str(file)))


def _opened(file: Path) -> IO[str]:
    unpack: Any = PACKINGS.get(file.suffix, open)
    opened: IO[str] = unpack(file, "rt", encoding="utf-8", errors="replace")
    return opened


def _read_json_lines(file: Path) -> Iterator[Table]:
    records: list[dict[str, object]] = []
    lines: list[int] = []
    columns: list[str] | None = None
    names: set[str] = set()
    problems: list[Problem] = []
    with _unpacked(file), _opened(file) as text:
        for number, content in enumerate(_lines(file, text), start=1):
            if not content.strip():
                continue
            record = _json_object(content)
            if record is None:
                got = content.strip()[:60]
                problems.append(Problem("is not a JSON object", file=str(file), line=number, got=got))
                if len(problems) == MAX_PROBLEMS:
                    break
                continue
            names.update(record)
            _check_number(file, len(names), number)
            records.append(record)
            lines.append(number)
            if len(records) == _JSON_ROWS:
                yield (piece := _of_records(file, records, lines, columns))
                columns, records, lines = list(piece.frame.columns), [], []
    raise_problems(problems)
    if records or columns is None:
        yield _of_records(file, records, lines, columns)


@contextmanager
def _unpacked(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(Problem(f"cannot be unpacked: {error}", file=str(file))) from error


def _of_records(file: Path, records: list[dict[str, object]], lines: list[int], columns: list[str] | None) -> Table:
    """Rows with the columns of the first piece; one that comes later is told, since nobody would look for it."""
    import pandas as pd

    frame = pd.DataFrame.from_records(records)
    if columns is not None:
        late = [name for name in frame.columns if name not in columns]
        if late:
            line = next(line for line, record in zip(lines, records, strict=True) if late[0] in record)
            text = f"the first {_JSON_ROWS:,} rows have no {late[0]!r}: give it there too, as null"
            raise InputError(Problem(text, file=str(file), line=line))
        frame = frame.reindex(columns=columns)
    return Table(file, frame, np.array(lines, np.int64), is_text=False)


def _json_object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_parquet(file: Path) -> Iterator[Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check_number(file, len(pq.read_schema(file).names))
        rows, first = pq.ParquetFile(file), 1
        rows = pq.ParquetFile(file, read_dictionary=list(_texts(rows.schema)))
        row_bytes = max(_row_bytes(rows.metadata), default=1.0)
        for batch in rows.iter_batches(max(min(PIECE_ROWS, int(_PIECE_BYTES / row_bytes)), 1)):
            for part in _within_a_piece(file, batch, first):
                yield Table(file, _frame(part), np.arange(first, first + len(part)), is_text=False)
                first += len(part)
        if first == 1:
            yield Table(file, rows.schema_arrow.empty_table().to_pandas(), np.zeros(0, np.int64), is_text=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(Problem(f"is not a Parquet file: {error}", file=str(file))) from error
    except pa.ArrowNotImplementedError as error:  # objects whose texts are more than 2 GiB in a piece, and the like
        raise InputError(Problem(f"holds what cannot be unpacked: {error}", file=str(file))) from error


def _texts(schema: Any) -> Iterator[str]:
    """Paths of the values of any length, within lists and objects too."""
    for leaf in (schema.column(k) for k in range(len(schema))):
        if leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type != "DECIMAL":
            yield leaf.path


def _row_bytes(metadata: Any) -> Iterator[float]:
    """Of the rows of each group in the mean, as they are written or with their values apart, whichever is more."""
    for group in (metadata.row_group(k) for k in range(metadata.num_row_groups)):
        values = (_unpacked_bytes(group.column(k)) for k in range(group.num_columns))
        yield max(group.total_byte_size, sum(values), 1) / max(group.num_rows, 1)


def _unpacked_bytes(column: Any) -> int:
    """Of a column's values, of which those that come again are written as next to nothing."""
    values: int = column.num_values
    return values * (_NESTED_BYTES if "." in column.path_in_schema else _VALUE_BYTES)


def _within_a_piece(file: Path, batch: Any, first: int) -> Iterator[Any]:
    """Rows in order, as many at once as may be when each text within their lists and objects stands for itself.

    Raises
    ------
    InputError : a row alone is more
    """
    nested = (column for column in batch.columns if column.type.num_fields > 0)
    if sum(map(_text_bytes, nested)) <= _PIECE_BYTES:
        yield batch
    elif len(batch) > 1:
        half = len(batch) // 2
        yield from _within_a_piece(file, batch.slice(0, half), first)
        yield from _within_a_piece(file, batch.slice(half), first + half)
    else:
        text = f"a row of more than {_PIECE_BYTES >> 20} MiB is none of a log"
        raise InputError(Problem(text, file=str(file), line=first))


def _text_bytes(array: Any) -> int:
    """Of all texts in a column, those that come again as often as they do."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        letters: int | None = pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py()
        return letters or 0
    parts: Any = ()
    if pa.types.is_map(array.type):
        begin, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
        parts = array.keys[begin:end], array.items[begin:end]
    elif array.type.num_fields > 0:
        parts = array.flatten()
    return sum(map(_text_bytes, parts if isinstance(parts, list | tuple) else [parts]))


def _frame(batch: Any) -> pd.DataFrame:
    """Texts as objects, each different one once, however often it comes."""
    import pyarrow as pa

    frame: pd.DataFrame = batch.to_pandas()
    for place, field in enumerate(batch.schema):
        if pa.types.is_dictionary(field.type):
            texts: Any = frame.iloc[:, place].astype(object)  # as a series: of an array pandas would make copies
            frame.isetitem(place, texts)
    return frame


def _read_csv(file: Path, separator: str) -> Iterator[Table]:
    import pandas as pd

    try:
        with _opened(file) as text:
            head = next(_lines(file, text), "")
        separator = next((each for each in (separator, ";", "\t", "|", ",") if each in head), separator)
        _check_names(file, head, separator)
        first = 2
        for frame in _frames_of_csv(file, separator):
            filled = _filled(frame)
            frame = frame.rename(columns=str.strip)
            lines = np.flatnonzero(filled) + first
            yield Table(file, frame[filled], lines, decimal_comma=separator == ";")
            first += len(frame)
    except pd.errors.ParserWarning as error:
        raise InputError(Problem("its rows have more values than its first line has names", file=str(file))) from error
    except pd.errors.ParserError as error:
        place = re.search(r"line (\d+)", str(error))
        line = int(place[1]) if place else None
        raise InputError(Problem(f"is not CSV with equal rows: {error}".strip(), file=str(file), line=line)) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem("is not text in UTF-8: save it as CSV UTF-8", file=str(file))) from error
    except (pd.errors.EmptyDataError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(Problem(f"is not a CSV file: {error}", file=str(file))) from error


def _check_names(file: Path, head: str, separator: str) -> None:
    """Refuse too many columns, and two of one name, of which a table would rename one.

    Raises
    ------
    InputError : there are
    """
    try:
        first = next(csv.reader([head.removeprefix("\ufeff")], delimiter=separator), [])
    except csv.Error:
        return
    _check_number(file, len(first), 1)
    names = [name.strip() for name in first]
    if re.fullmatch(r"\s*sep=.\s*", head.removeprefix("\ufeff"), re.IGNORECASE):
        text = "its first line says the separator, as spreadsheets write it, and no columns: take that line away"
        raise InputError(Problem(text, file=str(file), line=1, got=head.strip()))
    twice = next((name for place, name in enumerate(names) if name and name in names[:place]), None)
    if twice is not None:
        raise InputError(Problem(two_columns(twice), file=str(file), line=1))


def _check_number(file: Path, columns: int, line: int | None = None) -> None:
    if columns > MOST_COLUMNS:
        text = f"has more than {MOST_COLUMNS:,} columns: keep those with times and tokens"
        raise InputError(Problem(text, file=str(file), line=line))


def _lines(file: Path, text: IO[str]) -> Iterator[str]:
    number = 0
    while content := text.readline(LONGEST_LINE + 1):
        number += 1
        if len(content) > LONGEST_LINE:
            raise InputError(_too_long(file, number))
        yield content


def _too_long(file: Path, line: int | None = None) -> Problem:
    return Problem(f"a line of more than {LONGEST_LINE:,} letters is none of a log", file=str(file), line=line)


class _Bounded:
    """The text of a file for pandas, which would keep a line of any length."""

    def __init__(self, file: Path, text: IO[str]) -> None:
        self._file, self._text, self._letters = file, text, 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._text)

    def read(self, size: int = -1) -> str:
        content = self._text.read(size)
        end = max(content.rfind("\n"), content.rfind("\r"))
        self._letters = self._letters + len(content) if end < 0 else len(content) - end - 1
        if self._letters > LONGEST_LINE:
            raise InputError(_too_long(self._file))
        return content


@contextmanager
def _bounded(file: Path) -> Iterator[Any]:
    unpack: Any = PACKINGS.get(file.suffix, open)
    with unpack(file, "rt", encoding="utf-8", newline="") as text:
        yield _Bounded(file, text)


def _filled(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows that hold anything; those whose first value is something do."""
    first = frame.iloc[:, 0]
    filled = (first.notna() & (first != "")).to_numpy(np.bool_, copy=True)
    if not filled.all():
        filled[~filled] = (frame[~filled].fillna("") != "").any(axis=1).to_numpy()
    return filled


def _frames_of_csv(file: Path, separator: str) -> Iterator[pd.DataFrame]:
    """Rows of a CSV file; one separator at the end of each line names no column and holds nothing."""
    import pandas as pd

    how: Any = {"sep": separator, "dtype": str, "index_col": False, **_AS_WRITTEN}
    done = 0
    try:
        with _bounded(file) as text:
            for frame in _strictly(pd.read_csv(text, chunksize=PIECE_ROWS, **how)):
                yield frame
                done += len(frame)
        return
    except pd.errors.ParserWarning:
        with _bounded(file) as text:
            names = list(pd.read_csv(text, nrows=0, **how).columns)
    how |= {"header": 0, "names": [*names, _REST], "skiprows": range(1, done + 1)}
    with _bounded(file) as text:
        for frame in _strictly(pd.read_csv(text, chunksize=PIECE_ROWS, **how)):
            if (frame[_REST].fillna("") != "").any():
                raise pd.errors.ParserWarning
            yield frame.drop(columns=_REST)


def _strictly(frames: Any) -> Iterator[pd.DataFrame]:
    """The frames of a reader, whose warnings are errors."""
    import pandas as pd

    with frames:
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = next(frames, None)
            if frame is None:
                return
            yield frame
