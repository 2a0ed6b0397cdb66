"""Loaders of recorded traces: the public formats and servecast's own.

Formats and their columns (the format is recognised by them):

`azure`     CSV    `TIMESTAMP, ContextTokens, GeneratedTokens` (Azure LLM inference traces 2023 and 2024)
`mooncake`  JSONL  `timestamp`, `input_length`, `output_length`, `hash_ids` (FAST'25 traces: ms, blocks of 512 tokens;
            Bailian traces: s, blocks of 16)
`burstgpt`  CSV    `Timestamp` (s), `Request tokens`, `Response tokens`
`table`     any    `arrival_s, input_tokens, output_tokens[, hash_ids][, class][, session_id][, think_s][, e2e_s]
            [, acceptance][, cached_tokens]`, or others by a map, parts of objects as `usage.prompt_tokens` among them

What a file leaves open is told by it: times with a fraction are seconds and whole ones milliseconds (`mooncake`); a
block has the tokens for which every row has the right number of hashes; a clock that starts years from 0 starts at the
first arrival, as that of the public formats does, in the unit in which it counts from a year after 1972.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem, unknown_name
from simulator.workload.columns import LIKELY, all_of_prompt, beside, column, guessed, guessed_more, has_column, total
from simulator.workload.hashes import block_segments
from simulator.workload.likely_content import with_likely_content
from simulator.workload.one_request_a_row import of_enclosing, of_repeated, of_several
from simulator.workload.pieces import read_pieces
from simulator.workload.reading import AS_IT_SAYS, Reading, WasRead
from simulator.workload.requests import Requests, make_extras, make_requests
from simulator.workload.rows import cut, select
from simulator.workload.shared_blocks import SharedBlocks
from simulator.workload.spool import Piece, Spool
from simulator.workload.tables import MAX_PROBLEMS, Table, as_numbers, raise_problems
from simulator.workload.trace_pieces import Rows, Span, text_of
from simulator.workload.turns import pauses_s

FORMAT_COLUMNS = {
    "azure": ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    "mooncake": ("timestamp", "input_length", "output_length", "hash_ids"),
    "burstgpt": ("Timestamp", "Request tokens", "Response tokens"),
    "table": ("arrival_s", "input_tokens", "output_tokens"),
}
"""Columns that each format must have."""
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")
"""Columns that may be a sum of others."""
_OTHER_SEPARATORS = (" ", ":", "/", "^", "~", "\x01")
"""Between the names of a first line that nothing is read by."""
NOTHING = ("", "-")
"""Texts of a value that is not there; web servers and gateways write the second."""
_ZONE = re.compile(r":\d\d(?:[.,]\d+)?\s*([+-]\d\d):?(\d\d)\]?$")
Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LoadedTrace:
    """A trace in order of arrival.

    Attributes
    ----------
    requests : its rows before the end that was asked for, all open; `hash_ids`, or what prompts likely share, as
        segments numbered from 0; `think_s` the pauses of turns, where they wait for answers
    was_read : how, and what was left out
    labels : object (n,), the `class` column of servecast's own format, or None
    spans : all its rows by label, those after that end too; by None where there are no labels
    """

    requests: Requests
    was_read: WasRead
    labels: NDArray[np.object_] | None
    spans: Mapping[str | None, Span]


def load_trace(file: str | Path, reading: Reading = AS_IT_SAYS, until_s: float = math.inf) -> LoadedTrace:
    """Read a trace; rows out of order are sorted by arrival, equal ones stay as they are.

    The file is read in pieces, so that memory is that of the rows before `until_s`, the seconds of its clock. What was
    read last is kept, since one run asks for its traces again and again; its arrays are not to be written to.

    Raises
    ------
    InputError : unknown format or columns, or broken rows: the first 20, each with file and line (Parquet: row)
    """
    path = Path(file)
    status = path.stat() if path.is_file() else None
    return _load(path, reading, until_s, status and (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=4)
def _load(file: Path, reading: Reading, until_s: float, _version: tuple[int, int] | None) -> LoadedTrace:
    rows, failures, left_out = _rows(file, reading, until_s)
    return _built(file, rows, failures, left_out)


@dataclass(frozen=True, slots=True)
class SpooledTrace:
    """All rows of a trace, on disk.

    Attributes
    ----------
    was_read : as of `LoadedTrace`
    factor, start : seconds of a unit of its times, and the time from which they count
    since_1970_s : second since 1970 at which they begin to count; None where the file does not say it
    labels : of the `class` column of servecast's own format, in the order in which they come; none without one
    """

    spool: Spool
    was_read: WasRead
    factor: float
    start: float
    since_1970_s: float | None
    labels: tuple[str, ...] = ()

    def pieces(self) -> Iterator[Piece]:
        """In order of arrival, as `load_trace` has them."""
        for piece in self.spool.pieces():
            yield Piece(self.seconds(piece.times), piece.isl, piece.osl)

    def seconds(self, times: Seconds) -> Seconds:
        """Arrivals, from times as the file counts them."""
        arrival_s = times * self.factor
        arrival_s -= self.start * self.factor
        return arrival_s

    def lengths(self, column: Literal["isl", "osl"]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Lengths that occur, ascending, and how often each."""
        return self.spool.lengths(column)


