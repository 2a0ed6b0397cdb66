"""Queues of the replicas of a pool: where routing sends one of them more than it can take, beside others with room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.study.usage import PoolUsage
from simulator.units import rough

_STANDS = 1.0
"""Requests that wait for a replica on average, from which on it is at its limit."""
_ROOM = 0.1
"""Share of these that wait for each other replica at most, where the pool has room."""
_ALWAYS = 0.99
"""Share of the time of all replicas of a pool in which they serve, where they do not come and go."""


@dataclass(frozen=True, slots=True)
class Hot:
    """A replica that is at its limit while its pool is not.

    Attributes
    ----------
    target : number of the pool
    replicas : of it, at most
    share : of the pool's requests
    waiting, elsewhere : requests that wait for it, and for each other one, on average
    """

    target: int
    replicas: int
    share: float
    waiting: float
    elsewhere: float

    @property
    def words(self) -> str:
        """What is said of it, after the name of the pool."""
        return (
            f"one replica of {self.replicas} is at its limit while the others have room: {self.share:.0%} of the "
            f"requests went to it, and on average {rough(self.waiting)} wait for it, {rough(self.elsewhere)} for each "
            "other"
        )


@dataclass(slots=True)
class Queues:
    """Requests of the window and how long they waited for a place, by replica of the fleet.

    Attributes
    ----------
    replicas : of each pool, 0 where they come and go; those that serve requests unless told
    pool : of each replica
    requests, waited_s : of each
    """

    replicas: tuple[int, ...] = ()
    pool: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    requests: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    waited_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def add(self, records: NDArray[Any]) -> None:
        """Count ended requests of pools (dtype RECORD); those whose prompt another pool computed wait there."""
        its = records[(records["replica"] >= 0) & (records["prefill_target"] < 0)]
        if not len(its):
            return
        replica = its["replica"].astype(np.int64)
        self._grow(int(replica.max()) + 1)
        until_s = np.where(np.isnan(its["scheduled_s"]), its["finish_s"], its["scheduled_s"])
        waited_s = np.maximum(until_s - its["arrival_s"] - its["no_replica_s"], 0.0)
        self.pool[replica] = its["target"]
        self.requests += np.bincount(replica, minlength=len(self.requests))
        self.waited_s += np.bincount(replica, waited_s, len(self.waited_s))

    def hot(self, window_s: float) -> list[Hot]:
        """Of each pool the replica that is at its limit, where the others have room.

        By Little's law seconds waited / seconds are requests that wait on average. Where replicas come and go the
        others may have no queue since they were not there yet: nothing is said of such a pool.
        """
        found: list[Hot] = []
        for pool in np.unique(self.pool[self.requests > 0]).tolist():
            mine = np.flatnonzero((self.pool == pool) & (self.requests > 0))
            waiting = self.waited_s[mine] / window_s
            first = int(waiting.argmax())
            count = self.replicas[pool] if self.replicas else len(mine)
            others = float(waiting.sum() - waiting[first]) / max(count - 1, 1)
            if count > 1 and waiting[first] >= _STANDS and others <= _ROOM * waiting[first]:
                share = float(self.requests[mine[first]] / self.requests[mine].sum())
                found.append(Hot(pool, count, share, float(waiting[first]), others))
        return found

    def _grow(self, replicas: int) -> None:
        if replicas > len(self.pool):
            more = replicas - len(self.pool)
            self.pool, self.requests, self.waited_s = (
                np.concatenate([each, np.zeros(more, each.dtype)]) for each in (self.pool, self.requests, self.waited_s)
            )


def steady_replicas(pool: PoolUsage, span_s: float) -> int:
    """Replicas that serve all the time, but for a hundredth of it; 0 where they come and go."""
    serving_s = pool.busy_s + pool.idle_s
    return pool.peak_replicas if serving_s >= _ALWAYS * pool.peak_replicas * span_s else 0


def hot_words(found: Sequence[Queues], window_s: float, targets: Sequence[str]) -> dict[str, str]:
    """What is said of each pool that has a hot replica: of all replications of the one that most wait for.

    Parameters
    ----------
    found : of each replication
    targets : names, pools first
    """
    hot = [one for queues in found for one in queues.hot(window_s)]
    most = {one.target: one for one in sorted(hot, key=lambda one: one.waiting)}
    return {targets[pool]: most[pool].words for pool in sorted(most)}
