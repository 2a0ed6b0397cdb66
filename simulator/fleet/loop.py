"""The data plane's event loop: arrivals, timers and step ends of all replicas in the order of time.

At one instant arrivals come first, then timers, then step ends, so a step sees whatever arrived up to its start.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.doors import door, room_door
from simulator.engine.modes.flight.answers import most_plans
from simulator.engine.modes.flight.ring import apply_output
from simulator.engine.modes.flight.skip import skip_plans
from simulator.engine.modes.flight.turn import take_turn
from simulator.engine.modes.offload.answers import lacks_rows
from simulator.engine.modes.rooms.turn import take_turn_asking
from simulator.engine.skip import skip_decode_steps
from simulator.engine.state import DRAINING, N_FREE_SLOTS, N_LOG, N_OUT, NONE, PROVIDER, RETRYING, Engines
from simulator.engine.step import complete, schedule
from simulator.fleet.asking import act_for_rooms, hand_over_or_keep, reset_cache
from simulator.fleet.cascade import escalate, finish_answer
from simulator.fleet.gateway import (
    TIMED_OUT,
    arrive,
    call_again,
    drop_turns,
    end_request,
    enqueue,
    leave_gateway,
    leave_replica,
    load_request,
    place,
)
from simulator.fleet.handover import end_transfer, start_transfers
from simulator.fleet.leaving import drop_request
from simulator.fleet.lock_step import align_ranks, waits_for_ranks
from simulator.fleet.loss import end_lease
from simulator.fleet.providers import count_call
from simulator.fleet.records import Reason
from simulator.fleet.slots import drop_sent
from simulator.fleet.state import (
    CACHE_NEED,
    CACHE_ROOM,
    CHUNK_NEXT,
    CHUNK_OPEN,
    CLOSING,
    DONE,
    EVENT_REPLICA,
    GROW_CACHE,
    GROW_ROWS,
    GROW_SLOTS,
    GROW_TIMERS,
    LAST_CHUNK,
    LOG_FULL,
    N_TIMERS,
    NEED_CHUNK,
    OUT_FULL,
    REMOTE,
    REPLICA_EMPTY,
    RESET_ELSEWHERE,
    TIMER_ARRIVE,
    TIMER_CLOSED,
    TIMER_ESCALATE,
    TIMER_LEASE,
    TIMER_LEAVE,
    TIMER_RESET,
    TIMER_RESET_RUNNING,
    TIMER_RETRY,
    TIMER_TIMEOUT,
    TIMER_TRANSFER,
    WIDEN_TABLES,
    Fleet,
)
from simulator.fleet.timers import drop_first_timer, update_winner
from simulator.jit import entry, inline_kernel, kernel

_ERROR = int(Reason.ERROR)


@kernel
def _fits(engines: Engines, rows: Any, number: int) -> int:
    """Whether there is room for a row and its later turns: DONE, GROW_SLOTS or WIDEN_TABLES."""
    width = len(engines.hits)
    needed = 0
    while number >= 0:
        needed += 1
        if len(engines.blocks) > 0:
            tokens = rows[number].isl + rows[number].osl
            for k in range(len(engines.pools)):
                pool = engines.pools[k]
                longest = tokens + pool.reach_tokens
                if pool.tracks_blocks != 0 and longest // pool.block_size + 2 > width and tokens <= pool.max_model_len:
                    return WIDEN_TABLES
        number = rows[number].next_turn
    return DONE if needed <= engines.counters[N_FREE_SLOTS] else GROW_SLOTS


@kernel
def _end_at_provider(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """A token API is done with a request."""
    slot = engines.slots[index]
    if slot.state != PROVIDER:
        return
    k = slot.target - len(engines.pools)
    count_call(fleet, slot, k, slot.scheduled_s, slot.generated > 0)
    if slot.generated > 0:
        finish_answer(fleet, engines, index, now)
    elif slot.generated < 0:
        end_request(fleet, engines, index, TIMED_OUT, now)
    else:
        call_again(fleet, engines, index, k, _ERROR, now)


@kernel
def _fire_timer(fleet: Fleet, engines: Engines) -> int:
    """Act on the first timer; returns why it could not, or DONE."""
    timer = fleet.timers[0]
    now, kind, index, request = timer.time_s, timer.kind, timer.slot, timer.request
    if kind == TIMER_CLOSED and fleet.scalars[CLOSING] == 0:
        loop = fleet.closed[index]
        row = loop.first_row + loop.sent % loop.n_rows
        room = _fits(engines, fleet.closed_rows, row)
        if room != DONE:
            return room
        drop_first_timer(fleet)
        loaded = load_request(fleet, engines, fleet.closed_rows, row, index)
        loop.sent += 1
        arrive(fleet, engines, loaded, now)
        return DONE
    if kind == TIMER_LEAVE and engines.counters[N_FREE_SLOTS] == 0:
        return GROW_SLOTS
    drop_first_timer(fleet)
    if kind == TIMER_CLOSED:
        return DONE
    if kind == TIMER_ARRIVE:
        if fleet.scalars[CLOSING] != 0:
            drop_turns(engines, index)
        else:
            arrive(fleet, engines, index, now)
    elif kind >= TIMER_RESET:
        reset_cache(engines, index, kind == TIMER_RESET_RUNNING, request == RESET_ELSEWHERE)
    elif engines.slots[index].request == request:
        if kind in (TIMER_TIMEOUT, TIMER_LEAVE):
            drop_request(fleet, engines, index, now, kind == TIMER_LEAVE)
        elif kind == TIMER_TRANSFER:
            end_transfer(fleet, engines, index, now)
        elif kind == TIMER_LEASE:
            end_lease(fleet, engines, index, now)
        elif kind == TIMER_ESCALATE:
            escalate(fleet, engines, index, now)
        elif kind == TIMER_RETRY:
            if engines.slots[index].state == RETRYING:
                place(fleet, engines, index, now)
        elif kind > TIMER_LEAVE:
            act_for_rooms(engines, fleet, kind, index, now)
        else:
            _end_at_provider(fleet, engines, index, now)
    return DONE


@kernel
def _end_on_replica(fleet: Fleet, engines: Engines, r: int, index: int, now: float) -> None:
    """A request has all the tokens that replica `r` is to give it. Its prompt counts where it was computed."""
    slot = engines.slots[index]
    if slot.keeps_blocks != 0 and hand_over_or_keep(engines, fleet, index, now):
        return
    prefilled = engines.replicas[r if slot.prefill_target == NONE else slot.prefill_replica]
    prefilled.input_tokens += slot.isl
    prefilled.cached_tokens += slot.cached_tokens
    leave_replica(engines, index, now)
    _count_work(fleet, slot)
    finish_answer(fleet, engines, index, now)


@kernel
def _count_work(fleet: Fleet, slot: Any) -> None:
    """Count an answer given, and what it took: each output token after the first reads all before it.

    After a hand-over the prompt's last token is computed once more, and its work is the pool's that computed it.
    """
    isl, osl, cached = np.int64(slot.isl), np.int64(slot.generated), np.int64(slot.cached_tokens)
    answer = fleet.targets[slot.target * len(fleet.classes) + slot.class_id]
    answer.requests += 1
    answer.output += osl
    answer.kv_read += (osl - 1) * isl + ((osl * (osl - 1)) >> 1)
    if slot.prefill_target != NONE:
        answer.kv_read += isl
        answer = fleet.targets[slot.prefill_target * len(fleet.classes) + slot.class_id]
    answer.input += isl - cached
    answer.cached += cached
    answer.pairs += (isl * (isl + 1) - cached * (cached + 1)) >> 1


@kernel
def _lacks_room(fleet: Fleet, engines: Engines, r: int) -> int:
    """What hand-overs and transfers at the end of replica `r`'s step may need more of, or DONE."""
    rep = engines.replicas[r]
    pool = engines.pools[rep.pool]
    log_rows = (6 * len(engines.scratch) + 2 * rep.n_waiting + 8) * most_plans(engines)
    if engines.counters[N_LOG] > 0 and engines.counters[N_LOG] + log_rows > len(engines.log):
        return LOG_FULL
    if engines.counters[N_FREE_SLOTS] < len(engines.scratch) + 4 or lacks_rows(engines, rep):
        return GROW_SLOTS
    if fleet.scalars[N_TIMERS] + rep.n_waiting + len(engines.scratch) + 4 > len(fleet.timers):
        return GROW_TIMERS
    if pool.tracks_blocks != 0 and rep.n_free_rows < min(rep.n_waiting, pool.num_blocks):
        fleet.scalars[EVENT_REPLICA] = r
        return GROW_ROWS
    return DONE


