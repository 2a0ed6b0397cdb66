"""Loaders of recorded traces: the public formats and servecast's own.

Formats and their columns (the format is recognised by them):

`azure`     CSV    `TIMESTAMP, ContextTokens, GeneratedTokens` (Azure LLM inference traces 2023 and 2024)
`mooncake`  JSONL  `timestamp` (ms), `input_length`, `output_length`, `hash_ids` (512-token blocks; FAST'25 traces)
`burstgpt`  CSV    `Timestamp` (s), `Request tokens`, `Response tokens`
`table`     CSV or Parquet  `arrival_s, input_tokens, output_tokens[, hash_ids][, class][, session_id]`
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem, unknown_name
from simulator.workload.requests import Requests, make_requests
from simulator.workload.rows import fit_segments, select
from simulator.workload.tables import (
    MAX_PROBLEMS,
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

_AZURE_TIME, _MS_PER_S = "TIMESTAMP", 1000.0


@dataclass(frozen=True, slots=True)
class LoadedTrace:
    """A trace in order of arrival.

    Attributes
    ----------
    requests : its rows; `hash_ids` as segments numbered from 0
    labels : object (n,), the `class` column of servecast's own format, or None
    """

    requests: Requests
    labels: NDArray[np.object_] | None = None


def load_trace(file: str | Path, format: str = "auto", hash_block_tokens: int = 512) -> LoadedTrace:
    """Read a trace; rows out of order are sorted by arrival, equal ones stay as they are.

    The clock of the public formats starts at their first arrival; `arrival_s` of servecast's own is kept as it is.

    Raises
    ------
    InputError : unknown format or columns, or broken rows: the first 20, each with file and line (Parquet: row)
    """
    path = Path(file)
    table = _read_json_lines(path) if path.suffix == ".jsonl" else read_table(path)
    kind = _recognise(table) if format == "auto" else format
    if kind not in FORMAT_COLUMNS:
        raise InputError(Problem(unknown_name("trace format", kind, ["auto", *FORMAT_COLUMNS]), file=str(path)))
    _need_columns(table, kind)
    if table.frame.empty:
        raise InputError(Problem("has no rows", file=str(path)))
    trace = _build(table, kind, hash_block_tokens)
    order = np.argsort(trace.requests.arrival_s, kind="stable")
    labels = None if trace.labels is None else trace.labels[order]
    return LoadedTrace(select(trace.requests, order), labels)


def _recognise(table: Table) -> str:
    columns = set(table.frame.columns)
    for kind, needed in FORMAT_COLUMNS.items():
        if columns.issuperset(needed):
            return kind
    listed = "; ".join(f"{kind}: {', '.join(needed)}" for kind, needed in FORMAT_COLUMNS.items())
    found = ", ".join(map(str, table.frame.columns))
    raise InputError(Problem(f"columns match no trace format ({listed})", file=str(table.file), line=1, got=found))


def _need_columns(table: Table, kind: str) -> None:
    missing = [name for name in FORMAT_COLUMNS[kind] if name not in table.frame.columns]
    if missing:
        message = f"a {kind} trace needs the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise InputError(Problem(message, file=str(table.file), line=1))


def _build(table: Table, kind: str, hash_block_tokens: int) -> LoadedTrace:
    time, isl_name, osl_name = FORMAT_COLUMNS[kind][:3]
    arrival_s, problems = _azure_seconds(table) if kind == "azure" else number_column(table, time)
    isl, isl_problems = token_column(table, isl_name)
    osl, osl_problems = token_column(table, osl_name)
    problems += isl_problems + [_explain(problem, kind) for problem in osl_problems]
    columns: dict[str, NDArray[np.integer]] = {}
    if "hash_ids" in table.frame.columns:
        blocks, hash_problems = _hash_ids(table)
        problems += hash_problems
        columns |= _block_segments(blocks, isl, hash_block_tokens)
    if kind == "table" and "session_id" in table.frame.columns:
        columns["session_id"] = np.unique(table.frame["session_id"].astype(str), return_inverse=True)[1]
    raise_problems(problems)
    if kind == "mooncake":
        arrival_s = arrival_s / _MS_PER_S
    if kind != "table":
        arrival_s = arrival_s - arrival_s.min()
    labelled = kind == "table" and "class" in table.frame.columns
    labels = table.frame["class"].astype(str).to_numpy(object) if labelled else None
    return LoadedTrace(make_requests(arrival_s, isl, osl, **columns), labels)


def _explain(problem: Problem, kind: str) -> Problem:
    if kind != "burstgpt":
        return problem
    hint = f"{problem.message}; a failed request: use the published file without failures, or remove the row"
    return Problem(hint, file=problem.file, line=problem.line, got=problem.got)


def _azure_seconds(table: Table) -> tuple[NDArray[np.float64], list[Problem]]:
    import pandas as pd

    raw = table.frame[_AZURE_TIME]
    times = pd.to_datetime(raw, errors="coerce", utc=True, format="ISO8601")
    problems = problems_at(table, raw, times.isna().to_numpy(), "TIMESTAMP must be a date and time")
    return np.asarray((times - times.min()).dt.total_seconds(), np.float64), problems


def _read_json_lines(file: Path) -> Table:
    import pandas as pd

    if not os.path.isfile(file):
        raise InputError(Problem("no such file", file=str(file)))
    records, lines = [], []
    problems: list[Problem] = []
    with file.open(encoding="utf-8", errors="replace") as text:
        for number, content in enumerate(text, start=1):
            if not content.strip():
                continue
            record = _json_object(content)
            if record is None:
                problems.append(Problem("is not a JSON object", file=str(file), line=number, got=content.strip()[:60]))
                if len(problems) == MAX_PROBLEMS:
                    break
            else:
                records.append(record)
                lines.append(number)
    raise_problems(problems)
    return Table(file, pd.DataFrame.from_records(records), np.array(lines, np.int64))


def _json_object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _hash_ids(table: Table) -> tuple[list[NDArray[np.int64]], list[Problem]]:
    raw = table.frame["hash_ids"]
    parse: Callable[[object], NDArray[np.int64] | None] = _ids_from_text if table.file.suffix != ".jsonl" else _ids
    if table.file.suffix == ".parquet":
        parse = _ids
    blocks = [parse(value) for value in raw]
    bad = np.array([block is None for block in blocks])
    problems = problems_at(table, raw, bad, "hash_ids must be a list of whole numbers")
    return [np.zeros(0, np.int64) if block is None else block for block in blocks], problems


def _ids_from_text(value: object) -> NDArray[np.int64] | None:
    return _ids([part for part in re.split(r"[\s,;]+", str(value).strip("[] ")) if part])


def _ids(values: object) -> NDArray[np.int64] | None:
    if not isinstance(values, Iterable) or isinstance(values, str):
        return None
    try:
        return np.array([int(value) for value in values], np.int64)
    except (TypeError, ValueError, OverflowError):
        return None


def _block_segments(
    blocks: list[NDArray[np.int64]], isl: NDArray[np.int32], block_tokens: int
) -> dict[str, NDArray[np.integer]]:
    start = np.concatenate([[0], np.cumsum([len(block) for block in blocks])]).astype(np.int64)
    _, numbered = np.unique(np.concatenate(blocks), return_inverse=True)
    tokens = np.full(len(numbered), block_tokens, np.int32)
    segment_start, segment_id, segment_tokens = fit_segments(start, numbered.astype(np.int64), tokens, isl)
    return {"segment_start": segment_start, "segment_id": segment_id, "segment_tokens": segment_tokens}