def spool_trace(file: Path, reading: Reading, spool: Spool, shared: SharedBlocks | None = None) -> SpooledTrace:
    """As `load_trace`, into a spool: when and how long the requests are, and their blocks where they are asked for."""
    rows, failures, left_out = _rows(file, reading, math.inf, spool, shared)
    block_tokens = None if shared is None else rows.sizes.size(file, rows.reading.hash_block_tokens)
    was_read = _was_read(rows, block_tokens, failures, left_out)
    labels = tuple(label for label in _label_names(rows) if label)
    return SpooledTrace(spool, was_read, rows.factor, rows.start, rows.since_1970_s, labels)


def has_hashes(file: Path, reading: Reading) -> bool:
    """Whether rows say which blocks their prompts are made of."""
    return says(file, reading, "hash_ids")


def says(file: Path, reading: Reading, name: str) -> bool:
    """Whether rows have a column of servecast's own format."""
    return has_column(_renamed(next(read_pieces(file)), _guessing(file, reading)).frame, name)


def uncounted(file: Path, columns: Mapping[str, str]) -> list[str]:
    """Columns of prompt tokens that go by the name of those which the prompt's own column does not count."""
    return beside(next(read_pieces(file)).frame, columns.get("input_tokens", "input_tokens"))


def zone_of(file: Path, reading: Reading) -> str:
    """What the first time of a trace is ahead of UTC, as `+01:00`; empty where it does not say so."""
    reading = _guessing(file, reading)
    table = _renamed(next(read_pieces(file)), reading)
    times = table.frame[FORMAT_COLUMNS[_kind(table, reading)][0]]
    found = _ZONE.search(str(times.iloc[0]).strip()) if len(times) else None
    return f"{found[1]}:{found[2]}" if found else ""


def _rows(
    file: Path,
    reading: Reading,
    until_s: float,
    spool: Spool | None = None,
    shared: SharedBlocks | None = None,
) -> tuple[Rows, int, int]:
    """Rows of a file, in memory or in a spool, and the numbers of failures and of labels that were left out."""
    rows: Rows | None = None
    failures = left_out = 0
    reading = _guessing(file, reading)
    known: set[str] = set()
    for piece in read_pieces(file):
        table = _renamed(piece, reading)
        if rows is None:
            kind = _kind(table, reading)
            time, isl, osl = FORMAT_COLUMNS[kind][:3]
            rows = Rows(kind, (time, isl, osl), reading, until_s, spool, shared)
            raise_problems(of_several(table))
        table, gone = _without_labels(table, kind, reading, known)
        table, failed = _without_failures(table, kind, reading)
        left_out, failures = left_out + gone, failures + failed
        raise_problems(of_enclosing(table) + of_repeated(table, rows.columns))
        rows.add(table)
        if len(rows.problems) >= MAX_PROBLEMS:
            break
    assert rows is not None
    raise_problems(rows.problems or rows.order.begins_again(str(file), rows.columns[0]))
    unknown = [name for name in reading.leave_out if name not in known]
    if unknown:
        raise InputError(*(Problem(unknown_name("class", name, known), file=str(file)) for name in unknown))
    if not rows.spans:
        raise InputError(Problem("has no rows", file=str(file)))
    return rows, failures, left_out


