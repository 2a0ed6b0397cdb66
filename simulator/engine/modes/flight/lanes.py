"""The lanes with plans in flight: who is in a plan, who leaves with its last token on its way, and how they are left.

While the decode lane is kept lazily a plan holds its members as a number; only those whose prompt ends in it, or whose
last token it brings, have an entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.modes.flight.entries import add_entry, count_entries, may_stop, sort_entries
from simulator.engine.modes.tables.answers import is_regular, join_irregular
from simulator.engine.queues import advance_decode, close_lanes, join_decode, join_prefill, leave_decode, leave_prefill
from simulator.engine.state import DECODE, LANDING, NONE, PREFILL, Engines
from simulator.jit import inline_kernel, kernel

_NEVER = np.int64(1 << 62)
_LANED, _LANDED = 1, 2


@inline_kernel
def advance_lanes(engines: Engines, r: int, rep: Any, pool: Any, k: int) -> None:
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
                add_entry(engines, r, k, index, 1, 1, 1, 1)
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
            add_entry(engines, r, k, index, slot.scheduled, 1 if ended else 0, 1 if last else 0, 0)
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
    return may_stop(slot) if slot.isl + slot.osl < pool.max_model_len else 0


@kernel
def _throw_away(engines: Engines, r: int, k: int, index: int) -> None:
    """Plan `k` of the lanes holds a request whose last token the plan before it brings: nobody takes its output."""
    slot = engines.slots[index]
    plan = engines.flight.plans[r, k]
    plan.n_decode -= 1
    engines.flight.classes[r, k, slot.class_id] -= 1
    add_entry(engines, r, k, index, 1, 1, 0, 0)
    before = 1 - k
    engines.flight.aloft[index].landing = engines.flight.plans[r, before].number
    if engines.flight.plans[r, before].n_decode > 0 and slot.join_step <= engines.flight.plans[r, before].decode_step:
        add_entry(engines, r, before, index, 1, 1, 1, 1)


@kernel
def _land(engines: Engines, index: int, number: int) -> None:
    engines.slots[index].state = LANDING
    engines.slots[index].join_step = _NEVER
    engines.flight.aloft[index].landing = number


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
def is_one_left_out(engines: Engines, rep: Any) -> bool:
    """Whether the plan has no token of a request of which one is on its way, and that not the last.

    So it is where the budget ends before it, or its block is missing and nobody may be preempted. It is in no lane: the
    blocks of a decode lane become findable with its next plan, that of a request left out with the output.
    """
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.scheduled == 0 and engines.flight.aloft[index].placeholders > 0 and slot.generated < slot.osl:
            return True
        index = slot.run_next
    return False


@kernel
def enter_lanes(engines: Engines, r: int, rep: Any, pool: Any) -> None:
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
        count_entries(engines, r, k)


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
            add_entry(engines, r, k, index, 1, 1, last, 0)
        index = slot.run_next
    plan.n_decode = 0
    plan.decode_step = -1
    for c in range(engines.flight.classes.shape[2]):
        engines.flight.classes[r, k, c] = 0
    sort_entries(engines, r, k)
