"""Large arrays of which little is used."""

from __future__ import annotations

import math
import mmap

import numpy as np
from numpy.typing import NDArray


def untouched(*shape: int) -> NDArray[np.int32]:
    """An array of integers that takes memory, page by page, where it is written.

    Block tables have a row for every sequence that a replica may run and as many columns as the longest request has
    blocks, most of which no request reaches: 700 replicas with contexts of 128k tokens use a thousandth of 20 GiB.
    Private memory counts against a limit (`RLIMIT_DATA`) as soon as it is asked for, and comes in pages of 2 MiB;
    anonymous shared memory does neither.
    """
    n_bytes = math.prod(shape) * np.dtype(np.int32).itemsize
    if n_bytes < mmap.PAGESIZE:
        return np.empty(shape, np.int32)
    return np.frombuffer(mmap.mmap(-1, n_bytes), np.int32).reshape(shape)
