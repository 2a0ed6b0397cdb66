"""Every class needs a target that may and can take its requests in some topology, or nothing can be judged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.engine.modes.tables.room import longest_request
from simulator.errors import InputError, Problem
from simulator.resolve.demand import workload_spec
from simulator.resolve.memory import shape_of
from simulator.resolve.trace_units import wrong_unit
from simulator.scenario.load import LoadedScenario
from simulator.study.fleet import ClassSpec, FleetSpec
from simulator.workload.description import read_description
from simulator.workload.jobs import JobWorkload
from simulator.workload.lengths import length_bounds, length_mean
from simulator.workload.replay import trace_rows, trace_span
from simulator.workload.spec import (
    ClassWorkload,
    ClosedLoopArrivals,
    Gamma,
    Poisson,
    Profile,
    Schedule,
    Sessions,
    Trace,
)

_RECORDED_TOKENS = 200.0
"""Output tokens that a recorded request is taken to have, where only their order matters."""
_MOST_ROUNDS = 1e9


def check_admissible(loaded: LoadedScenario, fleet: FleetSpec) -> None:
    """Refuse more requests than are taken as meant, times in another unit, and pictures for a model without an encoder.

    Raises
    ------
    InputError : at the class
    """
    problems = list(_problems(loaded, fleet))
    if problems:
        raise InputError(*problems)


def check_taken(loaded: LoadedScenario, fleets: Sequence[FleetSpec]) -> None:
    """Refuse a study of which every topology has a class that no target may take, or whose requests none can hold.

    Where another topology takes them all, such a one is simulated: it loses them, and misses the SLO for that reason.

    Raises
    ------
    InputError : at the classes: their data classes, or their lengths
    """
    untaken = [list(_untaken(loaded, fleet)) for fleet in fleets]
    if untaken and all(untaken):
        raise InputError(*dict.fromkeys(problem for problems in untaken for problem in problems))


def denied(loaded: LoadedScenario, fleet: FleetSpec) -> str:
    """Classes whose data may go to no target of the topology, whatever its size; empty where there are none."""
    found = [
        f"{cls.name}: {_may_not(fleet)} of its data class ({cls.data_class})"
        for cls, known in zip(loaded.scenario.workload.classes, fleet.classes, strict=True)
        if not _takers(fleet, known)
    ]
    return f"data classes: {'; '.join(found)}" if found else ""


def check_requests(loaded: LoadedScenario) -> None:
    """Refuse more requests than are taken as meant, before anybody counts them.

    Raises
    ------
    InputError : at the arrivals of the class
    """
    specs = workload_spec(loaded.scenario, loaded.path.parent).classes
    problems = [problem for k, spec in enumerate(specs) if (problem := _too_many(loaded, k, spec))]
    if problems:
        raise InputError(*problems)


def _too_many(loaded: LoadedScenario, k: int, spec: ClassWorkload) -> Problem | None:
    count, limit = _requests(spec, loaded.scenario.run.horizon_s), loaded.scenario.run.max_requests
    if count <= limit:
        return None
    told = f"{count:.3g} requests come in a replication, more than run.max_requests ({limit:,}): set that higher"
    return _at(loaded, f"workload.classes[{k}].arrivals", f"{told} if so many are meant", None)


def _problems(loaded: LoadedScenario, fleet: FleetSpec) -> Iterator[Problem]:
    classes = loaded.scenario.workload.classes
    specs = workload_spec(loaded.scenario, loaded.path.parent).classes
    for k, (cls, spec, known) in enumerate(zip(classes, specs, fleet.classes, strict=True)):
        path = f"workload.classes[{k}]"
        too_many = _too_many(loaded, k, spec)
        if too_many:
            yield too_many
            continue
        if doubt := wrong_unit(spec, loaded.scenario.run.horizon_s):
            yield _at(loaded, f"{path}.arrivals.time_unit", doubt, None)
            continue
        blind = cls.images and _without_encoder(loaded, fleet, known.allowed)
        if blind:
            told = (
                f"{blind} has no encoder, and vLLM refuses requests with pictures: leave images out, or take a model "
                "with one, as ministral-3-8b or gemma-3-12b"
            )
            yield _at(loaded, f"{path}.images", told, None)


def _untaken(loaded: LoadedScenario, fleet: FleetSpec) -> Iterator[Problem]:
    """What keeps all targets of a topology from taking requests of a class."""
    specs = workload_spec(loaded.scenario, loaded.path.parent).classes
    for k, (cls, spec, known) in enumerate(zip(loaded.scenario.workload.classes, specs, fleet.classes, strict=True)):
        path, takers = f"workload.classes[{k}]", _takers(fleet, known)
        if not takers:
            yield _at(loaded, f"{path}.data_class", f"{_may_not(fleet)} of this data class", cls.data_class)
            continue
        least = _least_tokens(spec, loaded.scenario.run.horizon_s)
        most = max(most_tokens(fleet, target) for target in takers)
        if least > most:
            told = (
                f"the shortest request has {least:,} tokens, and no target of topology {fleet.name} that may take it "
                f"holds more than {most:,.0f}"
            )
            yield _at(loaded, f"{path}.lengths" if cls.lengths else f"{path}.arrivals", told, None)


def _may_not(fleet: FleetSpec) -> str:
    names = [pool.name for pool in fleet.pools] + [provider.name for provider in fleet.providers]
    return f"no target of topology {fleet.name} ({', '.join(names)}) may take requests"


def _takers(fleet: FleetSpec, known: ClassSpec) -> list[int]:
    return [target for target in _beginnings(fleet) if _may(fleet, known.allowed, target)]


def _without_encoder(loaded: LoadedScenario, fleet: FleetSpec, allowed: Sequence[bool]) -> str | None:
    """The model of the first pool that may take the requests and encodes nothing."""
    pools = loaded.scenario.topologies[fleet.name].pools
    models = [pool.model or loaded.scenario.model for pool, may in zip(pools, allowed, strict=False) if may]
    return next((name for name in models if not shape_of(name, loaded.path.parent).towers), None)


def _at(loaded: LoadedScenario, path: str, message: str, got: str | None) -> Problem:
    file, line, column = loaded.place(path)
    return Problem(message, path=path, file=file, line=line, column=column, got=got)


def _beginnings(fleet: FleetSpec) -> list[int]:
    """Targets at which a request can begin: all but pools that only take over."""
    later = {pool.hands_to for pool in fleet.pools}
    return [k for k in range(len(fleet.pools) + len(fleet.providers)) if k not in later]


def _may(fleet: FleetSpec, allowed: Sequence[bool], target: int) -> bool:
    then = fleet.pools[target].hands_to if target < len(fleet.pools) else None
    return allowed[target] and (then is None or allowed[then])


def most_tokens(fleet: FleetSpec, target: int) -> float:
    """Prompt and answer that the target holds at most."""
    if target >= len(fleet.pools):
        return fleet.providers[target - len(fleet.pools)].max_context_tokens or float("inf")
    pool = fleet.pools[target]
    engine = (pool if pool.hands_to is None else fleet.pools[pool.hands_to]).engine
    return longest_request(engine)


def expected_requests(spec: ClassWorkload, horizon_s: float) -> float:
    """Requests of a class that come in a replication, about; users in a closed loop send one a second at most."""
    if isinstance(spec.arrivals, ClosedLoopArrivals):
        return spec.arrivals.concurrency * horizon_s / (1.0 + spec.arrivals.think_s)
    return _requests(spec, horizon_s)


def mean_output_tokens(spec: ClassWorkload) -> float:
    """Output tokens of a request of a class in the mean; those of recorded traffic about."""
    return _RECORDED_TOKENS if spec.osl is None else float(length_mean(spec.osl))


def _scheduled(arrivals: Schedule, horizon_s: float) -> float:
    """Requests of a schedule: its mean rate over the week, and what its spikes do to it."""
    mean_rps = arrivals.rate_rps
    for factors in (arrivals.hourly, arrivals.weekly):
        mean_rps *= sum(factors) / len(factors) if factors else 1.0
    ends = {end for spike in arrivals.spikes for end in (spike.start_s, spike.start_s + spike.duration_s)}
    edges = sorted({0.0, horizon_s, *(end for end in ends if 0 < end < horizon_s)})
    count = 0.0
    for start_s, end_s in pairwise(edges):
        on = [spike.factor for spike in arrivals.spikes if spike.start_s <= start_s < spike.start_s + spike.duration_s]
        count += mean_rps * math.prod(on) * (end_s - start_s)
    return count


def _replayed(trace: Trace, name: str, horizon_s: float) -> float:
    rows = trace_rows(trace, name, horizon_s=horizon_s)
    span_s = trace_span(trace, name, horizon_s).last_s / trace.rate_scale
    rounds = max(horizon_s / max(span_s, horizon_s / _MOST_ROUNDS), 1.0) if trace.loop else 1.0
    return len(rows) * trace.row_factor * rounds


def _requests(spec: ClassWorkload, horizon_s: float) -> float:
    """Requests that come in a replication, about; of users in a closed loop their number, as each waits for answers."""
    if isinstance(spec, JobWorkload):
        return spec.requests or spec.tokens / _least_tokens(spec)
    match spec.arrivals:
        case Poisson() | Gamma() | Sessions() as timed:
            return timed.rate_rps * horizon_s * spec.n
        case Schedule() as schedule:
            return _scheduled(schedule, horizon_s) * spec.n
        case ClosedLoopArrivals() as users:
            return users.concurrency
        case Profile() as profile:
            traffic = read_description(profile.file)
            rounds = horizon_s / traffic.duration_s
            rounds = rounds if profile.loop else min(rounds, 1.0)
            return float(traffic.counts.sum()) * profile.rate_scale * rounds * spec.n
        case Trace() as trace:
            return _replayed(trace, spec.name, horizon_s) * spec.n


def _least_tokens(spec: ClassWorkload, horizon_s: float = math.inf) -> int:
    """Prompt and answer of the shortest request that the class can have; what it says itself replaces the recorded."""
    arrivals = spec.arrivals
    given = tuple(None if length is None else length_bounds(length)[0] for length in (spec.isl, spec.osl))
    if isinstance(arrivals, Trace | Profile):
        stat = Path(arrivals.file).stat()
        return _least_recorded(arrivals, spec.name, horizon_s, *given, stat.st_mtime_ns, stat.st_size)
    user = arrivals.user_tokens if isinstance(arrivals, Sessions) and arrivals.user_tokens is not None else spec.isl
    system = arrivals.system_tokens if isinstance(arrivals, Sessions) else 0
    return system + sum(length_bounds(length)[0] for length in (user, spec.osl) if length is not None)


@lru_cache(maxsize=64)
def _least_recorded(
    arrivals: Trace | Profile, name: str, horizon_s: float, isl: int | None, osl: int | None, *_version: int
) -> int:
    """The same of recorded traffic: rows of a trace before the horizon, or cells of a description, each at its least.

    Raises
    ------
    InputError : a broken file
    """
    recorded: list[NDArray[np.integer]]
    if isinstance(arrivals, Trace):
        rows = trace_rows(arrivals, name, horizon_s=horizon_s)
        recorded = [rows.isl, rows.osl]
    else:
        cells = read_description(arrivals.file).lengths
        recorded = [cells.x_edges[cells.x_cell], cells.y_edges[cells.y_cell]]
    if not len(recorded[0]):
        return 0
    prompts, answers = (row if length is None else length for row, length in zip(recorded, (isl, osl), strict=True))
    return int(np.min(np.add(prompts, answers, dtype=np.int64)))
