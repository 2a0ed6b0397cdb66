"""A part of a long workload, as a workload of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Remade, Requests, RequestSource
from simulator.workload.rows import cut


def from_second(source: RequestSource, start_s: float) -> RequestSource:
    """The source with `start_s` as its second 0; what arrives earlier is left out, with the turns that follow it."""

    def chunks() -> Iterator[Requests]:
        for chunk in source.chunks():
            first = int(np.searchsorted(chunk.arrival_s[: chunk.n_open], start_s))
            if first < chunk.n_open:
                kept = cut(chunk, first, chunk.n_open) if first else chunk
                yield replace(kept, arrival_s=kept.arrival_s - start_s)

    return source if start_s == 0 else Remade(source.class_names, source.closed_loops, chunks)


_CONTENTS_PER_WINDOW = 1 << 42
"""Of a class: more texts, sessions and pictures than a window has."""


def _moved(chunk: Requests, by_s: float, by: int) -> Requests:
    extras = chunk.extras
    return replace(
        chunk,
        arrival_s=chunk.arrival_s + by_s,
        session_id=np.where(chunk.session_id >= 0, chunk.session_id + by, -1),
        segment_id=chunk.segment_id + by,
        extras=extras and replace(extras, picture_content=extras.picture_content + by),
    )


def one_after_another(windows: Sequence[RequestSource], span_s: float) -> RequestSource:
    """Windows of one span as one source, each with contents of its own: what comes in a later one is of other users.

    The users of a closed loop are those of the first.
    """

    def chunks() -> Iterator[Requests]:
        for k, window in enumerate(windows):
            for chunk in window.chunks():
                yield _moved(chunk, k * span_s, k * _CONTENTS_PER_WINDOW) if k else chunk

    return Remade(windows[0].class_names, windows[0].closed_loops, chunks)


def load_by_window(source: RequestSource, window_s: float, windows: int) -> NDArray[np.float64]:
    """Requests, prompt and output tokens of each class that arrive by the clock in each window.

    Returns
    -------
    array of shape (windows, classes, 3); follow-up turns count where their conversation begins
    """
    classes = len(source.class_names)
    found = np.zeros((windows, classes, 3))
    for chunk in source.chunks():
        place = np.full(len(chunk), -1, np.int64)
        place[: chunk.n_open] = (chunk.arrival_s[: chunk.n_open] // window_s).astype(np.int64)
        turns = np.arange(chunk.n_open)
        while len(turns := turns[chunk.next_turn[turns] >= 0]):
            following = chunk.next_turn[turns]
            place[following] = place[turns]
            turns = following
        inside = (place >= 0) & (place < windows)
        values = np.stack([np.ones(len(chunk)), chunk.isl, chunk.osl], axis=1)
        np.add.at(found, (place[inside], chunk.class_id[inside]), values[inside])
    return found
