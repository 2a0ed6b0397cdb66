"""A measured profile: the step time of one engine on one machine, fitted to its own steps.

.. math:: T = s n + \\max\\Bigl(r(t) (t_{host} + (W^p + (c t)^p)^{1/p})
          + A_p \\sum_{prefill} q (c + (q + 1)/2) + A_d \\sum_{decode} c', \\; L\\Bigr)

with `t` scheduled tokens (padded to the captured CUDA-graph size where there is one), `n` sequences, `W` the time to
read the weights, `c` the matrix products' time per token, `p` the sharpness of the passage from one to the other, and
`r(t)` a correction by token count, 1 unless the measured points ask for it, linear in log t between its knots.
With CUDA graphs `L` is the host's time to launch a step kernel by kernel: of one with prompts up to the largest
captured size, of a larger one (`simulator.perf.steptime.Launches`); without, and for a whole graph, 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.perf.steptime import ExpectedError, Launches, StepTime

COEFFICIENTS = ("host_s", "weights_s", "token_s", "sharpness", "sequence_s", "prefill_attn_s", "decode_attn_s")
"""Names of t_host, W, c, p, s, A_p, A_d, in the order of `StepCoefficients.values`."""
LAUNCHES = ("pieces_s", "eager_s")
"""Names of L below and beyond the largest captured size, behind them; 0 in profiles that lack them."""


@dataclass(frozen=True, slots=True)
class StepCoefficients:
    """Coefficients of the equation above.

    Attributes
    ----------
    values : float64 (9,), in the order of `COEFFICIENTS` and `LAUNCHES`
    knots_tokens, knot_ratios : token counts and r there; empty without a correction
    capture_sizes : ascending token counts up to which a decode-sized step is padded; empty without CUDA graphs
    """

    values: NDArray[np.float64]
    knots_tokens: NDArray[np.float64]
    knot_ratios: NDArray[np.float64]
    capture_sizes: NDArray[np.int64]

    def __getitem__(self, name: str) -> float:
        return float(self.values[(*COEFFICIENTS, *LAUNCHES).index(name)])

    @property
    def launches(self) -> Launches:
        """What launching takes; nothing without captured sizes."""
        if not len(self.capture_sizes):
            return Launches()
        return Launches(self["pieces_s"], self["eager_s"], int(self.capture_sizes[-1]))

    def padded(self, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tokens that the GPU computes: the next captured size, or as many as there are beyond the largest."""
        if not len(self.capture_sizes):
            return tokens
        place = np.searchsorted(self.capture_sizes, tokens)
        sizes = np.append(self.capture_sizes, 0)[np.minimum(place, len(self.capture_sizes))]
        return np.where(place < len(self.capture_sizes), sizes, tokens).astype(np.float64)

    def token_time_s(self, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """r(t) (t_host + (W^p + (c t)^p)^(1/p)), s."""
        t = self.padded(np.asarray(tokens, np.float64))
        host_s, weights_s, token_s, p = self.values[:4]
        matrices_s = token_s * t
        peak = np.maximum(np.maximum(matrices_s, weights_s), 1e-30)
        joined = peak * ((weights_s / peak) ** p + (matrices_s / peak) ** p) ** (1.0 / p)
        time_s: NDArray[np.float64] = self.ratio(t) * (host_s + joined)
        return time_s

    def ratio(self, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """r(t); constant beyond the outer knots."""
        if not len(self.knots_tokens):
            return np.ones(len(tokens))
        ratio: NDArray[np.float64] = np.interp(
            np.log(np.maximum(tokens, 1.0)), np.log(self.knots_tokens), self.knot_ratios
        )
        return ratio


def profile_step_time(
    coefficients: StepCoefficients,
    max_num_batched_tokens: int,
    max_num_seqs: int,
    origin: str,
    *,
    between_steps_s: float = 0.0,
    between_sequence_s: float = 0.0,
    request_overhead_s: float = 0.0,
    expected_error: ExpectedError | None = None,
) -> StepTime:
    """The profile as the engine's table of step times.

    Parameters
    ----------
    between_steps_s, between_sequence_s : from the end of a step to the start of the next while there is work, of the
        step and of each of its sequences; added to each step
    """
    tokens = np.arange(max_num_batched_tokens + 1, dtype=np.float64)
    return StepTime(
        token_time_s=(coefficients.token_time_s(tokens) + between_steps_s)[None, :],
        seq_time_s=(coefficients["sequence_s"] + between_sequence_s) * np.arange(max_num_seqs + 1, dtype=np.float64),
        prefill_attn_s=coefficients["prefill_attn_s"],
        decode_attn_s=coefficients["decode_attn_s"],
        calibrated=True,
        origin=origin,
        launches=coefficients.launches,
        request_overhead_s=request_overhead_s,
        expected_error=expected_error,
    )
