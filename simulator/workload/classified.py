"""Requests that a classifier looks at before the gateway gives them a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulator.workload.requests import ClosedLoop, Requests, RequestSource

AT_ONCE_S = 1e-9
"""Least time after which a client leaves: who would have left before its request has a target leaves then."""


@dataclass(frozen=True, slots=True)
class Classified:
    """A source as the gateway sees it: each request so much later than it was sent, turns and waiting users too."""

    source: RequestSource
    by_s: float

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.source.class_names

    @property
    def closed_loops(self) -> tuple[ClosedLoop, ...]:
        loops = self.source.closed_loops
        return tuple(ClosedLoop(one.start_s + self.by_s, self._later(one.rows, first=0)) for one in loops)

    def chunks(self) -> Iterator[Requests]:
        return (self._later(chunk, first=chunk.n_open) for chunk in self.source.chunks())

    def _later(self, rows: Requests, first: int) -> Requests:
        """Rows that come later, from `first` on after a pause that is longer by as much."""
        think_s, extras = rows.think_s.copy(), rows.extras
        think_s[first:] += self.by_s
        if extras is not None:
            left_s = np.where(extras.leaves_s > 0.0, np.maximum(extras.leaves_s - self.by_s, AT_ONCE_S), 0.0)
            extras = replace(extras, leaves_s=left_s)
        return replace(rows, arrival_s=rows.arrival_s + self.by_s, think_s=think_s, extras=extras)
