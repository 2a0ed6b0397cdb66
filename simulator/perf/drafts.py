"""What a draft model adds to the step time of its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.perf.speculative import Drafting
from simulator.perf.steptime import StepTime

Times = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class DraftTimes:
    """Times of one pass of a draft model, in seconds.

    Attributes
    ----------
    name : of the model
    body_s : all its layers, by tokens
    head_s : its LM head, by samples
    prefill_attn_s, decode_attn_s : as those of `StepTime`
    """

    name: str
    body_s: Times
    head_s: Times
    prefill_attn_s: float
    decode_attn_s: float


def with_drafts(step: StepTime, drafting: Drafting, draft: DraftTimes) -> StepTime:
    """The target's step time with that of k drafts, of k_n where they go by the number of sequences.

    .. math:: F'[m - 1, t] = F[m - 1, t] + \\text{body}(t/m), \\quad
        S'[n] = S[n] + \\max(k_n - 1, 0)\\,\\text{body}(n) + k_n\\,\\text{head}(n), \\quad
        A'_{prefill} = A_{prefill} + a_{prefill}, \\quad A'_{decode} = A_{decode} + k\\,a_{decode}

    for t tokens in m micro-batches and n sequences: the first pass is over the tokens of the step, also where nothing
    is drafted, each further one over a token of each sequence. The drafts' attention is that of k everywhere.
    """
    k = drafting.num_tokens
    micro_batches, most_tokens = step.token_time_s.shape
    tokens = np.arange(most_tokens, dtype=np.float64)
    first_s = np.stack([draft.body_s(np.maximum(tokens / m, 1.0)) for m in range(1, micro_batches + 1)])
    first_s[:, 0] = 0.0
    sequences = np.maximum(np.arange(len(step.seq_time_s), dtype=np.float64), 1.0)
    drafted = drafting.drafts(sequences)
    further_s = np.maximum(drafted - 1, 0) * draft.body_s(sequences) + drafted * draft.head_s(sequences)
    further_s[0] = 0.0
    return replace(
        step,
        token_time_s=step.token_time_s + first_s,
        seq_time_s=step.seq_time_s + further_s,
        prefill_attn_s=step.prefill_attn_s + draft.prefill_attn_s,
        decode_attn_s=step.decode_attn_s + k * draft.decode_attn_s,
        origin=f"{step.origin}; {'up to ' if drafting.by_batch_size else ''}{k} drafts by {draft.name}",
    )
