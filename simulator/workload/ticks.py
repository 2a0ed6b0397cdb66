"""When the requests of a trace arrive, piece by piece: the ticks of its clock, and how bursty it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.rng import stream

if TYPE_CHECKING:
    from simulator.workload.describe import OrderedRows

Seconds = NDArray[np.float64]
_TIED = 0.5
"""Share of arrivals on the timestamp of their predecessor above which timestamps count as rounded."""
_GAPS = 1 << 22
"""Ticks whose gaps are looked at for the last one's width."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """Timestamps of a trace.

    Attributes
    ----------
    first_s, last_s : the first and the last
    rows, count : requests, and timestamps that differ
    gap_s : median gap of two timestamps that differ; 0 where all are one
    """

    first_s: float
    last_s: float
    rows: int
    count: int
    gap_s: float

    @classmethod
    def of(cls, rows: OrderedRows) -> Ticks:
        """Of rows in order of arrival."""
        first_s, last_s = np.nan, np.nan
        n = count = kept = 0
        gaps_s: list[Seconds] = []
        for piece in rows.pieces():
            if n == 0:
                first_s = last_s = float(piece.times[0])
                count = 1
            steps_s = np.diff(piece.times - first_s, prepend=last_s - first_s)
            steps_s = steps_s[steps_s > 0]
            gaps_s.append(steps_s[: _GAPS - kept])
            kept += len(gaps_s[-1])
            n, count, last_s = n + len(piece.times), count + len(steps_s), float(piece.times[-1])
        gap_s = float(np.median(np.concatenate(gaps_s))) if count > 1 else 0.0
        return cls(first_s, last_s, n, count, gap_s)

    def spread(self, rows: OrderedRows) -> Iterator[Seconds]:
        """Arrivals from the first on, in order; spread up to the next timestamp if most are tied."""
        from_first = (piece.times - self.first_s for piece in rows.pieces())
        if 1 - self.count / self.rows <= _TIED:
            yield from from_first
            return
        random, first_s = stream(0, "describe", "spread"), None
        for arrival_s, next_s in _whole_ticks(from_first):
            end_s = arrival_s[-1] + self.gap_s if next_s is None else next_s
            ticks, tick = np.unique(arrival_s, return_inverse=True)
            width_s = np.diff(ticks, append=end_s)
            spread = np.sort(arrival_s + width_s[tick] * random.random(len(arrival_s)))
            first_s = spread[0] if first_s is None else first_s
            yield spread - first_s


def _whole_ticks(pieces: Iterable[Seconds]) -> Iterator[tuple[Seconds, float | None]]:
    """Pieces cut so that no timestamp is in two, each with the one after it; None after the last."""
    held = np.empty(0)
    for piece in pieces:
        held = np.concatenate([held, piece])
        whole = int(np.searchsorted(held, held[-1]))
        if whole:
            yield held[:whole], float(held[-1])
        held = held[whole:]
    if len(held):
        yield held, None


class Arrivals:
    """Arrivals by bin, and what the gaps between them add up to, taken piece by piece in order.

    Attributes
    ----------
    bin_s : width of a bin
    last_s : the last arrival; the first is at 0
    """

    def __init__(self, bin_s: float) -> None:
        self.bin_s = bin_s
        self.last_s = 0.0
        self._n = 0
        self._counts = np.zeros(1, np.int64)
        self._squares_s2 = np.zeros(1)
        self._across: list[tuple[Seconds, Seconds]] = []

    def add(self, arrival_s: Seconds) -> None:
        """The next arrivals, ascending; of the whole trace the first is 0."""
        before_s = np.concatenate([[self.last_s if self._n else arrival_s[0]], arrival_s[:-1]])
        bins = (arrival_s // self.bin_s).astype(np.int64)
        same = bins == (before_s // self.bin_s).astype(np.int64)
        self._counts = _added(self._counts, np.bincount(bins))
        squares_s2 = np.bincount(bins[same], weights=(arrival_s - before_s)[same] ** 2)
        self._squares_s2 = _added(self._squares_s2, squares_s2)
        self._across.append((before_s[~same], arrival_s[~same]))
        self._n += len(arrival_s)
        self.last_s = float(arrival_s[-1])

    def counts(self, duration_s: float) -> NDArray[np.int64]:
        """Arrivals of each bin up to an end."""
        counts = np.zeros(int(np.ceil(duration_s / self.bin_s)), np.int64)
        some = self._counts[: len(counts)]
        counts[: len(some)] = some
        return counts

    def burstiness(self, duration_s: float) -> float:
        """Coefficient of variation of the gaps in expected arrivals, Λ(t_i+1) − Λ(t_i), Λ straight in each bin."""
        counts = self.counts(duration_s)
        edges_s = np.append(np.arange(len(counts)) * self.bin_s, duration_s)
        expected = np.concatenate([[0], np.cumsum(counts)])
        rates = counts / np.diff(edges_s)
        squares_s2 = np.zeros(len(counts))
        some = self._squares_s2[: len(counts)]
        squares_s2[: len(some)] = some
        before_s, after_s = (np.concatenate(times) for times in zip(*self._across, strict=True))
        across = np.interp(after_s, edges_s, expected) - np.interp(before_s, edges_s, expected)
        gaps = self._n - 1
        mean = float(np.interp(self.last_s, edges_s, expected)) / gaps
        square = float(rates**2 @ squares_s2 + across @ across) / gaps
        return float(np.sqrt(max(square - mean**2, 0.0)) / mean)


def _added(all_bins: NDArray[Any], some: NDArray[Any]) -> NDArray[Any]:
    if len(some) > len(all_bins):
        all_bins = np.concatenate([all_bins, np.zeros(len(some) - len(all_bins), all_bins.dtype)])
    all_bins[: len(some)] += some
    return all_bins
