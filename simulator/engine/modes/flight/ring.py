"""The ring of plans in flight: a plan is closed, its output is applied, lanes are left while plans are on their way.

While the decode lane is kept lazily a plan holds its members as a number; only those whose prompt ends in it, or whose
last token it brings, have an entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.modes.tables.answers import free_blocks, is_regular, join_irregular, register_full_blocks
from simulator.engine.queues import (
    advance_decode,
    close_lanes,
    join_decode,
    join_prefill,
    leave_decode,
    leave_prefill,
    remove_running,
    remove_waiting,
    sort_by_running_order,
)
from simulator.engine.state import DECODE, LANDING, NONE, PREFILL, WAITING, Engines
from simulator.engine.timing import log_step, step_duration_s
from simulator.engine.tokens import itl_bin
from simulator.jit import inline_kernel, kernel

_NEVER = np.int64(1 << 62)
_LANED, _LANDED = 1, 2


@inline_kernel
def _add_entry(engines: Engines, r: int, k: int, index: int, tokens: int, yields: int, last: int, lands: int) -> None:
    plan = engines.flight.plans[r, k]
    entry = engines.flight.entries[r, k, plan.n_entries]
    plan.n_entries += 1
    _fill(entry, engines.slots[index].request, index, tokens, yields, last, lands)


@inline_kernel
def _fill(entry: Any, request: int, index: int, tokens: int, yields: int, last: int, lands: int) -> None:
    entry.request = request
    entry.slot = index
    entry.tokens = tokens
    entry.yields = yields
    entry.last = last
    entry.lands = lands


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
    plan.start_s = max(max(now, free_s[r, 0]), before.end_s)
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
    rep.in_step += 1
    if empty:
        return
    rep.steps += 1
    rep.busy_s += plan.busy_s
    rep.energy_j += plan.busy_s * engines.power_w[pool.power_base + plan.n_seqs]
    rep.kv_block_s += plan.busy_s * plan.used_blocks
    rep.step_start_s = plan.start_s
    if len(engines.log) > 0:
        log_step(engines, r, rep)
    if rep.lanes != 0:
        _advance_lanes(engines, r, rep, pool, k)
    else:
        _advance_each(engines, r, rep, k)
        if head.keeps_lanes != 0:
            _enter_lanes(engines, r, rep, pool)


@inline_kernel
def _advance_lanes(engines: Engines, r: int, rep: Any, pool: Any, k: int) -> None:
    plan = engines.flight.plans[r, k]
    if rep.n_decode > 0:
        plan.decode_step = rep.decode_step
        plan.n_decode = rep.n_decode
        for c in range(engines.class_decode.shape[1]):
            engines.flight.classes[r, k, c] = engines.class_decode[r, c]
        for n in range(advance_decode(engines, r, rep, pool)):
            index = engines.scratch[n]
            slot = engines.slots[index]
            slot.state = LANDING
            if _goes_on(pool, slot) == 0:
                engines.flight.aloft[index].landing = plan.number
                _add_entry(engines, r, k, index, 1, 1, 1, 1)
            else:
                _throw_away(engines, r, k, index)
    index = rep.prefill_head
    while index != NONE:
        slot = engines.slots[index]
        following = slot.lane_next
        if slot.scheduled > 0:
            slot.computed += slot.scheduled
            ended = slot.computed == slot.isl + slot.generated
            last = ended and slot.generated + 1 >= slot.osl
            _add_entry(engines, r, k, index, slot.scheduled, 1 if ended else 0, 1 if last else 0, 0)
            slot.scheduled = 0
            if ended:
                slot.catching_up = 0
                slot.generated += 1
                if last or is_regular(engines, rep, slot):
                    leave_prefill(engines, rep, index)
                    _join_or_land(engines, r, rep, pool, index, plan.number)
        index = following


@kernel
def _goes_on(pool: Any, slot: Any) -> int:
    """Plans that hold a request after the one that brings its last token: 1 if a stop token ends it."""
    return slot.stops if slot.isl + slot.osl < pool.max_model_len else 0


@kernel
def _throw_away(engines: Engines, r: int, k: int, index: int) -> None:
    """Plan `k` of the lanes holds a request whose last token the plan before it brings: nobody takes its output."""
    slot = engines.slots[index]
    plan = engines.flight.plans[r, k]
    plan.n_decode -= 1
    engines.flight.classes[r, k, slot.class_id] -= 1
    _add_entry(engines, r, k, index, 1, 1, 0, 0)
    before = 1 - k
    engines.flight.aloft[index].landing = engines.flight.plans[r, before].number
    if engines.flight.plans[r, before].n_decode > 0 and slot.join_step <= engines.flight.plans[r, before].decode_step:
        _add_entry(engines, r, before, index, 1, 1, 1, 1)


@kernel
def _land(engines: Engines, index: int, number: int) -> None:
    engines.slots[index].state = LANDING
    engines.slots[index].join_step = _NEVER
    engines.flight.aloft[index].landing = number


@kernel
def _advance_each(engines: Engines, r: int, rep: Any, k: int) -> None:
    head = engines.flight.replicas[r]
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.scheduled > 0:
            aloft = engines.flight.aloft[index]
            slot.computed += slot.scheduled
            aloft.in_flight += slot.scheduled
            ended = slot.computed >= slot.isl + slot.generated
            if ended:
                slot.catching_up = 0
            if ended and head.asynchronous != 0:
                slot.generated += 1
                aloft.placeholders += 1
                if head.eligible_after > 0:
                    aloft.eligible = head.plan_number + head.eligible_after
            last = ended and slot.generated >= slot.osl and head.asynchronous != 0
            _add_entry(engines, r, k, index, slot.scheduled, 1 if ended else 0, 1 if last else 0, 0)
            slot.scheduled = 0
        index = slot.run_next


@kernel
def _join_or_land(engines: Engines, r: int, rep: Any, pool: Any, index: int, number: int) -> None:
    """A request decodes from now on, or its last token is on its way with plan `number`."""
    slot = engines.slots[index]
    beyond = _goes_on(pool, slot)
    if slot.generated >= slot.osl + beyond:
        _land(engines, index, number)
        return
    if not is_regular(engines, rep, slot):
        join_irregular(engines, r)
    join_decode(engines, r, rep, pool, index, beyond)


@kernel
def _enter_lanes(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    """Sort every running request into its lane; the decode lane has those that were in the plan just closed."""
    rep.lanes = 1
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        last = slot.generated >= slot.osl
        if engines.flight.aloft[index].placeholders == 0 or not (last or is_regular(engines, rep, slot)):
            join_prefill(engines, rep, index)
        else:
            _join_or_land(engines, r, rep, pool, index, engines.flight.replicas[r].plan_number)
        index = slot.run_next


@kernel
def leave_lanes(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    """Bring every running request up to date, and give the plans in flight an entry for each of theirs."""
    if rep.lanes == 0:
        return
    head = engines.flight.replicas[r]
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        aloft = engines.flight.aloft[index]
        aloft.in_flight = 0
        aloft.placeholders = 0
        aloft.was_laned = _LANED if slot.state == DECODE else _LANDED if slot.state == LANDING else 0
        if aloft.was_laned != 0 and slot.join_step <= head.last_decode_step:
            slot.last_token_s = head.last_output_s
        if slot.state == DECODE:
            leave_decode(engines, r, rep, pool, index)
        slot.state = PREFILL
        slot.scheduled = 0
        index = slot.run_next
    close_lanes(rep)
    for place in range(rep.in_step):
        k = (head.first + place) % head.depth
        _list_members(engines, r, rep, k, rep.in_step - 1 - place)
        _count_entries(engines, r, k)


@kernel
def _list_members(engines: Engines, r: int, rep: Any, k: int, later: int) -> None:
    """Turn a plan's number of lane members into entries, in running order; `later` plans were made after it."""
    plan = engines.flight.plans[r, k]
    if plan.n_decode == 0:
        return
    entries = engines.flight.entries
    for e in range(plan.n_entries):
        entries[r, k, e].lands = 0
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        aloft = engines.flight.aloft[index]
        stays = aloft.was_laned == _LANED or (aloft.was_laned == _LANDED and aloft.landing > plan.number)
        if stays and slot.join_step <= plan.decode_step:
            last = 1 if slot.generated - later >= slot.osl else 0
            _add_entry(engines, r, k, index, 1, 1, last, 0)
        index = slot.run_next
    plan.n_decode = 0
    plan.decode_step = -1
    for c in range(engines.flight.classes.shape[2]):
        engines.flight.classes[r, k, c] = 0
    _sort_entries(engines, r, k, plan.n_entries)


