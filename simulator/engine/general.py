"""The general step: every running request individually, in order, with preemption and speculative decoding.

It is taken when the decode lane's shortcut would not be exact: the budget does not reach every running request, blocks
run out, or a request may get several tokens a step.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.admission import prefill_cap
from simulator.engine.blocks import append_block, register_full_blocks
from simulator.engine.config import Policy
from simulator.engine.doors import table_door
from simulator.engine.modes.drafts.kernels import asked_drafts, made_drafts
from simulator.engine.modes.flight.answers import known_tokens, make_stale, may_preempt
from simulator.engine.modes.offload.answers import tell_preempted
from simulator.engine.modes.rooms.answers import (
    admit_waiting,
    cut_chunk,
    is_passed_over,
    open_rooms,
    tell_given,
    tell_left,
    tell_taken_back,
)
from simulator.engine.modes.tables.answers import (
    begin_plan,
    extend_groups,
    free_blocks,
    is_regular,
    list_private_blocks,
)
from simulator.engine.queues import (
    close_lanes,
    join_decode,
    join_prefill,
    leave_decode,
    push_waiting,
    remove_running,
)
from simulator.engine.speculation import NO_PADDING, PADS_ALL, PADS_COMPUTED, right_drafts
from simulator.engine.state import DECODE, LOG_PREEMPTED, NONE, PREFILL, WAITING, Engines
from simulator.engine.timing import count_scheduled, open_step, tokens_left, write_log
from simulator.engine.tokens import emit_tokens
from simulator.jit import kernel

_PRIORITY = int(Policy.PRIORITY)


@kernel
def materialise(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> None:
    """Bring every running request up to date and leave both lanes."""
    if rep.lanes == 0:
        return
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.state == DECODE:
            leave_decode(engines, r, rep, pool, index)
            slot.last_token_s = now
            slot.state = PREFILL
        slot.scheduled = 0
        index = slot.run_next
    close_lanes(rep)


@kernel
def enter_lanes(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    """Sort every running request into its lane."""
    rep.lanes = 1
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        decoding = slot.computed >= slot.isl and slot.isl + slot.generated - slot.computed == 1
        if decoding and is_regular(engines, rep, slot):
            join_decode(engines, r, rep, pool, index, 0)
        else:
            join_prefill(engines, rep, index)
        index = slot.run_next


@kernel
def _victim(engines: Engines, rep: Any, pool: Any) -> int:
    """Who is preempted: the last running request, or with priorities the one that would be served last."""
    if pool.policy != _PRIORITY:
        return rep.run_tail
    victim = rep.run_head
    index = engines.slots[victim].run_next
    while index != NONE:
        if _ranks_above(engines, index, victim):
            victim = index
        index = engines.slots[index].run_next
    return victim


@kernel
def _ranks_above(engines: Engines, a: int, b: int) -> bool:
    """Larger (priority, arrival, number); of the answers to one request the first in running order is taken."""
    left = engines.slots[a]
    right = engines.slots[b]
    if left.priority != right.priority:
        return left.priority > right.priority
    if left.arrival_s != right.arrival_s:
        return left.arrival_s > right.arrival_s
    if left.session_id >= 0 and left.session_id == right.session_id:
        return False
    return left.request > right.request


@kernel
def preempt(engines: Engines, rep: Any, pool: Any, index: int) -> None:
    slot = engines.slots[index]
    remove_running(engines, rep, index)
    if pool.prefix_caching != 0:
        list_private_blocks(engines, rep, pool, slot)
    free_blocks(engines, rep, pool, slot)
    set_back(engines, rep, pool, index)


@kernel
def set_back(engines: Engines, rep: Any, pool: Any, index: int) -> None:
    """A request that has given up its blocks waits again, and is computed from its beginning."""
    slot = engines.slots[index]
    tell_left(engines, slot.replica, index)
    tell_preempted(engines, slot.replica, index)
    make_stale(engines, slot, index)
    slot.computed = 0
    slot.scheduled = 0
    slot.drafts = 0
    slot.preemptions += 1
    rep.batch_room = 0
    rep.preemptions += 1
    slot.state = WAITING
    push_waiting(engines, rep, pool.policy, index, True)
    pool.n_waiting += 1
    if len(engines.log) > 0:
        write_log(engines, LOG_PREEMPTED, slot.request, 0, 0)


@kernel
def _is_decoding(slot: Any, due: int) -> bool:
    return slot.computed >= slot.isl and due == 1 + slot.drafts


@kernel
def _extend_table(engines: Engines, rep: Any, pool: Any, slot: Any, index: int, scheduled: int) -> bool:
    size = pool.block_size
    reach = min(slot.computed + scheduled + pool.num_lookahead_tokens, pool.max_model_len)
    fresh = max((reach + size - 1) // size - slot.n_blocks, 0)
    if fresh > rep.free_blocks:
        return False
    rep.free_blocks -= fresh
    if pool.prefix_caching == 0:
        slot.n_blocks += fresh
        return True
    for _ in range(fresh):
        append_block(engines, rep, slot)
    known = known_tokens(engines, slot, index)
    register_full_blocks(engines, rep, pool, slot, min(slot.computed + scheduled, known - pool.unhashed))
    return True


@kernel
def _extend_by_pool(engines: Engines, rep: Any, pool: Any, slot: Any, index: int, scheduled: int) -> bool:
    if engines.groups.pools[rep.pool].n_groups == 0:
        return _extend_table(engines, rep, pool, slot, index, scheduled)
    return extend_groups(engines, rep, pool, slot, index, scheduled)


_allocate = table_door(_extend_table, _extend_by_pool)


@kernel
def plan_general(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> bool:
    """One step of vLLM's `schedule()` over all running, then waiting requests; lanes must have been left.

    Returns whether somebody was preempted.
    """
    open_step(rep)
    begin_plan(engines, r)
    open_rooms(engines, r, rep, now)
    budget = pool.max_num_batched_tokens
    cap = prefill_cap(rep, pool)
    preempted = False
    middle = False
    slots = pool.draft_slots
    pads = NO_PADDING if pool.num_speculative_tokens == 0 or pool.drafts_by_seqs != 0 else PADS_COMPUTED
    index = rep.run_head
    while index != NONE:
        engines.slots[index].scheduled = 0
        index = engines.slots[index].run_next
    index = rep.run_head
    while index != NONE and tokens_left(rep, pool, budget) > 0:
        slot = engines.slots[index]
        if is_passed_over(engines, r, slot, index):
            index = slot.run_next
            continue
        due = slot.isl + slot.generated + slot.drafts - slot.computed
        scheduled = min(min(due, cap), min(tokens_left(rep, pool, budget), pool.max_model_len - slot.computed - 1))
        known = known_tokens(engines, slot, index)
        scheduled = cut_chunk(engines, r, rep, pool, index, known, slot.computed, scheduled, False)
        if scheduled <= 0:
            index = slot.run_next
            continue
        placed = _allocate(engines, rep, pool, slot, index, scheduled)
        following = NONE
        must_stay = False
        while not placed:
            victim = _victim(engines, rep, pool)
            must_stay = not may_preempt(engines, r, victim)
            if must_stay:
                break
            if engines.slots[victim].scheduled > 0:
                budget += engines.slots[victim].scheduled + slots
                tell_taken_back(engines, r, victim)
            _uncount(rep, engines.slots[victim])
            following = slot.run_next
            preempt(engines, rep, pool, victim)
            preempted = True
            if victim == index:
                break
            placed = _allocate(engines, rep, pool, slot, index, scheduled)
        if not placed and (must_stay or pool.self_preemption_ends_loop != 0):
            break
        if not placed:
            index = following
            continue
        slot.scheduled = scheduled
        count_scheduled(rep, slot.computed, scheduled, _is_decoding(slot, due))
        tell_given(engines, r, rep, index)
        budget -= scheduled + slots
        if pads != NO_PADDING:
            middle = middle or slot.catching_up != 0
            pads = PADS_ALL
        index = slot.run_next
    if not preempted:
        admit_waiting(engines, r, rep, pool, budget, NO_PADDING if middle else pads, now)
    return preempted


@kernel
def _uncount(rep: Any, slot: Any) -> None:
    """Take a victim's tokens of this step out of the step's totals."""
    if slot.scheduled == 0:
        return
    due = slot.isl + slot.generated + slot.drafts - slot.computed
    rep.step_seqs -= 1
    rep.step_tokens -= slot.scheduled
    if _is_decoding(slot, due):
        rep.step_context -= slot.computed + slot.scheduled
    else:
        rep.step_units -= slot.scheduled * (2 * slot.computed + slot.scheduled + 1)


@kernel
def complete_general(engines: Engines, rep: Any, pool: Any, now: float) -> int:
    """Apply a general step; the slots that end stand in `scratch`, their number is returned."""
    n_done = 0
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        following = slot.run_next
        scheduled = slot.scheduled
        if scheduled > 0:
            tokens = slot.isl + slot.generated
            drafted = max(slot.computed + scheduled - tokens, 0)
            slot.computed += scheduled
            slot.scheduled = 0
            if slot.computed >= tokens:
                slot.catching_up = 0
                accepted = 0
                if slot.drafts >= 0:
                    accepted = right_drafts(engines, rep, slot, slot.generated, drafted)
                slot.computed -= drafted - accepted
                emit_tokens(engines, rep, slot, accepted + 1, now)
                if pool.registers_with_output != 0 and pool.prefix_caching != 0:
                    register_full_blocks(engines, rep, pool, slot, slot.isl + slot.generated - 1)
                slot.drafts = made_drafts(engines, rep, slot, asked_drafts(engines, rep, pool))
                if slot.generated >= slot.osl:
                    engines.scratch[n_done] = index
                    n_done += 1
        index = following
    for k in range(n_done):
        slot = engines.slots[engines.scratch[k]]
        remove_running(engines, rep, engines.scratch[k])
        if slot.keeps_blocks == 0:
            free_blocks(engines, rep, pool, slot)
    return n_done
