"""The course of a class through the window: whether its queue grows, and its hits rise, from window to window."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Reason, Status
from simulator.metrics.slo import ClassSlo, TermCount

PARTS = 4
"""Parts of the window; the most that is begun in one of them is what the fleet can begin."""
RISE = 0.05
"""Of the prompt tokens, that a prefix cache finds more in the last part than in the first: from here on it fills."""
BEYOND_CHANCE = 1.5
"""Standard deviations of a number of arrivals, √n, that are more than chance."""
ROOM = 3.0
"""√n_i that a part may have begun fewer than come in the others, by chance: four times that are 3.5 standard deviations
of what four parts bring beyond four times one of them."""


class Course:
    """What of a class was begun and found in a prefix cache in the window, and what waited at its start and its end.

    A window that comes again and again leaves no more waiting at its end than it found only if its work fits into it.
    With A the tokens that came in the window W, b_i those of requests that were first scheduled in its part i, whenever
    they came, and Q(t) the requests that wait at t, the queue grows where

        Q(end) - Q(start) > 1.5·√n  and  A > 4·max b_i.

    The first is more than chance. The second says that the fleet cannot begin in W what comes in W, at its best; where
    it does not hold, a burst came late or servers were closed, and the next window has room for what is left. A
    request that leaves, or is refused, before it is begun does not wait; one whose prompt another pool has computed is
    begun with its first token.

    Of a part in which the queue did not take its share of the growth, by more than chance, and at whose end no more
    than chance was left, b_i is what came, not what the fleet can begin: servers that were idle went down later. There
    b_i counts with 3·√n_i requests more, so that chance alone among the arrivals is no overload.

    A prefix cache that begins empty still fills where the share of the prompt tokens that are found in it rises from
    part to part, by 5 % of the prompt tokens in all.

    Parameters
    ----------
    start_s, end_s : of the window
    losing : requests that no replica began in their class's timeout, or that found the queue full, count as waiting for
        ever, so that who leaves does not hide that too many come

    Attributes
    ----------
    waits : shape (5,), requests that wait at the start of each part, and at the end of the last
    grown_tokens : Q(end) - Q(start) in tokens, prompt and answer
    numbers, parts : shape (4,), requests begun by part of the window, and their tokens
    prompts, found : shape (4,), prompt tokens of these, and those of them that a prefix cache had
    """

    def __init__(self, start_s: float, end_s: float, losing: bool = False) -> None:
        self.start_s, self.end_s, self.losing = start_s, end_s, losing
        self.grown_tokens = 0
        self.waits = np.zeros(PARTS + 1, np.int64)
        self.numbers, self.parts, self.prompts, self.found = (np.zeros(PARTS, np.int64) for _ in range(4))

    def add(self, records: NDArray[np.void]) -> None:
        """Count a batch of ended requests (dtype RECORD)."""
        came_s = records["arrival_s"]
        begun_s = np.where(records["prefill_target"] >= 0, records["first_token_s"], records["scheduled_s"])
        part_s = (self.end_s - self.start_s) / PARTS
        part = np.floor((begun_s - self.start_s) / part_s)
        inside = (part >= 0) & (part < PARTS)
        tokens = records["isl"].astype(np.int64) + records["osl"]
        at = part[inside].astype(np.int64)
        self.numbers += np.bincount(at, minlength=PARTS)
        self.parts += np.bincount(at, tokens[inside], PARTS).astype(np.int64)
        if records["cached_tokens"].any():
            self.found += np.bincount(at, records["cached_tokens"][inside], PARTS).astype(np.int64)
        self.prompts += np.bincount(at, records["isl"][inside], PARTS).astype(np.int64)
        until_s = np.where(np.isnan(begun_s), records["finish_s"], begun_s)
        if self.losing:
            timed_out = (records["status"] == Status.TIMED_OUT) & (records["reason"] != Reason.LEFT)
            lost = timed_out | (records["reason"] == Reason.QUEUE_FULL)
            until_s[np.isnan(begun_s) & lost] = np.inf
        for k, at_s in enumerate(np.linspace(self.start_s, self.end_s, PARTS + 1)):
            waits = (came_s < at_s) & (until_s >= at_s)
            self.waits[k] += int(waits.sum())
            if k in (0, PARTS):
                self.grown_tokens += int(tokens[waits].sum()) * (1 if k else -1)

    def merge(self, other: Course) -> None:
        """Take in another replication."""
        self.grown_tokens += other.grown_tokens
        self.waits = self.waits + other.waits
        self.numbers, self.parts = self.numbers + other.numbers, self.parts + other.parts
        self.prompts, self.found = self.prompts + other.prompts, self.found + other.found

    @property
    def begun(self) -> int:
        """Requests that were first scheduled in the window."""
        return int(self.numbers.sum())

    @property
    def grown(self) -> int:
        """Q(end) - Q(start) in requests."""
        return int(self.waits[-1] - self.waits[0])

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
        came_tokens = self.parts.sum() + self.grown_tokens
        chance = ROOM * np.sqrt(self.numbers) * self._had_room
        return bool(came_tokens > PARTS * (self.parts + chance * came_tokens / self.came).max())

    @property
    def left(self) -> float:
        """Share of the tokens that came whose work is left for after the window; 0 where chance leaves as many, √n."""
        if self.grown_tokens <= 0 or self.grown <= math.sqrt(max(self.came, 0)):
            return 0.0
        return self.grown_tokens / float(self.parts.sum() + self.grown_tokens)

    @property
    def _had_room(self) -> NDArray[np.bool_]:
        """Parts that show what came, not what the fleet can begin."""
        left_none = self.waits[1:] <= BEYOND_CHANCE * np.sqrt(self.numbers)
        share = (self.grown - BEYOND_CHANCE * math.sqrt(PARTS * self.came)) / PARTS
        return np.asarray(left_none & (np.diff(self.waits) < share))

    @property
    def fills(self) -> tuple[float, float] | None:
        """Shares of the prompt tokens found in the first and in the last part, where a prefix cache still fills."""
        if not self.prompts.all():
            return None
        shares = self.found / self.prompts
        rises = bool((np.diff(shares) > 0).all()) and shares[-1] - shares[0] >= RISE
        return (float(shares[0]), float(shares[-1])) if rises else None


def left_waiting(classes: Sequence[ClassSlo], replications: Iterable[Sequence[Course]]) -> float:
    """Of the open class that leaves most of its tokens waiting at the end of the window, the share of them.

    A bill by use is too low by about as much: what serves them runs after the window.
    """
    shares = [0.0]
    for slo, (first, *others) in zip(classes, zip(*replications, strict=True), strict=True):
        whole = deepcopy(first)
        for other in others:
            whole.merge(other)
        shares.append(whole.left if slo.is_open else 0.0)
    return max(shares)


@dataclass(slots=True)
class LaterWindows:
    """What further windows of the same traffic show of a fleet whose batches one window does not fill.

    Attributes
    ----------
    spans : by class its course over the last half of them, and over the last quarter
    settled : no more requests are present at their end than at half of them
    """

    spans: list[tuple[Course, ...]]
    settled: bool

    def growing(self, k: int) -> int | None:
        """The first span in which the queue of a class grows, by number; None where it does in none."""
        return next((j for j, course in enumerate(self.spans[k]) if course.grows), None)

    @property
    def grows(self) -> bool:
        """Whether the queue of some class grows."""
        return any(self.growing(k) is not None for k in range(len(self.spans)))

    def beside(self, other: LaterWindows | None) -> LaterWindows:
        """With another replication's."""
        whole = deepcopy(self)
        if other is not None:
            for mine, its in zip(whole.spans, other.spans, strict=True):
                for one, another in zip(mine, its, strict=True):
                    one.merge(another)
            whole.settled &= other.settled
        return whole
