"""Finite jobs of a month, one after another."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.simulate.one import Outcome
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR


def hours_of_jobs(outcomes: Sequence[Outcome], jobs: float) -> float:
    """Hours that so many take, the longest of the replications each."""
    return jobs * max(outcome.metrics.end_s for outcome in outcomes) / SECONDS_PER_HOUR


def beyond_month(outcomes: Sequence[Outcome], jobs: float) -> str:
    """That a month's jobs do not fit into it, and how many would; empty where they do."""
    hours = hours_of_jobs(outcomes, jobs)
    if hours <= HOURS_PER_MONTH:
        return ""
    fit = HOURS_PER_MONTH / hours * jobs
    count = f"{fit:,.0f}" if fit >= 10 else f"{fit:.2g}"
    noun = "job takes" if jobs == 1 else "jobs take"
    return f"{jobs:g} {noun} {hours:,.0f} hours, a month has {HOURS_PER_MONTH:g}: about {count} fit (per_month)"
