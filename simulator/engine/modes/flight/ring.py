"""The ring of plans in flight: a plan is closed, the oldest one's output is applied, all are cut off."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.doors import room_door
from simulator.engine.modes.drafts.kernels import asked_drafts, made_drafts
from simulator.engine.modes.flight.entries import add_entry, is_here
from simulator.engine.modes.flight.fences import give_back_blocks, pass_fences
from simulator.engine.modes.flight.lanes import advance_lanes, enter_lanes, is_one_left_out, leave_lanes
from simulator.engine.modes.offload.answers import begins_s, end_copies, note_left_request
from simulator.engine.modes.rooms.answers import (
    is_dropped,
    log_empty,
    tell_confirmed,
    tell_freed,
    tell_left,
    tell_planned,
)
from simulator.engine.modes.tables.answers import register_full_blocks
from simulator.engine.queues import leave_decode, remove_running, remove_waiting, sort_by_running_order
from simulator.engine.speculation import right_drafts
from simulator.engine.state import DECODE, NONE, WAITING, Engines
from simulator.engine.timing import log_step, step_duration_s
from simulator.engine.tokens import itl_bin
from simulator.jit import inline_kernel, kernel


@inline_kernel
def close_plan(engines: Engines, r: int, rep: Any, pool: Any, now: float, preempted: bool) -> None:
    """Put the plan just made into the ring: when it is computed, and what it brings; its tokens count as computed."""
    head = engines.flight.replicas[r]
    k = (head.first + rep.in_step) % head.depth
    plan = engines.flight.plans[r, k]
    empty = rep.step_seqs == 0 and not preempted
    duration = 0.0 if empty else step_duration_s(engines, rep, pool)
    free_s = engines.flight.stage_free_s
    before = engines.flight.plans[r, (k + head.depth - head.stages) % head.depth]
    plan.start_s = max(max(begins_s(engines, r, now), free_s[r, 0]), before.end_s)
    end_s = plan.start_s
    for stage in range(head.stages):
        end_s = max(end_s, free_s[r, stage]) + duration / head.stages
        free_s[r, stage] = end_s
    plan.end_s = end_s
    plan.busy_s = end_s - max(plan.start_s, head.last_end_s)
    head.last_end_s = max(head.last_end_s, end_s)
    plan.number = head.plan_number
    plan.used_blocks = pool.num_blocks - 1 - rep.free_blocks
    plan.n_seqs = rep.step_seqs
    plan.n_entries = 0
    plan.n_decode = 0
    plan.decode_step = -1
    plan.is_empty = 1 if empty else 0
    rep.in_step += 1
    if empty:
        log_empty(engines, r, rep, plan.start_s)
        return
    if rep.step_seqs > 0:
        head.last_given = head.plan_number
    rep.steps += 1
    rep.busy_s += plan.busy_s
    rep.energy_j += plan.busy_s * engines.power_w[pool.power_base + plan.n_seqs]
    rep.kv_block_s += plan.busy_s * plan.used_blocks
    rep.step_start_s = plan.start_s
    if len(engines.log) > 0:
        log_step(engines, r, rep)
    _advance(engines, r, rep, pool, k)


@kernel
def _advance_each(engines: Engines, r: int, rep: Any, pool: Any, k: int) -> None:
    head = engines.flight.replicas[r]
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.scheduled > 0:
            aloft = engines.flight.aloft[index]
            slot.computed += slot.scheduled
            aloft.in_flight += slot.scheduled
            yields = max(slot.computed - slot.isl - slot.generated + 1, 0)
            entry = add_entry(engines, r, k, index, slot.scheduled, yields, 0, 0)
            entry.drafts = -(yields - 1) if slot.drafts < 0 else yields - 1
            slot.drafts = 0
            if yields > 0:
                slot.catching_up = 0
                tell_planned(engines, r, index)
            if yields > 0 and head.asynchronous != 0:
                slot.generated += yields
                aloft.placeholders += yields
                slot.drafts = asked_drafts(engines, rep, pool)
                entry.last = 1 if yields == 1 and slot.generated >= slot.osl else 0
                if head.eligible_after > 0:
                    aloft.eligible = head.plan_number + head.eligible_after
            slot.scheduled = 0
        index = slot.run_next


@kernel
def _advance_by_lanes(engines: Engines, r: int, rep: Any, pool: Any, k: int) -> None:
    if rep.lanes != 0:
        advance_lanes(engines, r, rep, pool, k)
        return
    enters = engines.flight.replicas[r].keeps_lanes != 0 and not is_one_left_out(engines, rep)
    _advance_each(engines, r, rep, pool, k)
    if enters:
        enter_lanes(engines, r, rep, pool)


_advance = room_door(_advance_by_lanes, _advance_each)
"""The plan's tokens count as computed; with rooms nobody is in a lane."""


