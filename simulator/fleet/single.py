"""One replica on its own, with its step log: the compiled counterpart of `simulator.engine.reference`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.logged_step import LoggedStep
from simulator.engine.schedule_trace import ScheduleTrace, TraceEvent, TraceRequest, TraceStep
from simulator.engine.state import LOG_PREEMPTED, LOG_STEP
from simulator.engine.verify import ModeMissing
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import RECORD
from simulator.perf.steptime import StepTime, constant_step_time
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, RoutingSpec
from simulator.workload.requests import ClosedLoop, Requests, make_requests


@dataclass(frozen=True, slots=True)
class RequestList:
    """A `RequestSource` over requests in memory."""

    requests: Requests
    class_names: tuple[str, ...] = ("all",)
    closed_loops: tuple[ClosedLoop, ...] = ()

    def chunks(self) -> Iterator[Requests]:
        yield self.requests


@dataclass(frozen=True, slots=True)
class SingleRun:
    """Records of ended requests (dtype RECORD, in order of their end) and the step log, empty without logging."""

    records: NDArray[Any]
    steps: tuple[LoggedStep, ...]


def run_single(
    config: EngineConfig,
    step_time: StepTime,
    requests: Requests,
    *,
    log: bool = False,
    timeouts_s: Sequence[float] = (),
    verdicts: NDArray[np.int8] | None = None,
) -> SingleRun:
    """Serve `requests` on one replica until all have ended.

    Parameters
    ----------
    timeouts_s : of classes, see `ClassSpec`; those beyond have none
    verdicts : whether a draft is right, by number of the request and output token; None draws it
    """
    pool = PoolSpec("replica", "", 1, 1, config, step_time, np.zeros(config.max_num_seqs + 1))
    n_classes = int(requests.class_id.max(initial=0)) + 1
    padded = (*timeouts_s, *(0.0,) * (n_classes - len(timeouts_s)))
    classes = tuple(ClassSpec(str(k), (True,), timeout_s) for k, timeout_s in enumerate(padded))
    spec = FleetSpec("single", (pool,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), classes)
    return run_replicas(spec, requests, log=log, verdicts=verdicts)


def run_replicas(
    spec: FleetSpec, requests: Requests, *, log: bool = False, verdicts: NDArray[np.int8] | None = None
) -> SingleRun:
    """Serve `requests` on a fleet of one replica a pool until all have ended; `verdicts` as in `run_single`."""
    records: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    rows: list[NDArray[np.int64]] = []
    source, ones = RequestList(requests), (1,) * len(spec.pools)
    plane = DataPlane(spec, source, ones, 0, records.append, rows.append if log else None)
    if verdicts is not None:
        plane.engines = plane.engines._replace(verdicts=verdicts)
    for r in range(len(spec.pools)):
        plane.activate(r, 0.0)
    plane.advance(np.inf)
    plane.close(np.inf)
    return SingleRun(np.concatenate(records), tuple(_steps(np.concatenate(rows))) if rows else ())


def _steps(log: NDArray[np.int64]) -> Iterator[LoggedStep]:
    """Steps of the log that scheduled or preempted something."""
    heads = np.flatnonzero(log[:, 0] == LOG_STEP)
    ends = [*heads[1:].tolist(), len(log)]
    preempted = tuple(row[1] for row in log[: heads[0]].tolist()) if len(heads) else ()
    for head, end in zip(heads.tolist(), ends, strict=True):
        body = log[head + 1 : end].tolist()
        scheduled = tuple((row[1], row[2], row[3]) for row in body if row[0] != LOG_PREEMPTED)
        if scheduled or preempted:
            start_s = float(log[head, 2].view(np.float64))
            yield LoggedStep(start_s, scheduled, preempted, int(log[head, 3]), replica=int(log[head, 1]))
        preempted = tuple(row[1] for row in body if row[0] == LOG_PREEMPTED)


def replay_kernel(trace: ScheduleTrace) -> list[list[TraceStep]]:
    """Replay a recording with the compiled scheduler: iteration k of the engine is made at second k.

    A step takes one second; with plans in flight it takes no time, but each plan comes a second after the one before. A
    client that leaves has a class of its own, whose timeout it is.

    Raises
    ------
    ModeMissing : the recording is in a mode that the compiled engine does not have
    """
    missing = trace.modes_in_use()
    if missing:
        raise ModeMissing(", ".join(missing))
    scheduled = trace.config.modes.max_num_scheduled_tokens
    config = replace(trace.config, max_num_batched_tokens=scheduled) if scheduled else trace.config
    return [_replayed_steps(config, trace.requests, trace.events)]


def _replayed_steps(
    config: EngineConfig, requests: Sequence[TraceRequest], events: Sequence[TraceEvent]
) -> list[TraceStep]:
    leave_s = {number: event.step + 0.5 * event.during for event in reversed(events) for number in event.abort}
    contents: dict[tuple[int, str | None, int | None], int] = {}
    ordered = sorted(requests, key=lambda request: (request.arrival_step, request.id))
    leaving = [request for request in ordered if leave_s.get(request.id, 0.0) > request.arrival_step]
    classes = {request.id: k for k, request in enumerate(leaving, 1)}
    timeouts_s = [0.0, *(leave_s[request.id] - request.arrival_step for request in leaving)]
    columns = {
        "class_id": np.array([classes.get(request.id, 0) for request in ordered]),
        "priority": np.array([request.priority for request in ordered]),
        "stops": np.array([0 < request.stop_after < request.osl for request in ordered]),
        "segment_start": np.cumsum([0, *(len(request.prompt) for request in ordered)]),
        "segment_id": np.array(
            [
                contents.setdefault((segment, request.salt, request.lora), len(contents))
                for request in ordered
                for segment, _ in request.prompt
            ]
        ),
        "segment_tokens": np.array([tokens for request in ordered for _, tokens in request.prompt]),
    }
    workload = make_requests(
        np.array([float(request.arrival_step) for request in ordered]),
        np.array([request.isl for request in ordered]),
        np.array([min(request.osl, request.stop_after or request.osl) for request in ordered]),
        **columns,
    )
    in_flight = config.modes.flight is not None
    step_time = constant_step_time(0.0 if in_flight else 1.0, config.max_num_batched_tokens, config.max_num_seqs)
    ids = [request.id for request in ordered]
    run = run_single(
        config,
        replace(step_time, plan_s=1.0),
        workload,
        log=True,
        timeouts_s=timeouts_s,
        verdicts=_verdicts([request.accept for request in ordered]) if config.num_speculative_tokens else None,
    )
    return [
        TraceStep(
            round(step.start_s),
            tuple((ids[number], tokens, before) for number, tokens, before in step.scheduled),
            tuple(ids[number] for number in step.preempted),
            step.free_blocks,
        )
        for step in run.steps
    ]


def _verdicts(recorded: Sequence[str]) -> NDArray[np.int8]:
    """Recorded strings of 0 and 1, a row each; what none tells is wrong."""
    rows = np.zeros((len(recorded), max(map(len, recorded), default=0)), np.int8)
    for row, bits in zip(rows, recorded, strict=True):
        row[: len(bits)] = np.frombuffer(bits.encode(), np.int8) - ord("0")
    return rows
