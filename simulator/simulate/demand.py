"""What is asked of every fleet of a comparison: requests, service levels and the span, without a price."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.resolve.demand import jobs_per_month, workload_spec
from simulator.resolve.horizon import run_when
from simulator.rng import stream_seed
from simulator.scenario.load import LoadedScenario
from simulator.schema.workload import Job, RequestClass
from simulator.study.demand import MONDAY, WHOLE_MONTH, Period, When
from simulator.workload.arrivals import gap_cv, schedule_rate
from simulator.workload.jobs import NEVER, JobWorkload
from simulator.workload.requests import ClosedLoop, Requests, RequestSource
from simulator.workload.source import build_source
from simulator.workload.spec import Schedule, WorkloadSpec
from simulator.workload.windows import from_second

_KEPT_REQUESTS = 1_000_000
"""Rows of all replications together up to which requests are drawn once and kept."""


@dataclass(frozen=True)
class Demand:
    """The same for every topology: only the number of the replication changes what arrives.

    Attributes
    ----------
    classes : service levels by class, in the order of the workload's classes
    workload : what the requests are drawn from
    horizon_s, warmup_s, drain_s : arrivals end at the horizon, count from the warm-up on, and may end in the drain
    seed : of the study
    replications : how many are judged together
    sample_s : seconds between samples of the fleet; None for the usual number of samples
    start_s : second of the workload that is second 0 here
    when : second 0 is
    part : of a month that it is; each meets faults of its own
    jobs_per_month : where it is one finite job and nothing else: how often it is done in a month; 0 where it is not
    elsewhere : classes that come in other hours of the month alone
    """

    classes: tuple[ClassSlo, ...]
    workload: WorkloadSpec
    horizon_s: float
    warmup_s: float
    drain_s: float
    seed: int
    replications: int
    sample_s: float | None = None
    start_s: float = 0.0
    when: When = MONDAY
    jobs_per_month: float = 0.0
    part: int = 0
    elsewhere: frozenset[int] = frozenset()
    _drawn: dict[int, RequestSource] = field(default_factory=dict, repr=False, compare=False)

    @property
    def last_job_s(self) -> float | None:
        """When the last of it comes, where all of it is jobs; else None."""
        jobs = [cls.start_s for cls in self.workload.classes if isinstance(cls, JobWorkload)]
        return max(jobs) if len(jobs) == len(self.classes) else None

    @property
    def absent(self) -> frozenset[int]:
        """Classes of which nobody comes, as under a load of 0 or in hours without any by their schedule."""
        classes = enumerate(self.workload.classes)
        never = (k for k, cls in classes if cls.arrivals == NEVER and not isinstance(cls, JobWorkload))
        return self.elsewhere.union(never)

    @property
    def empty(self) -> frozenset[int]:
        """Classes whose schedule has a rate of 0 from the warm-up to the horizon."""
        begin_s, end_s = self.start_s + self.warmup_s, self.start_s + self.horizon_s
        return frozenset(
            k
            for k, cls in enumerate(self.workload.classes)
            if isinstance(cls.arrivals, Schedule) and not isinstance(cls, JobWorkload)
            if not schedule_rate(cls.arrivals, end_s).any_from(begin_s)
        )

    @property
    def gap_cvs(self) -> tuple[float | None, ...]:
        """By class, as `gap_cv` has it."""
        classes = self.workload.classes
        return tuple(None if isinstance(cls, JobWorkload) else gap_cv(cls.arrivals) for cls in classes)

    def replication_seed(self, number: int) -> int:
        """Seed of all that is random in replication `number`."""
        return stream_seed(self.seed, "replication", number)

    def source(self, number: int) -> RequestSource:
        """Requests of replication `number`, drawn once where they are few enough to keep.

        Raises
        ------
        InputError : a broken file of the workload
        """
        if number not in self._drawn:
            source = build_source(self.workload, self.start_s + self.horizon_s, self.replication_seed(number))
            source = from_second(source, self.start_s)
            self._drawn[number] = _Kept.of(source, _KEPT_REQUESTS // self.replications)
        return self._drawn[number]

    @property
    def requests(self) -> int:
        """Most requests that can count, of all classes and replications; of users who wait none are counted."""
        return sum(most or 0 for most in self.most_requests)

    @cached_property
    def most_requests(self) -> tuple[int | None, ...]:
        """By class the most requests that can count, over all replications; None for a class of users who wait.

        A follow-up turn can arrive as soon as the turns before it took no time at all.
        """
        totals = np.zeros(len(self.classes), np.int64)
        waiting: set[int] = set()
        for number in range(self.replications):
            source = self.source(number)
            waiting.update(int(loop.rows.class_id[0]) for loop in source.closed_loops)
            for chunk in source.chunks():
                arrival_s = _earliest_s(chunk)
                counts = (arrival_s < self.horizon_s) & ((arrival_s >= self.warmup_s) | np.isnan(chunk.arrival_s))
                totals += np.bincount(chunk.class_id[counts], minlength=len(totals))
        return tuple(None if k in waiting else int(n) for k, n in enumerate(totals))


@dataclass(frozen=True)
class PeriodDemand:
    """What one period of a study asks; its hours are those of the study's mean month."""

    period: Period
    demand: Demand


