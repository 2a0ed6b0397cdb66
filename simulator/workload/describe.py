"""Deriving a traffic description from a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.results.files import output_file, write_text
from simulator.rng import stream
from simulator.workload.description import FORMAT
from simulator.workload.histogram import JointHistogram, joint_histogram, log_edges
from simulator.workload.requests import Requests
from simulator.workload.traces import TraceSource

_EDGE_RATIO = 1.06
"""Width of a length cell; finer cells bring the means nearer and the file up in size."""
_DEPTH_RATIO = 1.08
_QUANTILES = (1, 10, 25, 50, 75, 90, 99)
_LAG_QUANTILES = 41
MOST_BINS = 1_000_000
_TIED = 0.5
"""Share of arrivals on the timestamp of their predecessor above which timestamps count as rounded."""


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
    n = len(requests)
    if n < 3 or requests.arrival_s[0] == requests.arrival_s[-1]:
        raise InputError("a trace needs at least three requests and a duration to be described")
    arrival_s = _spread(requests.arrival_s - requests.arrival_s[0])
    duration_s = round(float(arrival_s[-1] * n / (n - 1)), 3)
    if duration_s / bin_s > MOST_BINS:
        raise InputError(f"bins of {bin_s:g} s are more than {MOST_BINS:,} in {duration_s:,.0f} s: take wider ones")
    bins = int(np.ceil(duration_s / bin_s))
    counts = np.bincount((arrival_s // bin_s).astype(np.int64), minlength=bins)[:bins]
    isl, osl = (_edges(values) for values in (requests.isl, requests.osl))
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
        "burstiness_cv": round(_burstiness(arrival_s, counts, bin_s, duration_s), 4),
        "isl": _summary(requests.isl),
        "osl": _summary(requests.osl),
        "counts": counts.tolist(),
        "lengths": _cells(joint_histogram(requests.isl, requests.osl, isl, osl), "isl", "osl"),
        "prefix": _prefix(requests, isl) if len(requests.segment_id) else None,
    }


def write_description(description: dict[str, Any], file: str | Path) -> None:
    """Write a description, a field a line, so that a change of one shows as one."""
    lines = [
        f" {json.dumps(name)}: {json.dumps(value, separators=(',', ':'), ensure_ascii=False)}"
        for name, value in description.items()
    ]
    write_text(output_file(file), "{\n" + ",\n".join(lines) + "\n}\n")


def _spread(arrival_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Arrivals spread up to the next timestamp if most are tied, else as they are; ascending, the first at 0."""
    ticks, tick = np.unique(arrival_s, return_inverse=True)
    if 1 - len(ticks) / len(arrival_s) <= _TIED:
        return arrival_s
    width_s = np.append(np.diff(ticks), np.median(np.diff(ticks)))
    spread = np.sort(arrival_s + width_s[tick] * stream(0, "describe", "spread").random(len(arrival_s)))
    from_zero: NDArray[np.float64] = spread - spread[0]
    return from_zero


def _burstiness(arrival_s: NDArray[np.float64], counts: NDArray[np.int64], bin_s: float, duration_s: float) -> float:
    """Coefficient of variation of the gaps in expected arrivals, Λ(t_i+1) − Λ(t_i)."""
    edges_s = np.append(np.arange(len(counts)) * bin_s, duration_s)
    gaps = np.diff(np.interp(arrival_s, edges_s, np.concatenate([[0], np.cumsum(counts)])))
    return float(gaps.std() / gaps.mean())


def _edges(values: NDArray[np.int32]) -> NDArray[np.int64]:
    return log_edges(int(values.min()), int(values.max()), _EDGE_RATIO)


def _summary(values: NDArray[np.int32]) -> dict[str, float]:
    quantiles = {f"p{q}": round(float(np.percentile(values, q)), 1) for q in _QUANTILES}
    return {"mean": round(float(values.mean()), 3), "min": int(values.min()), **quantiles, "max": int(values.max())}


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
