"""Deriving a traffic description from a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.results.files import output_file, write_text
from simulator.workload.description import FORMAT
from simulator.workload.histogram import Pairs, joint_histogram_of, log_edges
from simulator.workload.reading import Reading, WasRead
from simulator.workload.requests import Requests
from simulator.workload.shared_blocks import SharedBlocks
from simulator.workload.spool import Piece, Spool
from simulator.workload.ticks import Arrivals, Ticks
from simulator.workload.trace_file import has_hashes, spool_trace
from simulator.workload.traces import TraceSource

_EDGE_RATIO = 1.06
"""Width of a length cell; finer cells bring the means nearer and the file up in size."""
_QUANTILES = (1, 10, 25, 50, 75, 90, 99)
MOST_BINS = 1_000_000


class OrderedRows(Protocol):
    """A trace in order of arrival, read as often as asked: arrivals in seconds from any time on."""

    def pieces(self) -> Iterator[Piece]: ...

    def lengths(self, column: Literal["isl", "osl"]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Lengths that occur, ascending, and how often each."""
        ...


@dataclass(frozen=True, slots=True)
class _InMemory:
    requests: Requests

    def pieces(self) -> Iterator[Piece]:
        yield Piece(self.requests.arrival_s, self.requests.isl, self.requests.osl)

    def lengths(self, column: Literal["isl", "osl"]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        lengths, count = np.unique(getattr(self.requests, column), return_counts=True)
        return lengths.astype(np.int64), count


def describe_trace(requests: Requests, source: TraceSource, retrieved: str, bin_s: float = 10.0) -> dict[str, Any]:
    """Describe a trace in brief: rate, burstiness, lengths and prefix sharing.

    Where most arrivals share their timestamp with the one before (a clock rounded to seconds), they are first spread
    uniformly up to the next timestamp: bursts within a tick of the clock cannot be told from rounding.

    Parameters
    ----------
    requests : the whole trace in order of arrival, from `load_trace`
    source : where it was published
    retrieved : date on which the file was fetched
    bin_s : width of the bins of arrivals, s

    Returns
    -------
    The fields of a `servecast-traffic/1` file (docs/model/workload.md), for `write_description`

    Raises
    ------
    InputError : fewer than three requests, or all at one time, or too many bins
    """
    fields = describe_rows(_InMemory(requests), source, retrieved, bin_s)
    if not len(requests.segment_id):
        return fields
    with Spool() as spool:
        shared = SharedBlocks(spool)
        hashes = requests.segment_id.astype(np.uint64)
        shared.add(requests.arrival_s, requests.isl, requests.segment_start, hashes)
        return fields | {"prefix": shared.describe(int(requests.segment_tokens.max()), _isl_edges(fields))}


def describe_file(
    file: Path, reading: Reading, source: TraceSource, retrieved: str, bin_s: float = 10.0
) -> tuple[dict[str, Any], WasRead]:
    """As `describe_trace` of a file, and how it was read.

    Memory is bounded whatever its size: rows, and the blocks of their prompts, are kept on disk meanwhile.

    Raises
    ------
    InputError : as `load_trace` and `describe_trace`
    """
    with Spool() as spool:
        shared = SharedBlocks(spool) if has_hashes(file, reading) else None
        spooled = spool_trace(file, reading, spool, shared)
        fields = describe_rows(spooled, source, retrieved, bin_s)
        if shared is not None and shared.blocks:
            tokens = min(spooled.was_read.hash_block_tokens or 1, shared.longest_tokens)
            fields["prefix"] = shared.describe(tokens, _isl_edges(fields), spooled.seconds)
        return fields, spooled.was_read


def describe_rows(rows: OrderedRows, source: TraceSource, retrieved: str, bin_s: float = 10.0) -> dict[str, Any]:
    """As `describe_trace`, of rows that need not be in memory and share no prompts."""
    isl, osl = rows.lengths("isl"), rows.lengths("osl")
    n = int(isl[1].sum())
    ticks = Ticks.of(rows)
    if n < 3 or ticks.count == 1:
        raise InputError("a trace needs at least three requests and a duration to be described")
    span_s = ticks.last_s - ticks.first_s
    if span_s / bin_s > MOST_BINS:
        raise InputError(f"bins of {bin_s:g} s are more than {MOST_BINS:,} in {span_s:,.0f} s: take wider ones")
    arrivals = Arrivals(bin_s)
    for arrival_s in ticks.spread(rows):
        arrivals.add(arrival_s)
    duration_s = round(arrivals.last_s * n / (n - 1), 3)
    counts = arrivals.counts(duration_s)
    edges = _edges(isl[0]), _edges(osl[0])
    return {
        "format": FORMAT,
        "name": source.name,
        "title": source.title,
        "source": source.page,
        "url": source.file,
        "licence": source.licence,
        "citation": source.citation,
        "collected": source.collected,
        "retrieved": retrieved,
        "requests": n,
        "duration_s": duration_s,
        "bin_s": bin_s,
        "burstiness_cv": round(arrivals.burstiness(duration_s), 4),
        "isl": _summary(*isl),
        "osl": _summary(*osl),
        "counts": counts.tolist(),
        "lengths": joint_histogram_of(_lengths(rows), *edges).fields("isl", "osl"),
        "prefix": None,
    }


def write_description(description: dict[str, Any], file: str | Path) -> None:
    """Write a description, a field a line, so that a change of one shows as one."""
    lines = [
        f" {json.dumps(name)}: {json.dumps(value, separators=(',', ':'), ensure_ascii=False)}"
        for name, value in description.items()
    ]
    write_text(output_file(file), "{\n" + ",\n".join(lines) + "\n}\n")


def _lengths(rows: OrderedRows) -> Iterator[Pairs]:
    for piece in rows.pieces():
        yield piece.isl, piece.osl, None


def _isl_edges(fields: dict[str, Any]) -> NDArray[np.int64]:
    return np.array(fields["lengths"]["isl_edges"], np.int64)


def _edges(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return log_edges(int(lengths[0]), int(lengths[-1]), _EDGE_RATIO)


def _summary(lengths: NDArray[np.int64], count: NDArray[np.int64]) -> dict[str, float]:
    ends = np.cumsum(count)
    n = int(ends[-1])

    def quantile(share: float) -> float:
        """Linear between the two values on both sides, as of all values in a row."""
        place = share * (n - 1)
        low, high = lengths[np.searchsorted(ends, [int(place), min(int(place) + 1, n - 1)], side="right")]
        return float(low + (high - low) * (place - int(place)))

    quantiles = {f"p{q}": round(quantile(q / 100), 1) for q in _QUANTILES}
    mean = float(lengths @ count) / n
    return {"mean": round(mean, 3), "min": int(lengths[0]), **quantiles, "max": int(lengths[-1])}