@inline_kernel
def _end_step(engines: Engines, fleet: Fleet, r: int) -> bool:
    rep = engines.replicas[r]
    now = rep.step_end_s
    if rep.in_step != 0:
        n_done = complete(engines, r)
        for k in range(n_done):
            _end_on_replica(fleet, engines, r, engines.scratch[k], now)
        if rep.sent_head != NONE:
            drop_sent(engines, rep)
        if fleet.scalars[N_TIMERS] > 0 and fleet.timers[0].time_s <= now:
            return False
    schedule(engines, r, now)
    if rep.load_head != NONE:
        start_transfers(fleet, engines, rep, now)
    return rep.state == DRAINING and rep.in_step == 0 and rep.n_waiting == 0 and rep.n_kept == 0


@kernel
def _end_step_in_flight(engines: Engines, fleet: Fleet, r: int) -> bool:
    head = engines.flight.replicas[r]
    if head.depth == 1:
        return _end_step(engines, fleet, r)
    rep = engines.replicas[r]
    now = rep.step_end_s
    if head.waits != 0:
        head.waits = 0
        n_done = apply_output(engines, r, now)
        for k in range(n_done):
            _end_on_replica(fleet, engines, r, engines.scratch[k], now)
        if rep.sent_head != NONE:
            drop_sent(engines, rep)
        if fleet.scalars[N_TIMERS] > 0 and fleet.timers[0].time_s <= now:
            return False
    take_turn(engines, r, now)
    if rep.load_head != NONE:
        start_transfers(fleet, engines, rep, now)
    return rep.state == DRAINING and rep.in_step == 0 and rep.n_waiting == 0 and rep.n_kept == 0


