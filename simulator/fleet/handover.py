"""Prefill on one pool, decode on another: a request changes its replica, its KV cache follows.

The rules are those of vLLM 0.32.0 with its NIXL connector (pull); the specification is
`simulator.engine.reference.disaggregation`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.kept import keep_blocks
from simulator.engine.state import NONE, RECEIVED, Engines
from simulator.fleet.gateway import leave_replica, queue_at_pool
from simulator.fleet.slots import forget_progress, release_blocks, wake
from simulator.fleet.state import TIMER_TRANSFER, Fleet
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
    slot.osl = slot.full_osl
    slot.keeps_blocks = 0
    forget_progress(slot)
    slot.target = engines.pools[slot.target].hands_to
    slot.replica = NONE
    slot.enqueued_s = now
    queue_at_pool(fleet, engines, index, engines.pools[slot.target], now)


@kernel
def start_transfers(fleet: Fleet, engines: Engines, rep: Any, now: float) -> None:
    """Begin the transfers that the step just planned asks for, in its order; a timer ends each.

    A link carries one after the other at the slower side's speed, and the end is noticed `kv_latency_s` later.
    """
    pool = engines.pools[rep.pool]
    while rep.load_head != NONE:
        slot = engines.slots[rep.load_head]
        rep.load_head = slot.run_next
        kept = engines.slots[slot.peer]
        source = engines.replicas[kept.replica]
        speed = min(pool.kv_link_bytes_per_s, engines.pools[kept.target].kv_link_bytes_per_s)
        begin_s = max(now, max(rep.link_free_s, source.link_free_s))
        done_s = begin_s + (slot.n_blocks - slot.n_registered) * pool.kv_block_bytes / speed
        rep.link_free_s = done_s
        source.link_free_s = done_s
        set_timer(fleet, done_s + pool.kv_latency_s, TIMER_TRANSFER, slot.peer, kept.request)


@kernel
def end_transfer(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """The blocks kept in slot `index` have been sent: the request may run, the blocks are freed."""
    kept = engines.slots[index]
    if kept.peer == NONE:
        return
    slot = engines.slots[kept.peer]
    slot.state = RECEIVED
    slot.transferred_s = now
    slot.peer = NONE
    engines.replicas[slot.replica].n_received += 1
    wake(fleet, engines, slot.replica, now)
    release_blocks(fleet, engines, index, now)
