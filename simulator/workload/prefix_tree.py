"""Prompts that continue earlier ones: a tree of texts grown request by request.

A prompt with a reuse depth of d tokens takes the first d tokens of an earlier prompt, found about `lag_s` ago, and adds
a text of its own that later prompts may continue. In a cache that never forgets, exactly these d tokens are hits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workload.description import PrefixSharing
from simulator.workload.prefix_rings import grow_rings

_WINDOW = 8192
"""Earlier prompts that can be continued."""
_MAX_PATH = 24
"""Most segments of a prompt; the rest of a prompt that would need more is private."""


@dataclass(slots=True)
class PrefixTree:
    """The last prompts, as rings over `_WINDOW` rows: arrival, shareable tokens, and the path of segments."""

    arrival_s: NDArray[np.float64]
    tokens: NDArray[np.int64]
    path_length: NDArray[np.int64]
    path_id: NDArray[np.int64]
    path_tokens: NDArray[np.int32]
    grown: int = 0


def new_tree() -> PrefixTree:
    """A tree without prompts."""
    return PrefixTree(
        arrival_s=np.zeros(_WINDOW),
        tokens=np.zeros(_WINDOW, np.int64),
        path_length=np.zeros(_WINDOW, np.int64),
        path_id=np.zeros((_WINDOW, _MAX_PATH), np.int64),
        path_tokens=np.zeros((_WINDOW, _MAX_PATH), np.int32),
    )


def grow(
    tree: PrefixTree,
    sharing: PrefixSharing,
    generator: np.random.Generator,
    arrival_s: NDArray[np.float64],
    isl: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Add prompts, in order of arrival, and return their segments.

    Parameters
    ----------
    arrival_s, isl : float64, int32 (n,)

    Returns
    -------
    segment_start, segment_id, segment_tokens : as in `Requests`; the k-th prompt ever added names its own text k
    """
    draws = generator.random((len(isl), 3))
    cell = sharing.depth.cells_given_x(draws[:, 0], isl)
    low, high = (sharing.depth.y_edges[sharing.depth.y_cell[cell] + side] for side in (0, 1))
    blocks = low + (draws[:, 1] * (high - low)).astype(np.int64)
    depth = np.minimum(blocks * sharing.block_tokens, isl)
    lag_s = np.interp(draws[:, 2], np.linspace(0, 1, len(sharing.lag_s)), sharing.lag_s)
    segment_id = np.empty((len(isl), _MAX_PATH), np.int64)
    segment_tokens = np.empty((len(isl), _MAX_PATH), np.int32)
    counts = np.empty(len(isl), np.int64)
    grow_rings(
        (tree.arrival_s, tree.tokens, tree.path_length, tree.path_id, tree.path_tokens),
        tree.grown,
        (arrival_s, isl.astype(np.int64), depth.astype(np.int64), lag_s),
        (counts, segment_id, segment_tokens),
    )
    tree.grown += len(isl)
    listed = np.arange(_MAX_PATH) < counts[:, None]
    segment_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return segment_start, segment_id[listed], segment_tokens[listed]
