"""Outages in simulated time, at random and in given windows: of a token API, or of the zone that a pool stands in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from simulator.study.fleet import Outages


class OutageClock:
    """Says when something goes down and comes back, and keeps the time that it was down.

    Overlapping outages are one: `down` and `up` are called in turn.

    Parameters
    ----------
    down, up : called at the beginning and at the end

    Attributes
    ----------
    spans : (start_s, end_s) of the outages that have ended
    """

    def __init__(
        self,
        env: simpy.Environment,
        outages: Outages,
        rng: np.random.Generator,
        down: Callable[[], None],
        up: Callable[[], None],
    ) -> None:
        self.env = env
        self._outages, self._rng, self._on_down, self._on_up = outages, rng, down, up
        self._under_way = 0
        self._since_s = 0.0
        self.spans: list[tuple[float, float]] = []
        if outages.mtbf_s > 0:
            env.process(self._at_random())
        for start_s, end_s in outages.windows:
            env.process(self._window(start_s, end_s))

    def count(self, since_s: float, now: float) -> int:
        """Outages that were not over by then."""
        return sum(end_s > since_s for _, end_s in self.spans_until(now)) if now > since_s else 0

    def down_s(self, since_s: float, now: float) -> float:
        """Seconds down in between."""
        return sum(max(end_s - max(start_s, since_s), 0.0) for start_s, end_s in self.spans_until(now))

    def spans_until(self, now: float) -> list[tuple[float, float]]:
        """Outages up to `now`, one under way included."""
        return [*self.spans, (self._since_s, now)] if self._under_way else list(self.spans)

    def _at_random(self) -> Generator[Any, Any, None]:
        while True:
            yield self.env.timeout(self._rng.exponential(self._outages.mtbf_s))
            yield from self._outage(self._rng.exponential(self._outages.mttr_s))

    def _window(self, start_s: float, end_s: float) -> Generator[Any, Any, None]:
        yield self.env.timeout(start_s)
        yield from self._outage(end_s - start_s)

    def _outage(self, length_s: float) -> Generator[Any, Any, None]:
        self._under_way += 1
        if self._under_way == 1:
            self._since_s = self.env.now
            self._on_down()
        yield self.env.timeout(length_s)
        self._under_way -= 1
        if self._under_way == 0:
            self.spans.append((self._since_s, self.env.now))
            self._on_up()
