"""Selecting, joining and cutting what requests bring beyond plain serving, as `workload.rows` does with requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Extras, make_extras

PER_ROW = (
    *("leaves_s", "acceptance", "adapter", "grammar_s"),
    *("stored_tokens", "stored_apart", "load_s", "remote", "send_s"),
)
_PER_PICTURE = ("picture_offset", "picture_tokens", "picture_content")


def selected(extras: Extras | None, rows: NDArray[np.int64]) -> Extras | None:
    """Those of the rows, in this order."""
    if extras is None:
        return None
    starts = extras.picture_start[rows]
    counts = extras.picture_start[rows + 1] - starts
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    index = np.repeat(starts - start[:-1], counts) + np.arange(start[-1])
    return make_extras(
        len(rows),
        picture_start=start,
        **{name: getattr(extras, name)[rows] for name in PER_ROW},
        **{name: getattr(extras, name)[index] for name in _PER_PICTURE},
    )


def joined(pieces: Sequence[tuple[Extras | None, int]]) -> Extras | None:
    """Those of several chunks, each with its number of requests; None if none has any."""
    if all(extras is None for extras, _ in pieces):
        return None
    whole = [extras or make_extras(n) for extras, n in pieces]
    counts = np.concatenate([np.diff(extras.picture_start) for extras in whole])
    return make_extras(
        len(counts),
        picture_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        **{name: np.concatenate([getattr(extras, name) for extras in whole]) for name in PER_ROW + _PER_PICTURE},
    )