_end_step_by_depth = door(_end_step, _end_step_in_flight)


@kernel
def _end_step_of_lanes(engines: Engines, fleet: Fleet, r: int) -> bool:
    return _end_step_by_depth(engines, fleet, r)


@kernel
def _end_step_asking(engines: Engines, fleet: Fleet, r: int) -> bool:
    head, room = engines.flight.replicas[r], engines.rooms.replicas[r]
    rep = engines.replicas[r]
    now = rep.step_end_s
    if head.waits != 0:
        head.waits = 0
        n_done = apply_output(engines, r, now)
        for k in range(n_done):
            _end_on_replica(fleet, engines, r, engines.scratch[k], now)
        if rep.sent_head != NONE:
            drop_sent(engines, rep)
        if room.reset != 0:
            running, elsewhere = room.reset == 2, room.resets_elsewhere != 0
            room.reset = 0
            room.resets_elsewhere = 0
            reset_cache(engines, r, running, elsewhere)
        if room.pause_s > 0.0:
            rep.step_end_s = now + room.pause_s
            return False
        if fleet.scalars[N_TIMERS] > 0 and fleet.timers[0].time_s <= now:
            return False
    if waits_for_ranks(engines, r, now):
        return False
    take_turn_asking(engines, r, now)
    align_ranks(fleet, engines, r, now)
    if rep.load_head != NONE:
        start_transfers(fleet, engines, rep, now)
    empty = rep.state == DRAINING and rep.in_step == 0 and rep.n_waiting == 0 and rep.n_kept == 0
    if empty:
        rep.step_end_s = float("inf")
    return empty


end_step = room_door(_end_step_of_lanes, _end_step_asking)
"""Complete the replica's step, if one is under way, and start the next; True when a draining one is empty.

A turn that follows without a pause arrives before the next step is scheduled: its timer goes first.
"""
_skip_by_depth = door(skip_decode_steps, skip_plans)


