"""The data plane's event loop: arrivals, timers and step ends of all replicas in the order of time.

At one instant arrivals come first, then timers, then step ends, so a step sees whatever arrived up to its start.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.blocks import free_blocks
from simulator.engine.general import materialise
from simulator.engine.queues import remove_running, remove_waiting
from simulator.engine.skip import skip_decode_steps
from simulator.engine.state import DRAINING, N_FREE_SLOTS, N_LOG, N_OUT, NONE, VENDOR, Engines
from simulator.engine.step import complete, schedule
from simulator.fleet.gateway import (
    COMPLETED,
    FAILED,
    UNFINISHED,
    arrive,
    drop_turns,
    end_request,
    end_vendor,
    enqueue,
    leave_gateway,
    leave_replica,
    load_request,
    place,
    time_out,
)
from simulator.fleet.state import (
    CHUNK_NEXT,
    CHUNK_OPEN,
    CLOSING,
    DONE,
    EVENT_REPLICA,
    GROW_SLOTS,
    GROW_TIMERS,
    LAST_CHUNK,
    LOG_FULL,
    N_TIMERS,
    NEED_CHUNK,
    OUT_FULL,
    REPLICA_EMPTY,
    TIMER_ARRIVE,
    TIMER_CLOSED,
    TIMER_TIMEOUT,
    WIDEN_TABLES,
    Fleet,
)
from simulator.fleet.timers import drop_first_timer, update_winner
from simulator.fleet.vendors import cut_vendor
from simulator.jit import kernel


@kernel
def _fits(fleet: Fleet, engines: Engines, rows: Any, number: int) -> int:
    """Whether there is room for a row and its later turns: DONE, GROW_SLOTS or WIDEN_TABLES."""
    width = len(engines.hits)
    needed = 0
    while number >= 0:
        needed += 1
        if len(engines.blocks) > 0:
            tokens = rows[number].isl + rows[number].osl
            for k in range(len(engines.pools)):
                pool = engines.pools[k]
                longest = tokens + pool.num_lookahead_tokens + pool.num_speculative_tokens
                if pool.prefix_caching != 0 and longest // pool.block_size + 2 > width and tokens <= pool.max_model_len:
                    return WIDEN_TABLES
        number = rows[number].next_turn
    return DONE if needed <= engines.counters[N_FREE_SLOTS] else GROW_SLOTS


@kernel
def _fire_timer(fleet: Fleet, engines: Engines) -> int:
    """Act on the first timer; returns why it could not, or DONE."""
    timer = fleet.timers[0]
    now, kind, index, request = timer.time_s, timer.kind, timer.slot, timer.request
    if kind == TIMER_CLOSED and fleet.scalars[CLOSING] == 0:
        loop = fleet.closed[index]
        row = loop.first_row + loop.next_row
        room = _fits(fleet, engines, fleet.closed_rows, row)
        if room != DONE:
            return room
        drop_first_timer(fleet)
        loop.next_row = (loop.next_row + 1) % loop.n_rows
        arrive(fleet, engines, load_request(fleet, engines, fleet.closed_rows, row, index), now)
        return DONE
    drop_first_timer(fleet)
    if kind == TIMER_CLOSED:
        return DONE
    if kind == TIMER_ARRIVE:
        if fleet.scalars[CLOSING] != 0:
            drop_turns(engines, index)
        else:
            arrive(fleet, engines, index, now)
    elif engines.slots[index].request == request:
        if kind == TIMER_TIMEOUT:
            time_out(fleet, engines, index, now)
        else:
            end_vendor(fleet, engines, index, now)
    return DONE


@kernel
def _end_step(fleet: Fleet, engines: Engines, r: int) -> bool:
    """Complete the replica's step, if one is under way, and start the next; True when a draining one is empty.

    A turn that follows without a pause arrives before the next step is scheduled: its timer goes first.
    """
    rep = engines.replicas[r]
    now = rep.step_end_s
    if rep.in_step != 0:
        n_done = complete(engines, r)
        for k in range(n_done):
            rep.input_tokens += engines.slots[engines.scratch[k]].isl
            rep.cached_tokens += engines.slots[engines.scratch[k]].cached_tokens
            leave_replica(engines, engines.scratch[k], now)
            end_request(fleet, engines, engines.scratch[k], COMPLETED, now)
        if fleet.scalars[N_TIMERS] > 0 and fleet.timers[0].time_s <= now:
            return False
    schedule(engines, r, now)
    return rep.state == DRAINING and rep.in_step == 0


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


@kernel
def advance(fleet: Fleet, engines: Engines, until_s: float) -> int:
    """Process every event up to and including `until_s`; returns DONE, or what has to be done before it can go on."""
    rows = fleet.chunk
    room = len(engines.out) - len(engines.scratch) - 4
    timer_room = len(fleet.timers) - len(engines.scratch) - 4
    log_room = len(engines.log) - 2 * len(engines.scratch) - 4
    single = len(engines.replicas) == 1
    while True:
        if engines.counters[N_OUT] > room:
            return OUT_FULL
        if fleet.scalars[N_TIMERS] > timer_room:
            return GROW_TIMERS
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
            fits = _fits(fleet, engines, rows, number)
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
            skip_decode_steps(engines, r, _next_other_event(fleet, engines, r, min(arrival_s, timer_s), until_s))
            if engines.replicas[r].step_end_s > step_s:
                update_winner(fleet, engines, r)
                continue
            empty = _end_step(fleet, engines, r)
            if not single:
                update_winner(fleet, engines, r)
            if empty:
                fleet.scalars[EVENT_REPLICA] = r
                return REPLICA_EMPTY


@kernel
def flush_gateway(fleet: Fleet, engines: Engines, target: int, now: float) -> None:
    """Hand the requests queued before a pool to its replicas, now that one is ready."""
    pool = engines.pools[target]
    while pool.queue_head != NONE and pool.n_ready > 0:
        index = pool.queue_head
        leave_gateway(engines, index, pool, now)
        enqueue(fleet, engines, index, pool, now)


@kernel
def lose_vendor(fleet: Fleet, engines: Engines, target: int, now: float) -> None:
    """A token API goes down. Streams break; what has not streamed is sent again while retries last.

    The caller has marked the vendor as down and sees that there is room for records and timers.
    """
    vendor = fleet.vendors[target - len(engines.pools)]
    for index in range(len(engines.slots)):
        slot = engines.slots[index]
        if slot.state != VENDOR or slot.target != target:
            continue
        unstreamed = cut_vendor(fleet, engines, index, now)
        if unstreamed and slot.retries < fleet.classes[slot.class_id].max_retries:
            slot.retries += 1
            place(fleet, engines, index, now)
        else:
            vendor.failed += 1
            end_request(fleet, engines, index, FAILED, now)


@kernel
def lose_replica(fleet: Fleet, engines: Engines, r: int, now: float, at_end: bool) -> None:
    """Empty a replica that is gone. Streams break; what has not streamed is sent again while retries last.

    With `at_end` the run is over and everything counts as unfinished. The caller has taken the replica out of `ready`
    and sees that the buffer of ended requests has room for all its requests.
    """
    rep = engines.replicas[r]
    pool = engines.pools[rep.pool]
    if rep.in_step != 0:
        cut_s = rep.step_end_s - now
        rep.busy_s -= cut_s
        rep.energy_j -= cut_s * engines.power_w[pool.power_base + rep.step_seqs]
        rep.kv_block_s -= cut_s * (pool.num_blocks - 1 - rep.free_blocks)
    materialise(engines, r, rep, pool, now)
    again = NONE
    while rep.run_head != NONE or rep.wait_head != NONE:
        if rep.run_head != NONE:
            index = rep.run_head
            remove_running(engines, rep, index)
            free_blocks(engines, rep, pool, engines.slots[index])
        else:
            index = rep.wait_head
            remove_waiting(engines, rep, pool.policy, index)
            pool.n_waiting -= 1
        leave_replica(engines, index, now)
        slot = engines.slots[index]
        if at_end:
            end_request(fleet, engines, index, UNFINISHED, now)
        elif slot.generated > 0 or slot.retries >= fleet.classes[slot.class_id].max_retries:
            end_request(fleet, engines, index, FAILED, now)
        else:
            slot.retries += 1
            slot.computed = 0
            slot.scheduled = 0
            slot.drafts = 0
            slot.wait_next = again
            again = index
    rep.in_step = 0
    rep.step_end_s = float("inf")
    update_winner(fleet, engines, r)
    while again != NONE:
        index = again
        again = engines.slots[index].wait_next
        place(fleet, engines, index, now)
