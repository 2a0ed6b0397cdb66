"""Kernels as plain Python (`NUMBA_DISABLE_JIT`): what they are given looks to them as it does in compiled code."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np


class Record(np.record):
    """A row whose fields are attributes; whole numbers among them are 64 bits wide."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return np.int64(found) if type(found) is np.int32 else found


def interpreted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function over records instead of NumPy's rows; sums that overflow wrap, and 1/0 is infinite, in silence."""

    @wraps(function)
    def call(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*map(_as_records, args))

    return call


def _as_records(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_as_records, value))
    if isinstance(value, np.ndarray) and value.dtype.names and value.dtype.type is not Record:
        return value.view(np.dtype((Record, value.dtype)))
    return value