@kernel
def _sort_entries(engines: Engines, r: int, k: int, n: int) -> None:
    entries = engines.flight.entries
    for e in range(1, n):
        moved = entries[r, k, e]
        request, index, tokens = moved.request, moved.slot, moved.tokens
        yields, last, lands = moved.yields, moved.last, moved.lands
        place = e
        while place > 0 and engines.slots[entries[r, k, place - 1].slot].run_seq > engines.slots[index].run_seq:
            before = entries[r, k, place - 1]
            _fill(
                entries[r, k, place],
                before.request,
                before.slot,
                before.tokens,
                before.yields,
                before.last,
                before.lands,
            )
            place -= 1
        _fill(entries[r, k, place], request, index, tokens, yields, last, lands)


@kernel
def _count_entries(engines: Engines, r: int, k: int) -> None:
    for e in range(engines.flight.plans[r, k].n_entries):
        entry = engines.flight.entries[r, k, e]
        aloft = engines.flight.aloft[entry.slot]
        if _is_here(engines, r, entry) and aloft.stale == 0:
            aloft.in_flight += entry.tokens
            aloft.placeholders += entry.yields


@inline_kernel
def _is_here(engines: Engines, r: int, entry: Any) -> bool:
    """Whether the request of an entry still runs or waits at replica `r`."""
    slot = engines.slots[entry.slot]
    here = slot.state == PREFILL or slot.state == DECODE or slot.state == LANDING or slot.state == WAITING
    return here and slot.request == entry.request and slot.replica == r


