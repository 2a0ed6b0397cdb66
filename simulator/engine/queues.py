"""Running order, waiting queue and the two lanes of a replica, as lists threaded through the slots.

A running request is in the prefill lane while it has several tokens to catch up, and in the decode lane while it gets
exactly one token a step. The decode lane is lazy: a member's computed tokens follow from the replica's decode step,
members that need a KV block in a step are found by their phase, those that end by a calendar.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.config import Policy
from simulator.engine.doors import table_door
from simulator.engine.state import CALENDAR_STEPS, DECODE, NONE, PREFILL, Engines
from simulator.jit import kernel

_CALENDAR_MASK = CALENDAR_STEPS - 1
_PRIORITY = int(Policy.PRIORITY)


@kernel
def append_running(engines: Engines, rep: Any, index: int) -> None:
    slot = engines.slots[index]
    slot.run_prev = rep.run_tail
    slot.run_next = NONE
    if rep.run_tail != NONE:
        engines.slots[rep.run_tail].run_next = index
    else:
        rep.run_head = index
    rep.run_tail = index
    rep.n_running += 1
    rep.run_seq += 1
    slot.run_seq = rep.run_seq


@kernel
def remove_running(engines: Engines, rep: Any, index: int) -> None:
    slot = engines.slots[index]
    if slot.run_prev != NONE:
        engines.slots[slot.run_prev].run_next = slot.run_next
    else:
        rep.run_head = slot.run_next
    if slot.run_next != NONE:
        engines.slots[slot.run_next].run_prev = slot.run_prev
    else:
        rep.run_tail = slot.run_prev
    rep.n_running -= 1


@kernel
def served_before(engines: Engines, a: int, b: int) -> bool:
    """Priority order: (priority, arrival, number)."""
    left = engines.slots[a]
    right = engines.slots[b]
    if left.priority != right.priority:
        return left.priority < right.priority
    if left.arrival_s != right.arrival_s:
        return left.arrival_s < right.arrival_s
    return left.request < right.request


@kernel
def _meld(engines: Engines, a: int, b: int) -> int:
    if a == NONE:
        return b
    if b == NONE:
        return a
    if served_before(engines, b, a):
        a, b = b, a
    child = engines.slots[a].wait_child
    engines.slots[b].wait_prev = a
    engines.slots[b].wait_next = child
    if child != NONE:
        engines.slots[child].wait_prev = b
    engines.slots[a].wait_child = b
    return a


@kernel
def _meld_siblings(engines: Engines, first: int) -> int:
    """Two-pass pairing of a list of heaps."""
    paired = NONE
    while first != NONE:
        a = first
        b = engines.slots[a].wait_next
        first = NONE if b == NONE else engines.slots[b].wait_next
        engines.slots[a].wait_next = NONE
        if b != NONE:
            engines.slots[b].wait_next = NONE
            a = _meld(engines, a, b)
        engines.slots[a].wait_next = paired
        paired = a
    root = NONE
    while paired != NONE:
        following = engines.slots[paired].wait_next
        engines.slots[paired].wait_next = NONE
        root = _meld(engines, root, paired)
        paired = following
    if root != NONE:
        engines.slots[root].wait_prev = NONE
        engines.slots[root].wait_next = NONE
    return root


@kernel
def push_waiting(engines: Engines, rep: Any, policy: int, index: int, front: bool) -> None:
    """Queue a request: FCFS at the tail, or at the head when preempted; by priority in a pairing heap."""
    slot = engines.slots[index]
    slot.wait_child = NONE
    slot.wait_prev = NONE
    slot.wait_next = NONE
    rep.n_waiting += 1
    if policy == _PRIORITY:
        rep.wait_head = _meld(engines, rep.wait_head, index)
        return
    if rep.wait_head == NONE:
        rep.wait_head = index
        rep.wait_tail = index
    elif front:
        slot.wait_next = rep.wait_head
        engines.slots[rep.wait_head].wait_prev = index
        rep.wait_head = index
    else:
        slot.wait_prev = rep.wait_tail
        engines.slots[rep.wait_tail].wait_next = index
        rep.wait_tail = index


@kernel
def remove_waiting(engines: Engines, rep: Any, policy: int, index: int) -> None:
    """Take a request out of the queue, wherever it stands."""
    slot = engines.slots[index]
    rep.n_waiting -= 1
    if policy == _PRIORITY:
        children = _meld_siblings(engines, slot.wait_child)
        slot.wait_child = NONE
        if index == rep.wait_head:
            rep.wait_head = children
            return
        above = engines.slots[slot.wait_prev]
        if above.wait_child == index:
            above.wait_child = slot.wait_next
        else:
            above.wait_next = slot.wait_next
        if slot.wait_next != NONE:
            engines.slots[slot.wait_next].wait_prev = slot.wait_prev
        rep.wait_head = _meld(engines, rep.wait_head, children)
        return
    if slot.wait_prev != NONE:
        engines.slots[slot.wait_prev].wait_next = slot.wait_next
    else:
        rep.wait_head = slot.wait_next
    if slot.wait_next != NONE:
        engines.slots[slot.wait_next].wait_prev = slot.wait_prev
    else:
        rep.wait_tail = slot.wait_prev


@kernel
def join_prefill(engines: Engines, rep: Any, index: int) -> None:
    slot = engines.slots[index]
    slot.state = PREFILL
    slot.lane_prev = rep.prefill_tail
    slot.lane_next = NONE
    if rep.prefill_tail != NONE:
        engines.slots[rep.prefill_tail].lane_next = index
    else:
        rep.prefill_head = index
    rep.prefill_tail = index
    rep.n_prefill += 1


@kernel
def leave_prefill(engines: Engines, rep: Any, index: int) -> None:
    slot = engines.slots[index]
    if slot.lane_prev != NONE:
        engines.slots[slot.lane_prev].lane_next = slot.lane_next
    else:
        rep.prefill_head = slot.lane_next
    if slot.lane_next != NONE:
        engines.slots[slot.lane_next].lane_prev = slot.lane_prev
    else:
        rep.prefill_tail = slot.lane_prev
    rep.n_prefill -= 1


@kernel
def _join_first(engines: Engines, r: int, phase: int, index: int) -> None:
    slot = engines.slots[index]
    head = engines.phase_head[r, phase]
    slot.lane_prev = NONE
    slot.lane_next = head
    if head != NONE:
        engines.slots[head].lane_prev = index
    engines.phase_head[r, phase] = index


@kernel
def _join_in_order(engines: Engines, r: int, phase: int, index: int) -> None:
    slot = engines.slots[index]
    before = NONE
    after = engines.phase_head[r, phase]
    while after != NONE and engines.slots[after].run_seq > slot.run_seq:
        before = after
        after = engines.slots[after].lane_next
    slot.lane_prev = before
    slot.lane_next = after
    if after != NONE:
        engines.slots[after].lane_prev = index
    if before != NONE:
        engines.slots[before].lane_next = index
    else:
        engines.phase_head[r, phase] = index


join_phase = table_door(_join_first, _join_in_order)
"""Join the members of a block phase: in any order, or with several groups the last in running order first."""


@kernel
def join_decode(engines: Engines, r: int, rep: Any, pool: Any, index: int, beyond: int) -> None:
    """Enter the decode lane with `computed` and `generated` as of the replica's present decode step.

    It leaves with its last token, or `beyond` steps later.
    """
    slot = engines.slots[index]
    slot.state = DECODE
    slot.join_step = rep.decode_step
    slot.finish_step = rep.decode_step + slot.osl - slot.generated + beyond
    rep.n_decode += 1
    rep.context_tokens += slot.computed
    engines.class_decode[r, slot.class_id] += 1
    phase = (slot.computed - rep.decode_step) % pool.block_size
    engines.phase_count[r, phase] += 1
    if pool.tracks_blocks != 0:
        join_phase(engines, r, phase, index)
    bucket = slot.finish_step & _CALENDAR_MASK
    head = engines.calendar[r, bucket]
    slot.due_prev = NONE
    slot.due_next = head
    if head != NONE:
        engines.slots[head].due_prev = index
    engines.calendar[r, bucket] = index


@kernel
def leave_decode(engines: Engines, r: int, rep: Any, pool: Any, index: int) -> None:
    """Leave the decode lane, with `computed` and `generated` brought up to date."""
    slot = engines.slots[index]
    phase = (slot.computed - slot.join_step) % pool.block_size
    steps = rep.decode_step - slot.join_step
    slot.computed += steps
    slot.generated += steps
    rep.n_decode -= 1
    rep.context_tokens -= slot.computed
    engines.class_decode[r, slot.class_id] -= 1
    engines.phase_count[r, phase] -= 1
    if pool.tracks_blocks == 0:
        slot.n_blocks = (slot.computed + pool.block_size - 1) // pool.block_size
    else:
        if slot.lane_prev != NONE:
            engines.slots[slot.lane_prev].lane_next = slot.lane_next
        else:
            engines.phase_head[r, phase] = slot.lane_next
        if slot.lane_next != NONE:
            engines.slots[slot.lane_next].lane_prev = slot.lane_prev
    if slot.due_prev != NONE:
        engines.slots[slot.due_prev].due_next = slot.due_next
    else:
        engines.calendar[r, slot.finish_step & _CALENDAR_MASK] = slot.due_next
    if slot.due_next != NONE:
        engines.slots[slot.due_next].due_prev = slot.due_prev


@kernel
def advance_decode(engines: Engines, r: int, rep: Any, pool: Any) -> int:
    """Take the decode lane one step on; those that leave it stand in `scratch`, their number is returned."""
    rep.decode_step += 1
    rep.context_tokens += rep.n_decode
    n = 0
    index = engines.calendar[r, rep.decode_step & _CALENDAR_MASK]
    while index != NONE:
        slot = engines.slots[index]
        following = slot.due_next
        if slot.finish_step == rep.decode_step:
            leave_decode(engines, r, rep, pool, index)
            engines.scratch[n] = index
            n += 1
        index = following
    return n


@kernel
def close_lanes(rep: Any) -> None:
    """The lanes are empty: every running request is looked at by itself."""
    rep.prefill_head = NONE
    rep.prefill_tail = NONE
    rep.n_prefill = 0
    rep.lanes = 0


@kernel
def sort_by_running_order(engines: Engines, n: int) -> None:
    """Sort the first `n` slots in `scratch`."""
    for k in range(1, n):
        index = engines.scratch[k]
        place = k
        while place > 0 and engines.slots[engines.scratch[place - 1]].run_seq > engines.slots[index].run_seq:
            engines.scratch[place] = engines.scratch[place - 1]
            place -= 1
        engines.scratch[place] = index
