"""Loaders of recorded traces: the public formats and servecast's own.

Formats and their columns (the format is recognised by them):

`azure`     CSV    `TIMESTAMP, ContextTokens, GeneratedTokens` (Azure LLM inference traces 2023 and 2024)
`mooncake`  JSONL  `timestamp`, `input_length`, `output_length`, `hash_ids` (FAST'25 traces: ms, blocks of 512 tokens;
            Bailian traces: s, blocks of 16)
`burstgpt`  CSV    `Timestamp` (s), `Request tokens`, `Response tokens`
`table`     any    `arrival_s, input_tokens, output_tokens[, hash_ids][, class][, session_id]`, or others by a map

What a file leaves open is told by it: times with a fraction are seconds and whole ones milliseconds (`mooncake`); a
block has the tokens for which every row has the right number of hashes; a clock that starts years from 0 starts at the
first arrival, as that of the public formats does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem, unknown_name
from simulator.workload.hashes import block_segments, hash_ids
from simulator.workload.reading import AS_IT_SAYS, SECONDS_PER_UNIT, Reading, WasRead
from simulator.workload.requests import Requests, make_requests
from simulator.workload.rows import select
from simulator.workload.tables import (
    Table,
    number_column,
    problems_at,
    raise_problems,
    read_table,
    token_column,
)

FORMAT_COLUMNS = {
    "azure": ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    "mooncake": ("timestamp", "input_length", "output_length", "hash_ids"),
    "burstgpt": ("Timestamp", "Request tokens", "Response tokens"),
    "table": ("arrival_s", "input_tokens", "output_tokens"),
}
"""Columns that each format must have."""
OWN_COLUMNS = ("arrival_s", "input_tokens", "output_tokens", "hash_ids", "class", "session_id")
"""Columns of servecast's own format."""
_EPOCH_S = 1e8
"""A clock that begins after it counts from a year long ago, not from the start of the trace."""


@dataclass(frozen=True, slots=True)
class LoadedTrace:
    """A trace in order of arrival.

    Attributes
    ----------
    requests : its rows; `hash_ids` as segments numbered from 0
    was_read : how, and what was left out
    labels : object (n,), the `class` column of servecast's own format, or None
    """

    requests: Requests
    was_read: WasRead
    labels: NDArray[np.object_] | None = None


