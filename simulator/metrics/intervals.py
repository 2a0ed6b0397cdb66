"""Confidence intervals: of shares and percentiles over requests and replications, of means over replications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from simulator.metrics.sketch import Sketch


class Interval(NamedTuple):
    """Both ends; NaN where nothing is known."""

    low: float
    high: float


def t_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Mean and half-width of its Student-t interval; the half-width is NaN for a single value."""
    sample = np.asarray(values, float)
    if len(sample) < 2:
        return float(sample.mean()), float("nan")
    spread = stdtrit(len(sample) - 1, 0.5 + confidence / 2) * sample.std(ddof=1) / np.sqrt(len(sample))
    return float(sample.mean()), float(spread)


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Mean and half-width of a - b, replication by replication: both have served the same requests."""
    return t_interval([x - y for x, y in zip(a, b, strict=True)], confidence)


def wilson_interval(share: float, n: float, z: float) -> Interval:
    """Score interval of a share of `n` independent trials: those p with |share - p| ≤ z·√(p(1 - p)/n).

    (s + z²/2n ± z·√(s(1 - s)/n + z²/4n²)) / (1 + z²/n), E. B. Wilson, JASA 22 (1927). It stays within [0, 1] and has a
    width where `share` is 0 or 1.
    """
    scale = 1.0 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * np.sqrt(share * (1.0 - share) / n + z * z / (4 * n * n))
    return Interval(float(max(middle - half, 0.0)), float(min(middle + half, 1.0)))


def share_interval(kept: Sequence[int], of: Sequence[int], confidence: float = 0.95) -> Interval:
    """Interval of Σ kept / Σ of, over replications.

    Wilson's over all requests, and no narrower than the same with the spread of the replications' shares in place of
    p(1 - p)/n: requests of one replication meet the same bursts. With R replications D = s²/(p(1 - p)/n) trials count
    for one, s² = R/(R - 1)·Σ n_r²(p_r - p)²/n², and Student's t with R - 1 degrees takes the place of z.

    Returns
    -------
    NaN without requests
    """
    counts, sizes = np.asarray(kept, float), np.asarray(of, float)
    counts, sizes = counts[sizes > 0], sizes[sizes > 0]
    n, replications = float(sizes.sum()), len(sizes)
    if not n:
        return Interval(float("nan"), float("nan"))
    share = float(counts.sum()) / n
    tail = 0.5 + confidence / 2
    found = wilson_interval(share, n, float(ndtri(tail)))
    if replications < 2 or share in (0.0, 1.0):
        return found
    deviation = float(np.sum((counts - share * sizes) ** 2)) / n**2 * replications / (replications - 1)
    trials = share * (1.0 - share) / deviation if deviation > 0 else np.inf
    if not np.isfinite(trials):
        return found
    spread = wilson_interval(share, trials, float(stdtrit(replications - 1, tail)))
    return Interval(min(found.low, spread.low), max(found.high, spread.high))


def quantile_interval(sketches: Sequence[Sketch], q: float, confidence: float = 0.95) -> Interval:
    """Interval of the quantile `q` of all values, over replications.

    Woodruff's (JASA 47, 1952): the values at both ends of the interval of the share that lies at or below the quantile
    found, so for one replication that of the order statistics. Ends are those of the sketch, within 0.4 %.

    Parameters
    ----------
    sketches : values of each replication
    """
    whole = Sketch()
    for sketch in sketches:
        whole.merge(sketch)
    if not whole.n:
        return Interval(float("nan"), float("nan"))
    position = whole.position(q)
    below = [int(sketch.counts[: position + 1].sum()) for sketch in sketches]
    shares = share_interval(below, [sketch.n for sketch in sketches], confidence)
    found = sum(below) / whole.n
    low, high = (min(max(q + end - found, 0.0), 1.0) for end in shares)
    return Interval(whole.quantile(low), whole.quantile(high))
