"""The course of a class through the window: whether its queue grows, and its hits rise, from window to window."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.metrics.slo import TermCount

PARTS = 4
"""Parts of the window; the most that is begun in one of them is what the fleet can begin."""
RISE = 0.05
"""Of the prompt tokens, that a prefix cache finds more in the last part than in the first: from here on it fills."""
BEYOND_CHANCE = 1.5
"""Standard deviations of the number of arrivals, √n, that a queue must grow by to be more than chance."""


class Course:
    """What of a class was begun and found in a prefix cache in the window, and what waited at its start and its end.

    A window that comes again and again leaves no more waiting at its end than it found only if its work fits into it.
    With A the tokens that came in the window W, b_i those of requests that were first scheduled in its part i, whenever
    they came, and Q(t) the requests that wait at t, the queue grows where

        Q(end) - Q(start) > 1.5·√n  and  A > 4·max b_i.

    The first is more than chance. The second says that the fleet cannot begin in W what comes in W, at its best; where
    it does not hold, a burst came late or servers were closed, and the next window has room for what is left. A
    request that leaves, or is refused, before it is begun does not wait.

    A prefix cache that begins empty still fills where the share of the prompt tokens that are found in it rises from
    part to part, by 5 % of the prompt tokens in all.

    Parameters
    ----------
    start_s, end_s : of the window

    Attributes
    ----------
    begun : requests that were first scheduled in the window
    grown, grown_tokens : Q(end) - Q(start) in requests, and in tokens, prompt and answer
    parts : shape (4,), tokens begun by part of the window
    prompts, found : shape (4,), prompt tokens of these, and those of them that a prefix cache had
    """

    def __init__(self, start_s: float, end_s: float) -> None:
        self.start_s, self.end_s = start_s, end_s
        self.begun = 0
        self.grown = 0
        self.grown_tokens = 0
        self.parts, self.prompts, self.found = (np.zeros(PARTS, np.int64) for _ in range(3))

    def add(self, records: NDArray[np.void]) -> None:
        """Count a batch of ended requests (dtype RECORD)."""
        came_s, scheduled_s = records["arrival_s"], records["scheduled_s"]
        part_s = (self.end_s - self.start_s) / PARTS
        part = np.floor((scheduled_s - self.start_s) / part_s)
        inside = (part >= 0) & (part < PARTS)
        tokens = records["isl"].astype(np.int64) + records["osl"]
        self.begun += int(inside.sum())
        at = part[inside].astype(np.int64)
        self.parts += np.bincount(at, tokens[inside], PARTS).astype(np.int64)
        if records["cached_tokens"].any():
            self.found += np.bincount(at, records["cached_tokens"][inside], PARTS).astype(np.int64)
        self.prompts += np.bincount(at, records["isl"][inside], PARTS).astype(np.int64)
        until_s = np.where(np.isnan(scheduled_s), records["finish_s"], scheduled_s)
        for sign, at_s in ((1, self.end_s), (-1, self.start_s)):
            waits = (came_s < at_s) & (until_s >= at_s)
            self.grown += sign * int(waits.sum())
            self.grown_tokens += sign * int(tokens[waits].sum())

    def merge(self, other: Course) -> None:
        """Take in another replication."""
        self.begun += other.begun
        self.grown += other.grown
        self.grown_tokens += other.grown_tokens
        self.parts = self.parts + other.parts
        self.prompts, self.found = self.prompts + other.prompts, self.found + other.found

    @property
    def came(self) -> int:
        """Requests that came in the window and were begun, or still waited at its end."""
        return self.begun + self.grown

    @property
    def counts(self) -> TermCount:
        """How many were begun, of those that came."""
        return TermCount(self.begun, self.came)

    @property
    def grows(self) -> bool:
        """Whether it grows from window to window."""
        if self.grown <= BEYOND_CHANCE * math.sqrt(max(self.came, 0)):
            return False
        return bool(self.parts.sum() + self.grown_tokens > PARTS * self.parts.max())

    @property
    def fills(self) -> tuple[float, float] | None:
        """Shares of the prompt tokens found in the first and in the last part, where a prefix cache still fills."""
        if not self.prompts.all():
            return None
        shares = self.found / self.prompts
        rises = bool((np.diff(shares) > 0).all()) and shares[-1] - shares[0] >= RISE
        return (float(shares[0]), float(shares[-1])) if rises else None
