"""What is drawn once for each request, and once for all turns of a conversation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Requests

_ODD = np.uint64(0x9E3779B97F4A7C15)
_BITS = np.uint64(11)


def drawn_each(block: Requests, generator: np.random.Generator, seed: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), one a row; turns of a conversation have the same, whatever block they come in.

    Parameters
    ----------
    seed : of the draws of conversations
    """
    drawn = generator.random(len(block))
    return np.where(block.session_id < 0, drawn, _of_session(block.session_id, seed))


def _of_session(session_id: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    mixed = (session_id.astype(np.uint64) ^ np.uint64(seed)) * _ODD
    for _ in range(2):
        mixed = (mixed ^ (mixed >> np.uint64(32))) * _ODD
    return (mixed >> _BITS) / 2.0**53
