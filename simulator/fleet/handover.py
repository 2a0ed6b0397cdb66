"""Prefill on one pool, decode on another: a request changes its replica, its KV cache follows.

The rules are those of vLLM 0.32.0 with its NIXL connector (pull); the specification is
`simulator.engine.reference.disaggregation`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.doors import room_door
from simulator.engine.kept import keep_blocks
from simulator.engine.modes.rooms.blocks import empty_blocks
from simulator.engine.state import NONE, RECEIVED, RECEIVING, SENDING, Engines
from simulator.fleet.gateway import leave_replica, queue_at_pool
from simulator.fleet.slots import forget_progress, release_blocks, wake
from simulator.fleet.state import TIMER_LOADED, TIMER_TRANSFER, Fleet
from simulator.fleet.timers import set_timer
from simulator.jit import kernel


@kernel
def hand_over(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """A prompt is computed: its blocks are kept, and the request is queued at the pool that takes over.

    The token that came with it is dropped: the decode side computes it again, and its answer is what the user sees.
    """
    slot = engines.slots[index]
    leave_replica(engines, index, now)
    engines.replicas[slot.replica].output_tokens -= 1
    slot.peer = keep_blocks(engines, index)
    slot.prefill_target = slot.target
    slot.prefill_replica = slot.replica
    slot.prefilled_s = now
    slot.transferred_s = np.nan
    slot.first_token_s = np.nan
    slot.isl = slot.full_isl
    slot.osl = slot.full_osl
    slot.keeps_blocks = 0
    forget_progress(slot)
    slot.target = engines.pools[slot.target].hands_to
    slot.replica = NONE
    slot.enqueued_s = now
    queue_at_pool(fleet, engines, index, engines.pools[slot.target], now)


@kernel
def _empty_of_table(engines: Engines, rep: Any, pool: Any, slot: Any) -> int:
    return slot.n_blocks - slot.n_registered


@kernel
def _empty_of_groups(engines: Engines, rep: Any, pool: Any, slot: Any) -> int:
    return empty_blocks(engines, rep, pool, slot, True)


blocks_to_fetch = room_door(_empty_of_table, _empty_of_groups)
"""Blocks of a request that waits for its prompt's KV: those without content, of a window no more than it reads."""


@kernel
def start_transfers(fleet: Fleet, engines: Engines, rep: Any, now: float) -> None:
    """Begin the transfers that the step just planned asks for, in its order; a timer ends each.

    A link carries one after the other at the slower side's speed, and the end is noticed `kv_latency_s` later.
    """
    pool = engines.pools[rep.pool]
    while rep.load_head != NONE:
        index = rep.load_head
        slot = engines.slots[index]
        rep.load_head = slot.run_next
        if slot.state == SENDING:
            _send_nothing(fleet, engines, index, now)
            continue
        if slot.peer == NONE:
            start_load(engines, fleet, rep, index, now)
            continue
        kept = engines.slots[slot.peer]
        source = engines.replicas[kept.replica]
        speed = min(pool.kv_link_bytes_per_s, engines.pools[kept.target].kv_link_bytes_per_s)
        begin_s = max(now, max(rep.link_free_s, source.link_free_s))
        done_s = begin_s + blocks_to_fetch(engines, rep, pool, slot) * pool.kv_block_bytes / speed
        rep.link_free_s = done_s
        source.link_free_s = done_s
        set_timer(fleet, done_s + pool.kv_latency_s, TIMER_TRANSFER, slot.peer, kept.request)


@kernel
def _send_nothing(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """The decode side's prefix cache lacks nothing of the prompt whose blocks slot `index` keeps."""
    slot = engines.slots[engines.slots[index].peer]
    slot.transferred_s = now
    slot.peer = NONE
    release_blocks(fleet, engines, index, now)


@kernel
def _nothing_to_load(engines: Engines, fleet: Fleet, rep: Any, index: int, now: float) -> None:
    return


@kernel
def _load_from_outside(engines: Engines, fleet: Fleet, rep: Any, index: int, now: float) -> None:
    pool, mine = engines.pools[rep.pool], engines.rooms.slots[index]
    many = blocks_to_fetch(engines, rep, pool, engines.slots[index])
    rep.link_free_s = max(now, rep.link_free_s) + many * pool.kv_block_bytes / pool.kv_link_bytes_per_s
    mine.loaded_s = rep.link_free_s + pool.kv_latency_s + mine.load_s
    set_timer(fleet, mine.loaded_s, TIMER_LOADED, index, engines.slots[index].request)


start_load = room_door(_nothing_to_load, _load_from_outside)
"""Begin a load from a store, or from an engine outside the fleet: over the replica's link, one after the other."""


@kernel
def end_load(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """The KV of a request has arrived from a store, or from outside."""
    slot = engines.slots[index]
    if slot.state != RECEIVING or engines.rooms.slots[index].loaded_s != now:
        return
    slot.state = RECEIVED
    engines.replicas[slot.replica].n_received += 1
    wake_asking(fleet, engines, slot.replica, now)


@kernel
def wake_asking(fleet: Fleet, engines: Engines, r: int, now: float) -> None:
    """Let an idle replica look at its queue; one that turns does so anyway."""
    if engines.rooms.replicas[r].turns == 0:
        wake(fleet, engines, r, now)


@kernel
def end_transfer(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """The blocks kept in slot `index` have been sent: the request may run, the blocks are freed."""
    kept = engines.slots[index]
    if kept.peer == NONE:
        return
    slot = engines.slots[kept.peer]
    if slot.state == SENDING:
        release_blocks(fleet, engines, kept.peer, now)
    else:
        slot.state = RECEIVED
        slot.transferred_s = now
        slot.peer = NONE
        engines.replicas[slot.replica].n_received += 1
        wake(fleet, engines, slot.replica, now)
    release_blocks(fleet, engines, index, now)
