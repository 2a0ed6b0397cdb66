"""Life of one replica in simulated time: launch, cold start, service, failure, reclaim, end — and what is paid for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import simpy

from simulator.fleet.dataplane import DataPlane
from simulator.fleet.servers import PROVISION, Luck, Server, Servers
from simulator.fleet.spans import covers, union
from simulator.study.fleet import PoolSpec

State = Literal["starting", "serving", "leaving", "down"]
STARTING: State = "starting"
SERVING: State = "serving"
LEAVING: State = "leaving"
DOWN: State = "down"
FAILURE, RECLAIM, STOCK_OUT = "failure", "reclaim", "stock_out"

Stages = tuple[float, ...]
"""Lengths of the stages of a start, in s: provision, image, weights, engine."""


class Span(NamedTuple):
    """A replica's stay in a state; `stages` of a start; `lost` of its servers are rented ones that have failed."""

    state: State
    start_s: float
    end_s: float
    replica: int
    servers: tuple[int, ...]
    stages: Stages
    lost: tuple[int, ...] = ()


@dataclass(slots=True)
class PoolLedger:
    """Replica-seconds of one pool as they accrue, and what happened to its replicas."""

    launches: int = 0
    spans: list[Span] = field(default_factory=list)
    """Billed time that has ended, one entry for each stay of a replica in a state."""
    marks: list[tuple[str, float, int]] = field(default_factory=list)
    """(kind, time_s, replica) of each failure, reclaim and stock-out (replica -1)."""

    def mark(self, kind: str, now: float, replica: int = -1) -> None:
        self.marks.append((kind, now, replica))

    def count(self, kind: str, since_s: float = 0.0) -> int:
        """Failures, reclaims or stock-outs since then."""
        return sum(what == kind and at_s >= since_s for what, at_s, _ in self.marks)


class Replica:
    """One place for a replica in a pool. A place is used again after its replica has ended.

    Attributes
    ----------
    state : None: nobody is there
    asked : a launch has been asked for and not begun
    visit : counts states and requests for launches, so that who waits knows whether things are as they were
    is_up : it has started, and waits for those that share experts with it
    """

    def __init__(self, control: PoolControl, number: int, luck: Luck) -> None:
        self.control, self.number, self._luck = control, number, luck
        self.state: State | None = None
        self.asked = False
        self.visit = 0
        self.is_up = False
        self.since_s = 0.0
        self.stages: Stages = ()
        self.servers: tuple[Server, ...] = ()
        self.lost: tuple[int, ...] = ()

    @property
    def gpus(self) -> int:
        return self.control.spec.gpus_per_replica

    @cached_property
    def launches(self) -> np.random.Generator:
        """Luck of the launches in this place."""
        found: np.random.Generator = self._luck.stream("launches", self.number - self.control.replicas[0].number)
        return found

    def span(self, until_s: float) -> Span | None:
        """The stay that goes on, up to `until_s`."""
        if self.state is None or until_s <= self.since_s:
            return None
        servers = tuple(server.number for server in self.servers)
        return Span(self.state, self.since_s, until_s, self.number, servers, self.stages, self.lost)

    def enter(self, state: State | None, stages: Stages = ()) -> None:
        """Change state; the stay that ends is written to the ledger."""
        now = self.control.env.now
        ended = self.span(now)
        if ended is not None:
            self.control.ledger.spans.append(ended)
        self.state, self.since_s, self.stages = state, now, stages
        rented = state is not None and not self.control.spec.owned
        self.lost = tuple(server.number for server in self.servers if server.failed) if rented else ()
        self.visit += 1
        self.is_up = False

    def go_on(self) -> None:
        """Time 0: what it is at began before, and only the rest of a start is left."""
        left = []
        gone_s = self.control.env.now - self.since_s
        for stage_s in self.stages:
            left.append(max(stage_s - gone_s, 0.0))
            gone_s = max(gone_s - stage_s, 0.0)
        self.since_s, self.stages = self.control.env.now, tuple(left)

    def neighbours(self) -> int:
        """Replicas that keep its servers in use when it leaves."""
        return sum(len(server.tenants) - 1 for server in self.servers)

    def withdraw(self) -> None:
        for rank in self.control.group(self):
            if self.control.serves(rank):
                self.control.plane.drain(rank.number)

    def fail(self) -> None:
        for rank in self.control.group(self):
            self.control.failed(rank)

    def restore(self, first_stage: int) -> None:
        if self.state != DOWN:
            return
        group = [rank for rank in self.control.group(self) if rank.state == DOWN]
        if any(server.failed for rank in group for server in rank.servers):
            self.enter(DOWN)
            return
        for rank in group:
            self.control.start(rank, first_stage, self.control.spec.cold_start.provision_s)

    def reclaim(self) -> None:
        self.control.reclaimed(self)

    def take(self) -> None:
        if self.state != LEAVING:
            return
        for rank in self.control.group(self):
            if rank.state == LEAVING:
                self.control.plane.lose(rank.number, self.control.env.now)
                self.control.end(rank)


