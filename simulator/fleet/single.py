"""One replica on its own, with its step log: the compiled counterpart of `simulator.engine.reference`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.logged_step import LoggedStep
from simulator.engine.state import LOG_COPY, LOG_LOAD, LOG_PREEMPTED, LOG_SCHEDULED, LOG_STEP
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import RECORD
from simulator.perf.steptime import StepTime
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, RoutingSpec
from simulator.workload.requests import ClosedLoop, Requests, make_requests

_APART_S = 1e6
"""Time between requests that have a replica to themselves, longer than any of them takes."""


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
    """Records of ended requests (dtype RECORD, in order of their end) and the step log, empty without logging.

    Attributes
    ----------
    preemptions : s of each cache reset and preemptions until then, last of all; the log has no line of a reset's own
    """

    records: NDArray[Any]
    steps: tuple[LoggedStep, ...]
    preemptions: tuple[tuple[float, int], ...] = ()


def run_apart(
    config: EngineConfig, step_time: StepTime, isl: NDArray[np.integer], osl: NDArray[np.integer]
) -> NDArray[np.void]:
    """Records of requests, in their order, that each have a replica to themselves, its cache as others left it."""
    apart = make_requests(np.arange(len(isl), dtype=np.float64) * _APART_S, isl, osl)
    return np.sort(run_single(config, step_time, apart).records, order="request")


def run_single(
    config: EngineConfig,
    step_time: StepTime,
    requests: Requests,
    *,
    log: bool = False,
    timeouts_s: Sequence[float] = (),
    verdicts: NDArray[np.int8] | None = None,
    drafted: NDArray[np.int8] | None = None,
    replicas: int = 1,
) -> SingleRun:
    """Serve `requests` on one replica until all have ended.

    Parameters
    ----------
    timeouts_s : of classes, see `ClassSpec`; those beyond have none
    verdicts : whether a draft is right, by number of the request and output token; None draws it
    drafted : drafts made, by number of the request and output tokens so far; -1, or None, is all that are asked for
    replicas : alike, each request sent to the one with the fewest outstanding
    """
    pool = PoolSpec("replica", "", 1, replicas, config, step_time, np.zeros(config.max_num_seqs + 1))
    n_classes = int(requests.class_id.max(initial=0)) + 1
    padded = (*timeouts_s, *(0.0,) * (n_classes - len(timeouts_s)))
    classes = tuple(ClassSpec(str(k), (True,), timeout_s) for k, timeout_s in enumerate(padded))
    spec = FleetSpec("single", (pool,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), classes)
    return run_replicas(spec, requests, log=log, verdicts=verdicts, drafted=drafted)


def run_again(
    pool: PoolSpec,
    classes: Sequence[ClassSpec],
    requests: Requests,
    luck: NDArray[np.int64],
    until_s: float,
) -> SingleRun:
    """What one replica of a pool was sent, served again with its step log: by a replica that is there from the start.

    Parameters
    ----------
    classes : of the fleet
    luck : of each request in the run that it is of
    until_s : after which caches are not reset any more
    """
    alone = replace(pool, replicas=1, max_waiting_per_replica=0, autoscaler=None, schedule=None, hands_to=None)
    here = tuple(replace(cls, allowed=(True,)) for cls in classes)
    spec = FleetSpec("single", (alone,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), here)
    records: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    rows: list[NDArray[np.int64]] = [np.zeros((0, 4), np.int64)]
    source = RequestList(requests, tuple(cls.name for cls in classes))
    plane = DataPlane(spec, source, (1,), 0, records.append, rows.append, luck=luck)
    plane.activate(0, 0.0)
    resets, number = pool.cache_resets, 1
    preemptions: list[tuple[float, int]] = []
    while resets and number * resets.every_s <= until_s:
        plane.advance(number * resets.every_s)
        preemptions.append((number * resets.every_s, int(plane.engines.replicas[0]["preemptions"])))
        plane.reset_cache(0, number * resets.every_s, resets.running, resets.elsewhere)
        number += 1
    plane.advance(np.inf)
    preemptions.append((np.inf, int(plane.engines.replicas[0]["preemptions"])))
    plane.close(np.inf)
    return SingleRun(np.concatenate(records), tuple(steps_of(np.concatenate(rows))), tuple(preemptions))


def run_replicas(
    spec: FleetSpec,
    requests: Requests,
    *,
    log: bool = False,
    verdicts: NDArray[np.int8] | None = None,
    drafted: NDArray[np.int8] | None = None,
) -> SingleRun:
    """Serve `requests` on the fleet's replicas until all have ended; the rest as in `run_single`."""
    records: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    rows: list[NDArray[np.int64]] = []
    source, most = RequestList(requests), tuple(pool.replicas for pool in spec.pools)
    plane = DataPlane(spec, source, most, 0, records.append, rows.append if log else None)
    if verdicts is not None:
        plane.engines = plane.engines._replace(verdicts=verdicts)
    if drafted is not None:
        plane.engines = plane.engines._replace(drafted=drafted)
    for r in range(sum(most)):
        plane.activate(r, 0.0)
    plane.advance(np.inf)
    plane.close(np.inf)
    return SingleRun(np.concatenate(records), tuple(steps_of(np.concatenate(rows))) if rows else ())


def steps_of(log: NDArray[np.int64], empty: bool = False) -> Iterator[LoggedStep]:
    """Steps of the log that scheduled, preempted or loaded something; with `empty` all of them."""
    heads = np.flatnonzero(log[:, 0] == LOG_STEP)
    if not len(heads):
        return
    before = log[: heads[0]].tolist()
    for head, end in pairwise([*heads.tolist(), len(log)]):
        body = log[head + 1 : end].tolist()
        scheduled = tuple((row[1], row[2], row[3]) for row in body if row[0] == LOG_SCHEDULED)
        preempted = tuple(row[1] for row in before if row[0] == LOG_PREEMPTED)
        loads = tuple((row[1], row[2]) for row in before if row[0] == LOG_LOAD)
        copies = tuple((row[1], row[2], row[3]) for row in before if row[0] == LOG_COPY)
        if scheduled or preempted or loads or empty:
            start_s = float(log[head, 2].view(np.float64))
            replica, free = int(log[head, 1]), int(log[head, 3])
            yield LoggedStep(start_s, scheduled, preempted, free, replica=replica, loads=loads, copies=copies)
        before = [row for row in body if row[0] != LOG_SCHEDULED]
