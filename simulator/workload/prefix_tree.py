"""Prompts that continue earlier ones: a tree of texts grown request by request.

A prompt with a reuse depth of d tokens takes the first d tokens of an earlier prompt, found about `lag_s` ago, and adds
a text of its own that later prompts may continue. In a cache that never forgets, exactly these d tokens are hits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.jit import array_entry, array_kernel
from simulator.workload.description import PrefixSharing

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
    _grow(
        (tree.arrival_s, tree.tokens, tree.path_length, tree.path_id, tree.path_tokens),
        tree.grown,
        (arrival_s, isl.astype(np.int64), depth.astype(np.int64), lag_s),
        (counts, segment_id, segment_tokens),
    )
    tree.grown += len(isl)
    listed = np.arange(_MAX_PATH) < counts[:, None]
    segment_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return segment_start, segment_id[listed], segment_tokens[listed]


@array_entry
def _grow(rings: Any, grown: int, prompts: Any, out: Any) -> None:
    ring_s, ring_tokens, ring_length, ring_id, ring_path_tokens = rings
    arrival_s, isl, depth, lag_s = prompts
    counts, segment_id, segment_tokens = out
    for k in range(len(isl)):
        row = grown + k
        used, shared = 0, 0
        if depth[k] > 0 and row > 0:
            parent = _parent(ring_s, ring_tokens, row, arrival_s[k] - lag_s[k], depth[k])
            for step in range(ring_length[parent]):
                if shared == depth[k]:
                    break
                take = min(depth[k] - shared, np.int64(ring_path_tokens[parent, step]))
                segment_id[k, used] = ring_id[parent, step]
                segment_tokens[k, used] = take
                shared += take
                used += 1
        if shared < isl[k] and used < segment_id.shape[1]:
            segment_id[k, used] = row
            segment_tokens[k, used] = isl[k] - shared
            shared = isl[k]
            used += 1
        counts[k] = used
        slot = row % len(ring_s)
        ring_s[slot] = arrival_s[k]
        ring_tokens[slot] = shared
        ring_length[slot] = used
        ring_id[slot, :used] = segment_id[k, :used]
        ring_path_tokens[slot, :used] = segment_tokens[k, :used]


@array_kernel
def _parent(ring_s: Any, ring_tokens: Any, row: int, wanted_s: float, depth: int) -> int:
    """Slot of the prompt nearest in order to `wanted_s` that has `depth` tokens to share, else of the longest one."""
    size = len(ring_s)
    oldest, newest = max(0, row - size), row - 1
    low, high = oldest, newest
    while low < high:
        middle = (low + high + 1) // 2
        if ring_s[middle % size] <= wanted_s:
            low = middle
        else:
            high = middle - 1
    best, best_tokens = low % size, np.int64(-1)
    for distance in range(newest - oldest + 1):
        for side in range(2):
            candidate = low - distance if side == 0 else low + distance
            if candidate < oldest or candidate > newest:
                continue
            tokens = ring_tokens[candidate % size]
            if tokens >= depth:
                return candidate % size
            if tokens > best_tokens:
                best, best_tokens = candidate % size, tokens
    return best
