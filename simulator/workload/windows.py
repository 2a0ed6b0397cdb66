"""A part of a long workload, as a workload of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import ClosedLoop, Requests, RequestSource
from simulator.workload.rows import cut


@dataclass(frozen=True, slots=True)
class _Later:
    """A source from a second on; conversations that began before it are not there."""

    whole: RequestSource
    start_s: float

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.whole.class_names

    @property
    def closed_loops(self) -> tuple[ClosedLoop, ...]:
        return self.whole.closed_loops

    def chunks(self) -> Iterator[Requests]:
        for chunk in self.whole.chunks():
            first = int(np.searchsorted(chunk.arrival_s[: chunk.n_open], self.start_s))
            if first < chunk.n_open:
                kept = cut(chunk, first, chunk.n_open) if first else chunk
                yield replace(kept, arrival_s=kept.arrival_s - self.start_s)


def from_second(source: RequestSource, start_s: float) -> RequestSource:
    """The source with `start_s` as its second 0; what arrives earlier is left out."""
    return source if start_s == 0 else _Later(source, start_s)


def load_by_window(source: RequestSource, window_s: float, windows: int) -> NDArray[np.float64]:
    """Requests, prompt and output tokens of each class that arrive by the clock in each window.

    Returns
    -------
    array of shape (windows, 3 * classes); follow-up turns count where their conversation begins
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
    return found.reshape(windows, 3 * classes)
