"""A running request leaves its engine before it has ended: its client is gone (vLLM `finish_requests`)."""

from __future__ import annotations

from typing import Any

from simulator.engine.doors import door
from simulator.engine.modes.flight.fences import give_back_blocks
from simulator.engine.modes.flight.ring import leave_all_lanes
from simulator.engine.modes.tables.answers import free_blocks
from simulator.engine.queues import leave_decode, leave_prefill, remove_running
from simulator.engine.state import DECODE, Engines
from simulator.jit import kernel


@kernel
def _leave_step(engines: Engines, r: int, rep: Any, pool: Any, index: int) -> None:
    slot = engines.slots[index]
    if slot.state == DECODE:
        leave_decode(engines, r, rep, pool, index)
        if pool.tracks_blocks == 0 and rep.in_step != 0:
            slot.n_blocks = (slot.computed + pool.block_size) // pool.block_size
    elif rep.lanes != 0:
        leave_prefill(engines, rep, index)
    remove_running(engines, rep, index)
    free_blocks(engines, rep, pool, slot)


@kernel
def _leave_plans(engines: Engines, r: int, rep: Any, pool: Any, index: int) -> None:
    head = engines.flight.replicas[r]
    if head.depth == 1 and rep.lanes != 0:
        _leave_step(engines, r, rep, pool, index)
        return
    slot = engines.slots[index]
    leave_all_lanes(engines, r, rep, pool)
    remove_running(engines, rep, index)
    give_back_blocks(engines, r, rep, pool, index)
    slot.generated -= engines.flight.aloft[index].placeholders
    head.has_finished = 1


leave_running = door(_leave_step, _leave_plans)
"""Take a running request out, whatever of it is being computed; its blocks go back."""
