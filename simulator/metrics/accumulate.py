"""Turns the stream of ended requests into metrics, in memory that does not grow with their number."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.fleet.records import Status
from simulator.metrics.course import Course, LaterWindows
from simulator.metrics.queues import Queues, hot_words, steady_replicas
from simulator.metrics.rates import Throughput, token_rates
from simulator.metrics.sketch import Sketch
from simulator.metrics.slo import (
    GROWING_LATER,
    METRICS,
    ClassSlo,
    TermCount,
    binding_term,
    growing_row,
    latencies,
    slo_met,
    term_rows,
    within,
)
from simulator.metrics.tally import BY_TARGET, SHARES, Tally
from simulator.study.usage import Usage


class MetricAccumulator:
    """Metrics of one simulation.

    Parameters
    ----------
    classes : SLOs in the order of `class_id`
    warmup_s, end_s : requests that arrive in [warmup_s, end_s), the window, count; rates are per second of it
    targets : names in the order of `target`, to count by target as well
    n_pools : how many of them are pools, which come first

    Attributes
    ----------
    processed, delivered : shape (targets, 3) and (targets, 2); tokens of the ledger of the window, as `Usage` has them
    queues : of the replicas, of each simulation that was merged
    later : of a fleet whose batches the window does not fill, what further ones show; None where none was needed
    seen, last_request, request_sum : number of all records, the largest request number and the sum of the numbers,
        warm-up included
    """

    def __init__(
        self,
        classes: Sequence[ClassSlo],
        warmup_s: float,
        end_s: float,
        targets: Sequence[str] = (),
        n_pools: int | None = None,
    ) -> None:
        self.classes, self.targets = tuple(classes), tuple(targets)
        self.n_pools = len(self.targets) if n_pools is None else n_pools
        self.processed = np.zeros((len(self.targets), 3), np.int64)
        self.delivered = np.zeros((len(self.targets), 2), np.int64)
        self.warmup_s, self.end_s = warmup_s, end_s
        self.total = self._tally()
        self.by_class = [self._tally() for _ in classes]
        self.within = [np.zeros(len(slo.terms), np.int64) for slo in classes]
        self.courses = [Course(warmup_s, end_s) for _ in classes]
        self.queues = [Queues()]
        self.later: LaterWindows | None = None
        self._beside_apis = Sketch()
        self.seen = 0
        self.last_request = -1
        self.request_sum = 0

    @classmethod
    def of(cls, found: Sequence[MetricAccumulator]) -> MetricAccumulator:
        """Metrics of several replications together; those that are given stay as they are."""
        first = found[0]
        whole = cls(first.classes, first.warmup_s, first.end_s, first.targets, first.n_pools)
        whole.queues.clear()
        for one in found:
            whole.merge(one)
        return whole

    @property
    def _is_mixed(self) -> bool:
        return 0 < self.n_pools < len(self.targets)

    @property
    def pools_e2e(self) -> Sketch:
        """Seconds end to end of the requests that pools answered: of all, where no token API answers beside them."""
        return self._beside_apis if self._is_mixed else self.total.sketches["e2e_s"]

    @property
    def felt(self) -> dict[str, Sketch]:
        """Latencies of the requests that somebody waits for."""
        if not self.unfelt:
            return self.total.sketches
        found = {name: Sketch() for name in METRICS}
        for slo, tally in zip(self.classes, self.by_class, strict=True):
            for name, sketch in found.items() if slo.name not in self.unfelt else ():
                sketch.merge(tally.sketches[name])
        return found

    @property
    def unfelt(self) -> list[str]:
        """Classes that latencies of all leave out: batches beside others, which come back together hours later."""
        batches = [slo.name for slo in self.classes if slo.is_batch]
        return batches if len(batches) < len(self.classes) else []

    def _tally(self) -> Tally:
        window = Throughput(self.warmup_s, self.end_s, self.n_pools)
        return Tally(np.zeros((len(self.targets), len(BY_TARGET)), np.int64), window)

    def add(self, records: NDArray[Any]) -> None:
        """Count a batch of ended requests (dtype RECORD)."""
        self.seen += len(records)
        self.last_request = max(self.last_request, int(records["request"].max(initial=-1)))
        self.request_sum += int(records["request"].sum())
        values = latencies(records)
        if self.n_pools:
            self.queues[0].add(records[self._counted(records)])
        if self._is_mixed:
            at_pools = (records["target"] < self.n_pools) & self._counted(records)
            self._beside_apis.add(values["e2e_s"][at_pools])
        good = records["status"] == Status.COMPLETED
        if len(self.classes) == 1:
            self._judge(0, records, values, good)
            batch = self._tally()
            self._count(batch, records, values, good)
            self.total.merge(batch)
            self.by_class[0].merge(batch)
            return
        order = np.argsort(records["class_id"], kind="stable")
        present, first = np.unique(records["class_id"][order], return_index=True)
        for k, rows in zip(present.tolist(), np.split(order, first)[1:], strict=True):
            its, its_values, its_good = records[rows], {name: each[rows] for name, each in values.items()}, good[rows]
            self._judge(k, its, its_values, its_good)
            good[rows] = its_good
            self._count(self.by_class[k], its, its_values, its_good)
        self._count(self.total, records, values, good)

    def _judge(
        self, k: int, records: NDArray[Any], values: dict[str, NDArray[np.float64]], good: NDArray[np.bool_]
    ) -> None:
        """Count the requests of a class that keep each term; `good` becomes whether they keep all of them."""
        counted = self._counted(records)
        if self.classes[k].is_open and math.isfinite(self.end_s):
            self.courses[k].add(records)
        for j, term in enumerate(self.classes[k].terms):
            kept = within(records, values, term)
            self.within[k][j] += int((kept & counted).sum())
            good &= kept

    def _count(
        self, tally: Tally, records: NDArray[Any], values: dict[str, NDArray[np.float64]], good: NDArray[np.bool_]
    ) -> None:
        tally.window.add(records, good)
        counted = self._counted(records)
        tally.add(records[counted], {name: value[counted] for name, value in values.items()}, good[counted])

    def _counted(self, records: NDArray[Any]) -> NDArray[np.bool_]:
        """Which arrived in the window; a user may send the next one at the very end of it, of which no bill knows."""
        arrival_s = records["arrival_s"]
        return np.asarray((arrival_s >= self.warmup_s) & (arrival_s < self.end_s))

    def merge(self, other: MetricAccumulator) -> None:
        """Take in another replication of the same classes and targets."""
        if (self.classes, self.targets) != (other.classes, other.targets):
            raise ValueError("only metrics of the same classes and targets can be merged")
        self.total.merge(other.total)
        self._beside_apis.merge(other._beside_apis)
        self.queues += other.queues
        self.seen += other.seen
        self.last_request = max(self.last_request, other.last_request)
        self.request_sum += other.request_sum
        for k, tally in enumerate(self.by_class):
            tally.merge(other.by_class[k])
            self.within[k] = self.within[k] + other.within[k]
            self.courses[k].merge(other.courses[k])
        if other.later is not None:
            self.later = other.later.beside(self.later)
        self.processed = self.processed + other.processed
        self.delivered = self.delivered + other.delivered

    @property
    def hot_replicas(self) -> dict[str, str]:
        """By pool the replica that is at its limit while the pool is not, in words."""
        return hot_words(self.queues, self.end_s - self.warmup_s, self.targets)

    def count_tokens(self, usage: Usage) -> None:
        """Take the tokens of the window, and the replicas, from the ledger that the bill is made of."""
        self.processed, self.delivered = usage.processed_tokens, usage.delivered_tokens
        self.queues[0].replicas = tuple(steady_replicas(pool, usage.span_s) for pool in usage.pools)

    def term_counts(self) -> list[tuple[TermCount, ...]]:
        """By class, how many requests keep each term, in the order of `ClassSlo.words`."""
        return [self.term_counts_of(k) for k in range(len(self.classes))]

    def term_counts_of(self, k: int) -> tuple[TermCount, ...]:
        """Of one class."""
        tally = self.by_class[k]
        return (*(TermCount(int(kept), tally.arrived) for kept in self.within[k]), tally.served)

    def terms(
        self, replications: Sequence[MetricAccumulator] = (), absent: Collection[int] = ()
    ) -> list[dict[str, Any]]:
        """Every SLO term of every class that comes (`term_rows`).

        Parameters
        ----------
        replications : those that were merged, for the intervals; this one alone unless given
        absent : classes of which nobody comes; there is nothing of theirs to miss
        """
        each = replications or (self,)
        counts = [found.term_counts() for found in each]
        rows = []
        for k, slo in enumerate(self.classes):
            if k in absent:
                continue
            rows += term_rows(slo, [found[k] for found in counts], self.by_class[k].sketches)
            if growing := self.growing_row(k, each):
                rows.append(growing)
        return rows

    @property
    def lasts(self) -> bool:
        """Whether further windows have shown that the fleet serves what comes, where the window did not."""
        return self.later is not None and self.later.settled and not self.later.grows

    def growing_row(self, k: int, each: Sequence[MetricAccumulator]) -> dict[str, Any] | None:
        """The row of a class whose queue grows from window to window, in this one or later; None where none does.

        Parameters
        ----------
        each : as `terms` takes its replications
        """
        if self.courses[k].grows:
            return growing_row(self.classes[k], [found.courses[k].counts for found in each])
        span = None if self.later is None else self.later.growing(k)
        if span is None:
            return None
        counts = [found.later.spans[k][span].counts for found in each if found.later is not None]
        return growing_row(self.classes[k], counts, GROWING_LATER)

    def summary(self, replications: Sequence[MetricAccumulator] = (), absent: Collection[int] = ()) -> dict[str, Any]:
        """Overall and by class; with merged replications rates are means over them.

        Parameters
        ----------
        replications, absent : as `terms` takes them; rates are means over the replications
        """
        window_s = math.fsum(found.end_s - found.warmup_s for found in replications or (self,))
        if sum(tally.arrived for tally in self.by_class) != self.total.arrived:
            raise InvariantError("the classes' requests do not add up to all requests")
        terms = self.terms(replications, absent)
        binding = binding_term(terms)
        tokens, by_class = token_rates(
            self.processed, self.delivered, self.total.window, [tally.window for tally in self.by_class], window_s
        )
        return {
            **self.total.summary(window_s, self.targets),
            **{name: sketch.quantiles(SHARES) for name, sketch in self.felt.items()},
            **tokens,
            "slo_terms": terms,
            "slo_met": slo_met(terms),
            "binding_term": binding,
            "unfelt": self.unfelt,
            "classes": {
                slo.name: tally.summary(window_s, self.targets) | rates
                for slo, tally, rates in zip(self.classes, self.by_class, by_class, strict=True)
            },
        }
