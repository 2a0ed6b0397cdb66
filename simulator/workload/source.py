"""From a workload's spec to the stream of its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.rng import stream, stream_seed
from simulator.workload.arrivals import Rate, arrival_times, constant_rate, schedule_rate
from simulator.workload.brought import bringer
from simulator.workload.content import Lengths, class_sharing, fill
from simulator.workload.description import Description, read_description
from simulator.workload.each import drawn_each
from simulator.workload.jobs import JobWorkload, job_blocks
from simulator.workload.lengths import length_sampler
from simulator.workload.replay import replay_blocks, trace_rows, trace_span
from simulator.workload.requests import ClosedLoop, Extras, Requests, RequestSource
from simulator.workload.rows import merge, rechunk
from simulator.workload.salts import kept_apart
from simulator.workload.samples import sampled
from simulator.workload.sessions import session_blocks
from simulator.workload.spec import (
    Arrivals,
    ClassWorkload,
    ClosedLoopArrivals,
    Gamma,
    Length,
    Poisson,
    Profile,
    Schedule,
    Sessions,
    Trace,
    Uniform,
    WorkloadSpec,
)

CLOSED_LOOP_ROWS = 16384
"""Rows drawn in advance for the users of a closed loop, who take them in turn."""
_IDS_PER_CLASS = 1 << 48

_Blocks = Callable[[], Iterator[Requests]]


@dataclass(frozen=True, slots=True)
class _Source:
    class_names: tuple[str, ...]
    closed_loops: tuple[ClosedLoop, ...]
    streams: tuple[_Blocks, ...]
    chunk_requests: int

    def chunks(self) -> Iterator[Requests]:
        return rechunk(merge([blocks() for blocks in self.streams]), self.chunk_requests)


def build_source(spec: WorkloadSpec, horizon_s: float, seed: int, chunk_requests: int = 65536) -> RequestSource:
    """Requests of all classes, merged in order of arrival, as a stream whose memory does not grow with their number.

    Files are read and checked here. The requests depend on the spec, the horizon and the seed alone, not on
    `chunk_requests`; a class keeps its requests when another is added behind it or changes, whatever it is called.

    Parameters
    ----------
    horizon_s : no request arrives by the clock at or after this time
    seed : of the run; every class draws from streams of its own, by its place in the list
    chunk_requests : open rows of a chunk; the turns that follow them come on top

    Raises
    ------
    InputError : a horizon or chunk that is not positive, or a broken file
    """
    if not 0 < horizon_s < np.inf:
        raise InputError(Problem("must be a positive number of seconds", path="horizon_s", got=str(horizon_s)))
    if chunk_requests < 1:
        raise InputError(Problem("must be at least 1", path="chunk_requests", got=str(chunk_requests)))
    streams: list[_Blocks] = []
    closed_loops: list[ClosedLoop] = []
    for class_id, workload in enumerate(spec.classes):
        own = stream_seed(seed, "workload", class_id)
        if isinstance(workload.arrivals, ClosedLoopArrivals):
            closed_loops.append(_closed_loop(workload, workload.arrivals, class_id, own))
        else:
            blocks = _class_blocks(workload, spec.classes, horizon_s, own)
            streams.append(partial(_labelled, blocks, workload, class_id, own))
    names = tuple(workload.name for workload in spec.classes)
    return _Source(names, tuple(closed_loops), tuple(streams), chunk_requests)


def _class_blocks(workload: ClassWorkload, classes: Sequence[ClassWorkload], horizon_s: float, seed: int) -> _Blocks:
    arrivals = workload.arrivals
    if isinstance(workload, JobWorkload):
        return partial(job_blocks, workload, _lengths(workload), horizon_s, seed)
    if isinstance(arrivals, Sessions):
        return partial(session_blocks, workload, arrivals, horizon_s, seed)
    if isinstance(arrivals, Trace):
        others = {
            each.name for each in classes if isinstance(each.arrivals, Trace) and each.arrivals.file == arrivals.file
        }
        rows, span = (
            trace_rows(arrivals, workload.name, others, horizon_s),
            trace_span(arrivals, workload.name, horizon_s),
        )
        return partial(replay_blocks, rows, span, workload, arrivals, _lengths(workload), horizon_s, seed)
    description = read_description(arrivals.file) if isinstance(arrivals, Profile) else None
    rate, cv = _rate(arrivals, description, horizon_s)
    return partial(_drawn_blocks, workload, _lengths(workload, description), rate, cv, horizon_s, seed)


def _lengths(workload: ClassWorkload, description: Description | None = None) -> Lengths:
    return Lengths(_sampler(workload.isl), _sampler(workload.osl), description)


def _sampler(length: Length | None) -> Callable[[np.random.Generator, int], NDArray[np.int32]] | None:
    return None if length is None else length_sampler(length)


def _rate(arrivals: Arrivals, description: Description | None, horizon_s: float) -> tuple[Rate, float]:
    """Rate over time, and coefficient of variation of the gaps once it is scaled out."""
    if isinstance(arrivals, Profile) and description is not None:
        return description.rate(arrivals.rate_scale, arrivals.loop), description.burstiness_cv
    if isinstance(arrivals, Schedule):
        return schedule_rate(arrivals, horizon_s), arrivals.cv
    if isinstance(arrivals, Gamma):
        return constant_rate(arrivals.rate_rps), arrivals.cv
    if isinstance(arrivals, Poisson):
        return constant_rate(arrivals.rate_rps), 1.0
    raise TypeError(f"not arrivals with a rate: {type(arrivals).__name__}")


def expected_by_window(arrivals: Arrivals, edges_s: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """How much of a class is to be expected between these times, each by the first; None where rows of a file say it.

    Where no rate follows the time it is as much in each.
    """
    if isinstance(arrivals, Trace):
        return None
    if not isinstance(arrivals, Profile | Schedule):
        return np.ones(len(edges_s) - 1)
    description = read_description(arrivals.file) if isinstance(arrivals, Profile) else None
    rate, _ = _rate(arrivals, description, float(edges_s[-1]))
    return np.diff(rate.expected(edges_s))


def _drawn_blocks(
    workload: ClassWorkload, lengths: Lengths, rate: Rate, cv: float, horizon_s: float, seed: int
) -> Iterator[Requests]:
    draw = lengths.drawer(seed)
    sharing = class_sharing(workload, lengths.description, seed)
    clock = stream(seed, "arrivals")
    for arrival_s in arrival_times(rate, cv, clock, horizon_s):
        yield fill(arrival_s, draw(len(arrival_s), None, None), sharing)


def _closed_loop(workload: ClassWorkload, arrivals: ClosedLoopArrivals, class_id: int, seed: int) -> ClosedLoop:
    draw, sharing = _lengths(workload).drawer(seed), class_sharing(workload, None, seed)
    no_clock = np.full(CLOSED_LOOP_ROWS, np.nan)

    def blocks() -> Iterator[Requests]:
        yield fill(no_clock, draw(CLOSED_LOOP_ROWS, None, None), sharing)

    rows = next(_labelled(blocks, workload, class_id, seed))
    first_s = stream(seed, "arrivals").standard_exponential(arrivals.concurrency)
    later_s = stream(seed, "think_s").standard_exponential(len(rows))
    return ClosedLoop(arrivals.think_s * first_s, replace(rows, think_s=arrivals.think_s * later_s))


def _labelled(blocks: _Blocks, workload: ClassWorkload, class_id: int, seed: int) -> Iterator[Requests]:
    """The class's blocks with its number, priority, complexity, salts, samples and stop tokens; segments and sessions
    become unique over classes."""
    generator, stops, salts = (stream(seed, name) for name in ("complexity", "stop tokens", "cache salts"))
    first_id, before, bring = class_id * _IDS_PER_CLASS, 0, bringer(workload.brought, seed)
    for asked in blocks():
        salt = (drawn_each(asked, salts, seed) * workload.cache_salts).astype(np.int64)
        block = sampled(bring(kept_apart(asked, salt, workload.cache_salts)), workload.n, before)
        n, before = len(block), before + len(asked)
        yield replace(
            block,
            class_id=np.full(n, class_id, np.int32),
            priority=np.full(n, workload.priority, np.int32),
            complexity=_complexity(workload.complexity, generator, n),
            stops=stops.random(n) < workload.stop_token_share,
            session_id=np.where(block.session_id >= 0, block.session_id + first_id, -1),
            segment_id=block.segment_id + first_id,
            extras=_of_class(block.extras, first_id),
        )


def _of_class(extras: Extras | None, first_id: int) -> Extras | None:
    return None if extras is None else replace(extras, picture_content=extras.picture_content + first_id)


def _complexity(spec: float | Uniform, generator: np.random.Generator, n: int) -> NDArray[np.float32]:
    if isinstance(spec, Uniform):
        return generator.uniform(spec.low, spec.high, n).astype(np.float32)
    return np.full(n, spec, np.float32)
