"""A Prometheus histogram: counts below fixed edges, and the exact sum of what was observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations by bucket: `cumulative[k]` of them were at most `edges[k]`.

    The mean is exact; a quantile is known to lie in one bucket, no better.

    Attributes
    ----------
    edges : float64, ascending, the last one infinite
    cumulative : float64, as many
    total : sum of the observations
    """

    edges: NDArray[np.float64]
    cumulative: NDArray[np.float64]
    total: float

    @property
    def count(self) -> float:
        return float(self.cumulative[-1]) if len(self.cumulative) else 0.0

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else float("nan")

    @property
    def counts(self) -> NDArray[np.float64]:
        """Observations in each bucket."""
        counts: NDArray[np.float64] = np.diff(self.cumulative, prepend=0.0)
        return counts

    def fell_since(self, earlier: Histogram) -> bool:
        """Whether a bucket holds less than in `earlier`, or the buckets are others: not the same histogram any more."""
        return (
            not np.array_equal(self.edges, earlier.edges)
            or bool(np.any(self.counts < earlier.counts))
            or self.total < earlier.total
        )

    def minus(self, earlier: Histogram) -> Histogram:
        """What was observed since `earlier`, a reading of the same histogram."""
        return Histogram(self.edges, self.cumulative - earlier.cumulative, self.total - earlier.total)

    def plus(self, other: Histogram) -> Histogram:
        """Both together, in the buckets whose ends both have: infinity is one."""
        edges = np.intersect1d(self.edges, other.edges)
        return Histogram(edges, self._until(edges) + other._until(edges), self.total + other.total)

    def _until(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Observations up to some of its edges."""
        found: NDArray[np.float64] = self.cumulative[np.searchsorted(self.edges, edges)]
        return found

    def quantile_bounds(self, q: float) -> tuple[float, float]:
        """The bucket (low, high] that holds the q-quantile; NaN without observations."""
        if not self.count:
            return float("nan"), float("nan")
        k = int(np.searchsorted(self.cumulative, q * self.count, side="left"))
        return (float(self.edges[k - 1]) if k else 0.0), float(self.edges[k])

    def sample_whole(self, generator: np.random.Generator, n: int) -> NDArray[np.int32]:
        """n whole numbers of at least 1 with these bucket shares.

        Inside a bucket x = ceil(low + (high - low) u^g), u uniform, with the one g for which the expected mean is the
        observed one (E[u^g] = 1/(1 + g), and rounding up adds a half).
        """
        counts = self.counts
        low = np.maximum(np.concatenate([[0.0], self.edges[:-1]]), 0.0)
        high = np.where(np.isfinite(self.edges), self.edges, self._overflow_edge(counts, low))
        share = counts / counts.sum()
        spread = float((share * (high - low)).sum())
        reach = (self.mean - 0.5 - float((share * low).sum())) / spread if spread > 0 else 0.5
        power = 1.0 / float(np.clip(reach, 0.02, 0.98)) - 1.0
        bucket = generator.choice(len(share), n, p=share)
        values = low[bucket] + (high - low)[bucket] * generator.random(n) ** power
        whole: NDArray[np.int32] = np.maximum(np.ceil(values), 1).astype(np.int32)
        return whole

    def _overflow_edge(self, counts: NDArray[np.float64], low: NDArray[np.float64]) -> float:
        """Upper end for the last, open bucket: what the sum leaves for it, at least its lower edge."""
        if not counts[-1]:
            return float(low[-1]) + 1.0
        closed = float((counts[:-1] * (low[:-1] + self.edges[:-1]) / 2).sum())
        return max(2.0 * (self.total - closed) / float(counts[-1]) - float(low[-1]), float(low[-1]) + 1.0)

    def as_json(self) -> dict[str, Any]:
        """For a recording; infinity is written as a string."""
        edges = [edge if np.isfinite(edge) else "+Inf" for edge in self.edges.tolist()]
        return {"edges": edges, "cumulative": self.cumulative.tolist(), "sum": self.total}


def from_json(value: dict[str, Any]) -> Histogram:
    """The inverse of `Histogram.as_json`."""
    edges = np.array([float(edge) for edge in value["edges"]])
    return Histogram(edges, np.array(value["cumulative"], np.float64), float(value["sum"]))
