"""The decode lane with several groups: who changes its blocks in a step, in running order.

A step appends blocks of some members and gives back those of others, so that the order in which that happens decides
what is evicted. A request joins the lane once it has computed one token at a time, so that all changes are periodic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.modes.tables.holding import count_changes, extend, remove_skipped
from simulator.engine.modes.tables.retention import register
from simulator.engine.state import NONE, Engines
from simulator.engine.timing import count_scheduled
from simulator.jit import inline_kernel, kernel


@kernel
def note_plan(engines: Engines, slot: Any, tokens: int) -> None:
    """Remember what a request got in the plan that is being made."""
    note = engines.groups.rows[slot.row]
    note.plan = engines.flight.replicas[slot.replica].plan_number
    note.planned = tokens


@kernel
def _tokens_on_their_way(engines: Engines, r: int, rep: Any, slot: Any) -> int:
    """Tokens of a request in the prefill lane that the plan before has, if that is in flight."""
    note = engines.groups.rows[slot.row]
    before = engines.flight.replicas[r].plan_number - 1
    if engines.groups.pools[rep.pool].lag == 0 or rep.in_step == 0 or note.plan != before:
        return 0
    return int(note.planned)


@kernel
def _known_tokens(slot: Any, lag: int) -> int:
    """Tokens of a request in the prefill lane whose values are known; one that decodes may wait for its last."""
    known = slot.isl + slot.generated
    return known - 1 if lag > 0 and slot.computed >= slot.isl else known


@inline_kernel
def gather_changes(engines: Engines, r: int, rep: Any, pool: Any, step: int) -> int:
    """Members whose blocks change in decode step `step`, into `scratch` in running order; returns their number."""
    groups = engines.groups
    head = groups.pools[rep.pool]
    n = 0
    for p in range(head.n_phases):
        phase = (head.phases[p] - step) % pool.block_size
        n += engines.phase_count[r, phase]
        groups.cursors[p] = engines.phase_head[r, phase]
    for place in range(n - 1, -1, -1):
        last = NONE
        newest = np.int64(NONE)
        for p in range(head.n_phases):
            index = groups.cursors[p]
            if index != NONE and engines.slots[index].run_seq > newest:
                newest = engines.slots[index].run_seq
                last = p
        engines.scratch[place] = groups.cursors[last]
        groups.cursors[last] = engines.slots[groups.cursors[last]].lane_next
    return n


@inline_kernel
def change(engines: Engines, rep: Any, pool: Any, slot: Any, step: int) -> None:
    """One member's blocks in decode step `step`."""
    computed = slot.computed + step - slot.join_step
    lag = engines.groups.pools[rep.pool].lag
    remove_skipped(engines, rep, slot, computed - lag)
    extend(engines, rep, slot, computed, computed + 1, computed + 1)
    if pool.prefix_caching != 0:
        register(engines, rep, pool, slot, computed + 1 - lag, computed + 1)


@kernel
def change_members(engines: Engines, r: int, rep: Any, pool: Any, step: int) -> None:
    """Blocks of the decode lane in decode step `step`; without the prefix cache in any order."""
    head = engines.groups.pools[rep.pool]
    if head.tracks == 0:
        for p in range(head.n_phases):
            index = engines.phase_head[r, (head.phases[p] - step) % pool.block_size]
            while index != NONE:
                slot = engines.slots[index]
                computed = slot.computed + step - slot.join_step
                count_changes(engines, rep, slot.row, computed - head.lag, computed + 1)
                index = slot.lane_next
        return
    for n in range(gather_changes(engines, r, rep, pool, step)):
        change(engines, rep, pool, engines.slots[engines.scratch[n]], step)


@kernel
def change_lanes(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    """Blocks of both lanes in a step that has room for all of them."""
    step = rep.decode_step
    members = 0
    if engines.groups.pools[rep.pool].tracks != 0:
        members = gather_changes(engines, r, rep, pool, step)
    else:
        change_members(engines, r, rep, pool, step)
    n = 0
    index = _scheduled_from(engines, rep.prefill_head)
    while n < members or index != NONE:
        before = n < members and (
            index == NONE or engines.slots[engines.scratch[n]].run_seq < engines.slots[index].run_seq
        )
        if before:
            change(engines, rep, pool, engines.slots[engines.scratch[n]], step)
            n += 1
            continue
        slot = engines.slots[index]
        reach = slot.computed + slot.scheduled
        lag = _tokens_on_their_way(engines, r, rep, slot)
        remove_skipped(engines, rep, slot, slot.computed - lag)
        extend(engines, rep, slot, slot.computed, min(reach, pool.max_model_len), reach)
        if pool.prefix_caching != 0:
            known = _known_tokens(slot, lag)
            register(engines, rep, pool, slot, min(reach, known), known)
        note_plan(engines, slot, slot.scheduled)
        due = slot.isl + slot.generated - slot.computed
        count_scheduled(rep, slot.computed, slot.scheduled, due == 1 and slot.computed >= slot.isl)
        index = _scheduled_from(engines, slot.lane_next)


@kernel
def _scheduled_from(engines: Engines, index: int) -> int:
    """First of the prefill lane from `index` on that has tokens in this step."""
    while index != NONE and engines.slots[index].scheduled == 0:
        index = engines.slots[index].lane_next
    return index
