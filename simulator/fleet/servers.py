"""Servers that replicas stand on: where a new one goes, and what befalls all replicas of a server at once."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import simpy

from simulator.rng import stream
from simulator.study.fleet import Reliability
from simulator.study.placement import first_fit_decreasing, servers_of

PROVISION, IMAGE, WEIGHTS, ENGINE = range(4)
"""Stages of a cold start, by their place in it."""

_REPAIRS_BACK = 30
"""Before time 0, in the longest time from a failure to service: whoever is down for longer than that, exp(-30) of them,
is the error of the state at time 0."""


class Tenant(Protocol):
    """A replica, as its servers see it."""

    servers: tuple[Server, ...]

    @property
    def gpus(self) -> int: ...

    def withdraw(self) -> None:
        """Take no more requests."""

    def fail(self) -> None:
        """Be down until `restore`, with all requests lost."""

    def restore(self, first_stage: int) -> None:
        """One of the servers works again; start from that stage once all do."""

    def reclaim(self) -> None:
        """Drain, and be replaced elsewhere."""

    def take(self) -> None:
        """The notice is over: be gone."""


@dataclass(slots=True, eq=False)
class Server:
    """One machine, or its place: a spare that stands in takes the number over.

    Attributes
    ----------
    free_gpus : of a server that holds a single replica, 0
    up_s : it is provisioned from here on
    back : of a failed one, that it is repaired or a spare stands in
    closing : about to be reclaimed, so nobody comes any more
    lease : how often it was taken into use
    """

    number: int
    free_gpus: int = 0
    up_s: float = 0.0
    back: simpy.Event | None = None
    closing: bool = False
    lease: int = 0
    tenants: list[Tenant] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return self.back is not None


def past_s(reliability: Reliability, swap_s: float, start_s: float) -> int:
    """How long before time 0 faults must begin, so that it finds servers as a long use does; 0 where there are none.

    Whole seconds: what happens then does not depend on how much earlier a fleet's other servers begin.

    Parameters
    ----------
    start_s : the longest start of a replica
    """
    fails, reclaimed = reliability.mtbf_s > 0, reliability.reclaim_mtbf_s > 0
    if not fails and not reclaimed:
        return 0
    away_s = start_s + (reliability.mttr_s + swap_s if fails else 0.0)
    lacks = reliability.unavailable_probability if reclaimed else 0.0
    return math.ceil(_REPAIRS_BACK * (away_s + reliability.retry_s * lacks / (1.0 - lacks)))


@dataclass(frozen=True, slots=True)
class Luck:
    """Random draws of a place, named by what it is: neither by a name in the scenario nor by the size of the fleet."""

    seed: int
    words: tuple[str | int, ...]

    def stream(self, *words: str | int) -> Any:
        return stream(self.seed, *self.words, *words)


class Servers:
    """Servers of one site and GPU that owned pools share, or the instances that one rented pool is billed for.

    Faults are points of a Poisson process of each server in absolute time, each with the length of its repair. So a
    server meets the same ones whatever else the fleet does; those that find nobody on it, or find it down, pass. Time 0
    finds servers and spares as a long use leaves them: for `past_s` before it they fail and are repaired, and are
    reclaimed and replaced.

    Parameters
    ----------
    zone_luck : of reclaims that take all spot replicas of a zone
    spares : servers that stand in for failed ones
    swap_s : until a spare stands in
    replaced : whether a failed machine is given up for another at the end of its repair, as rented ones are
    past_s : how long before time 0 they begin to fail, see `past_s`; 0: all are up then

    Attributes
    ----------
    repairs : (start, end) in s of each repair of a machine, that of one whose place a spare has taken among them
    """

    def __init__(
        self,
        env: simpy.Environment,
        gpus_per_server: int,
        reliability: Reliability,
        luck: Luck,
        zone_luck: Luck,
        spares: int = 0,
        swap_s: float = 0.0,
        replaced: bool = False,
        past_s: int = 0,
    ) -> None:
        self._repaired_from = PROVISION if replaced else ENGINE
        self.env, self._gpus, self._reliability, self._luck = env, gpus_per_server, reliability, luck
        self._zone_luck, self._past_s = zone_luck, past_s
        self._spares, self._swap_s = spares, swap_s
        self._waiting: list[Server] = []
        self._servers: list[Server] = []
        alone = 1 - reliability.reclaim_correlation
        taken_rate = 1.0 / reliability.reclaim_mtbf_s if reliability.reclaim_mtbf_s > 0 else 0.0
        self._reclaim_rate, self._zone_reclaim_rate = alone * taken_rate, (1.0 - alone) * taken_rate
        self._has_begun = False
        self.repairs: list[tuple[float, float]] = []

    def place_first(self, tenants: Sequence[Tenant]) -> None:
        """Place those who are there at time 0, the largest first; before it, faults befall them."""
        places = first_fit_decreasing([tenant.gpus for tenant in tenants], self._gpus)
        n = max((number + 1 for numbers in places for number in numbers), default=0)
        self._servers = [Server(number) for number in range(n)]
        for tenant, numbers in zip(tenants, places, strict=True):
            self._put(tenant, tuple(self._servers[number] for number in numbers), 0.0)
        for server in self._servers if self._past_s else ():
            if self._reliability.mtbf_s > 0:
                self.env.process(self._earlier_failures(server))
            if self._reclaim_rate > 0:
                luck = self._luck.stream("earlier reclaims", server.number)
                self.env.process(self._earlier_reclaims(luck, self._reclaim_rate, (server,)))
        if self._past_s and self._zone_reclaim_rate > 0:
            luck = self._zone_luck.stream("earlier reclaims")
            self.env.process(self._earlier_reclaims(luck, self._zone_reclaim_rate, tuple(self._servers)))

    def begin(self) -> None:
        """Time 0: from here on servers meet the faults of the run."""
        self._has_begun = True
        self._meet_faults(self._servers)
        if self._zone_reclaim_rate > 0:
            self.env.process(self._zone_reclaims(self._zone_reclaim_rate))

    def has_room(self, gpus: int) -> bool:
        """Whether a server in use can take one more replica of that size."""
        return self._room(gpus) is not None

    def place(self, tenant: Tenant, provision_s: float) -> float:
        """Put a replica on a server in use that has room, else on the first free ones.

        Returns
        -------
        Seconds until its servers are provisioned.
        """
        room = self._room(tenant.gpus)
        if room is not None:
            servers: tuple[Server, ...] = (room,)
        else:
            n = servers_of(tenant.gpus, self._gpus)
            free = [server for server in self._servers if not server.tenants and not server.failed]
            if len(free) < n:
                free += self._grow(len(self._servers) + n - len(free))
            servers = tuple(free[:n])
        self._put(tenant, servers, self.env.now + provision_s)
        return max(0.0, *(server.up_s - self.env.now for server in servers))

    def leave(self, tenant: Tenant) -> None:
        """Take a replica off its servers; an empty one is given back."""
        for server in tenant.servers:
            server.tenants.remove(tenant)
            server.free_gpus += tenant.gpus
            if not server.tenants:
                server.closing = False
        tenant.servers = ()

    def _room(self, gpus: int) -> Server | None:
        if gpus > self._gpus:
            return None
        return next(
            (s for s in self._servers if s.tenants and not s.failed and not s.closing and s.free_gpus >= gpus), None
        )

    def _put(self, tenant: Tenant, servers: tuple[Server, ...], up_s: float) -> None:
        tenant.servers = servers
        for server in servers:
            if not server.tenants:
                server.up_s = up_s
                server.lease += 1
                server.free_gpus = self._gpus
            server.tenants.append(tenant)
            server.free_gpus -= tenant.gpus

    def _grow(self, n: int) -> list[Server]:
        new = [Server(number) for number in range(len(self._servers), n)]
        self._servers += new
        if self._has_begun:
            self._meet_faults(new)
        return new

    def _meet_faults(self, servers: Sequence[Server]) -> None:
        for server in servers:
            if self._reliability.mtbf_s > 0:
                self.env.process(self._failures(server))
            if self._reclaim_rate > 0:
                self.env.process(self._reclaims(server))

    def _earlier_failures(self, server: Server) -> Generator[Any, Any, None]:
        rng = self._luck.stream("earlier failures", server.number)
        yield self.env.timeout(-self._past_s - self.env.now)
        while True:
            up_s = rng.exponential(self._reliability.mtbf_s)
            if self.env.now + up_s >= 0:
                return
            yield self.env.timeout(up_s)
            yield self.fail(server, rng.exponential(self._reliability.mttr_s))

    def _earlier_reclaims(self, rng: Any, rate: float, servers: Sequence[Server]) -> Generator[Any, Any, None]:
        """Drawn back from time 0, so that those shortly before it are the same however early the past begins."""
        times_s, at_s = [], -rng.exponential(1 / rate)
        while at_s > -self._past_s:
            times_s.append(at_s)
            at_s -= rng.exponential(1 / rate)
        for at_s in reversed(times_s):
            yield self.env.timeout(at_s - self.env.now)
            for server in servers:
                self._reclaim(server)

    def _failures(self, server: Server) -> Generator[Any, Any, None]:
        rng, at_s = self._luck.stream("failures", server.number), 0.0
        while True:
            at_s += rng.exponential(self._reliability.mtbf_s)
            repair_s = rng.exponential(self._reliability.mttr_s)
            if at_s > self.env.now:
                yield self.env.timeout(at_s - self.env.now)
                if server.tenants and not server.failed:
                    self.fail(server, repair_s)

    def fail(self, server: Server, repair_s: float) -> simpy.Event:
        """A server fails with all that stands on it.

        Returns
        -------
        That it works again: after its repair, or once a spare stands in.
        """
        back = server.back = self.env.event()
        self.repairs.append((self.env.now, self.env.now + repair_s))
        for tenant in list(server.tenants):
            tenant.withdraw()
        for tenant in list(server.tenants):
            tenant.fail()
        self.env.process(self._repair(server, repair_s))
        if server.tenants and self._spares > 0:
            self._spares -= 1
            self.env.process(self._swap(server))
        else:
            self._waiting.append(server)
        return back

    def _repair(self, server: Server, repair_s: float) -> Generator[Any, Any, None]:
        """The machine works again: in its place if that still waits for one, else as a spare."""
        yield self.env.timeout(repair_s)
        if server in self._waiting:
            self._waiting.remove(server)
            self._restore(server, self._repaired_from)
            return
        waiting = next((other for other in self._waiting if other.tenants), None)
        if waiting is None:
            self._spares += 1
        else:
            self._waiting.remove(waiting)
            self.env.process(self._swap(waiting))

    def _swap(self, server: Server) -> Generator[Any, Any, None]:
        yield self.env.timeout(self._swap_s)
        self._restore(server, IMAGE)

    def _restore(self, server: Server, first_stage: int) -> None:
        if server.back is not None:
            server.back.succeed()
        server.back = None
        for tenant in list(server.tenants):
            tenant.restore(first_stage)

    def _reclaims(self, server: Server) -> Generator[Any, Any, None]:
        rng, at_s = self._luck.stream("reclaims", server.number), 0.0
        while True:
            at_s += rng.exponential(1 / self._reclaim_rate)
            if at_s > self.env.now:
                yield self.env.timeout(at_s - self.env.now)
                self._reclaim(server)

    def _zone_reclaims(self, rate: float) -> Generator[Any, Any, None]:
        """All at once: pools of one zone with equal figures draw the same times."""
        rng = self._zone_luck.stream("reclaims")
        while True:
            yield self.env.timeout(rng.exponential(1 / rate))
            for server in list(self._servers):
                self._reclaim(server)

    def _reclaim(self, server: Server) -> None:
        if server.tenants and not server.closing:
            server.closing = True
            lease = server.lease
            for tenant in list(server.tenants):
                tenant.reclaim()
            self.env.process(self._end_notice(server, lease))

    def _end_notice(self, server: Server, lease: int) -> Generator[Any, Any, None]:
        yield self.env.timeout(self._reliability.reclaim_notice_s)
        if server.lease == lease:
            for tenant in list(server.tenants):
                tenant.take()
