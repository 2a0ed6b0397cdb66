"""A fleet under all replications, given up at the first miss that no later request can make good."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.sketch import rank
from simulator.metrics.slo import late_words
from simulator.simulate.demand import Demand
from simulator.simulate.jobs import beyond_month, hours_of_jobs
from simulator.simulate.key import outcome_key, trial_key
from simulator.simulate.one import Outcome, Subject, simulate_one
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.units import HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class Refutation:
    """Why a fleet does not meet the SLO.

    Attributes
    ----------
    misses, allowed : of the term, over all replications; `misses` up to where the trial ended
    ended : requests of the class that had ended by then, as a share of the most that can count; 1 after a whole trial
    replication, at_s : where the trial ended
    words : where it is no term of requests that is missed
    """

    class_name: str
    term: str
    misses: int
    allowed: int
    ended: float
    replication: int
    at_s: float
    words: str = ""

    def __str__(self) -> str:
        if self.words:
            return self.words
        misses = f"{'at least ' if self.ended < 1.0 else ''}{self.misses:,} request{'' if self.misses == 1 else 's'}"
        allowed = f"{f'{self.allowed:,}' if self.allowed else 'none'} {'are' if self.allowed > 1 else 'is'} allowed"
        return f"{self.class_name}: {self.term} is missed by {misses}, {allowed}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What is known of a fleet: its outcomes so far, and why it is refused, if it is."""

    outcomes: tuple[Outcome, ...]
    refutation: Refutation | None = None


class _Refused(Exception):
    def __init__(self, refutation: Refutation) -> None:
        self.refutation = refutation


class Judge:
    """Counts the misses of one fleet over its replications.

    Of N requests a term that the share q must keep allows N - rank(q, N) misses. N is the most requests that can count
    (`Demand.most_requests`): where fewer come, fewer misses are allowed, so what is refused here is refused by the
    whole run too. A class of users who wait for their answers has no N, and is judged at the end.
    """

    def __init__(self, demand: Demand) -> None:
        self._demand = demand
        self._total: MetricAccumulator | None = None
        self._number = 0

    def watch(self, metrics: MetricAccumulator, at_s: float, classes: Iterable[int] | None = None) -> None:
        """Raise if a term is missed for certain.

        Parameters
        ----------
        classes : those whose requests ended since it was asked last, in order; all of them unless given
        """
        for k in range(len(self._demand.classes)) if classes is None else classes:
            slo, most = self._demand.classes[k], self._demand.most_requests[k]
            if most is None:
                continue
            before = self._total.term_counts_of(k) if self._total else None
            for j, (share, count) in enumerate(zip(slo.shares, metrics.term_counts_of(k), strict=True)):
                kept, of = count.kept, count.of
                if before:
                    kept, of = kept + before[j].kept, of + before[j].of
                allowed = most - rank(share, most)
                if of - kept > allowed:
                    ended = min(of / most, 1.0)
                    raise _Refused(Refutation(slo.name, slo.words[j], of - kept, allowed, ended, self._number, at_s))

    def close(self, outcome: Outcome) -> None:
        """Take in a replication that ran to its end."""
        first = outcome.metrics
        if self._total is None:
            self._total = MetricAccumulator(first.classes, first.warmup_s, first.end_s, first.targets, first.n_pools)
        self._total.merge(first)
        self._number += 1

    def verdict(self, at_s: float) -> Refutation | None:
        """The term that all replications together miss by the most requests, once they have run."""
        assert self._total is not None
        found: list[Refutation] = []
        for slo, counts in zip(self._demand.classes, self._total.term_counts(), strict=True):
            for words, share, count in zip(slo.words, slo.shares, counts, strict=True):
                misses, allowed = count.of - count.kept, count.of - rank(share, count.of)
                if misses > allowed:
                    found.append(Refutation(slo.name, words, misses, allowed, 1.0, self._number - 1, at_s))
        for k, slo in enumerate(self._demand.classes):
            if row := self._total.growing_row(k, (self._total,)):
                told, waiting = f"{slo.name}: {late_words(row)}", row["of"] - round(row["share"] * row["of"])
                found.append(Refutation(slo.name, row["term"], waiting, 0, 1.0, self._number - 1, at_s, told))
        return max(found, key=lambda one: one.misses - one.allowed, default=None)


def try_fleet(
    subject: Subject,
    demand: Demand,
    store: Store | None = None,
    replications: int | None = None,
    progress: Callable[[float], None] | None = None,
    rows: Rows | None = None,
) -> Trial:
    """Simulate a fleet replication by replication until it is refused for certain, or all have run.

    Parameters
    ----------
    store : where replications are looked up and kept, and refusals
    replications : the first so many alone, which leaves the trial open where none of them refuses it; else all
    progress : called with the share of them that is done
    rows : keeps the requests of every replication that is simulated to its end
    """
    store = Store() if store is None else store
    key = trial_key(subject, demand)
    most = min(replications or demand.replications, demand.replications)
    known = store.get(key)
    if isinstance(known, Refutation) and known.replication < most:
        return Trial((), known)
    judge = Judge(demand)
    done: tuple[Outcome, ...] = ()
    for number in range(most):

        def tick(now: float, number: int = number) -> None:
            if progress:
                progress((number + min(now / demand.horizon_s, 1.0)) / most)

        try:
            outcome = _outcome(subject, demand, number, judge, store, rows, tick)
        except _Refused as refused:
            store.put(key, refused.refutation)
            return Trial(done, refused.refutation)
        judge.close(outcome)
        done = (*done, outcome)
    if most < demand.replications:
        return Trial(done)
    refutation = judge.verdict(done[-1].metrics.end_s) or _too_long(done, demand)
    if refutation:
        store.put(key, refutation)
    return Trial(done, refutation)


def _too_long(done: tuple[Outcome, ...], demand: Demand) -> Refutation | None:
    """A month's jobs that do not fit into it."""
    words = beyond_month(done, demand.jobs_per_month)
    if not words:
        return None
    ended = HOURS_PER_MONTH / hours_of_jobs(done, demand.jobs_per_month)
    at_s = done[-1].metrics.end_s
    return Refutation(demand.classes[0].name, "jobs of a month", 0, 0, ended, len(done) - 1, at_s, words)


def _outcome(
    subject: Subject,
    demand: Demand,
    number: int,
    judge: Judge,
    store: Store,
    rows: Rows | None,
    tick: Callable[[float], None],
) -> Outcome:
    """A replication, from the store where that does not refuse the fleet: a refusal always ends where it is certain."""
    key = outcome_key(subject, demand, number)
    known = store.get(key)
    if isinstance(known, Outcome):
        with contextlib.suppress(_Refused):
            judge.watch(known.metrics, known.run.end_s)
            return known
    if rows is None:
        outcome = simulate_one(subject, demand, number, watch=judge.watch, progress=tick)
    else:
        with rows.taking(key) as keep:
            outcome = simulate_one(subject, demand, number, keep=keep, watch=judge.watch, progress=tick)
    store.put(key, outcome)
    return outcome
