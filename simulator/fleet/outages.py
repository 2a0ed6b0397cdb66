"""Outages in simulated time, at random and in given windows: of a token API, or of the zone that a pool stands in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

from simulator.fleet.servers import Luck
from simulator.study.fleet import Outages


class OutageClock:
    """Says when something goes down and comes back, and keeps the time that it was down.

    Overlapping outages are one: `down` and `up` are called in turn. A random one is under way at time 0 as often as at
    any other, and being memoryless it has as much before it as a whole one.

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
        luck: Luck,
        down: Callable[[], None],
        up: Callable[[], None],
    ) -> None:
        self.env = env
        self._outages, self._luck, self._on_down, self._on_up = outages, luck, down, up
        self._under_way = 0
        self._since_s = 0.0
        self.spans: list[tuple[float, float]] = []
        if outages.mtbf_s > 0:
            rng = luck.stream("under way")
            is_down = bool(rng.random() < outages.mttr_s / (outages.mtbf_s + outages.mttr_s))
            if is_down:
                self._begin()
            env.process(self._at_random(rng.exponential(outages.mttr_s) if is_down else None))
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

    def _at_random(self, left_s: float | None) -> Generator[Any, Any, None]:
        """Outages one after another, the first under way for `left_s` more, unless None."""
        rng = self._luck.stream()
        if left_s is not None:
            yield from self._end_after(left_s)
        while True:
            yield self.env.timeout(rng.exponential(self._outages.mtbf_s))
            self._begin()
            yield from self._end_after(rng.exponential(self._outages.mttr_s))

    def _window(self, start_s: float, end_s: float) -> Generator[Any, Any, None]:
        yield self.env.timeout(start_s)
        self._begin()
        yield from self._end_after(end_s - start_s)

    def _begin(self) -> None:
        self._under_way += 1
        if self._under_way == 1:
            self._since_s = self.env.now
            self._on_down()

    def _end_after(self, length_s: float) -> Generator[Any, Any, None]:
        yield self.env.timeout(length_s)
        self._under_way -= 1
        if self._under_way == 0:
            self.spans.append((self._since_s, self.env.now))
            self._on_up()
