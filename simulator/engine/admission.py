"""Admission of waiting requests into a step, and the time that a step takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.blocks import append_block, cached_prefix, in_free_list, register_full_blocks, take_row, touch
from simulator.engine.config import Batching
from simulator.engine.queues import append_running, join_prefill, remove_waiting
from simulator.engine.state import LOG_SCHEDULED, LOG_STEP, N_LOG, NONE, PREFILL, Engines
from simulator.jit import kernel

_CONTINUOUS = int(Batching.CONTINUOUS)
_ONE_AT_A_TIME = int(Batching.ONE_AT_A_TIME)


@kernel
def prefill_cap(rep: Any, pool: Any) -> int:
    """Most prompt tokens of one request in this step (vLLM `long_prefill_token_threshold`; off for a lone request)."""
    if pool.long_prefill_token_threshold > 0 and rep.n_running + rep.n_waiting > 1:
        return pool.long_prefill_token_threshold
    return pool.max_num_batched_tokens


@kernel
def count_scheduled(rep: Any, slot: Any, computed: int, tokens: int, decoding: bool) -> None:
    """Add one request's `tokens` of this step to the step's totals."""
    rep.step_seqs += 1
    rep.step_tokens += tokens
    if decoding:
        rep.step_context += computed + tokens
    else:
        rep.step_units += np.int64(tokens) * (2 * np.int64(computed) + tokens + 1)


@kernel
def _try_admit(engines: Engines, r: int, rep: Any, pool: Any, index: int, budget: int, cap: int, now: float) -> int:
    """Admit the head of the queue; returns the tokens scheduled, or 0 when it has to wait."""
    slot = engines.slots[index]
    tokens = slot.isl + slot.generated
    size = pool.block_size
    n_hits = cached_prefix(engines, rep, pool, slot) if pool.prefix_caching != 0 else 0
    hit_tokens = n_hits * size
    scheduled = min(tokens - hit_tokens, cap)
    if pool.chunked_prefill == 0 and scheduled > budget:
        return 0
    scheduled = min(scheduled, budget)
    reserve = pool.watermark_blocks if rep.n_running > 0 else 0
    evictable = in_free_list(engines, rep, n_hits)
    if pool.reserve_full_isl != 0:
        whole = (tokens + size - 1) // size - n_hits + evictable
        if whole + reserve > rep.free_blocks:
            return 0
    reach = min(hit_tokens + scheduled + pool.num_lookahead_tokens, pool.max_model_len)
    fresh = max((reach + size - 1) // size - n_hits, 0)
    if fresh + evictable + reserve > rep.free_blocks:
        return 0
    remove_waiting(engines, rep, pool.policy, index)
    pool.n_waiting -= 1
    append_running(engines, rep, index)
    if np.isnan(slot.scheduled_s):
        slot.scheduled_s = now
        slot.cached_tokens = hit_tokens
    slot.computed = hit_tokens
    slot.scheduled = scheduled
    slot.drafts = 0
    rep.free_blocks -= fresh
    if pool.prefix_caching != 0:
        take_row(engines, rep, slot)
        touch(engines, rep, slot, n_hits)
        for _ in range(fresh):
            append_block(engines, rep, slot)
        register_full_blocks(engines, rep, pool, slot, hit_tokens + scheduled)
    else:
        slot.n_blocks = fresh
    if rep.lanes != 0:
        join_prefill(engines, rep, index)
    else:
        slot.state = PREFILL
    count_scheduled(rep, slot, hit_tokens, scheduled, tokens - hit_tokens == 1 and hit_tokens >= slot.isl)
    return scheduled


@kernel
def admit_waiting(engines: Engines, r: int, rep: Any, pool: Any, budget: int, now: float) -> None:
    """Admit from the head of the waiting queue until something has to wait."""
    if rep.n_waiting == 0 or (pool.batching != _CONTINUOUS and rep.n_running > 0):
        return
    most = 1 if pool.batching == _ONE_AT_A_TIME else pool.max_num_seqs
    cap = prefill_cap(rep, pool)
    while rep.n_waiting > 0 and budget > 0 and rep.n_running < most:
        scheduled = _try_admit(engines, r, rep, pool, rep.wait_head, budget, cap, now)
        if scheduled == 0:
            return
        budget -= scheduled


@kernel
def open_step(rep: Any) -> None:
    rep.step_seqs = 0
    rep.step_tokens = 0
    rep.step_units = 0
    rep.step_context = 0


@kernel
def close_step(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> None:
    """Set the step's end: `StepTime`'s equation, evaluated left to right."""
    seqs = rep.step_seqs
    row = max(min(seqs, pool.token_time_rows) - 1, 0)
    position = pool.token_time_base + row * (pool.max_num_batched_tokens + 1) + rep.step_tokens
    duration = engines.token_time_s[position] + engines.seq_time_s[pool.seq_time_base + seqs]
    duration = duration + pool.prefill_attn_s * (rep.step_units * 0.5)
    duration = duration + pool.decode_attn_s * rep.step_context
    rep.step_start_s = now
    rep.step_end_s = now + duration
    rep.in_step = 1
    rep.steps += 1
    rep.busy_s += duration
    rep.energy_j += duration * engines.power_w[pool.power_base + seqs]
    rep.kv_block_s += duration * (pool.num_blocks - 1 - rep.free_blocks)
    if len(engines.log) > 0:
        _log_step(engines, r, rep)


@kernel
def _log_step(engines: Engines, r: int, rep: Any) -> None:
    write_log(engines, LOG_STEP, r, np.float64(rep.step_start_s).view(np.int64), rep.free_blocks)
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if rep.lanes != 0 and slot.state != PREFILL:
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
