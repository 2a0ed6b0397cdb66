"""Joint histogram of two whole-number quantities: built from data, stored sparsely, sampled uniformly in each cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pairs = tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.int64] | None]


@dataclass(frozen=True, slots=True)
class JointHistogram:
    """Counts over cells `x_edges[i] <= x < x_edges[i + 1]`, `y_edges[j] <= y < y_edges[j + 1]`.

    Attributes
    ----------
    x_edges, y_edges : int64, ascending
    x_cell, y_cell, count : int64 (cells,), the cells that are not empty, ordered by x, then y
    """

    x_edges: NDArray[np.int64]
    y_edges: NDArray[np.int64]
    x_cell: NDArray[np.int64]
    y_cell: NDArray[np.int64]
    count: NDArray[np.int64]

    def fields(self, x: str, y: str) -> dict[str, list[int]]:
        """As they stand in a traffic description, by the names of both quantities."""
        return {
            f"{x}_edges": self.x_edges.tolist(),
            f"{y}_edges": self.y_edges.tolist(),
            f"{x}_cell": self.x_cell.tolist(),
            f"{y}_cell": self.y_cell.tolist(),
            "count": self.count.tolist(),
        }

    def cells(self, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """Cell of each number in [0, 1), with probability proportional to its count."""
        ends = np.cumsum(self.count)
        cell: NDArray[np.int64] = np.searchsorted(ends, uniform * ends[-1], side="right")
        return cell

    def cells_given_x(self, uniform: NDArray[np.float64], x: NDArray[np.integer]) -> NDArray[np.int64]:
        """As `cells`, given x; an x in an empty column counts as in the nearest column that is not."""
        ends = np.concatenate([[0], np.cumsum(self.count)])
        columns, first = np.unique(self.x_cell, return_index=True)
        last = np.append(first[1:], len(self.x_cell))
        wanted = np.searchsorted(self.x_edges, x, side="right") - 1
        borders = (columns[1:] + columns[:-1] + 1) // 2
        column = np.searchsorted(borders, wanted, side="right")
        low, high = ends[first[column]], ends[last[column]]
        cell: NDArray[np.int64] = np.searchsorted(ends[1:], low + uniform * (high - low), side="right")
        return cell

    def sample(self, generator: np.random.Generator, n: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """n pairs (x, y), int32; three numbers drawn for each, one pair after the other."""
        uniform = generator.random((n, 3))
        cell = self.cells(uniform[:, 0])
        return (
            _within(self.x_edges, self.x_cell[cell], uniform[:, 1]),
            _within(self.y_edges, self.y_cell[cell], uniform[:, 2]),
        )

    def sample_y(self, generator: np.random.Generator, x: NDArray[np.integer]) -> NDArray[np.int32]:
        """One y for each x, int32; two numbers drawn for each."""
        uniform = generator.random((len(x), 2))
        cell = self.cells_given_x(uniform[:, 0], x)
        return _within(self.y_edges, self.y_cell[cell], uniform[:, 1])


def _within(edges: NDArray[np.int64], cell: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.int32]:
    low = edges[cell]
    return (low + (uniform * (edges[cell + 1] - low)).astype(np.int64)).astype(np.int32)


def log_edges(low: int, high: int, ratio: float) -> NDArray[np.int64]:
    """Whole-number edges from `low` to `high + 1`, each about `ratio` times the one before and at least 1 more."""
    edges = [low]
    while edges[-1] <= high:
        edges.append(max(edges[-1] + 1, round(edges[-1] * ratio)))
    edges[-1] = high + 1
    return np.array(edges, np.int64)


def joint_histogram(
    x: NDArray[np.integer], y: NDArray[np.integer], x_edges: NDArray[np.int64], y_edges: NDArray[np.int64]
) -> JointHistogram:
    """Histogram of the pairs (x, y), all of which lie inside the edges."""
    return joint_histogram_of([(x, y, None)], x_edges, y_edges)


def joint_histogram_of(
    pieces: Iterable[Pairs], x_edges: NDArray[np.int64], y_edges: NDArray[np.int64]
) -> JointHistogram:
    """Histogram of pairs that come in pieces, each with how often each pair is there (once, unless given)."""
    width = len(y_edges) - 1
    counts = np.zeros((len(x_edges) - 1) * width, np.int64)
    for x, y, often in pieces:
        cell = (np.searchsorted(x_edges, x, side="right") - 1) * width + np.searchsorted(y_edges, y, side="right") - 1
        np.add.at(counts, cell, 1 if often is None else often)
    cell = np.flatnonzero(counts)
    return JointHistogram(x_edges, y_edges, cell // width, cell % width, counts[cell])
