"""Parallel sampling: a request that asks for several answers comes as so many requests with one prompt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.workload.requests import Requests
from simulator.workload.rows import select

_OWN = 1 << 47
"""First segment of what only the answers of one request share."""


def sampled(block: Requests, n: int, before: int) -> Requests:
    """Each request of the block `n` times in a row: same time, prompt and length of the answer, one session.

    Parameters
    ----------
    block : without follow-up turns
    before : requests of the class in earlier blocks
    """
    if n == 1:
        return block
    rows, counts = len(block), np.diff(block.segment_start)
    numbers = np.arange(before, before + rows, dtype=np.int64)
    listed = np.concatenate([[0], np.cumsum(block.segment_tokens, dtype=np.int64)])[block.segment_start]
    rest = (block.isl - np.diff(listed)).astype(np.int32)
    at = block.segment_start[1:][rest > 0]
    whole = replace(
        block,
        session_id=np.where(block.session_id >= 0, block.session_id, numbers),
        segment_id=np.insert(block.segment_id, at, _OWN + numbers[rest > 0]),
        segment_tokens=np.insert(block.segment_tokens, at, rest[rest > 0]),
        segment_start=np.concatenate([[0], np.cumsum(counts + (rest > 0))]).astype(np.int64),
    )
    return select(whole, np.repeat(np.arange(rows), n))
