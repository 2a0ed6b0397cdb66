"""A long workload cut into a few windows that stand for all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.rng import stream

_MOST = 2.0
"""Times that a window's load is multiplied at most: far from its own load it is no longer what was seen."""


def representative(load: NDArray[np.float64], kinds: int, seed: int) -> list[tuple[int, tuple[int, ...]]]:
    """Windows that stand for all, and the windows that each stands for.

    Loads are those of all classes as shares of the mean requests, prompt and output tokens of a window: what a class
    has by chance, or a small one by the hour, tells no windows apart that the bulk of the traffic does not. The
    window with the largest sum of them, the busiest, is a kind of its own, so that no peak is averaged away. The others
    are clustered by k-means; each cluster is stood for by the window nearest to its centre.

    Parameters
    ----------
    load : shape (windows, classes, measures), at least 0
    kinds : windows to find, the busiest included

    Returns
    -------
    (window, windows it stands for, itself among them) by time. As many as there are different windows, if that is less
    """
    mean = load.sum(axis=1).mean(axis=0)
    shares = (load[:, :, mean > 0] / mean[mean > 0]).reshape(len(load), -1)
    busiest = int(np.argmax(shares.sum(axis=1)))
    rest = np.delete(np.arange(len(load)), busiest)
    scaled = shares[:, shares.std(axis=0) > 0]
    found = {busiest: (busiest,)}
    if len(rest):
        points = scaled[rest] if scaled.shape[1] else np.zeros((len(rest), 1))
        groups = min(max(kinds - 1, 1), len(np.unique(points, axis=0)))
        centres, label = _clusters(points, groups, seed)
        for group in range(groups):
            mine = np.flatnonzero(label == group)
            if len(mine):
                near = mine[np.argmin(((points[mine] - centres[group]) ** 2).sum(axis=1))]
                found[int(rest[near])] = tuple(rest[mine].tolist())
    return sorted(found.items())


def to_mean(load: NDArray[np.float64], window: int, members: Sequence[int]) -> NDArray[np.float64]:
    """By class, how many times its load a window has to have to stand for these: their mean, from half to twice.

    1 for a class that it does not have: nothing of it could be repeated.

    Parameters
    ----------
    load : shape (windows, classes)
    """
    mean, own = load[list(members)].mean(axis=0), load[window]
    times = np.divide(mean, own, out=np.ones_like(own), where=own > 0)
    return np.asarray(np.clip(times, 1.0 / _MOST, _MOST), np.float64)


def _clusters(points: NDArray[np.float64], groups: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if groups == 1:
        return points.mean(axis=0, keepdims=True), np.zeros(len(points), np.int64)
    from scipy.cluster.vq import kmeans2

    generator = stream(seed, "study", "periods")
    centres, label = kmeans2(points, groups, minit="++", rng=generator, iter=50)
    return np.asarray(centres), np.asarray(label, np.int64)
