"""Measured steps as arrays of what the step-time model looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REGIMES = ("prefill", "decode", "mixed")


@dataclass(frozen=True, slots=True)
class Steps:
    """One entry a step, in the order in which they ran.

    Attributes
    ----------
    duration_s : wall time of the step
    gap_s : from the end of the step before, NaN where it was not recorded
    tokens, sequences : scheduled tokens; requests in the step
    prefill_units : sum over prefilling requests of q (c + (q + 1)/2)
    decode_context : sum over decoding requests of the context they read, tokens
    regime : index into `REGIMES`, by what the step held
    repeated : the step before held exactly the same; its caches were warm as they never are in serving
    """

    duration_s: NDArray[np.float64]
    gap_s: NDArray[np.float64]
    tokens: NDArray[np.float64]
    sequences: NDArray[np.float64]
    prefill_units: NDArray[np.float64]
    decode_context: NDArray[np.float64]
    regime: NDArray[np.int64]
    repeated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.duration_s)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Steps:
        """Only these rows."""
        return Steps(*(getattr(self, name)[rows] for name in self.__slots__))


def steps_from_batches(
    durations_s: Sequence[float] | NDArray[np.float64],
    batches: Sequence[Sequence[Sequence[int]]],
    gaps_s: Sequence[float] | None = None,
) -> Steps:
    """Steps from their batches: per request (tokens scheduled, tokens computed before).

    A request decodes where it gets one token on top of computed ones.
    """
    sizes = np.array([len(batch) for batch in batches])
    flat = np.array([entry for batch in batches for entry in batch], np.float64).reshape(-1, 2)
    owner = np.repeat(np.arange(len(batches)), sizes)
    q, c = flat[:, 0], flat[:, 1]
    decoding = (q == 1) & (c > 0)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(owner, values, len(batches)), np.float64)

    decoders = total(decoding.astype(np.float64))
    regime = np.where(decoders == sizes, 1, np.where(decoders == 0, 0, 2))
    return Steps(
        np.array(durations_s, np.float64),
        np.full(len(batches), np.nan) if gaps_s is None else np.array(gaps_s, np.float64),
        total(q),
        sizes.astype(np.float64),
        total(np.where(decoding, 0.0, q * (c + (q + 1) / 2))),
        total(np.where(decoding, c + q, 0.0)),
        regime.astype(np.int64),
        np.array([k > 0 and list(batch) == list(batches[k - 1]) for k, batch in enumerate(batches)], np.bool_),
    )


def steps_since_prefill(prefills: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each step, how many have run since the last one that held a prefill (0 for that one itself)."""
    place = np.arange(len(prefills))
    last = np.maximum.accumulate(np.where(prefills, place, 0))
    since: NDArray[np.int64] = place - last
    return since
