"""Slots of requests, and those that keep the blocks of a finished prefill until they have been sent."""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.tables.answers import free_blocks
from simulator.engine.state import FREE, N_FREE_SLOTS, N_KEPT, NONE, SENDING, SENT, Engines
from simulator.fleet.state import Fleet
from simulator.fleet.timers import update_winner
from simulator.jit import kernel


@kernel
def take_slot(engines: Engines) -> int:
    """A free slot; `advance` has made sure that there is one."""
    engines.counters[N_FREE_SLOTS] -= 1
    return engines.free_slots[engines.counters[N_FREE_SLOTS]]


@kernel
def give_back(engines: Engines, index: int) -> None:
    """The slot is free again."""
    engines.slots[index].state = FREE
    engines.slots[index].request = NONE
    engines.free_slots[engines.counters[N_FREE_SLOTS]] = index
    engines.counters[N_FREE_SLOTS] += 1


@kernel
def wake(fleet: Fleet, engines: Engines, r: int, now: float) -> None:
    """Let an idle replica look at its queue at this very instant."""
    rep = engines.replicas[r]
    if rep.in_step == 0 and rep.step_end_s > now:
        rep.step_end_s = now
        update_winner(fleet, engines, r)


@kernel
def forget_progress(slot: Any) -> None:
    """Nothing of the request is computed, and it holds no blocks (which have been freed, or are another slot's now)."""
    slot.generated = 0
    slot.computed = 0
    slot.scheduled = 0
    slot.drafts = 0
    slot.n_blocks = 0
    slot.n_registered = 0


@kernel
def keep_blocks(engines: Engines, index: int) -> int:
    """Slot that keeps the blocks of a request which has just finished its prefill."""
    slot = engines.slots[index]
    rep = engines.replicas[slot.replica]
    kept = take_slot(engines)
    other = engines.slots[kept]
    engines.counters[N_KEPT] += 1
    other.request = -1 - engines.counters[N_KEPT]
    other.state = SENDING
    other.target = slot.target
    other.replica = slot.replica
    other.row = slot.row
    other.n_blocks = slot.n_blocks
    other.n_registered = slot.n_registered
    other.n_segments = 0
    other.peer = index
    other.wait_prev = NONE
    other.wait_next = rep.kept_head
    if rep.kept_head != NONE:
        engines.slots[rep.kept_head].wait_prev = kept
    rep.kept_head = kept
    rep.n_kept += 1
    return kept


@kernel
def drop_kept(engines: Engines, index: int) -> None:
    """Free kept blocks and their slot."""
    kept = engines.slots[index]
    rep = engines.replicas[kept.replica]
    free_blocks(engines, rep, engines.pools[kept.target], kept)
    if kept.wait_prev != NONE:
        engines.slots[kept.wait_prev].wait_next = kept.wait_next
    else:
        rep.kept_head = kept.wait_next
    if kept.wait_next != NONE:
        engines.slots[kept.wait_next].wait_prev = kept.wait_prev
    rep.n_kept -= 1
    give_back(engines, index)


@kernel
def release_blocks(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """Nobody needs these kept blocks any more: freed now, or when the step ends that their replica is in."""
    kept = engines.slots[index]
    rep = engines.replicas[kept.replica]
    if rep.in_step == 0:
        r = kept.replica
        drop_kept(engines, index)
        wake(fleet, engines, r, now)
        return
    kept.state = SENT
    kept.peer = NONE
    kept.run_next = NONE
    if rep.sent_head == NONE:
        rep.sent_head = index
    else:
        engines.slots[rep.sent_tail].run_next = index
    rep.sent_tail = index


@kernel
def drop_sent(engines: Engines, rep: Any) -> None:
    """At the end of a step: free the blocks that were sent in it."""
    while rep.sent_head != NONE:
        index = rep.sent_head
        rep.sent_head = engines.slots[index].run_next
        drop_kept(engines, index)
