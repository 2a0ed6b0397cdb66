"""KV caches that come from elsewhere, in compiled code; the specification is `reference.ConnectorRoom`.

Beside the engines of a fleet that hand over to each other (`simulator.engine.remote`) there are engines outside it, as
in recordings of one side, and stores of beginnings.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.flight.answers import put_aside
from simulator.engine.modes.rooms import blocks
from simulator.engine.remote import ask_for_load, hold, leave_hold
from simulator.engine.speculation import spec_decode_tokens
from simulator.engine.state import LOG_LOAD, NONE, RECEIVING, REQUEUED, Engines
from simulator.engine.timing import write_log
from simulator.jit import kernel


@kernel
def is_asked_for(engines: Engines, index: int) -> bool:
    """Whether another engine has computed the prompt, and has not been asked for it."""
    return bool(engines.slots[index].peer != NONE or engines.rooms.slots[index].remote != 0)


@kernel
def external_tokens(engines: Engines, pool: Any, index: int, tokens: int, local: int) -> tuple[int, bool]:
    """Tokens that come from elsewhere behind `local` ones, and whether apart from the step.

    Another engine has the whole prompt, but for what it leaves to this one; a store whole blocks.
    """
    slot, mine = engines.slots[index], engines.rooms.slots[index]
    if is_asked_for(engines, index):
        left = pool.held_back
        external = max((tokens - left if tokens > left else tokens) - local, 0)
        return external, external > 0
    if mine.stored_tokens == 0 or engines.rooms.pools[engines.replicas[slot.replica].pool].stores == 0:
        return 0, False
    stored = min(mine.stored_tokens, tokens - 1) // pool.block_size * pool.block_size
    external = max(stored - local, 0)
    return external, external > 0 and mine.stored_apart != 0


@kernel
def blocks_on_the_way(engines: Engines, r: int, rep: Any, pool: Any) -> int:
    """Blocks that requests on their way to their first decode step still need, and one such step."""
    extra = spec_decode_tokens(pool)
    total = blocks.blocks_at_least(engines, rep, pool, extra)
    index = rep.run_head
    while index != NONE:
        if engines.slots[index].catching_up != 0:
            total += _to_come(engines, rep, pool, index, extra)
        index = engines.slots[index].run_next
    index = rep.hold_head
    while index != NONE:
        total += _to_come(engines, rep, pool, index, extra)
        index = engines.slots[index].wait_next
    for index in range(len(engines.slots) if engines.rooms.replicas[r].requeues != 0 else 0):
        if engines.slots[index].state == REQUEUED and engines.slots[index].replica == r:
            total += _to_come(engines, rep, pool, index, extra)
    return total


@kernel
def _to_come(engines: Engines, rep: Any, pool: Any, index: int, extra: int) -> int:
    slot = engines.slots[index]
    whole = min(slot.isl + slot.generated - engines.flight.aloft[index].placeholders, pool.max_model_len)
    return blocks.blocks_to_come(engines, rep, pool, slot, whole + extra, whole)


@kernel
def tell_load(engines: Engines, rep: Any, pool: Any, index: int, external: int, apart: bool) -> None:
    """Blocks were given at an admission: another engine or store is told which ones are to be filled.

    Where there are none, the slot that keeps the prompt's blocks stands for its request among the loads.
    """
    slot, mine = engines.slots[index], engines.rooms.slots[index]
    asked = is_asked_for(engines, index)
    if not apart and not asked:
        return
    mine.remote = 0
    many = 0
    if external > 0 or not asked:
        many = blocks.empty_blocks(engines, rep, pool, slot, asked)
    if len(engines.log) > 0:
        write_log(engines, LOG_LOAD, slot.request, many, 0)
    if apart:
        ask_for_load(engines, rep, index)
    elif slot.peer != NONE:
        ask_for_load(engines, rep, slot.peer)


@kernel
def hold_for_load(engines: Engines, rep: Any, pool: Any, index: int) -> None:
    """A request waits with its blocks until their content has arrived."""
    engines.slots[index].state = RECEIVING
    engines.slots[index].catching_up = 1
    hold(engines, rep, pool, index)


@kernel
def take_in(engines: Engines, rep: Any, pool: Any, index: int) -> None:
    """The queue has reached a request whose KV has arrived: its blocks become findable, its last token is due."""
    slot, mine = engines.slots[index], engines.rooms.slots[index]
    if mine.loaded != 0:
        return
    mine.loaded = 1
    if pool.prefix_caching != 0:
        blocks.register(engines, rep, pool, slot, slot.computed, slot.isl + slot.generated)
    if slot.computed == slot.isl + slot.generated:
        slot.computed -= 1


@kernel
def requeue(engines: Engines, r: int, rep: Any, index: int) -> None:
    """One whose KV has arrived was passed over with nothing computed: it waits among those that hold no blocks.

    A prompt of one token comes to that, since its last token is computed again.
    """
    leave_hold(engines, rep, index)
    engines.slots[index].state = REQUEUED
    engines.rooms.replicas[r].requeues = 1
    put_aside(engines, r, index)
