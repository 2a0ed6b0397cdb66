"""The step-time interface: what the engine asks, whatever the numbers rest on.

A roofline from published peaks and a profile measured on a GPU both become a `StepTime`; the engine sees nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ExpectedError:
    """Absolute relative error to expect of a forecast, by metric, and the measurements that say so.

    Attributes
    ----------
    ttft, tpot, throughput : in the median
    ttft_p90, tpot_p90, throughput_p90 : in nine of ten cases; None where only the median is known
    tpot_full, tpot_full_p90 : TPOT of a server that is full (saturated, or a burst), where it follows from how prompts
        come between the tokens of others; `tpot` is that of a server which keeps up. None where not known
    """

    ttft: float
    tpot: float
    throughput: float
    basis: str
    ttft_p90: float | None = None
    tpot_p90: float | None = None
    throughput_p90: float | None = None
    tpot_full: float | None = None
    tpot_full_p90: float | None = None


@dataclass(frozen=True, slots=True)
class Launches:
    """Time in which a host launches a step's kernels one by one, in seconds; a step cannot end sooner.

    A whole CUDA graph is one launch: steps that only decode, up to the largest captured batch. Steps that hold prompts
    run graphs in pieces with attention between them, and larger steps run no graph at all.

    Attributes
    ----------
    pieces_s : of a step that holds prompts, of at most `captured_tokens`
    eager_s : of a step of more than `captured_tokens`
    captured_tokens : largest captured batch
    """

    pieces_s: float = 0.0
    eager_s: float = 0.0
    captured_tokens: int = 0

    def least_s(
        self, tokens: NDArray[np.int64] | NDArray[np.float64], holds_prompts: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Least time of steps by their tokens, without what their sequences add."""
        return np.where(
            tokens > self.captured_tokens, self.eager_s * (tokens > 0), np.where(holds_prompts, self.pieces_s, 0.0)
        )


