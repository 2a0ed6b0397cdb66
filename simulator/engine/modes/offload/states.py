"""States of linear attention that became findable, noted for the memory of the CPU; compiled.

The specification is `KVCacheManager.take_kept_states`.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.content import NO_HASH
from simulator.engine.doors import offload_door
from simulator.engine.state import Engines
from simulator.jit import kernel


@kernel
def _nothing_noted(engines: Engines, rep: Any, slot: Any, first: int) -> None:
    return


@kernel
def _note_states(engines: Engines, rep: Any, slot: Any, first: int) -> None:
    groups, offload = engines.groups, engines.offload
    if offload.pools[rep.pool].some_aligned == 0:
        return
    head, note = offload.replicas[slot.replica], groups.rows[slot.row]
    for content in range(first, slot.n_registered):
        for g in range(groups.pools[rep.pool].n_groups):
            k = groups.kind_of[rep.pool, g]
            hashes = groups.kinds[rep.pool, k].hashes
            place = (content + 1) // hashes - 1
            held = groups.held[slot.row, k]
            is_whole = (content + 1) % hashes == 0 and held.begin <= place < held.end
            if offload.groups[rep.pool, g].aligned == 0 or not is_whole:
                continue
            block = groups.tables[slot.row, g, place]
            if block == 0 or engines.blocks[rep.block_base + block].hash == NO_HASH:
                continue
            kept = offload.kept[slot.replica, head.n_kept]
            kept.request = slot.request
            kept.preemptions = slot.preemptions
            kept.group = g
            kept.place = place
            if note.saved_tokens > 0 and place == note.saved_place:
                kept.place = note.saved_tokens // groups.kinds[rep.pool, k].block_size - 1
            kept.block = block
            head.n_kept += 1


note_states = offload_door(_nothing_noted, _note_states)
"""Blocks of a request from `first` on were registered just now."""
