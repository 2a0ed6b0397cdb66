"""What a search has seen so far: the best, every point that was looked at, and which may still cost less."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.errors import InputError
from simulator.money import money
from simulator.size.found import Limits
from simulator.size.lighter import Lighter
from simulator.size.trials import Point, Trials, Tried


class Spent(Exception):
    """The limit of trials or time is reached."""


@dataclass
class Searcher:
    trials: Trials
    limits: Limits
    best: Tried | None = None
    rival: Tried | None = None
    lighter: Lighter = field(default_factory=Lighter)
    first: Sequence[Point] = ()
    then: Sequence[Point] = ()
    guess: Sequence[int] = ()
    proved: bool = True
    trail: dict[Point, Tried] = field(default_factory=dict)
    told: set[Point] = field(default_factory=set)
    until_s: float = math.inf
    left_usd: float = math.inf

    @property
    def bar(self) -> Tried | None:
        """What a point has to cost less than: the best of these points, or of those that they compete with."""
        known = [one for one in (self.best, self.rival) if one is not None]
        return min(known, key=lambda one: one.usd_per_month, default=None)

    def close(self, point: Point, ties: bool = False, anew: bool = False) -> Tried:
        """The point, looked at once: excluded by its bound, or simulated; one is, however little time there is.

        Parameters
        ----------
        anew : whatever lighter loads say of whether it meets the SLO
        ties : simulate, too, what may cost as much as the best with fewer replicas
        """
        if point in self.trail and not (anew and point in self.told):
            return self.trail[point]
        self.told.discard(point)
        if point not in self.first and (known := self._known(point, anew)):
            self.trail[point] = known
            return known
        excluded = None if ties and self._ties(point) else self.excluded(point)
        if excluded is None:
            spent = self.limits.max_trials is not None and self.trials.simulated >= self.limits.max_trials
            if spent or (self.trials.simulated and time.monotonic() > self.until_s):
                raise Spent
        racing = self.bar if self.limits.prune else None
        tried = excluded or self.trials(point, racing)
        self.trail[point] = tried
        if tried.word == "met" and (self.best is None or tried.beats(self.best)):
            self.best = tried
        return tried

    def _known(self, point: Point, anew: bool) -> Tried | None:
        """The point, if lighter loads say that it misses the SLO, or costs no less than the best."""
        if not anew and point not in self.then and self.lighter.refuses(point):
            self.told.add(point)
            return Tried(point, "refused", reason="refused at a lower load")
        bar = self.bar
        if bar is None or not self.limits.prune:
            return None
        usd = self.lighter.least_usd(point)
        if usd < bar.usd_per_month or bar.costs_as(usd):
            return None
        return Tried(point, "raced out", reason=f"{money(usd)} at a lower load")

    def excluded(self, point: Point) -> Tried | None:
        """The point, if it costs no less than the best whatever happens."""
        bar = self.bar
        if bar is None or not self.limits.prune:
            return None
        try:
            bound = self.trials.bound_usd(point)
        except InputError:
            return None
        if bound < bar.usd_per_month:
            return None
        return Tried(point, "excluded", reason=f"costs at least {money(bound)}")

    def _ties(self, point: Point) -> bool:
        """Whether the best may cost as much with these replicas, which are fewer."""
        best = self.best
        if best is None or best is not self.bar or sum(size.most for size in point) >= best.replicas:
            return False
        try:
            return best.costs_as(self.trials.bound_usd(point))
        except InputError:
            return False

    def enough(self, point: Point) -> bool:
        """Whether the point may be enough: it is not refused."""
        return self.close(point, ties=True).word != "refused"