@dataclass(frozen=True, slots=True)
class StepTime:
    """Duration of one engine step, in seconds.

    .. math:: T = \\max\\Bigl(S[n] + \\max\\Bigl(F[\\min(n, p) - 1, t] + A_p \\sum_{prefill} q (c + (q + 1)/2) +
        A_d \\sum_{decode} c', \\; L\\Bigr), \\; \\tau\\Bigr)

    with `n` sequences and `t` scheduled tokens in the step, `q` tokens scheduled and `c` computed before for a
    request in prefill, and `c' = c + q` the context that a decoding request reads. A request decodes in a step when it
    was caught up before (one new token, or 1 + drafts with speculative decoding). L is what launching takes: see
    `Launches`. A step in which nothing was scheduled takes F[0, 0] + S[0], without tau.

    Attributes
    ----------
    token_time_s : shape (p, max_num_batched_tokens + 1); host overhead, weights, matrix products, communication.
        Row m - 1 serves steps of m micro-batches, m = min(n, pipeline stages); one row without pipeline parallelism,
        and where its batches are in flight
    seq_time_s : shape (max_num_seqs + 1,); what depends on the number of sequences (sampling, graph padding, drafting)
    prefill_attn_s : seconds per prefill attention unit q(c + (q + 1)/2)
    decode_attn_s : seconds per token of context that decoding requests read
    calibrated : False for a roofline; every result that rests on it is then flagged
    origin : one line for the reader: profile name, or `roofline` with the GPU
    request_overhead_s : time that a request spends outside the engine's steps (API process, tokeniser, first output)
    expected_error : from the profile's validation; None where nothing was measured
    plan_s : least time from one plan of the engine to its next, where several are in flight
    launches : the least that launching its kernels takes
    stages : pipeline stages that compute as many plans at once, where these are in flight: a plan takes its duration
        through all of them, and that over `stages` of the replica's time
    shared_time_s : shape (max_num_batched_tokens + 1,); the part of `token_time_s` that ranks which share experts spend
        on the tokens of all of them, by each one's tokens where all have as many. One entry, 0: no such part
    least_step_s : tau, the least time of a step that computes anything
    """

    token_time_s: NDArray[np.float64]
    seq_time_s: NDArray[np.float64]
    prefill_attn_s: float
    decode_attn_s: float
    calibrated: bool
    origin: str
    request_overhead_s: float = 0.0
    expected_error: ExpectedError | None = None
    plan_s: float = 0.0
    stages: int = 1
    launches: Launches = Launches()
    shared_time_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    least_step_s: float = 0.0

    def round_s(self, batch: NDArray[np.int64], drafts: int, context_tokens: float) -> NDArray[np.float64]:
        """Time in which each of `batch` decoding requests gets its tokens: as many plans as stages, in turn."""
        share = -(-batch // self.stages)
        computed = np.minimum(share * (1 + drafts), self.token_time_s.shape[1] - 1)
        sequences_s = self.seq_time_s[share]
        time_s = self.token_time_s[-1][computed] + sequences_s + self.decode_attn_s * share * context_tokens
        least_s = self.launches.least_s(computed, np.zeros(computed.shape, np.bool_))
        return np.asarray(np.maximum(np.maximum(time_s, sequences_s + least_s), self.least_step_s * (share > 0)))

    def prompts_s(self, tokens: int) -> float:
        """Time of a step that `tokens` of prompts fill, without attention and what its sequences add."""
        least_s = self.launches.least_s(np.array([tokens]), np.array([True]))
        return max(float(self.token_time_s[-1][tokens]), float(least_s[0]))

    def mean_step_s(self, sequences: float, tokens: float, holds_prompts: bool = False) -> float:
        """Time of a step without its attention, between whole numbers of sequences and tokens; of one at least."""
        n, computed = max(sequences, 1.0), max(tokens, 1.0)
        row = self.token_time_s[min(round(n), len(self.token_time_s)) - 1]
        least_s = float(self.launches.least_s(np.array([computed]), np.array([holds_prompts]))[0])
        return max(max(_at(row, computed), least_s) + _at(self.seq_time_s, n), self.least_step_s)

    def durations_s(
        self,
        sequences: NDArray[np.int64],
        tokens: NDArray[np.int64],
        prefill_units: NDArray[np.float64],
        decode_context: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Durations of many steps, by their sequences, tokens, prefill attention units and context read; shape (n,)."""
        row = np.maximum(np.minimum(sequences, len(self.token_time_s)) - 1, 0)
        sequences_s = self.seq_time_s[sequences]
        time_s = (
            self.token_time_s[row, tokens]
            + sequences_s
            + self.prefill_attn_s * prefill_units
            + self.decode_attn_s * decode_context
        )
        launched_s = np.maximum(time_s, sequences_s + self.launches.least_s(tokens, prefill_units > 0))
        return np.asarray(np.maximum(launched_s, self.least_step_s * (sequences > 0)))

    def scaled(self, factor: float) -> StepTime:
        """Steps `factor` times as long; the time outside of steps stays."""
        return replace(
            self,
            token_time_s=self.token_time_s * factor,
            seq_time_s=self.seq_time_s * factor,
            prefill_attn_s=self.prefill_attn_s * factor,
            decode_attn_s=self.decode_attn_s * factor,
            shared_time_s=self.shared_time_s * factor,
            least_step_s=self.least_step_s * factor,
            launches=replace(
                self.launches, pieces_s=self.launches.pieces_s * factor, eager_s=self.launches.eager_s * factor
            ),
        )


def _at(table: NDArray[np.float64], place: float) -> float:
    return float(np.interp(place, np.arange(table.size), table))


def constant_step_time(step_s: float, max_num_batched_tokens: int, max_num_seqs: int) -> StepTime:
    """A step that takes `step_s` whatever is in it: the server of the queueing-theory tests."""
    return StepTime(
        token_time_s=np.full((1, max_num_batched_tokens + 1), step_s),
        seq_time_s=np.zeros(max_num_seqs + 1),
        prefill_attn_s=0.0,
        decode_attn_s=0.0,
        calibrated=False,
        origin="constant",
    )