def _guessing(file: Path, reading: Reading) -> Reading:
    """With the columns that a file likely means, where that is asked for and nothing else says so."""
    if not reading.guesses or reading.format != "auto":
        return reading
    frame = next(read_pieces(file)).frame
    known = [kind for kind, each in FORMAT_COLUMNS.items() if set(frame.columns).issuperset(each)]
    said = dict(reading.columns)
    if not said and known not in ([], ["table"]):
        return reading
    found = said
    if not said and not known:
        found = guessed(frame)
        if len(found) < len(LIKELY):
            return reading
    found = all_of_prompt(frame, {**guessed_more(frame, found), **found}, said)
    return replace(reading, columns=tuple(found.items()))


def _kind(table: Table, reading: Reading) -> str:
    kind = reading.format
    if kind == "auto":
        kind = "table" if reading.columns else _recognise(table)
    if kind not in FORMAT_COLUMNS:
        raise InputError(Problem(unknown_name("trace format", kind, ["auto", *FORMAT_COLUMNS]), file=str(table.file)))
    _need_columns(table, kind)
    return kind


def _built(file: Path, rows: Rows, failures: int, left_out: int) -> LoadedTrace:
    kept = rows.all()
    columns: dict[str, NDArray[np.integer]] = {}
    block_tokens = None
    if "hash_ids" in rows.has:
        block_tokens = rows.sizes.size(file, rows.reading.hash_block_tokens)
        columns |= block_segments(kept.blocks, kept.isl, block_tokens)
    if rows.talks:
        columns["session_id"] = rows.sessions.sorted()[kept.sessions]

    def seconds(time: float) -> float:
        return time * rows.factor - rows.start * rows.factor

    arrival_s = kept.times * rows.factor
    arrival_s -= rows.start * rows.factor
    spans: dict[str | None, Span] = {
        name: Span(count, seconds(first), seconds(last))
        for name, (count, first, last) in zip(_label_names(rows), rows.spans.values(), strict=True)
    }
    order = _order(arrival_s, rows.until_s)
    labelled = rows.kind == "table" and "class" in rows.has
    names = np.array([*rows.labels.known], dtype=object)
    labels = names[kept.labels][order] if labelled else None
    requests = make_requests(arrival_s, kept.isl, kept.osl, **columns)
    if rows.drafts:
        requests = replace(requests, extras=make_extras(len(requests), acceptance=kept.acceptance))
    requests = cut(requests, 0, order.stop) if isinstance(order, slice) else select(requests, order)
    if rows.reading.prompts_grow and not rows.talks:
        raise InputError(Problem("has no column session_id: no prompt goes on with another", file=str(file), line=1))
    grows = rows.talks and (rows.reading.turns or rows.reading.prompts_grow)
    if block_tokens is None and (grows or rows.counts_cached):
        cached = kept.cached[order] if rows.counts_cached else None
        requests = with_likely_content(requests, kept.labels[order], cached, grows)
    if rows.reading.turns:
        requests = replace(requests, think_s=_pauses_s(file, rows, requests, kept.think_s[order], kept.e2e_s[order]))
    return LoadedTrace(requests, _was_read(rows, block_tokens, failures, left_out), labels, spans)


def _was_read(rows: Rows, block_tokens: int | None, failures: int, left_out: int) -> WasRead:
    columns = rows.reading.columns if rows.reading.guesses else ()
    cached = rows.cached_tokens / max(rows.prompt_tokens, 1) if rows.counts_cached else None
    return WasRead(rows.kind, rows.unit, block_tokens, failures, left_out, rows.order.back, columns, cached)


def _order(arrival_s: Seconds, until_s: float) -> slice | NDArray[np.int64]:
    """Rows before a time by their arrival; a slice where they come in order, so that nothing is copied."""
    if np.all(arrival_s[1:] >= arrival_s[:-1]):
        return slice(0, int(np.searchsorted(arrival_s, until_s)))
    order = np.argsort(arrival_s, kind="stable")
    return order[arrival_s[order] < until_s]


