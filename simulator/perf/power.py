"""Electric power of a replica's GPUs by the number of sequences in the step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """Logistic power curve of one GPU over log2 of the batch size, in watts.

    Attributes
    ----------
    idle_w : a model is loaded and nothing runs: the GPU's bare idle power plus the loaded-model tax
    low_w, span_w : lower end of the curve and its rise
    steepness, midpoint_log2 : of the logistic
    """

    idle_w: float
    low_w: float
    span_w: float
    steepness: float
    midpoint_log2: float


def power_w_by_seqs(curve: PowerCurve, gpus: int, max_num_seqs: int) -> NDArray[np.float64]:
    """Power of all the replica's GPUs, in watts; shape (max_num_seqs + 1,), entry 0 the idle power.

    .. math:: P(b) = \\text{low} + \\frac{\\text{span}}{1 + \\exp(-k (\\log_2 b - x_0))}

    Source: the fit of vllm-sr-sim to ML.ENERGY v3.0 (arXiv:2601.22076), catalog entry `power.h100_serving_w`.
    """
    batch = np.arange(1, max_num_seqs + 1, dtype=np.float64)
    serving = curve.low_w + curve.span_w / (1.0 + np.exp(-curve.steepness * (np.log2(batch) - curve.midpoint_log2)))
    return gpus * np.concatenate(([curve.idle_w], serving))
