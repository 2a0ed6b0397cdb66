"""Prefix hits by routing on a trace with hashed blocks, beside a plain oracle of the same rule.

`python bench/routing.py TRACE [--replicas 4] [--requests N]`: replicas of Llama 3.1 8B on one H100 each, blocks of 512
tokens, one step at a time. The oracle is the plain-Python scheduler, one for each replica, with a router of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import Modes
from simulator.engine.reference.engine import make_request, step_duration_s
from simulator.engine.reference.limits import can_serve
from simulator.engine.reference.plan import StepPlan
from simulator.engine.reference.request import Request
from simulator.engine.reference.scheduler import Scheduler
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import RECORD, Status
from simulator.perf.steptime import StepTime
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.places import prefix_score
from simulator.schema.engine import EngineSettings
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, RoutingSpec
from simulator.workload.requests import ClosedLoop, Requests
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Trace, WorkloadSpec

BLOCK_TOKENS = 512
ROUTINGS = (ReplicaRouting.ROUND_ROBIN, ReplicaRouting.PREFIX_AFFINITY, ReplicaRouting.LONGEST_PREFIX)
SEED = 1


@dataclass(frozen=True, slots=True)
class Source:
    """Requests that are there already."""

    requests: Requests

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("trace",)

    @property
    def closed_loops(self) -> tuple[ClosedLoop, ...]:
        return ()

    def chunks(self) -> Iterator[Requests]:
        yield self.requests


@dataclass(slots=True)
class Replica:
    """One plain scheduler in time; `plan` is its step on the way."""

    config: EngineConfig
    step_time: StepTime
    scheduler: Scheduler = field(init=False)
    plan: StepPlan | None = None
    end_s: float = float("inf")

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.config)

    def begin(self, now: float) -> None:
        """Plan a step if there is anything to do and none is on its way."""
        if self.plan is None and self.scheduler.has_requests:
            self.plan = self.scheduler.schedule()
            self.end_s = now + step_duration_s(self.step_time, self.plan)

    def advance(self, until_s: float) -> None:
        """Apply the steps that end before `until_s`."""
        while self.plan is not None and self.end_s < until_s:
            plan, now, self.plan, self.end_s = self.plan, self.end_s, None, float("inf")
            self.scheduler.update(plan)
            self.begin(now)

    def score(self, request: Request, queue: float) -> float:
        """The score of `longest_prefix`, from what the scheduler knows."""
        manager, weights = self.scheduler.kv_cache_manager, prefix_score()
        hits = manager.get_computed_blocks(request).tokens // BLOCK_TOKENS
        free = manager.block_pool.get_num_free_blocks() / (self.config.num_blocks - 1)
        cached = hits / max(request.isl // BLOCK_TOKENS, 1)
        return weights.cached * cached + weights.free * free + weights.queue * queue


def by_oracle(engine: PlannedEngine, requests: Requests, replicas: int) -> tuple[float, float]:
    """Share of the prompt tokens that are cached, and of the requests that the busiest replica has."""
    config, random = engine.config, Random(SEED)
    fleet = [Replica(config, engine.step_time) for _ in range(replicas)]
    taken: list[Request] = []
    counts = [0] * replicas
    last_s = 0.0
    for row, at_s in enumerate(requests.arrival_s.tolist()):
        request = make_request(requests, row, at_s)
        if not can_serve(config, request.isl, request.osl):
            continue
        for replica in fleet:
            replica.advance(at_s)
            if at_s > last_s:
                replica.begin(last_s)
                replica.advance(at_s)
        last_s = at_s
        waiting = [len(replica.scheduler.waiting) for replica in fleet]
        spread = max(waiting) - min(waiting)
        queues = [(max(waiting) - own) / spread if spread else 1.0 for own in waiting]
        scores = [replica.score(request, queue) for replica, queue in zip(fleet, queues, strict=True)]
        chosen = random.choice([r for r, score in enumerate(scores) if score == max(scores)])
        fleet[chosen].scheduler.add(request)
        counts[chosen] += 1
        taken.append(request)
    for replica in fleet:
        replica.begin(last_s)
        replica.advance(float("inf"))
    cached = sum(request.num_cached_tokens or 0 for request in taken)
    return cached / sum(request.isl for request in taken), max(counts) / sum(counts)


def by_kernels(
    engine: PlannedEngine, requests: Requests, replicas: int, routing: ReplicaRouting
) -> tuple[float, float]:
    """As `by_oracle`, by the compiled engines and router, with any rule."""
    pool = PoolSpec(
        "pool",
        "",
        replicas,
        1,
        engine.config,
        engine.step_time,
        engine.power_w_by_seqs,
        routing=routing,
        prefix_score=prefix_score(),
    )
    spec = FleetSpec("trace", (pool,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), (ClassSpec("trace", (True,)),))
    batches: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    plane = DataPlane(spec, Source(requests), (replicas,), SEED, batches.append)
    for r in range(replicas):
        plane.activate(r, 0.0)
    plane.advance(1e9)
    plane.close(1e9)
    records = np.concatenate(batches)
    served = records[records["status"] == Status.COMPLETED]
    busiest = np.bincount(served["replica"], minlength=replicas).max() / len(served)
    return float(served["cached_tokens"].sum() / served["isl"].sum()), float(busiest)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("trace", type=Path)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--requests", type=int, default=1 << 30)
    given = parser.parse_args()
    workload = ClassWorkload("trace", Trace(given.trace), None, None)
    requests = next(build_source(WorkloadSpec((workload,)), 1e6, SEED, chunk_requests=given.requests).chunks())
    settings = EngineSettings(quantization="none", block_size=BLOCK_TOKENS)
    engine = plan_engine("llama-3.1-8b", "h100-sxm", 1, 1, settings, Path())
    engine = replace(engine, config=replace(engine.config, modes=Modes()))
    print(f"{len(requests):,} requests, {given.replicas} replicas of {engine.config.num_blocks} blocks")
    print("| routing | prompt tokens cached | requests of the busiest replica |\n|---|---:|---:|")
    for routing in ROUTINGS:
        cached, busiest = by_kernels(engine, requests, given.replicas, routing)
        print(f"| {routing.name.lower()} | {cached:.4f} | {busiest:.3f} |", flush=True)
    cached, busiest = by_oracle(engine, requests, given.replicas)
    print(f"| longest_prefix, plain oracle | {cached:.4f} | {busiest:.3f} |")


if __name__ == "__main__":
    main()
