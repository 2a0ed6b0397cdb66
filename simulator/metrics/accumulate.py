"""Turns the stream of ended requests into metrics, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.fleet.records import Status
from simulator.metrics.sketch import Sketch
from simulator.metrics.slo import METRICS, ClassSlo, latencies, within

SHARES = (0.5, 0.9, 0.95, 0.99)


@dataclass(slots=True)
class Tally:
    """Counts and sketches of one class, or of all."""

    statuses: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(Status), np.int64))
    sketches: dict[str, Sketch] = field(default_factory=lambda: {name: Sketch() for name in METRICS})
    good: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    preemptions: int = 0
    retries: int = 0
    overflowed: int = 0

    def add(self, records: NDArray[Any], values: dict[str, NDArray[np.float64]], good: NDArray[np.bool_]) -> None:
        completed = records["status"] == Status.COMPLETED
        self.statuses += np.bincount(records["status"], minlength=len(Status))
        self.good += int(good.sum())
        self.input_tokens += int(records["isl"][completed].sum())
        self.output_tokens += int(records["generated"][completed].sum())
        self.cached_tokens += int(records["cached_tokens"][completed].sum())
        for name in ("preemptions", "retries", "overflowed"):
            setattr(self, name, getattr(self, name) + int(records[name].sum()))
        for name, sketch in self.sketches.items():
            sketch.add(values[name])

    def merge(self, other: Tally) -> None:
        self.statuses = self.statuses + other.statuses
        for name in ("good", "input_tokens", "output_tokens", "cached_tokens", "preemptions", "retries", "overflowed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, sketch in self.sketches.items():
            sketch.merge(other.sketches[name])

    @property
    def arrived(self) -> int:
        return int(self.statuses.sum())

    def summary(self, window_s: float) -> dict[str, Any]:
        """Metrics over `window_s` seconds of arrivals, JSON-ready; NaN where nothing was observed."""
        completed = int(self.statuses[Status.COMPLETED])
        return {
            "arrived": self.arrived,
            "statuses": {status.name.lower(): int(self.statuses[status]) for status in Status},
            "slo_attainment": self.good / self.arrived if self.arrived else float("nan"),
            "goodput_rps": self.good / window_s,
            "throughput_rps": completed / window_s,
            "input_tokens_per_s": self.input_tokens / window_s,
            "output_tokens_per_s": self.output_tokens / window_s,
            "cached_share": self.cached_tokens / self.input_tokens if self.input_tokens else 0.0,
            "preemptions": self.preemptions,
            "retries": self.retries,
            "overflow_share": self.overflowed / self.arrived if self.arrived else 0.0,
            **{name: sketch.quantiles(SHARES) for name, sketch in self.sketches.items()},
        }


class MetricAccumulator:
    """Metrics of one simulation.

    Parameters
    ----------
    classes : SLOs in the order of `class_id`
    warmup_s, end_s : requests that arrive in [warmup_s, end_s] count
    """

    def __init__(self, classes: Sequence[ClassSlo], warmup_s: float, end_s: float) -> None:
        self.classes = tuple(classes)
        self.warmup_s, self.end_s = warmup_s, end_s
        self.total = Tally()
        self.by_class = [Tally() for _ in classes]
        self.within = [np.zeros(len(slo.terms), np.int64) for slo in classes]
        self.seen = 0

    def add(self, records: NDArray[Any]) -> None:
        """Count a batch of ended requests (dtype RECORD)."""
        self.seen += len(records)
        records = records[records["arrival_s"] >= self.warmup_s]
        values = latencies(records)
        good = records["status"] == Status.COMPLETED
        for k, slo in enumerate(self.classes):
            mine = records["class_id"] == k
            for j, term in enumerate(slo.terms):
                kept = within(records, values, term)
                self.within[k][j] += int((kept & mine).sum())
                good &= kept | ~mine
        self.total.add(records, values, good)
        for k, tally in enumerate(self.by_class):
            mine = records["class_id"] == k
            tally.add(records[mine], {name: value[mine] for name, value in values.items()}, good[mine])

    def merge(self, other: MetricAccumulator) -> None:
        self.total.merge(other.total)
        self.seen += other.seen
        for k, tally in enumerate(self.by_class):
            tally.merge(other.by_class[k])
            self.within[k] = self.within[k] + other.within[k]

    def terms(self) -> list[dict[str, Any]]:
        """Every SLO term with the share of arrived requests within its limit, and whether that is enough."""
        rows = []
        for k, slo in enumerate(self.classes):
            arrived = self.by_class[k].arrived
            for j, term in enumerate(slo.terms):
                share = int(self.within[k][j]) / arrived if arrived else float("nan")
                rows.append({"class": slo.name, "term": str(term), "share": share, "met": share >= term.quantile})
        return rows

    def summary(self, replications: int = 1) -> dict[str, Any]:
        """Overall and by class; with merged replications rates are means over them."""
        window_s = (self.end_s - self.warmup_s) * replications
        if sum(tally.arrived for tally in self.by_class) != self.total.arrived:
            raise InvariantError("the classes' requests do not add up to all requests")
        return {
            **self.total.summary(window_s),
            "slo_terms": self.terms(),
            "slo_met": all(row["met"] for row in self.terms()),
            "classes": {
                slo.name: tally.summary(window_s) for slo, tally in zip(self.classes, self.by_class, strict=True)
            },
        }
