"""Adapters in compiled code; the specification is `reference.LoraRoom`."""

from __future__ import annotations

from typing import Any

from simulator.engine.state import NONE, Engines
from simulator.jit import kernel


@kernel
def gather_adapters(engines: Engines, r: int, rep: Any) -> None:
    """Adapters of the requests that run, or that were planned so far."""
    rooms = engines.rooms
    rooms.replicas[r].n_adapters = 0
    rules = rooms.pools[rep.pool]
    if rules.max_loras == 0:
        return
    index = rep.run_head
    while index != NONE:
        if rules.lora_counts_running != 0 or engines.slots[index].scheduled > 0:
            add_adapter(engines, r, index)
        index = engines.slots[index].run_next


@kernel
def _has_adapter(engines: Engines, r: int, adapter: int) -> bool:
    k = engines.rooms.replicas[r].n_adapters - 1
    while k >= 0 and engines.rooms.adapters[r, k] != adapter:
        k -= 1
    return k >= 0


@kernel
def add_adapter(engines: Engines, r: int, index: int) -> None:
    head, adapter = engines.rooms.replicas[r], engines.rooms.slots[index].adapter
    if adapter != 0 and not _has_adapter(engines, r, adapter):
        engines.rooms.adapters[r, head.n_adapters] = adapter
        head.n_adapters += 1


@kernel
def lacks_adapter(engines: Engines, r: int, rep: Any, index: int) -> bool:
    """Whether a waiting request is passed over: its adapter would be one too many."""
    rooms = engines.rooms
    most, adapter = rooms.pools[rep.pool].max_loras, rooms.slots[index].adapter
    if most == 0 or adapter == 0:
        return False
    return rooms.replicas[r].n_adapters == most and not _has_adapter(engines, r, adapter)
