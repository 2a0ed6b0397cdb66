"""Near-equal steps become one point: the median of their durations, and how far they lie apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.recording.steps import Steps

_LIKE = 0.05
"""Steps are alike when attention terms differ by less than this share, at equal tokens, sequences and regime."""


@dataclass(frozen=True, slots=True)
class Points:
    """Steps with near-equal composition, joined.

    Attributes
    ----------
    steps : one entry a point, every column its median
    repeats : steps in each point
    members : for each measured step its point
    """

    steps: Steps
    repeats: NDArray[np.int64]
    members: NDArray[np.int64]


def join(steps: Steps) -> Points:
    """Join near-equal steps; a step slowed by a neighbour then counts for nothing beside two that were not."""
    scale = 1.0 / np.log1p(_LIKE)
    key = np.column_stack(
        [
            steps.regime,
            steps.tokens,
            steps.sequences,
            np.rint(np.log1p(steps.prefill_units) * scale),
            np.rint(np.log1p(steps.decode_context) * scale),
        ]
    )
    _, members, repeats = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    members = members.reshape(-1)
    order = np.argsort(members, kind="stable")
    cuts = np.cumsum(repeats)[:-1]

    def medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([np.median(group) for group in np.split(values[order], cuts) if len(group)])

    return Points(
        Steps(
            medians(steps.duration_s),
            medians(steps.gap_s),
            medians(steps.tokens),
            medians(steps.sequences),
            medians(steps.prefill_units),
            medians(steps.decode_context),
            medians(steps.regime.astype(np.float64)).astype(np.int64),
            np.zeros(len(repeats), np.bool_),
        ),
        repeats,
        members,
    )
