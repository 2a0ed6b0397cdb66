"""Slots: of requests, and those that keep the blocks of requests that have ended at their replica."""

from __future__ import annotations

from simulator.engine.modes.tables.answers import free_blocks
from simulator.engine.state import FREE, N_FREE_SLOTS, N_KEPT, NONE, SENDING, Engines
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
def keep_blocks(engines: Engines, index: int) -> int:
    """Slot that keeps the blocks of a request which has just ended."""
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
    free_blocks(engines, engines.replicas[kept.replica], engines.pools[kept.target], kept)
    forget_kept(engines, index)


@kernel
def forget_kept(engines: Engines, index: int) -> None:
    """Free the slot of kept blocks that have gone back."""
    kept = engines.slots[index]
    rep = engines.replicas[kept.replica]
    if kept.wait_prev != NONE:
        engines.slots[kept.wait_prev].wait_next = kept.wait_next
    else:
        rep.kept_head = kept.wait_next
    if kept.wait_next != NONE:
        engines.slots[kept.wait_next].wait_prev = kept.wait_prev
    rep.n_kept -= 1
    give_back(engines, index)
