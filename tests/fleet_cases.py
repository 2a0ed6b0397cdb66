"""Small fleets of quick replicas for the laws of the data plane and the tests of routing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import RECORD
from simulator.perf.steptime import constant_step_time
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, ProviderSpec, RoutingSpec
from simulator.workload.requests import ClosedLoop, Requests, make_requests

STEP_S = 0.05
WATTS = np.linspace(100.0, 700.0, 9)
ENGINE = EngineConfig(num_blocks=200, block_size=16, max_num_batched_tokens=128, max_num_seqs=8, max_model_len=1000)


@dataclass(frozen=True)
class Source:
    """A `RequestSource` over chunks in memory."""

    parts: tuple[Requests, ...] = ()
    closed_loops: tuple[ClosedLoop, ...] = ()
    class_names: tuple[str, ...] = ("a", "b")

    def chunks(self) -> Iterator[Requests]:
        return iter(self.parts)


@dataclass
class Served:
    """A finished run: records in order of their end, and the data plane behind them."""

    plane: DataPlane
    batches: list[NDArray[Any]] = field(default_factory=lambda: [np.zeros(0, RECORD)])

    @property
    def records(self) -> NDArray[Any]:
        return np.concatenate(self.batches)

    @property
    def content(self) -> bytes:
        """Every field of every record, without the padding between them."""
        return b"".join(self.records[name].tobytes() for name in RECORD.names or ())

    @property
    def by_arrival(self) -> NDArray[Any]:
        return np.sort(self.records, order="request")


def pool(
    name: str = "p",
    replicas: int = 1,
    routing: ReplicaRouting = ReplicaRouting.LEAST_OUTSTANDING,
    engine: EngineConfig = ENGINE,
    **limits: Any,
) -> PoolSpec:
    step_time = constant_step_time(STEP_S, engine.max_num_batched_tokens, engine.max_num_seqs)
    return replace(PoolSpec(name, "site", 1, replicas, engine, step_time, WATTS, routing), **limits)


def provider(**limits: Any) -> ProviderSpec:
    return replace(ProviderSpec("api", 0.5, 0.3, 0.02, 0.3), **limits)


def fleet(
    pools: tuple[PoolSpec, ...] = (),
    providers: tuple[ProviderSpec, ...] = (),
    routing: RoutingSpec | None = None,
    classes: tuple[ClassSpec, ...] | None = None,
) -> FleetSpec:
    """Two classes that may go anywhere, weighted routing over all targets, unless told otherwise."""
    everywhere = (True,) * (len(pools) + len(providers))
    return FleetSpec(
        "fleet",
        pools,
        providers,
        routing or RoutingSpec(TargetRouting.WEIGHTED, tuple(range(len(everywhere)))),
        classes or (ClassSpec("a", everywhere), ClassSpec("b", everywhere)),
    )


def classes(targets: int, **changes: Any) -> tuple[ClassSpec, ...]:
    """One class that may go anywhere."""
    return (ClassSpec("a", (True,) * targets, **changes),)


def serve(
    spec: FleetSpec,
    source: Source | Requests,
    *,
    until_s: float = 1e6,
    seed: int = 1,
    stops_s: tuple[float, ...] = (),
    lose: tuple[int, float] | None = None,
) -> Served:
    """All replicas ready from time 0; what is in flight at `until_s` is unfinished.

    The run halts at `stops_s` for a moment, and loses replica `lose[0]` at `lose[1]`.
    """
    parts = source if isinstance(source, Source) else Source((source,))
    batches: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    plane = DataPlane(spec, parts, tuple(p.replicas for p in spec.pools), seed, batches.append)
    for r in range(sum(p.replicas for p in spec.pools)):
        plane.activate(r, 0.0)
    for stop_s in stops_s:
        plane.advance(stop_s)
    if lose:
        plane.advance(lose[1])
        plane.lose(*lose)
    plane.advance(until_s)
    plane.close(until_s)
    plane.touch_clock(until_s)
    return Served(plane, batches)


def poisson(rng: np.random.Generator, n: int, rate: float, **columns: NDArray[Any]) -> Requests:
    """Two classes; prompts and outputs of up to 60 and 40 tokens."""
    given = {"class_id": rng.integers(0, 2, n), **columns}
    arrival_s = np.cumsum(rng.exponential(1.0 / rate, n))
    return make_requests(arrival_s, rng.integers(1, 60, n), rng.integers(1, 40, n), **given)


def evenly(n: int, gap_s: float, isl: int = 1, osl: int = 1, **columns: NDArray[Any]) -> Requests:
    return make_requests(gap_s * np.arange(n, dtype=np.float64), np.full(n, isl), np.full(n, osl), **columns)


def in_flight_at(records: NDArray[Any], times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Requests that have arrived and not ended just after each instant."""
    arrived = np.searchsorted(np.sort(records["arrival_s"]), times_s, side="right")
    return np.asarray(arrived - np.searchsorted(np.sort(records["finish_s"]), times_s, side="right"))
