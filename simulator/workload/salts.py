"""Tenants that share no prefix cache: each prompt has the salt of one of them (vLLM's `cache_salt`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Requests


def kept_apart(block: Requests, kind: NDArray[np.int64], kinds: int) -> Requests:
    """The block with content that is equal only in requests of one kind.

    Parameters
    ----------
    kind : shape (n,), from 0 to below `kinds`
    """
    if kinds == 1:
        return block
    return replace(block, segment_id=block.segment_id * kinds + np.repeat(kind, np.diff(block.segment_start)))
