"""Finite jobs: so many requests at once, as the documents of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import InputError, Problem
from simulator.units import HOURS_PER_DAY
from simulator.workload.content import Lengths, class_sharing, fill
from simulator.workload.requests import Remade, Requests, RequestSource
from simulator.workload.rows import cut
from simulator.workload.spec import ClassWorkload, Schedule

BLOCK = 16384
"""Requests that are drawn at a time."""
NEVER = Schedule(rate_rps=1.0, hourly=(0.0,) * HOURS_PER_DAY)
"""Arrivals of a class of which nobody comes by a clock."""


@dataclass(frozen=True, slots=True)
class JobWorkload(ClassWorkload):
    """A class that is a job; its `arrivals` bring nobody else.

    Attributes
    ----------
    requests : how many come; 0 where `tokens` says it
    tokens : prompt and output tokens: requests are drawn until they have so many
    start_s : when they come, all at once
    """

    requests: int = 0
    tokens: int = 0
    start_s: float = 0.0

    def __post_init__(self) -> None:
        ClassWorkload.__post_init__(self)
        if (self.requests > 0) == (self.tokens > 0):
            raise InputError(Problem("is so many requests, or so many tokens", path=f"class {self.name}: job"))


def job_blocks(job: JobWorkload, lengths: Lengths, horizon_s: float, seed: int) -> Iterator[Requests]:
    """Rows of a job in blocks, all at `start_s`; none if that is not before the horizon."""
    if job.start_s >= horizon_s:
        return
    draw, sharing = lengths.drawer(seed), class_sharing(job, None, seed)
    requests, tokens = job.requests, job.tokens
    while requests > 0 or tokens > 0:
        n = min(requests, BLOCK) if requests else BLOCK
        block = fill(np.full(n, job.start_s), draw(n, None, None), sharing)
        if tokens:
            done = np.cumsum(block.isl.astype(np.int64) + block.osl)
            n = min(int(np.searchsorted(done, tokens)) + 1, n)
            tokens = max(tokens - int(done[n - 1]), 0)
            block = cut(block, 0, n)
        requests = max(requests - n, 0)
        yield block


def later(source: RequestSource, by_s: float) -> RequestSource:
    """The source with all requests of its chunks so much later."""

    def chunks() -> Iterator[Requests]:
        return (replace(chunk, arrival_s=chunk.arrival_s + by_s) for chunk in source.chunks())

    return Remade(source.class_names, source.closed_loops, chunks)


def scaled_job(job: JobWorkload, factor: float) -> JobWorkload:
    """The job with so many times the requests or tokens, one at least."""

    def times(count: int) -> int:
        return max(round(count * factor), 1) if count else 0

    return replace(job, requests=times(job.requests), tokens=times(job.tokens))
