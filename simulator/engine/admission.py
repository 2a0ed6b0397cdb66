"""Admission of waiting requests into a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.config import Batching
from simulator.engine.modes.flight.answers import pass_over, return_passed
from simulator.engine.modes.tables.answers import admit_with_blocks, cached_prefix, chunk_tokens, room_to_admit
from simulator.engine.queues import append_running, join_prefill, remove_waiting
from simulator.engine.remote import admit_received, start_load
from simulator.engine.speculation import first_step_padding
from simulator.engine.state import NONE, PREFILL, Engines
from simulator.engine.timing import count_scheduled, tokens_left
from simulator.jit import kernel

_CONTINUOUS = int(Batching.CONTINUOUS)
_ONE_AT_A_TIME = int(Batching.ONE_AT_A_TIME)
_NO_BLOCKS, _NO_BUDGET = 0, -2


@kernel
def prefill_cap(rep: Any, pool: Any) -> int:
    """Most prompt tokens of one request in this step (vLLM `long_prefill_token_threshold`; off for a lone request)."""
    if pool.long_prefill_token_threshold > 0 and rep.n_running + rep.n_waiting > 1:
        share = pool.adaptive_cap_tokens // (rep.n_running + rep.n_waiting)
        return max(pool.long_prefill_token_threshold, share)
    return pool.max_num_batched_tokens


@kernel
def _try_admit(engines: Engines, rep: Any, pool: Any, index: int, budget: int, cap: int, pads: int, now: float) -> int:
    """Admit the head of the queue; returns the tokens scheduled, or why it has to wait.

    One whose KV has to be fetched begins to wait for it instead: -1.
    """
    slot = engines.slots[index]
    if slot.peer != NONE:
        return start_load(engines, rep, pool, index)
    tokens = slot.isl + slot.generated
    n_hits = cached_prefix(engines, rep, pool, slot) if pool.prefix_caching != 0 else 0
    hit_tokens = n_hits * pool.block_size
    padding = first_step_padding(pool, tokens, hit_tokens, pads)
    if padding > 0 and 1 + padding > budget:
        return _NO_BUDGET
    scheduled = min(tokens - hit_tokens + padding, cap)
    if pool.chunked_prefill == 0 and scheduled > budget:
        return _NO_BUDGET
    scheduled = min(scheduled, budget)
    scheduled = chunk_tokens(engines, rep, pool, slot, tokens, hit_tokens, scheduled, True)
    if scheduled <= 0:
        return _NO_BUDGET
    reserve = pool.watermark_blocks if rep.n_running > 0 else 0
    reach = min(hit_tokens + scheduled + pool.num_lookahead_tokens, pool.max_model_len)
    fresh = room_to_admit(engines, rep, pool, slot, n_hits, tokens, reach, reserve)
    if fresh < 0:
        return _NO_BLOCKS
    remove_waiting(engines, rep, pool.policy, index)
    pool.n_waiting -= 1
    append_running(engines, rep, index)
    if np.isnan(slot.scheduled_s):
        slot.scheduled_s = now
        slot.cached_tokens = hit_tokens
    slot.computed = hit_tokens
    slot.scheduled = scheduled
    slot.drafts = -padding
    slot.catching_up = 1 if hit_tokens + scheduled < tokens else 0
    known = min(hit_tokens + scheduled, tokens - pool.unhashed)
    admit_with_blocks(engines, rep, pool, slot, n_hits, fresh, reach, known)
    if rep.lanes != 0:
        join_prefill(engines, rep, index)
    else:
        slot.state = PREFILL
    count_scheduled(rep, hit_tokens, scheduled, tokens - hit_tokens == 1 and hit_tokens >= slot.isl)
    return scheduled


@kernel
def batch_limit(rep: Any, pool: Any) -> int:
    """Most requests running once those that the present batch still takes in have been admitted.

    A batch is formed with nothing running, of those that wait then, and is filled over as many steps as the budget
    takes.
    """
    if rep.n_running == 0:
        rep.batch_room = 1 if pool.batching == _ONE_AT_A_TIME else pool.max_num_seqs
    rep.batch_room = min(rep.batch_room, rep.n_waiting)
    return rep.n_running + rep.batch_room


@kernel
def admit_waiting(engines: Engines, r: int, rep: Any, pool: Any, budget: int, pads: int, now: float) -> None:
    """Admit from the head of the waiting queue until something has to wait; first those whose KV has arrived.

    Parameters
    ----------
    budget : inputs of the step that are left
    pads : how first steps are padded with drafts, see `first_step_padding`
    """
    if rep.n_waiting == 0:
        rep.batch_room = 0
        return
    running = rep.n_running
    most = pool.max_num_seqs if pool.batching == _CONTINUOUS else batch_limit(rep, pool)
    if rep.n_received > 0:
        budget = admit_received(engines, rep, pool, budget, most, pads)
    cap = prefill_cap(rep, pool)
    while rep.n_waiting > rep.n_holding and tokens_left(rep, pool, budget) > 0 and rep.n_running < most:
        if pass_over(engines, r, rep, pool):
            continue
        scheduled = _try_admit(engines, rep, pool, rep.wait_head, tokens_left(rep, pool, budget), cap, pads, now)
        if scheduled == _NO_BLOCKS:
            rep.batch_room = 0
        if scheduled in (_NO_BLOCKS, _NO_BUDGET):
            break
        if scheduled > 0:
            budget -= scheduled + pool.draft_slots
    return_passed(engines, r, rep, pool)
    if pool.batching != _CONTINUOUS:
        rep.batch_room -= rep.n_running - running
