"""Life of one replica in simulated time: launch, cold start, service, failure, reclaim, end — and what is paid for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import simpy

from simulator.fleet.dataplane import DataPlane
from simulator.study.fleet import PoolSpec

STARTING, SERVING, LEAVING, DOWN = "starting", "serving", "leaving", "down"
FAILURE, RECLAIM, STOCK_OUT = "failure", "reclaim", "stock_out"


class Span(NamedTuple):
    """A replica's stay in a state."""

    state: str
    start_s: float
    end_s: float
    replica: int


@dataclass(slots=True)
class PoolLedger:
    """Replica-seconds of one pool as they accrue, and what happened to its replicas."""

    launches: int = 0
    peak_replicas: int = 0
    spans: list[Span] = field(default_factory=list)
    """Billed time that has ended, one entry for each stay of a replica in a state."""
    marks: list[tuple[str, float, int]] = field(default_factory=list)
    """(kind, time_s, replica) of each failure, reclaim and stock-out (replica -1)."""

    def mark(self, kind: str, now: float, replica: int = -1) -> None:
        self.marks.append((kind, now, replica))

    def count(self, kind: str) -> int:
        """Failures, reclaims or stock-outs so far."""
        return sum(mark[0] == kind for mark in self.marks)


class Replica:
    """One place for a replica in a pool. A place is used again after its replica has ended."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state: str | None = None
        self.since_s = 0.0
        self.faults: simpy.Process | None = None

    def enter(self, ledger: PoolLedger, state: str | None, now: float) -> None:
        """Change state; the stay that ends is written to the ledger."""
        if self.state is not None and now > self.since_s:
            ledger.spans.append(Span(self.state, self.since_s, now, self.number))
        self.state = state
        self.since_s = now


class PoolControl:
    """Launches, ends and repairs the replicas of one pool."""

    def __init__(
        self,
        env: simpy.Environment,
        plane: DataPlane,
        spec: PoolSpec,
        first_replica: int,
        places: int,
        rng: np.random.Generator,
    ) -> None:
        self.env, self.plane, self.spec, self.rng = env, plane, spec, rng
        self.ledger = PoolLedger()
        self.replicas = [Replica(first_replica + k) for k in range(places)]
        self.waiting_launches = 0
        self._zone_back: simpy.Event | None = None
        for replica in self.replicas[: spec.replicas]:
            self._serve(replica)
        self.ledger.peak_replicas = spec.replicas

    def spans(self, end_s: float) -> list[Span]:
        """Stays of all replicas in their states up to `end_s`, those that go on included."""
        open_ones = [
            Span(place.state, place.since_s, end_s, place.number)
            for place in self.replicas
            if place.state is not None and end_s > place.since_s
        ]
        return [*self.ledger.spans, *open_ones]

    def count(self, *states: str) -> int:
        return sum(replica.state in states for replica in self.replicas)

    @property
    def wanted(self) -> int:
        """Replicas that serve, start or are being asked for: what scaling decisions count."""
        return self.count(STARTING, SERVING, DOWN) + self.waiting_launches

    def _serve(self, replica: Replica) -> None:
        replica.enter(self.ledger, SERVING, self.env.now)
        self.plane.activate(replica.number, self.env.now)
        if self.spec.reliability.mtbf_s > 0 or self.spec.reliability.reclaim_mtbf_s > 0:
            replica.faults = self.env.process(self._suffer(replica))

    def launch(self) -> None:
        """Ask for one more replica."""
        self.waiting_launches += 1
        self.env.process(self._launch())

    def _launch(self) -> Generator[Any, Any, None]:
        reliability, cold = self.spec.reliability, self.spec.cold_start
        while self._zone_back is not None:
            yield self._zone_back
        while reliability.unavailable_probability > 0 and self.rng.random() < reliability.unavailable_probability:
            self.ledger.mark(STOCK_OUT, self.env.now)
            yield self.env.timeout(reliability.retry_s)
            if self.waiting_launches == 0:
                return
        if self.waiting_launches == 0:
            return
        replica = next((place for place in self.replicas if place.state is None), None)
        self.waiting_launches -= 1
        if replica is None:
            return
        self.ledger.launches += 1
        replica.enter(self.ledger, STARTING, self.env.now)
        billed = self.count(STARTING, SERVING, LEAVING, DOWN)
        self.ledger.peak_replicas = max(self.ledger.peak_replicas, billed)
        launched_s = self.env.now
        yield self.env.timeout(cold.total_s)
        if replica.state == STARTING and replica.since_s == launched_s:
            self._serve(replica)

    def zone_down(self) -> None:
        """The zone is down: every replica is lost and asked for again, launches wait for `zone_up`."""
        self._zone_back = self.env.event()
        for replica in self.replicas:
            if replica.state == SERVING:
                self.plane.drain(replica.number)
        for replica in self.replicas:
            if replica.state is None:
                continue
            if replica.state in (SERVING, LEAVING):
                self.plane.lose(replica.number, self.env.now)
            if replica.state != LEAVING:
                self.launch()
            self._end(replica)

    def zone_up(self) -> None:
        back, self._zone_back = self._zone_back, None
        if back is not None:
            back.succeed()

    def retire(self) -> None:
        """End one replica: a launch not yet under way, else one that is starting, else the least loaded one drains."""
        if self.waiting_launches > 0:
            self.waiting_launches -= 1
            return
        starting = [replica for replica in self.replicas if replica.state == STARTING]
        if starting:
            starting[-1].enter(self.ledger, None, self.env.now)
            return
        serving = [replica for replica in self.replicas if replica.state == SERVING]
        if serving:
            self.drain(min(serving, key=lambda replica: int(self.plane.engines.load[replica.number])))

    def drain(self, replica: Replica) -> None:
        replica.enter(self.ledger, LEAVING, self.env.now)
        if self.plane.drain(replica.number):
            self.emptied(replica.number)

    def emptied(self, number: int) -> None:
        """A draining replica has served its last request: it is given back."""
        replica = self.replicas[number - self.replicas[0].number]
        if replica.state == LEAVING:
            self.plane.switch_off(number)
            self._end(replica)

    def _end(self, replica: Replica) -> None:
        replica.enter(self.ledger, None, self.env.now)
        if replica.faults is not None and replica.faults.is_alive and replica.faults is not self.env.active_process:
            replica.faults.interrupt()
        replica.faults = None

    def _suffer(self, replica: Replica) -> Generator[Any, Any, None]:
        """Failures and reclaims of a serving replica, whichever comes first (exponential, so without memory)."""
        reliability = self.spec.reliability
        rates = [1 / mean if mean > 0 else 0.0 for mean in (reliability.mtbf_s, reliability.reclaim_mtbf_s)]
        try:
            yield self.env.timeout(self.rng.exponential(1 / sum(rates)))
            if self.rng.random() * sum(rates) < rates[0]:
                yield from self._fail(replica)
            else:
                yield from self._reclaim(replica)
        except simpy.Interrupt:
            return

    def _fail(self, replica: Replica) -> Generator[Any, Any, None]:
        self.ledger.mark(FAILURE, self.env.now, replica.number)
        leaving = replica.state == LEAVING
        self.plane.lose(replica.number, self.env.now)
        if leaving:
            self._end(replica)
            return
        replica.enter(self.ledger, DOWN, self.env.now)
        replica.faults = None
        yield self.env.timeout(self.rng.exponential(self.spec.reliability.mttr_s))
        if replica.state == DOWN:
            replica.enter(self.ledger, STARTING, self.env.now)
            yield self.env.timeout(self.spec.cold_start.engine_s)
            if replica.state == STARTING:
                self._serve(replica)

    def _reclaim(self, replica: Replica) -> Generator[Any, Any, None]:
        """The provider takes the machine back after a notice, and a new one is asked for."""
        self.ledger.mark(RECLAIM, self.env.now, replica.number)
        if replica.state == SERVING:
            self.drain(replica)
            self.launch()
        yield self.env.timeout(self.spec.reliability.reclaim_notice_s)
        if replica.state == LEAVING:
            self.plane.lose(replica.number, self.env.now)
            self._end(replica)
