"""Requests that a classifier looks at before the gateway gives them a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulator.workload.requests import ClosedLoop, Remade, Requests, RequestSource

AT_ONCE_S = 1e-9
"""Least time after which a client leaves: who would have left before its request has a target leaves then."""


def classified(source: RequestSource, by_s: float) -> RequestSource:
    """A source as the gateway sees it: each request so much later than it was sent, turns and waiting users too."""

    def chunks() -> Iterator[Requests]:
        return (_later(chunk, by_s, first=chunk.n_open) for chunk in source.chunks())

    loops = (ClosedLoop(one.start_s + by_s, _later(one.rows, by_s, first=0)) for one in source.closed_loops)
    return Remade(source.class_names, tuple(loops), chunks)


def _later(rows: Requests, by_s: float, first: int) -> Requests:
    """Rows that come later, from `first` on after a pause that is longer by as much."""
    think_s, extras = rows.think_s.copy(), rows.extras
    think_s[first:] += by_s
    if extras is not None:
        left_s = np.where(extras.leaves_s > 0.0, np.maximum(extras.leaves_s - by_s, AT_ONCE_S), 0.0)
        extras = replace(extras, leaves_s=left_s)
    return replace(rows, arrival_s=rows.arrival_s + by_s, think_s=think_s, extras=extras)
