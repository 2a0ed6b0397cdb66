"""Demand over simulated time: what arrived and where it was sent; memory stays flat in the number of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Reason, Status

LOST = (
    *(reason.name.lower() for reason in Reason if reason),
    *(status.name.lower() for status in Status if status),
)
"""Why a request was lost: its reason, or where it has none how it ended."""
COUNTS = ("arrived", "overflowed", *LOST)
MOST_PERIODS = 360


class Demand:
    """Requests by the period in which they arrived and the target that had them last.

    Parameters
    ----------
    horizon_s : arrivals end here; it is divided into at most `MOST_PERIODS` periods of at least a second
    targets : how many there are
    gap_cvs : by class, as `workload.arrivals.gap_cv` has it

    Attributes
    ----------
    of_class : int64 (periods, classes), how many arrived
    counts : int64 (periods, targets + 1, counts), in the order of `COUNTS`; the last target stands for requests that
        were sent nowhere
    """

    def __init__(self, horizon_s: float, targets: int, gap_cvs: Sequence[float | None] = (None,)) -> None:
        self.period_s = max(horizon_s / MOST_PERIODS, 1.0)
        periods = max(int(np.ceil(horizon_s / self.period_s - 1e-9)), 1)
        self.counts = np.zeros((periods, targets + 1, len(COUNTS)), np.int64)
        self.of_class = np.zeros((periods, len(gap_cvs)), np.int64)
        self.gap_cvs = tuple(gap_cvs)

    def dispersion(self, begin_s: float, end_s: float) -> float:
        """Index of dispersion of the numbers that arrived: 1 for a Poisson process, next to 0 at even gaps."""
        arrived = self._arrived(begin_s, end_s).sum(axis=0)
        return float(self.dispersions(begin_s, end_s) @ arrived / arrived.sum()) if arrived.any() else 1.0

    def dispersions(self, begin_s: float, end_s: float) -> NDArray[np.float64]:
        r"""Index of dispersion of how many arrive from `begin_s` to `end_s`, by class.

        Of the gamma gaps of a stationary renewal process with coefficient of variation c, n arrivals of which are
        expected: c² + (1 - c⁴)/(6 n), in the time in which its rate is 1 (Cox, Renewal Theory, 1962, section 4.5). Of
        classes without such a law one figure together, from the numbers in equal stretches: the differences of
        neighbours, so that hours which differ by plan count as none. These say less of bursts longer than a stretch.
        """
        arrived = self._arrived(begin_s, end_s)
        others = arrived[:, [k for k, cv in enumerate(self.gap_cvs) if cv is None]].sum(axis=1)
        in_stretches = 1.0
        if len(others) > 1 and others.any():
            in_stretches = float(np.mean(np.diff(others) ** 2) / 2.0 / others.mean())
        each = zip(self.gap_cvs, arrived.sum(axis=0).tolist(), strict=True)
        return np.array([in_stretches if cv is None else _of_gamma_gaps(cv, n) for cv, n in each])

    def _arrived(self, begin_s: float, end_s: float) -> NDArray[np.int64]:
        begin, end = (round(at_s / self.period_s) for at_s in (begin_s, end_s))
        return self.of_class[begin : min(end, len(self.of_class))]

    def add(self, records: NDArray[Any]) -> None:
        """Count a batch of ended requests (dtype RECORD)."""
        periods, targets, width = self.counts.shape
        period = np.minimum((records["arrival_s"] / self.period_s).astype(np.int64), periods - 1)
        cell = period * targets + np.where(records["target"] < 0, targets - 1, records["target"])
        flat = self.counts.reshape(-1, width)
        of_class = self.of_class.reshape(-1)
        of_class += np.bincount(period * self.of_class.shape[1] + records["class_id"], minlength=len(of_class))
        for k, values in enumerate((None, records["overflowed"])):
            flat[:, k] += np.bincount(cell, values, len(flat)).astype(np.int64)
        status, reason = records["status"], records["reason"]
        why = np.where(reason > 0, reason - 1, len(Reason) - 1 + status - 1)
        lost = status != Status.COMPLETED
        np.add.at(flat, (cell[lost], width - len(LOST) + why[lost]), 1)


def _of_gamma_gaps(cv: float, n: int) -> float:
    return max(cv**2 + (1.0 - cv**4) / 6.0 / max(n, 1), min(cv**2, 1.0))