def load_trace(file: str | Path, reading: Reading = AS_IT_SAYS) -> LoadedTrace:
    """Read a trace; rows out of order are sorted by arrival, equal ones stay as they are.

    What was read last is kept, since one run asks for its traces again and again; its arrays are not to be written to.

    Raises
    ------
    InputError : unknown format or columns, or broken rows: the first 20, each with file and line (Parquet: row)
    """
    path = Path(file)
    status = path.stat() if path.is_file() else None
    return _load(path, reading, status and (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=4)
def _load(file: Path, reading: Reading, _version: tuple[int, int] | None) -> LoadedTrace:
    table = _renamed(read_table(file), reading)
    kind = reading.format
    if kind == "auto":
        kind = "table" if reading.columns else _recognise(table)
    if kind not in FORMAT_COLUMNS:
        raise InputError(Problem(unknown_name("trace format", kind, ["auto", *FORMAT_COLUMNS]), file=str(file)))
    _need_columns(table, kind)
    table, left_out = _without_labels(table, kind, reading)
    table, failures = _without_failures(table, kind, reading)
    if table.frame.empty:
        raise InputError(Problem("has no rows", file=str(file)))
    trace = _build(table, kind, reading, failures, left_out)
    order = np.argsort(trace.requests.arrival_s, kind="stable")
    labels = None if trace.labels is None else trace.labels[order]
    return LoadedTrace(select(trace.requests, order), trace.was_read, labels)


def _renamed(table: Table, reading: Reading) -> Table:
    """The table with its columns called as in servecast's own format, where a map says so."""
    missing = [theirs for _, theirs in reading.columns if theirs not in table.frame.columns]
    if missing:
        known = [str(name) for name in table.frame.columns]
        raise InputError(*(Problem(unknown_name("column", name, known), file=str(table.file)) for name in missing))
    names = {theirs: ours for ours, theirs in reading.columns}
    covered = [ours for ours in names.values() if ours in table.frame.columns and ours not in names]
    return table.having(table.frame.drop(columns=covered).rename(columns=names)) if names else table


def _recognise(table: Table) -> str:
    columns = set(table.frame.columns)
    for kind, needed in FORMAT_COLUMNS.items():
        if columns.issuperset(needed):
            return kind
    listed = "; ".join(f"{kind}: {', '.join(needed)}" for kind, needed in FORMAT_COLUMNS.items())
    found = ", ".join(map(str, table.frame.columns))
    text = f"columns match no trace format ({listed}); say which is which by columns: {{arrival_s: …, input_tokens: …}}"
    raise InputError(Problem(text, file=str(table.file), line=1, got=found))


def _need_columns(table: Table, kind: str) -> None:
    missing = [name for name in FORMAT_COLUMNS[kind] if name not in table.frame.columns]
    if missing:
        message = f"a {kind} trace needs the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise InputError(Problem(message, file=str(table.file), line=1))


def _without_labels(table: Table, kind: str, reading: Reading) -> tuple[Table, int]:
    if not reading.leave_out:
        return table, 0
    if kind != "table" or "class" not in table.frame.columns:
        raise InputError(Problem("has no column 'class' whose labels could be left out", file=str(table.file)))
    import pandas as pd

    labels = pd.Series(_labels(table, "class"))
    known = sorted(set(labels))
    unknown = [name for name in reading.leave_out if name not in known]
    if unknown:
        raise InputError(*(Problem(unknown_name("class", name, known), file=str(table.file)) for name in unknown))
    gone = labels.isin(reading.leave_out).to_numpy()
    return table.rows(~gone), int(gone.sum())


def _without_failures(table: Table, kind: str, reading: Reading) -> tuple[Table, int]:
    if not reading.leaves_out_failures:
        return table, 0
    import pandas as pd

    gone = (pd.to_numeric(table.frame[FORMAT_COLUMNS[kind][2]], errors="coerce") == 0).to_numpy()
    return table.rows(~gone), int(gone.sum())


def _build(table: Table, kind: str, reading: Reading, failures: int, left_out: int) -> LoadedTrace:
    time, isl_name, osl_name = FORMAT_COLUMNS[kind][:3]
    arrival_s, unit, problems = _seconds(table, kind, time, reading)
    isl, isl_problems = token_column(table, isl_name)
    osl, osl_problems = token_column(table, osl_name)
    problems += isl_problems + [_explain(problem) for problem in osl_problems]
    columns: dict[str, NDArray[np.integer]] = {}
    block_tokens = None
    if "hash_ids" in table.frame.columns:
        blocks, hash_problems = hash_ids(table)
        problems += hash_problems
        raise_problems(problems)
        block_tokens, segments = block_segments(table, blocks, isl, reading.hash_block_tokens)
        columns |= segments
    if kind == "table" and "session_id" in table.frame.columns:
        columns["session_id"] = np.unique(_labels(table, "session_id"), return_inverse=True)[1]
    raise_problems(problems)
    if kind != "table" or unit == "date" or arrival_s.min() >= _EPOCH_S:
        arrival_s = arrival_s - arrival_s.min()
    labelled = kind == "table" and "class" in table.frame.columns
    labels = _labels(table, "class") if labelled else None
    was_read = WasRead(kind, unit, block_tokens, failures, left_out)
    return LoadedTrace(make_requests(arrival_s, isl, osl, **columns), was_read, labels)


def _labels(table: Table, column: str) -> NDArray[np.object_]:
    """A column as text, whatever its values are."""
    return np.array([str(value) for value in table.frame[column]], dtype=object)


def _explain(problem: Problem) -> Problem:
    if problem.got not in ("0", "0.0"):
        return problem
    hint = f"{problem.message}; a request that failed: leave_out_failures: true leaves such rows out"
    return Problem(hint, file=problem.file, line=problem.line, got=problem.got)


def _seconds(table: Table, kind: str, column: str, reading: Reading) -> tuple[NDArray[np.float64], str, list[Problem]]:
    """Arrivals in seconds and their unit: as said, else by the format and what the times look like."""
    import pandas as pd

    raw = table.frame[column]
    numbers = pd.to_numeric(raw, errors="coerce")
    is_date = kind == "azure" or (reading.time_unit is None and bool(numbers.isna().all()))
    if is_date:
        times = pd.to_datetime(raw, errors="coerce", utc=True, format="ISO8601")
        if kind == "azure" or times.notna().any():
            bad = times.isna().to_numpy()
            seconds = np.asarray((times - times.min()).dt.total_seconds(), np.float64)
            return seconds, "date", problems_at(table, raw, bad, f"{column} must be a date and time")
    values, problems = number_column(table, column)
    unit = reading.time_unit
    if unit is None:
        whole = bool(np.all(values[np.isfinite(values)] % 1 == 0))
        unit = "ms" if kind == "mooncake" and whole else "s"
    return values * SECONDS_PER_UNIT[unit], unit, problems
