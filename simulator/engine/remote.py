"""The decode side of disaggregation: requests whose prompt's KV is fetched from the replica that computed it.

vLLM 0.32's `WAITING_FOR_REMOTE_KVS`; the specification is `simulator.engine.reference.scheduler`.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.blocks import append_block, cached_prefix, in_free_list, register_full_blocks, take_row, touch
from simulator.engine.config import Policy
from simulator.engine.queues import append_running, join_prefill, remove_waiting, served_before
from simulator.engine.speculation import first_step_padding, spec_decode_tokens
from simulator.engine.state import NONE, PREFILL, RECEIVED, RECEIVING, Engines
from simulator.engine.timing import count_scheduled, tokens_left
from simulator.jit import kernel

_PRIORITY = int(Policy.PRIORITY)


@kernel
def _remaining_blocks(pool: Any, slot: Any) -> int:
    tokens = min(slot.isl + slot.generated, pool.max_model_len) + spec_decode_tokens(pool)
    return max((tokens + pool.block_size - 1) // pool.block_size - slot.n_blocks, 0)


@kernel
def _reserved_blocks(engines: Engines, rep: Any, pool: Any) -> int:
    """Blocks that requests on their way to their first decode step still need, and one such step.

    Without speculative decoding, those whose KV is on its way hold all they need.
    """
    speculative = pool.num_speculative_tokens > 0
    total = (spec_decode_tokens(pool) + pool.block_size - 1) // pool.block_size
    index = rep.run_head if speculative else rep.prefill_head
    if rep.lanes == 0 and not speculative:
        index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.state == PREFILL and slot.catching_up != 0:
            total += _remaining_blocks(pool, slot)
        index = slot.run_next if rep.lanes == 0 else slot.lane_next
    if speculative:
        index = rep.hold_head
        while index != NONE:
            total += _remaining_blocks(pool, engines.slots[index])
            index = engines.slots[index].wait_next
    return total


@kernel
def start_load(engines: Engines, rep: Any, pool: Any, index: int) -> int:
    """Blocks for the whole prompt of the head of the queue, which then waits for their content: -1, or 0 without room.

    The transfer is for the gateway to begin: the request stands in the list from `load_head`.
    """
    slot = engines.slots[index]
    size = pool.block_size
    n_hits = cached_prefix(engines, rep, pool, slot) if pool.prefix_caching != 0 else 0
    evictable = in_free_list(engines, rep, n_hits)
    fresh = (slot.isl + size - 1) // size - n_hits
    reserve = pool.watermark_blocks if rep.n_running > 0 else 0
    if fresh + evictable + reserve + _reserved_blocks(engines, rep, pool) > rep.free_blocks:
        return 0
    remove_waiting(engines, rep, pool.policy, index)
    rep.free_blocks -= fresh
    if pool.prefix_caching != 0:
        take_row(engines, rep, slot)
        touch(engines, rep, slot, n_hits)
        for _ in range(fresh):
            append_block(engines, rep, slot)
    else:
        slot.n_blocks = fresh
    slot.state = RECEIVING
    slot.catching_up = 1
    hold(engines, rep, pool, index)
    ask_for_load(engines, rep, index)
    return -1


@kernel
def ask_for_load(engines: Engines, rep: Any, index: int) -> None:
    """Join the requests whose transfer begins with the present step."""
    engines.slots[index].run_next = NONE
    if rep.load_head == NONE:
        rep.load_head = index
    else:
        engines.slots[rep.load_tail].run_next = index
    rep.load_tail = index


@kernel
def hold(engines: Engines, rep: Any, pool: Any, index: int) -> None:
    """Join the waiting requests that hold blocks: FCFS in order of their transfers, or by priority."""
    slot = engines.slots[index]
    rep.n_waiting += 1
    rep.n_holding += 1
    before = rep.hold_tail
    if pool.policy == _PRIORITY:
        while before != NONE and served_before(engines, index, before):
            before = engines.slots[before].wait_prev
    after = rep.hold_head if before == NONE else engines.slots[before].wait_next
    slot.wait_prev = before
    slot.wait_next = after
    slot.wait_child = NONE
    if before == NONE:
        rep.hold_head = index
    else:
        engines.slots[before].wait_next = index
    if after == NONE:
        rep.hold_tail = index
    else:
        engines.slots[after].wait_prev = index


@kernel
def leave_hold(engines: Engines, rep: Any, index: int) -> None:
    """Leave the waiting requests that hold blocks."""
    slot = engines.slots[index]
    rep.n_waiting -= 1
    rep.n_holding -= 1
    if slot.state == RECEIVED:
        rep.n_received -= 1
    if slot.wait_prev != NONE:
        engines.slots[slot.wait_prev].wait_next = slot.wait_next
    else:
        rep.hold_head = slot.wait_next
    if slot.wait_next != NONE:
        engines.slots[slot.wait_next].wait_prev = slot.wait_prev
    else:
        rep.hold_tail = slot.wait_prev


@kernel
def leave_queue(engines: Engines, rep: Any, pool: Any, index: int) -> None:
    """Leave whichever waiting requests it is among; what blocks it holds stay its own."""
    if engines.slots[index].state in (RECEIVING, RECEIVED):
        leave_hold(engines, rep, index)
    else:
        remove_waiting(engines, rep, pool.policy, index)


@kernel
def admit_received(engines: Engines, rep: Any, pool: Any, budget: int, most: int, pads: int) -> int:
    """Let requests run whose KV has arrived; returns the budget left, 0 when one has to wait and so everybody behind.

    Its blocks become findable now, and its last token is computed again, for the logits.
    """
    size = pool.block_size
    index = rep.hold_head
    while index != NONE and tokens_left(rep, pool, budget) > 0 and rep.n_running < most:
        slot = engines.slots[index]
        following = slot.wait_next
        if slot.state == RECEIVED:
            if pool.prefix_caching != 0:
                register_full_blocks(engines, rep, pool, slot, slot.isl - pool.unhashed)
            padding = first_step_padding(pool, slot.isl, slot.isl - 1, pads)
            if padding > 0 and 1 + padding > tokens_left(rep, pool, budget):
                return 0
            reserve = pool.watermark_blocks if rep.n_running > 0 else 0
            reach = min(slot.isl + padding + pool.num_lookahead_tokens, pool.max_model_len)
            fresh = max((reach + size - 1) // size - slot.n_blocks, 0)
            if fresh + reserve > rep.free_blocks:
                return 0
            leave_hold(engines, rep, index)
            pool.n_waiting -= 1
            append_running(engines, rep, index)
            rep.free_blocks -= fresh
            if pool.prefix_caching != 0:
                for _ in range(fresh):
                    append_block(engines, rep, slot)
            else:
                slot.n_blocks += fresh
            slot.computed = slot.isl - 1
            slot.scheduled = 1 + padding
            slot.drafts = -padding
            if rep.lanes != 0:
                join_prefill(engines, rep, index)
            else:
                slot.state = PREFILL
            count_scheduled(rep, slot.computed, 1 + padding, True)
            budget -= 1 + padding + pool.draft_slots
        index = following
    return budget
