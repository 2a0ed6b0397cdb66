"""Checks of finite jobs: what they are made of, and what cannot be beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.schema.scenario import Scenario
from simulator.schema.workload import Job

Found = tuple[str, str, Any]


def job_problems(scenario: Scenario) -> Iterator[Found]:
    """Jobs without a size, deadlines beyond the simulated time, what goes on for ever beside a job."""
    classes, run = scenario.workload.classes, scenario.run
    jobs = [(f"workload.classes[{k}]", cls) for k, cls in enumerate(classes) if isinstance(cls.arrivals, Job)]
    for path, cls in jobs:
        job = cls.arrivals
        assert isinstance(job, Job)
        if (job.requests is None) == (job.tokens is None):
            yield f"{path}.arrivals", "give the requests of the job, or its tokens", None
        if job.start_s + job.deadline_s > run.horizon_s:
            words = f"the job is due after {job.start_s + job.deadline_s:g} s, beyond run.horizon_s ({run.horizon_s:g})"
            yield f"{path}.arrivals.deadline_s", f"{words}: simulate at least as long", job.deadline_s
        if job.start_s < run.warmup_s:
            words = f"the job would come in the warm-up (run.warmup_s is {run.warmup_s:g}), which does not count"
            yield f"{path}.arrivals.start_s", words, job.start_s
        if cls.timeout_s:
            yield f"{path}.timeout_s", "the requests of a job wait for their turn: drop the timeout", cls.timeout_s
    if not jobs:
        return
    waiting = [f"workload.classes[{k}]" for k, cls in enumerate(classes) if cls.arrivals.kind == "closed_loop"]
    for path in waiting:
        yield f"{path}.arrivals", "users of a closed loop take all that is left, so no job beside them has an end", None
    yield from _alone_problems(scenario) if len(jobs) == len(classes) else _beside_problems(scenario, jobs)


def _alone_problems(scenario: Scenario) -> Iterator[Found]:
    """Of a scenario that is a job and nothing else."""
    jobs = [cls.arrivals for cls in scenario.workload.classes if isinstance(cls.arrivals, Job)]
    for k, job in enumerate(jobs):
        if job.start_s:
            yield (
                f"workload.classes[{k}].arrivals.start_s",
                "nobody waits for a fleet before it: drop it",
                job.start_s,
            )
        if job.per_month != jobs[0].per_month:
            words = f"the classes of one job are done equally often: the first {jobs[0].per_month:g} times"
            yield f"workload.classes[{k}].arrivals.per_month", words, job.per_month
    if scenario.study.periods:
        yield "study.periods", "a job has a time of its own: periods of a month are for classes that go on", None
    if scenario.study.cut is not None:
        yield "study.cut", "a job has a time of its own: windows are for classes that go on", None


def _beside_problems(scenario: Scenario, jobs: list[tuple[str, Any]]) -> Iterator[Found]:
    if scenario.study.cut is not None:
        yield "study.cut", "a job may reach over the end of a window: give periods, or the workload as it is", None
    for path, cls in jobs:
        if "per_month" in cls.arrivals.model_fields_set:
            words = "beside other classes a job comes once in each simulated time (run.horizon_s): drop it"
            yield f"{path}.arrivals.per_month", words, cls.arrivals.per_month