def _pauses_s(file: Path, rows: Rows, requests: Requests, think_s: Seconds, e2e_s: Seconds) -> Seconds:
    if not rows.talks:
        raise InputError(Problem("has no column session_id: nobody waits for an answer", file=str(file), line=1))
    said = (think_s if rows.says("think_s") else None, e2e_s if rows.says("e2e_s") else None)
    return pauses_s(file, rows.reading, requests.arrival_s, requests.session_id, *said)


def _label_names(rows: Rows) -> list[str | None]:
    """Labels in the order of the spans."""
    names = [*rows.labels.known]
    return [names[number] if names else None for number in rows.spans]


def _renamed(table: Table, reading: Reading) -> Table:
    """The table with its columns called as in servecast's own format, where a map says so."""
    missing = [theirs for _, theirs in reading.columns if not has_column(table.frame, theirs)]
    if missing:
        known = [str(name) for name in table.frame.columns]
        raise InputError(*(Problem(unknown_name("column", name, known), file=str(table.file)) for name in missing))
    names = {theirs: ours for ours, theirs in reading.columns}
    if not names:
        return table
    other = {theirs: ours for theirs, ours in names.items() if theirs not in table.frame.columns}
    parts = {theirs: (total if ours in _COUNTS else column)(table.frame, theirs) for theirs, ours in other.items()}
    covered = [ours for ours in names.values() if ours in table.frame.columns and ours not in names]
    return table.having(table.frame.drop(columns=covered).assign(**parts).rename(columns=names))


def _recognise(table: Table) -> str:
    columns = set(table.frame.columns)
    for kind, needed in FORMAT_COLUMNS.items():
        if columns.issuperset(needed):
            return kind
    listed = "; ".join(f"{kind}: {', '.join(needed)}" for kind, needed in FORMAT_COLUMNS.items())
    found = ", ".join(map(str, table.frame.columns))
    named = "columns: {arrival_s: …} (--column arrival_s=…)"
    text = f"columns match no trace format ({listed}); say which is which by {named}"
    likely = {ours: theirs for ours, theirs in guessed(table.frame).items() if ours != theirs}
    if likely:
        text += ", likely " + " ".join(f"--column '{ours}={theirs}'" for ours, theirs in likely.items())
    lists = next(
        (str(name) for name in table.frame if any(isinstance(each, list) for each in table.frame[name][:1])), ""
    )
    if lists and "input_tokens" not in likely:
        text = f"a row is one request, and {lists} holds a list: write a line for each, with its time and tokens"
    between = next((each for each in _OTHER_SEPARATORS if len(found.split(each)) > 2), "")
    if len(columns) == 1 and between:
        looks = "blank" if between == " " else f"'{between}'"
        text = f"it looks {looks}-separated: its values have to be separated by a comma, ';', '|' or a tab"
    raise InputError(Problem(text, file=str(table.file), line=1, got=found))


def _need_columns(table: Table, kind: str) -> None:
    missing = [name for name in FORMAT_COLUMNS[kind] if name not in table.frame.columns]
    if missing:
        message = f"a {kind} trace needs the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise InputError(Problem(message, file=str(table.file), line=1))


def _without_labels(table: Table, kind: str, reading: Reading, known: set[str]) -> tuple[Table, int]:
    """The rows whose label is not left out, and the number of the others; labels that were met are known then."""
    if not reading.leave_out:
        return table, 0
    if kind != "table" or "class" not in table.frame.columns:
        raise InputError(Problem("has no column 'class' whose labels could be left out", file=str(table.file)))
    import pandas as pd

    labels = pd.Series([text_of(value) for value in table.frame["class"]], dtype=object)
    known.update(labels)
    gone = labels.isin(reading.leave_out).to_numpy(np.bool_)
    return table.rows(~gone), int(gone.sum())


def _without_failures(table: Table, kind: str, reading: Reading) -> tuple[Table, int]:
    if not reading.leaves_out_failures:
        return table, 0
    answers = table.frame[FORMAT_COLUMNS[kind][2]]
    nothing = answers.isna() | answers.astype(str).str.strip().isin(NOTHING)
    gone = np.asarray(nothing, np.bool_) | (as_numbers(answers) == 0)
    return table.rows(~gone), int(gone.sum())
