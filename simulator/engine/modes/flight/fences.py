"""Blocks of ended requests that plans in flight still use, beside a KV connector; see `reference.ConnectorRoom`."""

from __future__ import annotations

from typing import Any

from simulator.engine.kept import forget_kept, keep_blocks
from simulator.engine.modes.tables.answers import free_blocks, free_blocks_backwards
from simulator.engine.state import NONE, SENT, Engines
from simulator.jit import kernel


@kernel
def give_back_blocks(engines: Engines, r: int, rep: Any, pool: Any, index: int) -> None:
    """Free the blocks of a request that has ended: now, or when all plans made so far have been applied."""
    slot = engines.slots[index]
    head = engines.flight.replicas[r]
    if head.fenced == 0 or not _is_in_flight(engines, r, rep, index):
        free_blocks(engines, rep, pool, slot)
        return
    kept = keep_blocks(engines, index)
    slot.n_blocks = 0
    slot.n_registered = 0
    fenced = engines.slots[kept]
    fenced.state = SENT
    fenced.peer = NONE
    fenced.join_step = head.last_given
    fenced.run_next = NONE
    if head.fence_head == NONE:
        head.fence_head = kept
    else:
        engines.slots[head.fence_tail].run_next = kept
    head.fence_tail = kept


@kernel
def _is_in_flight(engines: Engines, r: int, rep: Any, index: int) -> bool:
    head = engines.flight.replicas[r]
    for place in range(rep.in_step):
        k = (head.first + place) % head.depth
        for e in range(engines.flight.plans[r, k].n_entries):
            entry = engines.flight.entries[r, k, e]
            if entry.slot == index and entry.request == engines.slots[index].request:
                return True
    return False


@kernel
def pass_fences(engines: Engines, r: int, number: int) -> None:
    """Plan `number` has been computed: free what was kept for it, all groups as one list (vLLM `[::-1]`)."""
    head = engines.flight.replicas[r]
    while head.fence_head != NONE and engines.slots[head.fence_head].join_step <= number:
        kept = head.fence_head
        slot = engines.slots[kept]
        head.fence_head = slot.run_next
        free_blocks_backwards(engines, engines.replicas[slot.replica], engines.pools[slot.target], slot)
        forget_kept(engines, kept)
