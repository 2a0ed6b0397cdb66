"""A replica whose throughput is given, not simulated: step times that reach it at full load, whatever the batch."""

from __future__ import annotations

import numpy as np

from simulator.errors import InputError, Problem
from simulator.perf.bounds import TokenBound
from simulator.perf.device import BatchLimits
from simulator.perf.steptime import StepTime
from simulator.schema.engine import Throughput

NO_BOUND = TokenBound(np.inf, np.inf)
"""What is given is not held against published peaks while it runs."""
_LEAST_STEP_S = 1e-6
"""Duration of a step in which nothing was scheduled."""


def given_step_time(settings: Throughput, limits: BatchLimits, bound: TokenBound, gpus: int) -> StepTime:
    """Step times of a replica with the rates given.

    .. math:: T = \\max((t - n) / I + n / O, \\tau)

    with `t` scheduled tokens and `n` sequences of a step, `I` and `O` the prompt and output tokens per second, and the
    least time per output token tau, which is that of a step. A request of `isl` and `osl` tokens then takes
    (isl - 1) / I + osl / O of a full replica: one that only answers makes `O` tokens per second, and one that only
    computes prompts `I`.

    Raises
    ------
    InputError : more output tokens than published peaks allow, or than the largest batch makes at the least time
    """
    output = settings.output_tokens_per_s
    most = bound.output_tokens_per_gpu_s * gpus
    if output > most:
        text = f"is more than published peaks of {gpus} GPUs allow ({most:,.0f})"
        raise InputError(Problem(text, path="engine.throughput.output_tokens_per_s", got=f"{output:g}"))
    least_s = settings.tpot_s or 0.0
    if limits.max_num_seqs < least_s * output:
        text = f"cannot be with {output:g} output tokens/s: max_num_seqs ({limits.max_num_seqs}) are too few"
        raise InputError(Problem(text, path="engine.throughput.tpot_s", got=f"{least_s:g}"))
    prompt_s = 1.0 / settings.input_tokens_per_s if settings.input_tokens_per_s else 0.0
    sequences = np.arange(limits.max_num_seqs + 1, dtype=np.float64)
    seq_time_s = sequences / output - prompt_s * sequences
    seq_time_s[0] = _LEAST_STEP_S
    return StepTime(
        token_time_s=prompt_s * np.arange(limits.max_num_batched_tokens + 1, dtype=np.float64)[None, :],
        seq_time_s=seq_time_s,
        prefill_attn_s=0.0,
        decode_attn_s=0.0,
        calibrated=True,
        origin=f"throughput given: {_words(settings)}",
        least_step_s=least_s,
    )


def _words(settings: Throughput) -> str:
    rates = [f"{settings.output_tokens_per_s:g} output tokens/s"]
    if settings.input_tokens_per_s:
        rates.append(f"{settings.input_tokens_per_s:g} prompt tokens/s")
    said = ", ".join(part for part in (settings.source, settings.date) if part)
    return ", ".join(rates) + (f" ({said})" if said else "")
