"""The tree of prompts in compiled code: each prompt finds the one that it continues and takes a place in the rings."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.jit import array_entry, array_kernel


@array_entry
def grow_rings(rings: Any, grown: int, prompts: Any, out: Any) -> None:
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
