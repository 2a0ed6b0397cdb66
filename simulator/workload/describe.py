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
from simulator.workload.histogram import JointHistogram, joint_histogram, log_edges
from simulator.workload.reading import Reading, WasRead
from simulator.workload.requests import Requests
from simulator.workload.spool import Piece, Spool
from simulator.workload.ticks import Arrivals, Ticks
from simulator.workload.trace_file import has_hashes, load_trace, spool_trace
from simulator.workload.traces import TraceSource

_EDGE_RATIO = 1.06
"""Width of a length cell; finer cells bring the means nearer and the file up in size."""
_DEPTH_RATIO = 1.08
_QUANTILES = (1, 10, 25, 50, 75, 90, 99)
_LAG_QUANTILES = 41
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
    isl_edges = np.array(fields["lengths"]["isl_edges"], np.int64)
    return fields | {"prefix": _prefix(requests, isl_edges) if len(requests.segment_id) else None}


def describe_file(
    file: Path, reading: Reading, source: TraceSource, retrieved: str, bin_s: float = 10.0
) -> tuple[dict[str, Any], WasRead]:
    """As `describe_trace` of a file, and how it was read.

    Memory is bounded whatever its size, unless its rows name the blocks of their prompts: what they share is looked
    for among all of them.

    Raises
    ------
    InputError : as `load_trace` and `describe_trace`
    """
    if has_hashes(file, reading):
        trace = load_trace(file, reading)
        return describe_trace(trace.requests, source, retrieved, bin_s), trace.was_read
    with Spool() as spool:
        spooled = spool_trace(file, reading, spool)
        return describe_rows(spooled, source, retrieved, bin_s), spooled.was_read


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
        "lengths": _cells(_joint(rows, *edges), "isl", "osl"),
        "prefix": None,
    }


def write_description(description: dict[str, Any], file: str | Path) -> None:
    """Write a description, a field a line, so that a change of one shows as one."""
    lines = [
        f" {json.dumps(name)}: {json.dumps(value, separators=(',', ':'), ensure_ascii=False)}"
        for name, value in description.items()
    ]
    write_text(output_file(file), "{\n" + ",\n".join(lines) + "\n}\n")


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


def _joint(rows: OrderedRows, isl_edges: NDArray[np.int64], osl_edges: NDArray[np.int64]) -> JointHistogram:
    count = np.zeros((len(isl_edges) - 1, len(osl_edges) - 1), np.int64)
    for piece in rows.pieces():
        some = joint_histogram(piece.isl, piece.osl, isl_edges, osl_edges)
        count[some.x_cell, some.y_cell] += some.count
    x_cell, y_cell = np.nonzero(count)
    return JointHistogram(isl_edges, osl_edges, x_cell, y_cell, count[x_cell, y_cell])


def _cells(histogram: JointHistogram, x: str, y: str) -> dict[str, list[int]]:
    return {
        f"{x}_edges": histogram.x_edges.tolist(),
        f"{y}_edges": histogram.y_edges.tolist(),
        f"{x}_cell": histogram.x_cell.tolist(),
        f"{y}_cell": histogram.y_cell.tolist(),
        "count": histogram.count.tolist(),
    }


def _prefix(requests: Requests, isl_edges: NDArray[np.int64]) -> dict[str, Any]:
    """Sharing of leading blocks (segments) between prompts in order of arrival."""
    depth, parent = _reuse(requests)
    blocks = np.diff(requests.segment_start)
    first = requests.segment_id[requests.segment_start[:-1][blocks > 0]]
    roots = np.unique(first, return_counts=True)[1]
    continued = parent >= 0
    lag_s = requests.arrival_s[continued] - requests.arrival_s[parent[continued]]
    lags = np.quantile(lag_s, np.linspace(0, 1, _LAG_QUANTILES)) if continued.any() else np.zeros(2)
    depth_edges = np.concatenate([[0], log_edges(1, max(int(depth.max()), 1), _DEPTH_RATIO)])
    return {
        "block_tokens": int(requests.segment_tokens.max()),
        "block_hit_ratio": round(float(depth.sum() / blocks.sum()), 4),
        "prompts_with_hit": round(float((depth > 0).mean()), 4),
        "prompts_continuing_another": round(float(continued.mean()), 4),
        "distinct_first_blocks": len(roots),
        "largest_first_block_share": round(float(roots.max() / len(requests)), 4),
        "lag_s": [round(float(value), 3) for value in lags],
        "depth": _cells(joint_histogram(requests.isl, depth, isl_edges, depth_edges), "isl", "blocks"),
    }


def _reuse(requests: Requests) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Leading blocks seen before, and the last prompt that had the deepest of them (-1: none, or a text of most)."""
    n = len(requests)
    popular = np.bincount(requests.segment_id) > n / 2
    last = np.full(len(popular), -1, np.int64)
    depth, parent = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    for row in range(n):
        ids = requests.segment_id[requests.segment_start[row] : requests.segment_start[row + 1]]
        unseen = last[ids] < 0
        depth[row] = np.argmax(unseen) if unseen.any() else len(ids)
        if depth[row] and not popular[ids[depth[row] - 1]]:
            parent[row] = last[ids[depth[row] - 1]]
        last[ids] = row
    return depth, parent
