"""Counts and sketches of the requests of one class, or of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Escalation, Reason, Status
from simulator.metrics.parts import PARTS, parts_s
from simulator.metrics.rates import Throughput
from simulator.metrics.sketch import Sketch
from simulator.metrics.slo import METRICS, TermCount

SHARES = (0.5, 0.9, 0.95, 0.99)
_COUNTS = (
    "good",
    "input_tokens",
    "output_tokens",
    "squared_tokens",
    "cached_tokens",
    "preemptions",
    "retries",
    "overflowed",
    "escalated",
    "escalations_denied",
    "unsent_turns",
)
_TOKENS = ("isl", "cached_tokens", "generated")
BY_TARGET = ("requests", "completed", "input_tokens", "cached_tokens", "output_tokens")


@dataclass(slots=True)
class Tally:
    """Counts and sketches of one class, or of all.

    Attributes
    ----------
    window : what happened in it, whenever its requests arrived; the rest counts requests that arrived in it
    reasons : shape (statuses, reasons), why requests were not completed
    by_target : shape (targets, 5); requests sent to each target, how many it completed, and these ones' tokens
    parts_s : seconds of all completed requests by part, in the order of `PARTS`
    squared_tokens : sum over completed requests of the square of their tokens, prompt and output
    """

    by_target: NDArray[np.int64]
    window: Throughput
    statuses: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(Status), np.int64))
    reasons: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(Status), len(Reason)), np.int64))
    parts_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(PARTS)))
    sketches: dict[str, Sketch] = field(default_factory=lambda: {name: Sketch() for name in METRICS})
    good: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    squared_tokens: int = 0
    cached_tokens: int = 0
    preemptions: int = 0
    retries: int = 0
    overflowed: int = 0
    escalated: int = 0
    escalations_denied: int = 0
    unsent_turns: int = 0

    def add(self, records: NDArray[Any], values: dict[str, NDArray[np.float64]], good: NDArray[np.bool_]) -> None:
        completed = records["status"] == Status.COMPLETED
        self.statuses += np.bincount(records["status"], minlength=len(Status))
        why = records["status"] * len(Reason) + records["reason"]
        self.reasons += np.bincount(why, minlength=self.reasons.size).reshape(self.reasons.shape)
        self.good += int(good.sum())
        self.parts_s += parts_s(records[completed]).sum(axis=1)
        self.input_tokens += int(records["isl"][completed].sum())
        self.output_tokens += int(records["generated"][completed].sum())
        whole = records["isl"][completed].astype(np.int64) + records["generated"][completed]
        self.squared_tokens += int(whole @ whole)
        self.cached_tokens += int(records["cached_tokens"][completed].sum())
        for name in ("preemptions", "retries", "overflowed", "unsent_turns"):
            setattr(self, name, getattr(self, name) + int(records[name].sum()))
        self.escalated += int((records["escalated"] == Escalation.ESCALATED).sum())
        self.escalations_denied += int((records["escalated"] == Escalation.DENIED).sum())
        if len(self.by_target):
            self._add_by_target(records)
        for name, sketch in self.sketches.items():
            sketch.add(values[name])

    def _add_by_target(self, records: NDArray[Any]) -> None:
        sent = records["target"] >= 0
        target, done = records["target"][sent], (records["status"] == Status.COMPLETED)[sent]
        counts = [np.ones(len(target)), done, *(records[name][sent] * done for name in _TOKENS)]
        sums = [np.bincount(target, count, minlength=len(self.by_target)) for count in counts]
        self.by_target += np.stack(sums, axis=1).astype(np.int64)

    def merge(self, other: Tally) -> None:
        self.window.merge(other.window)
        self.statuses = self.statuses + other.statuses
        self.reasons = self.reasons + other.reasons
        self.by_target = self.by_target + other.by_target
        self.parts_s = self.parts_s + other.parts_s
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, sketch in self.sketches.items():
            sketch.merge(other.sketches[name])

    @property
    def arrived(self) -> int:
        return int(self.statuses.sum())

    @property
    def completed(self) -> int:
        return int(self.statuses[Status.COMPLETED])

    @property
    def served(self) -> TermCount:
        """Requests that were answered, of those that arrived and those that a broken session no longer sent."""
        return TermCount(self.completed, self.arrived + self.unsent_turns)

    def why_lost(self) -> dict[str, dict[str, int]]:
        """By status, how many requests were not completed for which reason, as far as it is known."""
        found = {
            status.name.lower(): {
                reason.name.lower(): int(n) for reason in Reason if reason and (n := self.reasons[status, reason])
            }
            for status in Status
        }
        return {status: reasons for status, reasons in found.items() if reasons}

    def summary(self, window_s: float, targets: Sequence[str]) -> dict[str, Any]:
        """Metrics over a window of `window_s` seconds, JSON-ready; NaN where nothing was observed."""
        served = self.served
        return {
            "arrived": self.arrived,
            "turns_served": served.kept,
            "unsent_turns": self.unsent_turns,
            "served_share": served.kept / served.of if served.of else float("nan"),
            "statuses": {status.name.lower(): int(self.statuses[status]) for status in Status},
            "reasons": self.why_lost(),
            "slo_attainment": self.good / self.arrived if self.arrived else float("nan"),
            "offered_rps": self.arrived / window_s,
            "goodput_rps": self.window.good / window_s,
            "throughput_rps": self.window.completed / window_s,
            "answered_rps": self.window.answered / window_s,
            "cached_share": self.cached_tokens / self.input_tokens if self.input_tokens else 0.0,
            "preemptions": self.preemptions,
            "retries": self.retries,
            "overflow_share": self.overflowed / self.arrived if self.arrived else 0.0,
            "escalated_share": self.escalated / self.arrived if self.arrived else 0.0,
            "escalations_denied": self.escalations_denied,
            "breakdown_s": dict(zip(PARTS, (self.parts_s / max(served.kept, 1)).tolist(), strict=True)),
            "targets": {
                name: dict(zip(BY_TARGET, row.tolist(), strict=True))
                for name, row in zip(targets, self.by_target, strict=True)
            },
            **{name: sketch.quantiles(SHARES) for name, sketch in self.sketches.items()},
        }
