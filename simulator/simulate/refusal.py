"""A fleet under all replications, given up at the first miss that no later request can make good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.sketch import rank
from simulator.simulate.demand import Demand
from simulator.simulate.one import Outcome, Subject, simulate_one


@dataclass(frozen=True, slots=True)
class Refutation:
    """Why a fleet does not meet the SLO.

    Attributes
    ----------
    misses, allowed : of the term, over all replications; `misses` up to where the trial ended
    ended : requests of the class that had ended by then, as a share of the most that can count; 1 after a whole trial
    replication, at_s : where the trial ended
    """

    class_name: str
    term: str
    misses: int
    allowed: int
    ended: float
    replication: int
    at_s: float

    def __str__(self) -> str:
        return f"{self.class_name}: {self.term} is missed by {self.misses} requests, {self.allowed} are allowed"


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

    def watch(self, metrics: MetricAccumulator, at_s: float) -> None:
        """Raise if a term is missed for certain."""
        for k, (slo, most) in enumerate(zip(self._demand.classes, self._demand.most_requests, strict=True)):
            if most is None:
                continue
            ended = self._arrived(k) + metrics.by_class[k].arrived
            for j, term in enumerate(slo.terms):
                kept = int(metrics.within[k][j]) + (int(self._total.within[k][j]) if self._total else 0)
                allowed = most - rank(term.quantile, most)
                if ended - kept > allowed:
                    share = min(ended / most, 1.0)
                    raise _Refused(Refutation(slo.name, str(term), ended - kept, allowed, share, self._number, at_s))

    def _arrived(self, k: int) -> int:
        return self._total.by_class[k].arrived if self._total else 0

    def close(self, outcome: Outcome) -> None:
        """Take in a replication that ran to its end."""
        if self._total is None:
            first = outcome.metrics
            self._total = MetricAccumulator(first.classes, first.warmup_s, first.end_s, first.targets)
        self._total.merge(outcome.metrics)
        self._number += 1

    def verdict(self, at_s: float) -> Refutation | None:
        """The term that all replications together miss by the most requests, once they have run."""
        assert self._total is not None
        found: list[Refutation] = []
        for k, slo in enumerate(self._demand.classes):
            arrived = self._arrived(k)
            for j, term in enumerate(slo.terms):
                misses, allowed = arrived - int(self._total.within[k][j]), arrived - rank(term.quantile, arrived)
                if misses > allowed:
                    found.append(Refutation(slo.name, str(term), misses, allowed, 1.0, self._number - 1, at_s))
        return max(found, key=lambda one: one.misses - one.allowed, default=None)


def try_fleet(
    subject: Subject,
    demand: Demand,
    go_on: Callable[[tuple[Outcome, ...]], bool] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trial:
    """Simulate a fleet replication by replication until it is refused for certain, or all have run.

    Parameters
    ----------
    go_on : asked after each replication but the last; False leaves the trial open, without a refutation
    progress : called with the share of the replications that is done
    """
    judge = Judge(demand)
    done: tuple[Outcome, ...] = ()
    for number in range(demand.replications):

        def tick(now: float, number: int = number) -> None:
            if progress:
                progress((number + min(now / demand.horizon_s, 1.0)) / demand.replications)

        try:
            outcome = simulate_one(subject, demand, number, watch=judge.watch, progress=tick)
        except _Refused as refused:
            return Trial(done, refused.refutation)
        judge.close(outcome)
        done = (*done, outcome)
        if go_on and len(done) < demand.replications and not go_on(done):
            return Trial(done)
    return Trial(done, judge.verdict(done[-1].run.end_s))
