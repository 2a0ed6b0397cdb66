"""One engine step: vLLM's schedule, the time it takes, and its result.

The fast path applies when every decoding request gets its one token and all blocks fit: then the order of the running
list does not matter, and a step costs the same however many requests decode. Otherwise the general path is taken.
Both give what `simulator.engine.reference` gives, step by step.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.admission import admit_waiting, prefill_cap
from simulator.engine.blocks import append_block, register_full_blocks, take_decode_blocks
from simulator.engine.doors import table_door
from simulator.engine.general import complete_general, enter_lanes, materialise, plan_general
from simulator.engine.modes.tables.answers import (
    begin_plan,
    blocks_needed,
    chunk_tokens,
    free_blocks,
    is_regular,
    lane_needs,
)
from simulator.engine.modes.tables.lane import change_lanes
from simulator.engine.queues import advance_decode, join_decode, leave_prefill, remove_running, sort_by_running_order
from simulator.engine.speculation import NO_PADDING
from simulator.engine.state import NONE, Engines
from simulator.engine.timing import close_step, count_scheduled, go_idle, open_step
from simulator.engine.tokens import emit_tokens, itl_bin
from simulator.jit import inline_kernel, kernel


@kernel
def _plan_prefills(engines: Engines, rep: Any, pool: Any) -> int:
    """Tokens for each request in the prefill lane, in `scheduled`; returns the blocks needed, -1 if order matters."""
    budget = pool.max_num_batched_tokens - rep.n_decode
    if budget < 0:
        return NONE
    cap = prefill_cap(rep, pool)
    alone_at_the_end = rep.n_prefill == 1 and rep.prefill_head == rep.run_tail
    need = 0
    index = rep.prefill_head
    while index != NONE:
        slot = engines.slots[index]
        scheduled = min(slot.isl + slot.generated - slot.computed, cap)
        if scheduled > budget:
            if not alone_at_the_end:
                return NONE
            scheduled = budget
        known = slot.isl + slot.generated
        scheduled = chunk_tokens(engines, rep, pool, slot, known, slot.computed, scheduled, False)
        budget -= scheduled
        slot.scheduled = scheduled
        reach = min(slot.computed + scheduled, pool.max_model_len)
        need += blocks_needed(engines, rep, pool, slot, reach) if scheduled > 0 else 0
        index = slot.lane_next
    return need


@kernel
def _take_prefill_blocks(engines: Engines, rep: Any, pool: Any) -> None:
    index = rep.prefill_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.scheduled > 0:
            reach = slot.computed + slot.scheduled
            fresh = max((min(reach, pool.max_model_len) + pool.block_size - 1) // pool.block_size - slot.n_blocks, 0)
            rep.free_blocks -= fresh
            if pool.prefix_caching == 0:
                slot.n_blocks += fresh
            else:
                for _ in range(fresh):
                    append_block(engines, rep, slot)
                register_full_blocks(engines, rep, pool, slot, reach)
            due = slot.isl + slot.generated - slot.computed
            count_scheduled(rep, slot.computed, slot.scheduled, due == 1 and slot.computed >= slot.isl)
        index = slot.lane_next


@kernel
def _take_in_table(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    rep.free_blocks -= engines.phase_count[r, (-rep.decode_step) % pool.block_size]
    if pool.prefix_caching != 0:
        take_decode_blocks(engines, r, rep, pool, rep.decode_step)
    if rep.n_prefill > 0:
        _take_prefill_blocks(engines, rep, pool)


@kernel
def _take_in_groups(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    if engines.groups.pools[rep.pool].n_groups == 0:
        _take_in_table(engines, r, rep, pool)
    else:
        change_lanes(engines, r, rep, pool)


_take_blocks = table_door(_take_in_table, _take_in_groups, inline=True)


@inline_kernel
def plan_lanes(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> bool:
    """Plan a step by lanes; False, with nothing done, where the order of the running requests matters."""
    need = _plan_prefills(engines, rep, pool) if rep.n_prefill > 0 or rep.n_decode > 0 else 0
    if need >= 0:
        need += lane_needs(engines, r, rep, pool, rep.decode_step)
    if need < 0 or need > rep.free_blocks:
        return False
    open_step(rep)
    begin_plan(engines, r)
    rep.step_seqs = rep.n_decode
    rep.step_tokens = rep.n_decode
    rep.step_context = rep.context_tokens + rep.n_decode
    _take_blocks(engines, r, rep, pool)
    admit_waiting(engines, r, rep, pool, pool.max_num_batched_tokens - rep.step_tokens, NO_PADDING, now)
    return True


@inline_kernel
def schedule(engines: Engines, r: int, now: float) -> None:
    """Start the next step of replica `r`, or leave it idle (`step_end_s` = inf) when there is nothing it can do.

    Transfers of KV blocks that begin with the step stand in the list from `load_head`.
    """
    rep = engines.replicas[r]
    pool = engines.pools[rep.pool]
    if rep.n_running == 0 and rep.n_waiting == 0:
        go_idle(rep, now)
        return
    preempted = False
    if pool.num_speculative_tokens > 0 or not plan_lanes(engines, r, rep, pool, now):
        materialise(engines, r, rep, pool, now)
        preempted = plan_general(engines, r, rep, pool, now)
    if rep.step_seqs == 0 and not preempted:
        go_idle(rep, now)
    else:
        close_step(engines, r, rep, pool, now)


@kernel
def _complete_prefills(engines: Engines, r: int, rep: Any, pool: Any, now: float, n_done: int) -> int:
    index = rep.prefill_head
    while index != NONE:
        slot = engines.slots[index]
        following = slot.lane_next
        if slot.scheduled > 0:
            slot.computed += slot.scheduled
            slot.scheduled = 0
            if slot.computed == slot.isl + slot.generated:
                slot.catching_up = 0
                emit_tokens(engines, rep, slot, 1, now)
                if slot.generated >= slot.osl:
                    leave_prefill(engines, rep, index)
                    engines.scratch[n_done] = index
                    n_done += 1
                elif is_regular(engines, rep, slot):
                    leave_prefill(engines, rep, index)
                    join_decode(engines, r, rep, pool, index, 0)
        index = following
    return n_done


@inline_kernel
def complete(engines: Engines, r: int) -> int:
    """End the step of replica `r`; requests that have all their tokens have left the engine when it returns.

    Their slots stand in `scratch` in running order, their number is returned.
    """
    rep = engines.replicas[r]
    pool = engines.pools[rep.pool]
    now = rep.step_end_s
    rep.in_step = 0
    if rep.lanes == 0:
        n_done = complete_general(engines, rep, pool, now)
        if pool.num_speculative_tokens == 0:
            enter_lanes(engines, r, rep, pool)
        return n_done
    n_done = 0
    if rep.n_decode > 0:
        gap = itl_bin(now - rep.step_start_s)
        for c in range(engines.class_decode.shape[1]):
            engines.itl_counts[c, gap] += engines.class_decode[r, c]
        rep.output_tokens += rep.n_decode
        n_done = advance_decode(engines, r, rep, pool)
    if rep.n_prefill > 0:
        n_done = _complete_prefills(engines, r, rep, pool, now, n_done)
    sort_by_running_order(engines, n_done)
    for k in range(n_done):
        remove_running(engines, rep, engines.scratch[k])
        if engines.slots[engines.scratch[k]].keeps_blocks == 0:
            free_blocks(engines, rep, pool, engines.slots[engines.scratch[k]])
    return n_done
