"""Replay of a recorded trace, faster or slower, once or round after round."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, replace

import numpy as np

from simulator.errors import InputError, Problem, unknown_name
from simulator.workload.arrivals import BLOCK
from simulator.workload.content import Lengths, Segments, Sharing, Tokens, class_sharing
from simulator.workload.levels import repeat_rows
from simulator.workload.reading import WasRead, rows_left_out
from simulator.workload.requests import Requests
from simulator.workload.rows import cut, fit_segments, select
from simulator.workload.spec import ClassWorkload, Trace
from simulator.workload.trace_file import LoadedTrace, load_trace
from simulator.workload.trace_pieces import Span
from simulator.workload.turns import in_turns

MOST_LISTED = 8
"""Labels that a message names."""


def trace_rows(
    trace: Trace, class_name: str, class_names: Collection[str] | None = None, horizon_s: float = math.inf
) -> Requests:
    """Rows of the trace that belong to the class: all of them, or those labelled with its name in a `class` column.

    Parameters
    ----------
    class_names : of all classes that replay the file, so that no row is left over; not looked at unless given
    horizon_s : of the simulated time, behind which no row is kept

    Raises
    ------
    InputError : a broken trace, no row of this class, labels that no class has, or a loop over a trace without duration
    """
    loaded = _loaded(trace, horizon_s)
    rows, span = loaded.requests, _span(trace, loaded, class_name)
    if loaded.labels is not None:
        if class_names is not None:
            _check_labels(trace, Counter({str(name): each.rows for name, each in loaded.spans.items()}), class_names)
        rows = select(rows, np.flatnonzero(loaded.labels == class_name))
    if trace.loop and span.last_s + span.gap_s == 0.0:
        raise InputError(Problem("all rows have one arrival time: cannot loop", file=str(trace.file)))
    return rows


def trace_span(trace: Trace, class_name: str, horizon_s: float = math.inf) -> Span:
    """All rows of the trace that belong to the class, those after the horizon too; raises as `trace_rows` does."""
    return _span(trace, _loaded(trace, horizon_s), class_name)


def file_read(trace: Trace, horizon_s: float = math.inf) -> tuple[WasRead, int]:
    """How the file was read, and its rows, with those that are left out; raises as `trace_rows` does."""
    loaded = _loaded(trace, horizon_s)
    kept = sum(span.rows for span in loaded.spans.values())
    return loaded.was_read, kept + sum(rows_left_out(asdict(loaded.was_read)).values())


def _loaded(trace: Trace, horizon_s: float) -> LoadedTrace:
    return load_trace(trace.file, trace.reading, horizon_s * trace.rate_scale)


def _span(trace: Trace, loaded: LoadedTrace, class_name: str) -> Span:
    if loaded.labels is None:
        return loaded.spans[None]
    if class_name not in loaded.spans:
        known = [str(name) for name in loaded.spans]
        raise InputError(Problem(unknown_name("class", class_name, known), file=str(trace.file), path="class"))
    return loaded.spans[class_name]


def _check_labels(trace: Trace, found: Counter[str], class_names: Collection[str]) -> None:
    """Refuse rows that would be dropped, as no class has their label."""
    nobody = {label: count for label, count in found.most_common() if label not in class_names}
    if nobody:
        listed = ", ".join(f"{label!r} {count:,}" for label, count in list(nobody.items())[:MOST_LISTED])
        more = f" and {len(nobody) - MOST_LISTED} more" if len(nobody) > MOST_LISTED else ""
        text = (
            f"{sum(nobody.values()):,} of {found.total():,} rows bear labels that no class has: {listed}{more}; name "
            "classes so, or leave them out by leave_out_classes"
        )
        raise InputError(Problem(text, file=str(trace.file), path="class"))


def replay_blocks(
    rows: Requests, span: Span, workload: ClassWorkload, trace: Trace, lengths: Lengths, horizon_s: float, seed: int
) -> Iterator[Requests]:
    """The trace's rows before the horizon, with timestamps divided by `rate_scale`.

    The class's own lengths and prefixes, where it has them, replace the recorded ones. A later round repeats times and
    recorded lengths but takes fresh segment and session numbers: its content is new. It begins one mean gap after the
    last arrival, so that looping keeps the mean rate.
    """
    draw, sharing = lengths.drawer(seed), class_sharing(workload, None, seed)
    period_s = span.last_s + span.gap_s
    rows = repeat_rows(rows, trace.row_factor)
    if trace.reading.turns:
        rows = in_turns(rows)
    texts = int(rows.segment_id.max(initial=-1)) + 1
    sessions = int(rows.session_id.max(initial=-1)) + 1
    turn = 0
    while True:
        for first in range(0, rows.n_open, BLOCK):
            piece = cut(rows, first, min(first + BLOCK, rows.n_open))
            arrival_s = (turn * period_s + piece.arrival_s) / trace.rate_scale
            inside = int(np.searchsorted(arrival_s[: piece.n_open], horizon_s))
            moved = replace(
                piece,
                arrival_s=arrival_s,
                segment_id=piece.segment_id + turn * texts,
                session_id=np.where(piece.session_id >= 0, piece.session_id + turn * sessions, -1),
            )
            if inside:
                moved = cut(moved, 0, inside)
                isl, osl = draw(len(moved), moved.isl, moved.osl)
                yield _refit(moved, isl, osl) if sharing is None else _reshare(moved, isl, osl, sharing)
            if inside < piece.n_open:
                return
        if not trace.loop or period_s * (turn + 1) / trace.rate_scale >= horizon_s:
            return
        turn += 1


def _refit(piece: Requests, isl: Tokens, osl: Tokens) -> Requests:
    segments = fit_segments(piece.segment_start, piece.segment_id, piece.segment_tokens, isl)
    return _with_content(piece, isl, osl, segments)


def _reshare(piece: Requests, isl: Tokens, osl: Tokens, sharing: Sharing) -> Requests:
    return _with_content(piece, isl, osl, sharing(piece.arrival_s, isl))


def _with_content(piece: Requests, isl: Tokens, osl: Tokens, segments: Segments) -> Requests:
    segment_start, segment_id, segment_tokens = segments
    return replace(
        piece, isl=isl, osl=osl, segment_start=segment_start, segment_id=segment_id, segment_tokens=segment_tokens
    )