def whole_month(demand: Demand) -> tuple[PeriodDemand, ...]:
    """The demand as the one period of every month."""
    return (PeriodDemand(WHOLE_MONTH, demand),)


def _earliest_s(chunk: Requests) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """When each row arrives if every turn is answered at once."""
    arrival_s = chunk.arrival_s.copy()
    turns = np.arange(chunk.n_open)
    while len(turns := turns[chunk.next_turn[turns] >= 0]):
        following = chunk.next_turn[turns]
        arrival_s[following] = arrival_s[turns] + chunk.think_s[following]
        turns = following
    return arrival_s


@dataclass(frozen=True, slots=True)
class _Kept:
    """A source whose chunks are kept in memory."""

    class_names: tuple[str, ...]
    closed_loops: tuple[ClosedLoop, ...]
    drawn: tuple[Requests, ...]

    @classmethod
    def of(cls, source: RequestSource, most: int) -> RequestSource:
        """The source itself where it has more rows than `most`."""
        drawn: list[Requests] = []
        for chunk in source.chunks():
            drawn.append(chunk)
            most -= len(chunk)
            if most < 0:
                return source
        return cls(source.class_names, source.closed_loops, tuple(drawn))

    def chunks(self) -> Iterator[Requests]:
        return iter(self.drawn)


def demand_of(loaded: LoadedScenario) -> Demand:
    """The demand of a scenario."""
    scenario = loaded.scenario
    run = scenario.run
    return Demand(
        class_slos(loaded),
        workload_spec(scenario, loaded.path.parent),
        run.horizon_s,
        run.warmup_s,
        run.drain_s,
        run.seed,
        run.replications,
        run.sample_s,
        when=run_when(scenario),
        jobs_per_month=jobs_per_month(scenario),
    )


def class_slos(loaded: LoadedScenario) -> tuple[ClassSlo, ...]:
    """SLOs of the scenario's classes."""
    classes, run = loaded.scenario.workload.classes, loaded.scenario.run
    is_job = all(isinstance(cls.arrivals, Job) for cls in classes)
    end_s = math.inf if is_job else run.horizon_s + run.drain_s
    return tuple(
        ClassSlo(
            cls.name,
            tuple(_terms(cls, end_s)),
            _served(cls),
            is_open=cls.arrivals.kind not in ("closed_loop", "job"),
            is_batch=cls.service_tier == "batch",
        )
        for cls in classes
    )


def _terms(cls: RequestClass, end_s: float) -> Iterator[SloTerm]:
    for metric in ("ttft_s", "tpot_s", "e2e_s"):
        for name, limit_s in getattr(cls.slo, metric).items():
            yield SloTerm(metric, float(name[1:]) / 100, limit_s)
    if isinstance(cls.arrivals, Job):
        job = cls.arrivals
        yield SloTerm("e2e_s", _served(cls), job.deadline_s, is_deadline=True, until_s=end_s - job.start_s)


def _served(cls: RequestClass) -> float:
    """Share of the requests that must be answered: of a job all, unless it says otherwise."""
    return 1.0 if isinstance(cls.arrivals, Job) and "served" not in cls.slo.model_fields_set else cls.slo.served
