"""The totals of a step, and the time that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.state import DECODE, LOG_SCHEDULED, LOG_STEP, N_LOG, NONE, Engines
from simulator.jit import inline_kernel, kernel


@kernel
def count_scheduled(rep: Any, computed: int, tokens: int, decoding: bool) -> None:
    """Add one request's `tokens` of this step to the step's totals."""
    rep.step_seqs += 1
    rep.step_tokens += tokens
    if decoding:
        rep.step_context += computed + tokens
    else:
        rep.step_units += np.int64(tokens) * (2 * np.int64(computed) + tokens + 1)


@kernel
def tokens_left(rep: Any, pool: Any, inputs: int) -> int:
    """Most tokens that the next request may get of a step with so many inputs left, of which drafting takes some."""
    return min(inputs - pool.draft_slots, pool.plan_tokens - rep.step_tokens)


@kernel
def go_idle(rep: Any, now: float) -> None:
    """Nothing to do, or nothing that can be done before something else happens."""
    rep.in_step = 0
    rep.step_start_s = now
    rep.step_end_s = float("inf")


@kernel
def open_step(rep: Any) -> None:
    rep.step_seqs = 0
    rep.step_tokens = 0
    rep.step_units = 0
    rep.step_context = 0


@kernel
def step_duration_s(engines: Engines, rep: Any, pool: Any) -> float:
    """`StepTime`'s equation, evaluated left to right."""
    seqs = rep.step_seqs
    row = max(min(seqs, pool.token_time_rows) - 1, 0)
    position = pool.token_time_base + row * (pool.max_num_batched_tokens + 1) + rep.step_tokens
    duration = engines.token_time_s[position] + engines.seq_time_s[pool.seq_time_base + seqs]
    duration = duration + pool.prefill_attn_s * (rep.step_units * 0.5)
    duration = duration + pool.decode_attn_s * rep.step_context
    return max(duration, least_s(engines, pool, seqs, rep.step_tokens, rep.step_units))


@inline_kernel
def least_s(engines: Engines, pool: Any, seqs: int, tokens: int, units: int) -> float:
    """What a step takes at least: what launching it takes, after what its sequences add, and `least_step_s`."""
    least = pool.least_step_s if seqs > 0 else 0.0
    launches = pool.eager_s if tokens > pool.captured_tokens else pool.pieces_s if units > 0 else 0.0
    return max(engines.seq_time_s[pool.seq_time_base + seqs] + launches, least) if launches > 0.0 else least


@kernel
def close_step(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> None:
    """Set the step's end, and count what it takes."""
    duration = step_duration_s(engines, rep, pool)
    rep.step_start_s = now
    rep.step_end_s = now + duration
    rep.in_step = 1
    rep.steps += 1
    rep.busy_s += duration
    rep.energy_j += duration * engines.power_w[pool.power_base + rep.step_seqs]
    rep.kv_block_s += duration * (pool.num_blocks - 1 - rep.free_blocks)
    if len(engines.log) > 0:
        log_step(engines, r, rep)


@kernel
def log_step(engines: Engines, r: int, rep: Any) -> None:
    """Write down a step whose tokens are given and not computed yet."""
    write_log(engines, LOG_STEP, r, np.float64(rep.step_start_s).view(np.int64), rep.free_blocks)
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.state == DECODE:
            write_log(engines, LOG_SCHEDULED, slot.request, 1, slot.computed + rep.decode_step - slot.join_step)
        elif slot.scheduled > 0:
            write_log(engines, LOG_SCHEDULED, slot.request, slot.scheduled, slot.computed)
        index = slot.run_next


@kernel
def write_log(engines: Engines, kind: int, a: int, b: int, c: int) -> None:
    n = engines.counters[N_LOG]
    engines.log[n, 0] = kind
    engines.log[n, 1] = a
    engines.log[n, 2] = b
    engines.log[n, 3] = c
    engines.counters[N_LOG] = n + 1