@kernel
def _deliver(engines: Engines, rep: Any, slot: Any, now: float) -> None:
    if np.isnan(slot.first_token_s):
        slot.first_token_s = now
    else:
        engines.itl_counts[slot.class_id, itl_bin(now - slot.last_token_s)] += 1
    slot.last_token_s = now
    rep.output_tokens += 1


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
    if plan.n_decode > 0:
        gap = itl_bin(now - head.last_output_s)
        for c in range(engines.flight.classes.shape[2]):
            engines.itl_counts[c, gap] += engines.flight.classes[r, k, c]
        rep.output_tokens += plan.n_decode
    n_done = 0
    for e in range(plan.n_entries):
        entry = engines.flight.entries[r, k, e]
        if not _is_here(engines, r, entry):
            continue
        if _apply_entry(engines, r, rep, pool, entry, now):
            engines.scratch[n_done] = entry.slot
            n_done += 1
    sort_by_running_order(engines, n_done)
    head.last_output_s = now
    head.last_decode_step = plan.decode_step
    for done in range(n_done):
        index = engines.scratch[done]
        slot = engines.slots[index]
        if slot.state == WAITING:
            remove_waiting(engines, rep, pool.policy, index)
            pool.n_waiting -= 1
        else:
            remove_running(engines, rep, index)
            free_blocks(engines, rep, pool, slot)
    if n_done > 0:
        head.has_finished = 1
    return n_done


@inline_kernel
def _apply_entry(engines: Engines, r: int, rep: Any, pool: Any, entry: Any, now: float) -> bool:
    """Whether the request has all its tokens now."""
    slot = engines.slots[entry.slot]
    aloft = engines.flight.aloft[entry.slot]
    if aloft.stale > 0:
        aloft.stale -= entry.tokens
        if entry.yields == 0:
            return False
        slot.generated += 1
        _deliver(engines, rep, slot, now)
        return slot.generated >= slot.osl
    asynchronous = engines.flight.replicas[r].asynchronous != 0
    ahead = 0
    if rep.lanes == 0:
        aloft.in_flight -= entry.tokens
        if asynchronous:
            aloft.placeholders -= entry.yields
        else:
            slot.generated += entry.yields
        ahead = aloft.placeholders
    if entry.yields == 0:
        return False
    if entry.lands == 0:
        _deliver(engines, rep, slot, now)
    ended = entry.last != 0 or (not asynchronous and slot.generated >= slot.osl)
    if ended and slot.generated > slot.osl:
        ahead = slot.generated - slot.osl
        slot.generated = slot.osl
    if asynchronous and pool.prefix_caching != 0 and (rep.lanes == 0 or ended):
        register_full_blocks(engines, rep, pool, slot, slot.computed - ahead)
    return ended


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
    leave_lanes(engines, r, rep, pool)
    index = rep.run_head
    while index != NONE:
        engines.slots[index].generated -= engines.flight.aloft[index].placeholders
        engines.flight.aloft[index].placeholders = 0
        index = engines.slots[index].run_next
    rep.in_step = 0
