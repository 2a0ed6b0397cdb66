"""Runs the reference scheduler over the requests of a recording, step by step, without a clock."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.config import EngineConfig
from simulator.engine.reference.request import Request
from simulator.engine.reference.scheduler import Scheduler
from simulator.engine.schedule_trace import TraceRequest, TraceStep


def replay_reference(config: EngineConfig, requests: Sequence[TraceRequest]) -> list[TraceStep]:
    """Steps that scheduled or preempted something, until every request has finished or none can go on.

    Before engine step k all requests with `arrival_step` <= k are added in order of their ids; while the engine is
    empty, k jumps to the next arrival.
    """
    scheduler = Scheduler(config)
    arrivals = sorted(requests, key=lambda r: (r.arrival_step, r.id), reverse=True)
    steps: list[TraceStep] = []
    k = 0
    while arrivals or scheduler.has_requests:
        if not scheduler.has_requests:
            k = max(k, arrivals[-1].arrival_step)
        while arrivals and arrivals[-1].arrival_step <= k:
            scheduler.add(_as_request(arrivals.pop()))
        plan = scheduler.schedule()
        if plan.scheduled or plan.preempted:
            steps.append(TraceStep(k, tuple(plan.scheduled), tuple(plan.preempted), plan.free_blocks))
        elif not arrivals:
            break
        scheduler.update(plan)
        k += 1
    return steps


def _as_request(request: TraceRequest) -> Request:
    return Request(
        number=request.id,
        arrival_s=float(request.arrival_step),
        isl=request.isl,
        osl=request.osl,
        priority=request.priority,
        segments=request.prompt,
    )
