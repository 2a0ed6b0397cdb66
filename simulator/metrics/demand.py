"""Demand over simulated time: what arrived and where it was sent; memory stays flat in the number of requests."""

from __future__ import annotations

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

    Attributes
    ----------
    counts : int64 (periods, targets + 1, counts), in the order of `COUNTS`; the last target stands for requests that
        were sent nowhere
    """

    def __init__(self, horizon_s: float, targets: int) -> None:
        self.period_s = max(horizon_s / MOST_PERIODS, 1.0)
        periods = max(int(np.ceil(horizon_s / self.period_s - 1e-9)), 1)
        self.counts = np.zeros((periods, targets + 1, len(COUNTS)), np.int64)

    def dispersion(self, begin_s: float, end_s: float) -> float:
        """Index of dispersion of the numbers that arrived in equal stretches: 1 for a Poisson process, 0 at even gaps.

        From the differences of neighbouring stretches, so that hours which differ by plan count as none.
        """
        begin, end = (round(at_s / self.period_s) for at_s in (begin_s, end_s))
        arrived = self.counts[begin : min(end, len(self.counts)), :, 0].sum(axis=1)
        if len(arrived) < 2 or not arrived.any():
            return 1.0
        return float(np.mean(np.diff(arrived) ** 2) / 2.0 / arrived.mean())

    def add(self, records: NDArray[Any]) -> None:
        """Count a batch of ended requests (dtype RECORD)."""
        periods, targets, width = self.counts.shape
        period = np.minimum((records["arrival_s"] / self.period_s).astype(np.int64), periods - 1)
        cell = period * targets + np.where(records["target"] < 0, targets - 1, records["target"])
        flat = self.counts.reshape(-1, width)
        for k, values in enumerate((None, records["overflowed"])):
            flat[:, k] += np.bincount(cell, values, len(flat)).astype(np.int64)
        status, reason = records["status"], records["reason"]
        why = np.where(reason > 0, reason - 1, len(Reason) - 1 + status - 1)
        lost = status != Status.COMPLETED
        np.add.at(flat, (cell[lost], width - len(LOST) + why[lost]), 1)
