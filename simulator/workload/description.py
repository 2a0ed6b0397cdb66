"""The traffic description `servecast-traffic/1`: what a JSON file says of a trace, checked when it is read.

docs/model/workload.md lists the fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.results.inputs import input_format
from simulator.workload.arrivals import Rate
from simulator.workload.histogram import JointHistogram

FORMAT = "servecast-traffic/1"


@dataclass(frozen=True, slots=True)
class PrefixSharing:
    """How prompts begin like earlier ones.

    Attributes
    ----------
    block_tokens : tokens of the blocks that the trace was hashed in
    block_hit_ratio : share of prompt blocks found in a cache that never forgets
    depth : ISL (tokens) × leading blocks that an earlier prompt had
    lag_s : float64, evenly spaced quantiles (0 to 1) of the time since the prompt that was continued
    """

    block_tokens: int
    block_hit_ratio: float
    depth: JointHistogram
    lag_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Description:
    """A trace in brief.

    Attributes
    ----------
    duration_s : length of the trace; the last bin ends here
    counts : int64 (bins,), arrivals per bin of `bin_s` seconds
    burstiness_cv : coefficient of variation of the gaps once each bin's rate is scaled out
    lengths : ISL × OSL in tokens
    prefix : sharing of prefixes, None where the trace does not tell
    """

    name: str
    duration_s: float
    bin_s: float
    counts: NDArray[np.int64]
    burstiness_cv: float
    lengths: JointHistogram
    prefix: PrefixSharing | None

    def rate(self, rate_scale: float, loop: bool) -> Rate:
        """Arrival rate, constant within each bin, times `rate_scale`."""
        edges_s = np.append(np.arange(len(self.counts)) * self.bin_s, self.duration_s)
        return Rate(edges_s, rate_scale * self.counts / np.diff(edges_s), loop)


def read_description(file: str | Path) -> Description:
    """Read a traffic description.

    Raises
    ------
    InputError : no such file, not JSON, another format, or a field that is missing or makes no sense
    """
    value = input_format(file, FORMAT)
    try:
        return _description(value)
    except KeyError as error:
        raise InputError(Problem("is missing", file=str(file), path=str(error.args[0]))) from error
    except (TypeError, ValueError) as error:
        raise InputError(Problem(f"is no valid traffic description: {error}", file=str(file))) from error


def _description(value: dict[str, Any]) -> Description:
    prefix = value["prefix"]
    found = Description(
        name=str(value["name"]),
        duration_s=float(value["duration_s"]),
        bin_s=float(value["bin_s"]),
        counts=_whole(value["counts"], "counts"),
        burstiness_cv=float(value["burstiness_cv"]),
        lengths=_histogram(value["lengths"], "isl", "osl"),
        prefix=None if prefix is None else _prefix(prefix),
    )
    bins = len(found.counts)
    if not (found.bin_s > 0 and (bins - 1) * found.bin_s < found.duration_s <= bins * found.bin_s):
        raise ValueError("duration_s must end inside the last of the bins of bin_s")
    if not found.counts.any():
        raise ValueError("counts must hold at least one arrival")
    if not (math.isfinite(found.burstiness_cv) and found.burstiness_cv >= 0):
        raise ValueError("burstiness_cv must be a finite number, at least 0")
    if found.lengths.x_edges[0] < 1 or found.lengths.y_edges[0] < 1:
        raise ValueError("isl_edges and osl_edges must begin at 1 or more")
    return found


def _prefix(value: dict[str, Any]) -> PrefixSharing:
    lag_s = np.asarray(value["lag_s"], np.float64)
    if len(lag_s) < 2 or not (np.isfinite(lag_s).all() and (np.diff(lag_s, prepend=0.0) >= 0).all()):
        raise ValueError("prefix.lag_s must be at least two quantiles in ascending order")
    block_tokens = int(value["block_tokens"])
    if block_tokens < 1:
        raise ValueError("prefix.block_tokens must be at least 1")
    depth = _histogram(value["depth"], "isl", "blocks")
    return PrefixSharing(block_tokens, float(value["block_hit_ratio"]), depth, lag_s)


def _histogram(value: dict[str, Any], x: str, y: str) -> JointHistogram:
    edges = [_whole(value[f"{axis}_edges"], f"{axis}_edges") for axis in (x, y)]
    cells = [_whole(value[f"{axis}_cell"], f"{axis}_cell") for axis in (x, y)]
    count = _whole(value["count"], "count")
    for axis_edges, axis_cells, axis in zip(edges, cells, (x, y), strict=True):
        if len(axis_edges) < 2 or not (np.diff(axis_edges) > 0).all():
            raise ValueError(f"{axis}_edges must ascend")
        if len(axis_cells) != len(count) or len(count) == 0 or axis_cells.max() >= len(axis_edges) - 1:
            raise ValueError(f"{axis}_cell must hold one cell inside the edges for each count")
    if not count.all() or not (np.diff(cells[0] * len(edges[1]) + cells[1]) > 0).all():
        raise ValueError(f"cells must be listed once each, ordered by {x}, then {y}, with counts of at least 1")
    return JointHistogram(edges[0], edges[1], cells[0], cells[1], count)


def _whole(values: Any, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any():
        raise ValueError(f"{name} must be a list of whole numbers, at least 0")
    return array.astype(np.int64)
