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
    """Histogram of durations in seconds, with their exact number and sum; it holds the bins from its least to its most.

    Attributes
    ----------
    first : number of the first bin that is held
    held : values in the bins from there on
    """

    def __init__(self) -> None:
        self.first = 0
        self.held = np.zeros(0, np.int64)
        self.total = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count finite values; NaN (no such time) is left out."""
        finite = np.ascontiguousarray(values[np.isfinite(values)], np.float64)
        if not len(finite):
            return
        bins = np.clip((finite.view(np.int64) >> ITL_SHIFT) - ITL_FIRST_BIN, 0, ITL_BINS - 1)
        first = int(bins.min())
        self._take(first, np.bincount(bins - first))
        self.total += float(finite.sum())

    @classmethod
    def from_counts(cls, counts: NDArray[np.int64]) -> Sketch:
        """From all bins, as a kernel has counted them; the sum is taken from the bins' middles."""
        sketch = cls()
        used = np.flatnonzero(counts)
        if len(used):
            sketch._take(int(used[0]), counts[used[0] : used[-1] + 1])
        edges = _edges()
        sketch.total = float(((edges[:-1] + edges[1:]) / 2 * counts).sum())
        return sketch

    def merge(self, other: Sketch) -> None:
        if len(other.held):
            self._take(other.first, other.held)
        self.total += other.total

    def _take(self, first: int, counts: NDArray[np.int64]) -> None:
        """Add counts of the bins from `first` on; what was held by others stays as it is."""
        if not len(self.held):
            self.first, self.held = first, counts.copy()
            return
        begin = min(first, self.first)
        held = np.zeros(max(first + len(counts), self.first + len(self.held)) - begin, np.int64)
        for start, some in ((self.first, self.held), (first, counts)):
            held[start - begin : start - begin + len(some)] += some
        self.first, self.held = begin, held

    @property
    def counts(self) -> NDArray[np.int64]:
        """Values in every bin."""
        found = np.zeros(ITL_BINS, np.int64)
        found[self.first : self.first + len(self.held)] = self.held
        return found

    @property
    def n(self) -> int:
        return int(self.held.sum())

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else float("nan")

    def position(self, q: float) -> int:
        """Bin of the quantile `q`."""
        return self._position(max(rank(q, self.n), 1))

    def _position(self, place: int) -> int:
        return self.first + int(np.searchsorted(np.cumsum(self.held), place))

    def quantile(self, q: float) -> float:
        """Smallest value that at least the share `q` of the values does not exceed; NaN without values."""
        return self.at(max(rank(q, self.n), 1)) if self.n else float("nan")

    def values_at(self, shares: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """`quantile` of many shares, of a sketch with values."""
        n = self.n
        places = [max(rank(float(share), n), 1) for share in shares]
        position, edges = self.first + np.searchsorted(np.cumsum(self.held), places), _edges()
        return (edges[position] + edges[position + 1]) / 2

    def at(self, place: int) -> float:
        """The value at this place in rising order, from 1 on; inf beyond the last one."""
        if place > self.n:
            return math.inf
        position = self._position(place)
        edges = _edges()
        return float((edges[position] + edges[position + 1]) / 2)

    def quantiles(self, shares: Sequence[float]) -> dict[str, float]:
        """As `{"mean": …, "p50": …}`."""
        values = self.values_at(shares).tolist() if self.n else [math.nan] * len(shares)
        return {"mean": self.mean, **{f"p{share * 100:g}": value for share, value in zip(shares, values, strict=True)}}

    def cdf(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Upper edges of the bins that hold values, and the share of values up to them."""
        used = np.flatnonzero(self.held)
        return _edges()[1:][self.first + used], np.cumsum(self.held)[used] / max(self.n, 1)