@kernel
def _skip_steps(engines: Engines, r: int, until_s: float) -> None:
    _skip_by_depth(engines, r, until_s)


@kernel
def _skip_none(engines: Engines, r: int, until_s: float) -> None:
    return


skip_steps = room_door(_skip_steps, _skip_none)


@kernel
def _next_other_event(fleet: Fleet, engines: Engines, r: int, event_s: float, until_s: float) -> float:
    """Time of the next event that is not replica `r`'s: up to there it runs undisturbed."""
    event_s = min(event_s, until_s)
    tree = fleet.winners
    node = len(tree) // 2 + r
    while node > 1:
        rival = tree[node ^ 1]
        if rival >= 0:
            event_s = min(event_s, engines.replicas[rival].step_end_s)
        node //= 2
    return event_s


@entry
def advance(fleet: Fleet, engines: Engines, until_s: float) -> int:
    """Process every event up to and including `until_s`; returns DONE, or what has to be done before it can go on."""
    rows = fleet.chunk
    room = len(engines.out) - len(engines.scratch) - 4
    timer_room = len(fleet.timers) - len(engines.scratch) - 4
    log_room = len(engines.log) - (2 * len(engines.scratch) + 4) * most_plans(engines)
    single = len(engines.replicas) == 1
    remote = fleet.scalars[REMOTE] != 0
    while True:
        if engines.counters[N_OUT] > room:
            return OUT_FULL
        if fleet.scalars[N_TIMERS] > timer_room:
            return GROW_TIMERS
        if fleet.scalars[CACHE_ROOM] < fleet.scalars[CACHE_NEED]:
            return GROW_CACHE
        if len(engines.log) > 0 and engines.counters[N_LOG] > log_room:
            return LOG_FULL
        arrival_s = float("inf")
        if fleet.scalars[CLOSING] == 0:
            if fleet.scalars[CHUNK_NEXT] < fleet.scalars[CHUNK_OPEN]:
                arrival_s = rows[fleet.scalars[CHUNK_NEXT]].arrival_s
            elif fleet.scalars[LAST_CHUNK] == 0:
                return NEED_CHUNK
        timer_s = fleet.timers[0].time_s if fleet.scalars[N_TIMERS] > 0 else float("inf")
        r = fleet.winners[1]
        step_s = engines.replicas[r].step_end_s if r >= 0 else float("inf")
        if arrival_s <= timer_s and arrival_s <= step_s:
            if arrival_s > until_s or arrival_s == float("inf"):
                return DONE
            number = fleet.scalars[CHUNK_NEXT]
            fits = _fits(engines, rows, number)
            if fits != DONE:
                return fits
            fleet.scalars[CHUNK_NEXT] += 1
            arrive(fleet, engines, load_request(fleet, engines, rows, number, NONE), arrival_s)
        elif timer_s <= step_s:
            if timer_s > until_s:
                return DONE
            fits = _fire_timer(fleet, engines)
            if fits != DONE:
                return fits
        else:
            if step_s > until_s:
                return DONE
            skip_steps(engines, r, _next_other_event(fleet, engines, r, min(arrival_s, timer_s), until_s))
            if engines.replicas[r].step_end_s > step_s:
                update_winner(fleet, engines, r)
                continue
            if remote:
                lacking = _lacks_room(fleet, engines, r)
                if lacking != DONE:
                    return lacking
            empty = end_step(engines, fleet, r)
            if not single:
                update_winner(fleet, engines, r)
            if empty:
                fleet.scalars[EVENT_REPLICA] = r
                return REPLICA_EMPTY


@entry
def flush_gateway(fleet: Fleet, engines: Engines, target: int, now: float) -> None:
    """Hand the requests queued before a pool to its replicas, now that one is ready."""
    pool = engines.pools[target]
    while pool.queue_head != NONE and pool.n_ready > 0:
        index = pool.queue_head
        leave_gateway(engines, index, pool, now)
        enqueue(fleet, engines, index, pool, now)
