"""A replica is lost: what becomes of its requests, of KV blocks kept for others, and of transfers under way."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.doors import door, room_door
from simulator.engine.general import materialise
from simulator.engine.kept import drop_kept
from simulator.engine.modes.flight.ring import cut_plans
from simulator.engine.modes.offload.answers import lose_elsewhere
from simulator.engine.modes.tables.answers import free_blocks
from simulator.engine.queues import remove_running
from simulator.engine.remote import leave_queue
from simulator.engine.state import (
    CHECKED,
    GATEWAY,
    NONE,
    PROVIDER,
    RETRYING,
    SENDING,
    SENT,
    WAITING,
    Engines,
)
from simulator.fleet.extras import forget_what_is_due
from simulator.fleet.gateway import (
    FAILED,
    OUTAGE,
    UNFINISHED,
    call_again,
    end_request,
    leave_gateway,
    leave_replica,
    place,
    throw_away,
)
from simulator.fleet.providers import count_call, cut_provider
from simulator.fleet.records import Reason
from simulator.fleet.routing import is_held_back
from simulator.fleet.slots import forget_progress, release_blocks, wake
from simulator.fleet.state import TIMER_LEASE, Fleet
from simulator.fleet.timers import set_timer, update_winner
from simulator.jit import entry, kernel

_REPLICA_LOST = int(Reason.REPLICA_LOST)


@kernel
def _cut_step(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> None:
    if rep.in_step != 0:
        cut_s = rep.step_end_s - now
        rep.busy_s -= cut_s
        rep.energy_j -= cut_s * engines.power_w[pool.power_base + rep.step_seqs]
        rep.kv_block_s -= cut_s * (pool.num_blocks - 1 - rep.free_blocks)
    materialise(engines, r, rep, pool, now)


@kernel
def _cut_in_flight(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> None:
    if engines.flight.replicas[r].depth == 1:
        _cut_step(engines, r, rep, pool, now)
    else:
        cut_plans(engines, r, rep, pool, now)


_cut_by_depth = door(_cut_step, _cut_in_flight)


@kernel
def _cut_laned(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> None:
    _cut_by_depth(engines, r, rep, pool, now)


cut_steps = room_door(_cut_laned, cut_plans)
"""What a replica computes ends at `now`; its running requests are brought up to date."""


@entry
def lose_replica(fleet: Fleet, engines: Engines, r: int, now: float, at_end: bool) -> None:
    """Empty a replica that is gone. Streams break; what has not streamed is sent again while retries last.

    With `at_end` the run is over and everything counts as unfinished. The caller has taken the replica out of `ready`
    and sees that the buffer of ended requests has room for all its requests, and for those whose KV it keeps.
    """
    rep = engines.replicas[r]
    pool = engines.pools[rep.pool]
    cut_steps(engines, r, rep, pool, now)
    again = NONE
    while rep.run_head != NONE or rep.wait_head != NONE or rep.hold_head != NONE:
        index = _let_go(engines, rep, pool)
        leave_replica(engines, index, now)
        forget_what_is_due(engines, index)
        if at_end:
            end_request(fleet, engines, index, UNFINISHED, now)
        else:
            _orphan_blocks(fleet, engines, index, now)
            again = _fail_or_retry(fleet, engines, index, now, again)
    if not at_end:
        again = _recall(fleet, engines, rep, now, again)
    lose_elsewhere(engines, r)
    rep.in_step = 0
    rep.step_end_s = float("inf")
    update_winner(fleet, engines, r)
    while again != NONE:
        index = again
        again = engines.slots[index].wait_next
        place(fleet, engines, index, now)


@kernel
def _let_go(engines: Engines, rep: Any, pool: Any) -> int:
    """Take one request out of the engine, running ones first."""
    if rep.run_head != NONE:
        index = rep.run_head
        remove_running(engines, rep, index)
        free_blocks(engines, rep, pool, engines.slots[index])
        return index
    index = rep.wait_head if rep.wait_head != NONE else rep.hold_head
    _take_waiting(engines, rep, pool, index)
    return index


@kernel
def _take_waiting(engines: Engines, rep: Any, pool: Any, index: int) -> None:
    leave_queue(engines, rep, pool, index)
    if engines.slots[index].state != WAITING:
        free_blocks(engines, rep, pool, engines.slots[index])
    pool.n_waiting -= 1


@kernel
def _fail_or_retry(fleet: Fleet, engines: Engines, index: int, now: float, again: int) -> int:
    """End a request that was lost, or put it before the list `again` (by `wait_next`), whose head is returned."""
    slot = engines.slots[index]
    streamed = slot.generated > 0 and not is_held_back(fleet, slot)
    slot.reason = _REPLICA_LOST
    if streamed or slot.retries >= fleet.classes[slot.class_id].max_retries:
        end_request(fleet, engines, index, FAILED, now)
        return again
    throw_away(fleet, slot)
    slot.retries += 1
    slot.first_token_s = np.nan
    forget_progress(slot)
    slot.prefill_target = NONE
    slot.wait_next = again
    return index


@kernel
def _orphan_blocks(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """A request is gone with its decode replica: the prefill side keeps its blocks until their lease ends."""
    slot = engines.slots[index]
    if slot.peer == NONE:
        return
    kept = engines.slots[slot.peer]
    kept.peer = NONE
    set_timer(fleet, now + engines.pools[kept.target].kv_lease_s, TIMER_LEASE, slot.peer, kept.request)
    slot.peer = NONE


@kernel
def end_lease(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """Nobody has fetched kept blocks in time."""
    if engines.slots[index].state == SENDING:
        release_blocks(fleet, engines, index, now)


@kernel
def _recall(fleet: Fleet, engines: Engines, rep: Any, now: float, again: int) -> int:
    """A prefill replica is gone: requests whose KV it still kept are taken from the decode side (`again` as above)."""
    rep.sent_head = NONE
    while rep.kept_head != NONE:
        kept = rep.kept_head
        index = engines.slots[kept].peer
        drop_kept(engines, kept)
        if index == NONE:
            continue
        slot = engines.slots[index]
        slot.peer = NONE
        pool = engines.pools[slot.target]
        if slot.state == GATEWAY:
            leave_gateway(engines, index, pool, now)
        else:
            _take_waiting(engines, engines.replicas[slot.replica], pool, index)
            leave_replica(engines, index, now)
            forget_what_is_due(engines, index)
            wake(fleet, engines, slot.replica, now)
        again = _fail_or_retry(fleet, engines, index, now, again)
    return again


@entry
def end_unserved(fleet: Fleet, engines: Engines, now: float) -> None:
    """At the end of a run, with all replicas empty: what is elsewhere is unfinished, kept blocks are freed."""
    for index in range(len(engines.slots)):
        slot = engines.slots[index]
        if slot.state == GATEWAY:
            leave_gateway(engines, index, engines.pools[slot.target], now)
            end_request(fleet, engines, index, UNFINISHED, now)
    for index in range(len(engines.slots)):
        slot = engines.slots[index]
        if slot.state == PROVIDER:
            slot.generated = 0
            if slot.first_token_s > now:
                slot.first_token_s = np.nan
            end_request(fleet, engines, index, UNFINISHED, now)
    for index in range(len(engines.slots)):
        if engines.slots[index].state == CHECKED or engines.slots[index].state == RETRYING:
            end_request(fleet, engines, index, UNFINISHED, now)
    _sweep_kept(engines)


@kernel
def _sweep_kept(engines: Engines) -> None:
    for index in range(len(engines.slots)):
        if engines.slots[index].state == SENDING or engines.slots[index].state == SENT:
            engines.replicas[engines.slots[index].replica].sent_head = NONE
            drop_kept(engines, index)


@entry
def lose_provider(fleet: Fleet, engines: Engines, target: int, now: float) -> None:
    """A token API goes down. Streams break; what has not streamed is sent again while retries last.

    The caller has marked the provider as down and sees that there is room for records and timers.
    """
    k = target - len(engines.pools)
    for index in range(len(engines.slots)):
        slot = engines.slots[index]
        if slot.state != PROVIDER or slot.target != target:
            continue
        made_s = slot.scheduled_s
        unstreamed = cut_provider(fleet, engines, index, now)
        count_call(fleet, slot, k, made_s, False)
        if unstreamed or is_held_back(fleet, slot):
            call_again(fleet, engines, index, k, OUTAGE, now)
        else:
            fleet.providers[k].failed += 1
            slot.reason = OUTAGE
            end_request(fleet, engines, index, FAILED, now)