class PoolControl:
    """Launches and ends the replicas of one pool; its servers say when they fail and are repaired.

    Parameters
    ----------
    places : most replicas that can be there at once
    luck : of the pool
    """

    def __init__(
        self,
        env: simpy.Environment,
        plane: DataPlane,
        spec: PoolSpec,
        first_replica: int,
        places: int,
        servers: Servers,
        luck: Luck,
    ) -> None:
        self.env, self.plane, self.spec, self.servers = env, plane, spec, servers
        self.ledger = PoolLedger()
        self.replicas: list[Replica] = []
        self.replicas += [Replica(self, first_replica + k, luck) for k in range(places)]
        self._deferred = 0
        self._has_begun = False
        self._zone_back: simpy.Event | None = None
        self._out_of_stock = union(spec.reliability.stock_outs)
        self.at_start = self.replicas[: spec.replicas]

    def stand_by(self) -> None:
        """Before time 0 replicas are there, as far as their servers are, and nobody asks anything of them."""
        for replica in self.at_start:
            replica.enter(SERVING)

    def begin(self, cold: bool = False) -> None:
        """Time 0: serve with the replicas that are up, the others go on with what they are at; or all start cold."""
        self._has_begun = True
        self.ledger = PoolLedger()
        for replica in self.at_start:
            replica.go_on()
            if cold:
                self.start(replica, PROVISION, self.spec.cold_start.provision_s)
            elif replica.state == SERVING:
                self.plane.activate(replica.number, self.env.now)

    def spans(self, end_s: float) -> list[Span]:
        """Stays of all replicas in their states up to `end_s`, those that go on included."""
        open_ones = (place.span(end_s) for place in self.replicas)
        ended = (span._replace(end_s=min(span.end_s, end_s)) for span in self.ledger.spans if span.start_s < end_s)
        return [*ended, *(span for span in open_ones if span is not None)]

    def count(self, *states: State) -> int:
        return sum(replica.state in states for replica in self.replicas)

    @property
    def wanted(self) -> int:
        """Replicas that serve, start or are being asked for: what scaling decisions count."""
        asked = sum(replica.asked for replica in self.replicas)
        return self.count(STARTING, SERVING, DOWN) + asked + self._deferred

    def _serve(self, replica: Replica) -> None:
        replica.enter(SERVING)
        if self._has_begun:
            self.plane.activate(replica.number, self.env.now)

    def serves(self, replica: Replica, *also: State) -> bool:
        """Whether the data plane knows of it."""
        return self._has_begun and replica.state in (SERVING, *also)

    def group(self, replica: Replica) -> list[Replica]:
        """Those that share experts with it, and itself."""
        ranks = self.spec.shared_by
        first = (replica.number - self.replicas[0].number) // ranks * ranks
        return self.replicas[first : first + ranks]

    def launch(self) -> None:
        """Ask for one more replica; without a free place, where nobody shares experts who was there before, later."""
        free = (place for place in self.replicas if place.state is None and not place.asked)
        replica = next((place for place in free if all(rank.state is None for rank in self.group(place))), None)
        if replica is None:
            self._deferred += 1
            return
        replica.asked = True
        replica.visit += 1
        self.env.process(self._launch(replica, replica.visit))

    def _launch(self, replica: Replica, visit: int) -> Generator[Any, Any, None]:
        reliability = self.spec.reliability
        while self._zone_back is not None:
            yield self._zone_back
            if replica.visit != visit:
                return
        while not self.servers.has_room(replica.gpus) and (
            covers(self._out_of_stock, self.env.now)
            or (
                reliability.unavailable_probability > 0
                and replica.launches.random() < reliability.unavailable_probability
            )
        ):
            self.ledger.mark(STOCK_OUT, self.env.now)
            yield self.env.timeout(reliability.retry_s)
            if replica.visit != visit:
                return
        if replica.visit != visit:
            return
        replica.asked = False
        self.ledger.launches += 1
        provision_s = self.servers.place(replica, self.spec.cold_start.provision_s)
        self.start(replica, PROVISION, provision_s)

    def start(self, replica: Replica, first_stage: int, provision_s: float) -> None:
        """Go through the stages of a cold start from `first_stage` on."""
        cold = self.spec.cold_start
        lengths = (provision_s, cold.image_s, cold.weights_s, cold.engine_s)
        replica.enter(STARTING, tuple(0.0 if k < first_stage else s for k, s in enumerate(lengths)))
        self.env.process(self._come_up(replica, replica.visit))

    def _come_up(self, replica: Replica, visit: int) -> Generator[Any, Any, None]:
        yield self.env.timeout(sum(replica.stages))
        if replica.visit != visit:
            return
        replica.is_up = True
        group = self.group(replica)
        if all(rank.is_up for rank in group):
            for rank in group:
                self._serve(rank)

    def zone_down(self) -> None:
        """The zone is down: every replica is lost and asked for again, launches wait for `zone_up`."""
        self._zone_back = self.env.event()
        for replica in self.replicas:
            replica.withdraw()
        lost = [replica for replica in self.replicas if replica.state is not None]
        again = sum(replica.state != LEAVING for replica in lost)
        for replica in lost:
            if replica.state in (SERVING, LEAVING):
                self.plane.lose(replica.number, self.env.now)
            self.end(replica)
        for _ in range(again):
            self.launch()

    def zone_up(self) -> None:
        back, self._zone_back = self._zone_back, None
        if back is not None:
            back.succeed()

    def scale_to(self, replicas: int) -> None:
        """Launch and retire until so many are wanted."""
        for _ in range(replicas - self.wanted):
            self.launch()
        for _ in range(self.wanted - replicas):
            self.retire()

    def retire(self) -> None:
        """End one replica: a launch not yet under way, else one that starts, else one that is down, else one drains.

        Of those that start, are down or serve, the one that leaves the fewest others on its servers goes first, so that
        servers become empty; of equals the least loaded.
        """
        if self._deferred > 0:
            self._deferred -= 1
            return
        asked = [replica for replica in self.replicas if replica.asked]
        if asked:
            asked[-1].asked = False
            asked[-1].visit += 1
            return
        for state in (STARTING, DOWN):
            found = [replica for replica in self.replicas if replica.state == state]
            if found:
                self.end(min(reversed(found), key=Replica.neighbours))
                return
        serving = [replica for replica in self.replicas if replica.state == SERVING]
        if serving:
            load = self.plane.engines.load
            self.drain(min(serving, key=lambda replica: (replica.neighbours(), int(load[replica.number]))))

    def drain(self, replica: Replica) -> None:
        replica.enter(LEAVING)
        if not self._has_begun or self.plane.drain(replica.number):
            self.emptied(replica.number)

    def emptied(self, number: int) -> None:
        """A draining replica has served its last request: it is given back."""
        replica = self.replicas[number - self.replicas[0].number]
        if replica.state == LEAVING:
            self.plane.switch_off(number)
            self.end(replica)

    def end(self, replica: Replica) -> None:
        """Nobody is there any more; whoever waited for a place is launched."""
        replica.enter(None)
        self.servers.leave(replica)
        deferred, self._deferred = self._deferred, 0
        for _ in range(deferred):
            self.launch()

    def fail_one(self, start_s: float, end_s: float) -> Generator[Any, Any, None]:
        """Between these times one of the servers that the pool stands on has failed: the first of them that works."""
        yield self.env.timeout(start_s)
        found = {server.number: server for replica in self.replicas for server in replica.servers if not server.failed}
        if found:
            self.servers.fail(found[min(found)], end_s - start_s)

    def failed(self, replica: Replica) -> None:
        """Its server has failed: it is down until that is restored, and gone if it was leaving."""
        if replica.state is None:
            return
        if replica.state == DOWN:  # another of its servers
            replica.enter(DOWN)
            return
        self.ledger.mark(FAILURE, self.env.now, replica.number)
        if self.serves(replica, LEAVING):
            self.plane.lose(replica.number, self.env.now)
        if replica.state == LEAVING:
            self.end(replica)
        else:
            replica.enter(DOWN)

    def reclaimed(self, replica: Replica) -> None:
        """The provider takes the machine back after a notice, and a new replica is asked for, or a group of them."""
        self.ledger.mark(RECLAIM, self.env.now, replica.number)
        if replica.state not in (SERVING, STARTING, DOWN):
            return
        group = self.group(replica)
        for rank in group:
            if rank.asked:
                rank.asked = False
                rank.visit += 1
            elif rank.state == SERVING:
                self.drain(rank)
            elif rank.state in (STARTING, DOWN):
                self.end(rank)
        for _ in group:
            self.launch()