@kernel
def _leave_none(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    return


@kernel
def _leave_both(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    leave_lanes(engines, r, rep, pool)


leave_all_lanes = room_door(_leave_both, _leave_none)
"""Bring every running request up to date."""


@inline_kernel
def apply_output(engines: Engines, r: int, now: float) -> int:
    """Apply the oldest plan's output; the slots that end stand in `scratch` in running order, their number is returned.

    A request that is gone is skipped; tokens of one that was preempted meanwhile are delivered, and may end it.
    """
    rep = engines.replicas[r]
    pool = engines.pools[rep.pool]
    head = engines.flight.replicas[r]
    k = head.first
    plan = engines.flight.plans[r, k]
    head.first = (k + 1) % head.depth
    rep.in_step -= 1
    if head.fence_head != NONE:
        pass_fences(engines, r, plan.number)
    if plan.n_decode > 0:
        gap = itl_bin(now - head.last_output_s)
        for c in range(engines.flight.classes.shape[2]):
            engines.itl_counts[c, gap] += engines.flight.classes[r, k, c]
        rep.output_tokens += plan.n_decode
    n_done = 0
    for e in range(plan.n_entries):
        entry = engines.flight.entries[r, k, e]
        if not is_here(engines, r, entry):
            continue
        if _apply_entry(engines, r, rep, pool, plan, entry, now):
            tell_left(engines, r, entry.slot)
            note_left_request(engines, r, pool, entry.slot, True)
            engines.scratch[n_done] = entry.slot
            n_done += 1
    sort_by_running_order(engines, n_done)
    head.last_output_s = now
    head.last_decode_step = plan.decode_step
    for done in range(n_done):
        index = engines.scratch[done]
        slot = engines.slots[index]
        tell_freed(engines, r, rep, index)
        if slot.state == WAITING:
            remove_waiting(engines, rep, pool.policy, index)
            pool.n_waiting -= 1
        else:
            remove_running(engines, rep, index)
            if slot.keeps_blocks == 0:
                give_back_blocks(engines, r, rep, pool, index)
    end_copies(engines, r, rep, k)
    if n_done > 0:
        head.has_finished = 1
    return n_done


@inline_kernel
def _apply_entry(engines: Engines, r: int, rep: Any, pool: Any, plan: Any, entry: Any, now: float) -> bool:
    """Whether the request has all its tokens now."""
    slot = engines.slots[entry.slot]
    aloft = engines.flight.aloft[entry.slot]
    if aloft.stale > 0:
        aloft.stale -= entry.tokens
        if entry.yields == 0 or is_dropped(engines, entry.slot):
            return False
        right = right_drafts(engines, rep, slot, slot.generated, entry.drafts)
        tokens = min(1 + right, slot.osl - slot.generated)
        slot.generated += tokens
        _deliver(engines, rep, slot, tokens, now)
        return slot.generated >= slot.osl
    if rep.lanes == 0:
        aloft.in_flight -= entry.tokens
    if entry.yields == 0:
        tell_confirmed(engines, r, entry.slot)
        return False
    if rep.lanes == 0:
        return _apply_to_each(engines, r, rep, pool, plan, entry, now)
    if entry.lands == 0:
        _deliver(engines, rep, slot, 1, now)
    if entry.last == 0:
        return False
    if slot.state == DECODE:
        leave_decode(engines, r, rep, pool, entry.slot)
    ahead = max(slot.generated - slot.osl, 0)
    slot.generated -= ahead
    if pool.prefix_caching != 0:
        register_full_blocks(engines, rep, pool, slot, slot.computed - ahead)
    return True


@inline_kernel
def _apply_to_each(engines: Engines, r: int, rep: Any, pool: Any, plan: Any, entry: Any, now: float) -> bool:
    """Outside the lanes: drafts that were wrong are taken back; blocks of known tokens become findable."""
    slot = engines.slots[entry.slot]
    aloft = engines.flight.aloft[entry.slot]
    if engines.flight.replicas[r].asynchronous == 0:
        return _apply_awaited(engines, r, rep, pool, plan, entry, now)
    delivered = slot.generated - aloft.placeholders
    tokens = 1
    if entry.yields > 1:
        right = right_drafts(engines, rep, slot, delivered, entry.drafts)
        wrong = entry.yields - 1 - right
        slot.computed -= wrong
        slot.generated -= wrong
        aloft.placeholders -= wrong
        tokens = min(1 + right, slot.osl - delivered)
    tell_confirmed(engines, r, entry.slot)
    aloft.placeholders -= tokens
    _deliver(engines, rep, slot, tokens, now)
    ended = delivered + tokens >= slot.osl
    if pool.prefix_caching != 0:
        register_full_blocks(engines, rep, pool, slot, slot.computed - aloft.placeholders)
    if ended:
        slot.generated = slot.osl
    return ended


@kernel
def _awaited_token(engines: Engines, r: int, rep: Any, pool: Any, plan: Any, entry: Any, now: float) -> bool:
    slot = engines.slots[entry.slot]
    slot.generated += entry.yields
    _deliver(engines, rep, slot, 1, now)
    return slot.generated >= slot.osl


@kernel
def _awaited_drafts(engines: Engines, r: int, rep: Any, pool: Any, plan: Any, entry: Any, now: float) -> bool:
    slot = engines.slots[entry.slot]
    right = right_drafts(engines, rep, slot, slot.generated, entry.drafts) if entry.yields > 1 else 0
    slot.computed -= entry.yields - 1 - right
    tell_confirmed(engines, r, entry.slot)
    tokens = min(1 + right, slot.osl - slot.generated)
    slot.generated += tokens
    if engines.rooms.pools[rep.pool].takes_back_trimmed != 0:
        slot.computed -= 1 + right - tokens
    _deliver(engines, rep, slot, tokens, now)
    if pool.registers_with_output != 0 and pool.prefix_caching != 0:
        register_full_blocks(engines, rep, pool, slot, slot.isl + slot.generated - 1)
    asked = pool.num_speculative_tokens
    if pool.drafts_by_seqs != 0:
        asked = engines.draft_counts[rep.pool, plan.n_seqs]
    slot.drafts = made_drafts(engines, rep, slot, asked)
    return slot.generated >= slot.osl


_apply_awaited = room_door(_awaited_token, _awaited_drafts)
"""Plans that do not count on the one before; with rooms those of one at a time are here, too, and have drafts."""


@kernel
def _deliver(engines: Engines, rep: Any, slot: Any, tokens: int, now: float) -> None:
    """Hand tokens out; several at once have no gap between."""
    if np.isnan(slot.first_token_s):
        slot.first_token_s = now
    else:
        engines.itl_counts[slot.class_id, itl_bin(now - slot.last_token_s)] += 1
    if tokens > 1:
        engines.itl_counts[slot.class_id, 0] += tokens - 1
    slot.last_token_s = now
    rep.output_tokens += tokens


@kernel
def cut_plans(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> None:
    """Plans in flight end at `now`: take what they have not used off, and what they would have brought."""
    head = engines.flight.replicas[r]
    for place in range(rep.in_step):
        plan = engines.flight.plans[r, (head.first + place) % head.depth]
        unused_s = min(plan.busy_s, max(plan.end_s - now, 0.0))
        rep.busy_s -= unused_s
        rep.energy_j -= unused_s * engines.power_w[pool.power_base + plan.n_seqs]
        rep.kv_block_s -= unused_s * plan.used_blocks
    leave_all_lanes(engines, r, rep, pool)
    head.fence_head = NONE
    index = rep.run_head
    while index != NONE:
        engines.slots[index].generated -= engines.flight.aloft[index].placeholders
        engines.flight.aloft[index].placeholders = 0
        index = engines.slots[index].run_next
    rep.in_step = 0
