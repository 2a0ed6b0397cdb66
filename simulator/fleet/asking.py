"""What happens to requests and engines of modes beyond plain serving: grammars are compiled, loads and sends end."""

from __future__ import annotations

from simulator.engine.content import NO_HASH
from simulator.engine.doors import room_door
from simulator.engine.general import set_back
from simulator.engine.kept import drop_kept, keep_blocks
from simulator.engine.modes.flight.fences import give_back_blocks
from simulator.engine.modes.offload.answers import empty_elsewhere
from simulator.engine.modes.tables.answers import list_private_blocks
from simulator.engine.queues import remove_running
from simulator.engine.state import N_LOG, NONE, SENDING, Engines
from simulator.fleet.handover import end_load, hand_over, wake_asking
from simulator.fleet.state import TIMER_GRAMMAR, TIMER_LOADED, TIMER_SENT, Fleet
from simulator.fleet.timers import set_timer
from simulator.jit import kernel


@kernel
def _nothing_to_do(engines: Engines, fleet: Fleet, kind: int, index: int, now: float) -> None:
    return


@kernel
def _act(engines: Engines, fleet: Fleet, kind: int, index: int, now: float) -> None:
    if kind == TIMER_GRAMMAR:
        mine = engines.rooms.slots[index]
        if mine.grammar_ready_s == now:
            mine.grammar_ready_s = 0.0
            wake_asking(fleet, engines, engines.slots[index].replica, now)
    elif kind == TIMER_LOADED:
        end_load(fleet, engines, index, now)
    elif engines.slots[index].state == SENDING:
        r = engines.slots[index].replica
        drop_kept(engines, index)
        wake_asking(fleet, engines, r, now)


act_for_rooms = room_door(_nothing_to_do, _act)
"""A timer of a request's grammar, load or send is due."""


@kernel
def _hand_over(engines: Engines, fleet: Fleet, index: int, now: float) -> bool:
    hand_over(fleet, engines, index, now)
    return True


@kernel
def _hand_over_or_keep(engines: Engines, fleet: Fleet, index: int, now: float) -> bool:
    mine = engines.rooms.slots[index]
    if mine.send_s <= 0.0:
        hand_over(fleet, engines, index, now)
        return True
    kept = keep_blocks(engines, index)
    engines.slots[kept].peer = NONE
    set_timer(fleet, now + mine.send_s, TIMER_SENT, kept, engines.slots[kept].request)
    return False


hand_over_or_keep = room_door(_hand_over, _hand_over_or_keep)
"""A prefill that keeps its blocks has ended: True if it goes on at another pool; else they go outside the fleet."""


@kernel
def _no_reset(engines: Engines, r: int, running: bool, elsewhere: bool) -> None:
    return


@kernel
def _reset(engines: Engines, r: int, running: bool, elsewhere: bool) -> None:
    if engines.flight.replicas[r].waits != 0:
        engines.rooms.replicas[r].reset = max(engines.rooms.replicas[r].reset, 2 if running else 1)
        if elsewhere:
            engines.rooms.replicas[r].resets_elsewhere = 1
        return
    forgotten = _forget_content(engines, r, running)
    if elsewhere and (forgotten or not running):
        empty_elsewhere(engines, r)


@kernel
def _forget_content(engines: Engines, r: int, running: bool) -> bool:
    rep = engines.replicas[r]
    pool = engines.pools[rep.pool]
    if running:
        logged = engines.counters[N_LOG]
        engines.rooms.replicas[r].drops_output = 1
        while rep.run_tail != NONE:
            index = rep.run_tail
            remove_running(engines, rep, index)
            if pool.prefix_caching != 0:
                list_private_blocks(engines, rep, pool, engines.slots[index])
            give_back_blocks(engines, r, rep, pool, index)
            set_back(engines, rep, pool, index)
        engines.rooms.replicas[r].drops_output = 0
        engines.counters[N_LOG] = logged
    if rep.free_blocks != pool.num_blocks - 1:
        return False
    if pool.prefix_caching == 0:
        return True
    for k in range(pool.num_blocks):
        engines.blocks[rep.block_base + k].hash = NO_HASH
    for k in range(rep.hash_mask + 1):
        engines.hashes[rep.hash_base + k].first = NONE
    return True


reset_cache = room_door(_no_reset, _reset)
"""Forget cached content (vLLM `reset_prefix_cache`): refused while a block is held; those who run may be preempted.

As vLLM looks at such a request between its iterations, it waits for the output that the replica waits for. What is kept
elsewhere may be forgotten with it, unless those who run were preempted and blocks are held all the same.
"""
