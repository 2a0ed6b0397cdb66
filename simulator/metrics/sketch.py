"""Mergeable histogram of durations: flat memory, percentiles with a bounded error.

A value falls into the bin given by the exponent and the leading 7 bits of the mantissa of its float64 representation,
so a bin is at most 1/128 = 0.8 % wide and a percentile, reported at the bin's middle, is off by at most 0.4 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from simulator.engine.state import ITL_BINS, ITL_FIRST_BIN, ITL_SHIFT

RELATIVE_ERROR = 2.0**-8
"""Largest relative error of a percentile within [1 µs, 10^6 s]; values outside count in the first or last bin."""


_ROUNDING = 1e-12


def rank(share: float, n: int) -> int:
    """Smallest whole number that is at least `share` of `n`.

    The share stands for the decimal that it was written as: 0.999 of 1,000 is 999, although the nearest float64 (or
    99.9 / 100) may lie a little above.
    """
    return math.ceil(share * n * (1 - _ROUNDING))


@cache
def _edges() -> NDArray[np.float64]:
    bits = (np.arange(ITL_BINS + 1, dtype=np.int64) + ITL_FIRST_BIN) << ITL_SHIFT
    bits.flags.writeable = False
    return bits.view(np.float64)


class Sketch:
    """Histogram of durations in seconds, with their exact number and sum."""

    def __init__(self) -> None:
        self.counts = np.zeros(ITL_BINS, np.int64)
        self.total = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count finite values; NaN (no such time) is left out."""
        finite = np.ascontiguousarray(values[np.isfinite(values)], np.float64)
        if not len(finite):
            return
        bins = (finite.view(np.int64) >> ITL_SHIFT) - ITL_FIRST_BIN
        self.counts += np.bincount(np.clip(bins, 0, ITL_BINS - 1), minlength=ITL_BINS)
        self.total += float(finite.sum())

    @classmethod
    def from_counts(cls, counts: NDArray[np.int64]) -> Sketch:
        """From bins that a kernel has counted; the sum is taken from the bins' middles."""
        sketch = cls()
        sketch.counts = counts.astype(np.int64)
        edges = _edges()
        sketch.total = float(((edges[:-1] + edges[1:]) / 2 * counts).sum())
        return sketch

    def merge(self, other: Sketch) -> None:
        self.counts = self.counts + other.counts
        self.total += other.total

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else float("nan")

    def position(self, q: float) -> int:
        """Bin of the quantile `q`."""
        return int(np.searchsorted(np.cumsum(self.counts), max(rank(q, self.n), 1)))

    def quantile(self, q: float) -> float:
        """Smallest value that at least the share `q` of the values does not exceed; NaN without values."""
        return self.at(max(rank(q, self.n), 1)) if self.n else float("nan")

    def values_at(self, shares: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """`quantile` of many shares, of a sketch with values."""
        n = self.n
        places = [max(rank(float(share), n), 1) for share in shares]
        position, edges = np.searchsorted(np.cumsum(self.counts), places), _edges()
        return (edges[position] + edges[position + 1]) / 2

    def at(self, place: int) -> float:
        """The value at this place in rising order, from 1 on; inf beyond the last one."""
        if place > self.n:
            return math.inf
        position = int(np.searchsorted(np.cumsum(self.counts), place))
        edges = _edges()
        return float((edges[position] + edges[position + 1]) / 2)

    def quantiles(self, shares: Sequence[float]) -> dict[str, float]:
        """As `{"mean": …, "p50": …}`."""
        return {"mean": self.mean, **{f"p{share * 100:g}": self.quantile(share) for share in shares}}

    def cdf(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Upper edges of the bins that hold values, and the share of values up to them."""
        used = np.flatnonzero(self.counts)
        return _edges()[1:][used], np.cumsum(self.counts)[used] / max(self.n, 1)
