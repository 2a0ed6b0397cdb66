"""A request's way through the fleet: it arrives, is placed at a target, waits, ends, and may call its next turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.kept import give_back
from simulator.engine.modes.flight.answers import clear_aloft
from simulator.engine.queues import push_waiting
from simulator.engine.state import (
    FUTURE,
    GATEWAY,
    N_FREE_SLOTS,
    N_IN_FLIGHT,
    N_OUT,
    N_REQUESTS,
    NONE,
    RETRYING,
    WAITING,
    Engines,
)
from simulator.fleet.extras import begin_waiting, load_extras
from simulator.fleet.providers import (
    count_asked,
    count_call,
    is_refused,
    refuse_call,
    retry_delay_s,
    start_provider,
)
from simulator.fleet.records import Reason, Status
from simulator.fleet.routing import choose_replica, choose_target, is_first_answer, is_held_back, why_no_target
from simulator.fleet.slots import forget_progress, release_blocks
from simulator.fleet.state import (
    CLOSING,
    TIMER_ARRIVE,
    TIMER_CLOSED,
    TIMER_LEAVE,
    TIMER_PROVIDER,
    TIMER_RETRY,
    TIMER_TIMEOUT,
    Fleet,
)
from simulator.fleet.timers import set_timer, update_winner
from simulator.jit import kernel

COMPLETED, REJECTED, FAILED = int(Status.COMPLETED), int(Status.REJECTED), int(Status.FAILED)
TIMED_OUT, UNFINISHED = int(Status.TIMED_OUT), int(Status.UNFINISHED)
NO_REASON, RATE_LIMIT, OUTAGE = int(Reason.NONE), int(Reason.RATE_LIMIT), int(Reason.OUTAGE)
_QUEUE_FULL = int(Reason.QUEUE_FULL)
_REJECTED_PAUSE_S = 1.0
"""Least pause of a closed-loop user after a request that was not completed; without it, a refusal would loop."""


@kernel
def _load_row(engines: Engines, row: Any, closed_loop: int) -> int:
    engines.counters[N_FREE_SLOTS] -= 1
    index = engines.free_slots[engines.counters[N_FREE_SLOTS]]
    slot = engines.slots[index]
    slot.state = FUTURE
    slot.luck = row.luck
    slot.isl = row.isl
    slot.osl = row.osl
    slot.full_isl = row.isl
    slot.full_osl = row.osl
    slot.keeps_blocks = 0
    slot.peer = NONE
    slot.prefill_target = NONE
    slot.class_id = row.class_id
    slot.priority = row.priority
    slot.complexity = row.complexity
    slot.session_id = row.session_id
    slot.segment_start = row.segment_start
    slot.n_segments = row.n_segments
    slot.listed_tokens = row.listed_tokens
    slot.output_continues = row.output_continues
    slot.stops = row.stops
    slot.think_s = row.think_s
    slot.acceptance = row.acceptance
    slot.leaves_s = row.leaves_s
    slot.closed_loop = closed_loop
    slot.next_turn = NONE
    slot.scheduled_s = np.nan
    slot.first_token_s = np.nan
    forget_progress(slot)
    slot.cached_tokens = 0
    slot.preemptions = 0
    slot.retries = 0
    slot.overflowed = 0
    slot.escalated = 0
    slot.checked_s = np.nan
    slot.thrown_tokens = 0
    slot.reason = NO_REASON
    slot.no_replica_s = 0.0
    slot.target = NONE
    slot.replica = NONE
    load_extras(engines, index, row)
    return index


@kernel
def load_request(fleet: Fleet, engines: Engines, rows: Any, number: int, closed_loop: int) -> int:
    """Slot of row `number`, with the slots of its session's later turns behind it.

    A closed loop's requests are told apart by how many it has sent.
    """
    first = _load_row(engines, rows[number], closed_loop)
    if closed_loop != NONE:
        engines.slots[first].luck += fleet.closed[closed_loop].sent
    previous = first
    following = rows[number].next_turn
    while following >= 0:
        index = _load_row(engines, rows[following], NONE)
        engines.slots[previous].next_turn = index
        previous = index
        following = rows[following].next_turn
    return first


@kernel
def arrive(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """A request reaches the gateway."""
    slot = engines.slots[index]
    slot.arrival_s = now
    slot.request = engines.counters[N_REQUESTS]
    engines.counters[N_REQUESTS] += 1
    engines.counters[N_IN_FLIGHT] += 1
    timeout = fleet.classes[slot.class_id].timeout_s
    if timeout > 0.0:
        set_timer(fleet, now + timeout, TIMER_TIMEOUT, index, slot.request)
    if slot.leaves_s > 0.0:
        set_timer(fleet, now + slot.leaves_s, TIMER_LEAVE, index, slot.request)
    place(fleet, engines, index, now)


@kernel
def place(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """Choose a target and hand the request over, queue it before a pool that is starting, or reject it."""
    slot = engines.slots[index]
    slot.isl = slot.full_isl
    slot.osl = slot.full_osl
    slot.keeps_blocks = 0
    target = choose_target(fleet, engines, index, now)
    slot.target = target
    slot.enqueued_s = now
    if target == NONE:
        slot.reason = why_no_target(fleet, engines, slot)
        end_request(fleet, engines, index, REJECTED, now)
        return
    if target >= len(engines.pools):
        _call(fleet, engines, index, target - len(engines.pools), now)
        return
    pool = engines.pools[target]
    if pool.hands_to != NONE:
        slot.isl -= pool.held_back if slot.isl > pool.held_back else 0
        slot.osl = 1
        slot.keeps_blocks = 1
    queue_at_pool(fleet, engines, index, pool, now)


@kernel
def _call(fleet: Fleet, engines: Engines, index: int, k: int, now: float) -> None:
    """Call a token API, which may turn the request away."""
    slot = engines.slots[index]
    provider = fleet.providers[k]
    if provider.down > 0:
        refuse_call(fleet, slot, k, now)
        call_again(fleet, engines, index, k, OUTAGE, now)
    elif is_refused(fleet, k, slot, now):
        refuse_call(fleet, slot, k, now)
        call_again(fleet, engines, index, k, RATE_LIMIT, now)
    elif start_provider(fleet, engines, index, k, now):
        if is_first_answer(fleet, slot):
            set_timer(fleet, slot.last_token_s, TIMER_PROVIDER, index, slot.request)
        else:
            count_call(fleet, slot, k, slot.scheduled_s, True)
            end_request(fleet, engines, index, COMPLETED, slot.last_token_s)


@kernel
def call_again(fleet: Fleet, engines: Engines, index: int, k: int, reason: int, now: float) -> None:
    """A call brought nothing that anybody saw: repeat it after a pause while retries and the timeout allow it."""
    slot = engines.slots[index]
    cls = fleet.classes[slot.class_id]
    slot.reason = reason
    again_s = now + retry_delay_s(fleet, slot, k)
    late = cls.timeout_s > 0.0 and again_s > slot.arrival_s + cls.timeout_s
    if slot.retries >= cls.max_retries or late:
        if reason == OUTAGE:
            fleet.providers[k].failed += 1
        elif reason == RATE_LIMIT:
            count_asked(fleet, slot, k)
        end_request(fleet, engines, index, REJECTED if reason == RATE_LIMIT else FAILED, now)
        return
    slot.retries += 1
    slot.first_token_s = np.nan
    slot.scheduled_s = np.nan
    slot.cached_tokens = 0
    forget_progress(slot)
    slot.state = RETRYING
    set_timer(fleet, again_s, TIMER_RETRY, index, slot.request)


@kernel
def queue_at_pool(fleet: Fleet, engines: Engines, index: int, pool: Any, now: float) -> None:
    """Queue a request at a replica of the pool, or before the pool while it has none."""
    if pool.n_ready == 0:
        _queue_at_gateway(engines, index, pool, now)
    else:
        enqueue(fleet, engines, index, pool, now)


@kernel
def _count_in(pool: Any, now: float) -> None:
    pool.in_system_s += pool.n_in_system * (now - pool.last_change_s)
    pool.last_change_s = now
    pool.n_in_system += 1
    pool.arrivals += 1


@kernel
def _count_out(pool: Any, slot: Any, now: float) -> None:
    pool.in_system_s += pool.n_in_system * (now - pool.last_change_s)
    pool.last_change_s = now
    pool.n_in_system -= 1
    pool.departures += 1
    pool.sojourn_s += now - slot.enqueued_s


@kernel
def _queue_at_gateway(engines: Engines, index: int, pool: Any, now: float) -> None:
    slot = engines.slots[index]
    slot.state = GATEWAY
    _count_in(pool, now)
    pool.n_queued += 1
    pool.n_waiting += 1
    slot.wait_next = NONE
    slot.wait_prev = pool.queue_tail
    if pool.queue_tail != NONE:
        engines.slots[pool.queue_tail].wait_next = index
    else:
        pool.queue_head = index
    pool.queue_tail = index


@kernel
def leave_gateway(engines: Engines, index: int, pool: Any, now: float) -> None:
    """Take a request out of the queue before a pool."""
    slot = engines.slots[index]
    _count_out(pool, slot, now)
    slot.no_replica_s += now - slot.enqueued_s
    pool.n_queued -= 1
    pool.n_waiting -= 1
    if slot.wait_prev != NONE:
        engines.slots[slot.wait_prev].wait_next = slot.wait_next
    else:
        pool.queue_head = slot.wait_next
    if slot.wait_next != NONE:
        engines.slots[slot.wait_next].wait_prev = slot.wait_prev
    else:
        pool.queue_tail = slot.wait_prev


@kernel
def enqueue(fleet: Fleet, engines: Engines, index: int, pool: Any, now: float) -> None:
    """Queue a request at a replica; an idle one starts a step at this very instant."""
    slot = engines.slots[index]
    r = choose_replica(fleet, engines, index, pool)
    rep = engines.replicas[r]
    if pool.max_waiting_per_replica > 0 and rep.n_waiting >= pool.max_waiting_per_replica:
        slot.reason = _QUEUE_FULL
        end_request(fleet, engines, index, REJECTED, now)
        return
    slot.replica = r
    slot.state = WAITING
    slot.enqueued_s = now
    _count_in(pool, now)
    pool.n_waiting += 1
    clear_aloft(engines, index)
    begin_waiting(engines, fleet, index, now)
    push_waiting(engines, rep, pool.policy, index, False)
    engines.load[r] += 1
    if rep.in_step == 0 and rep.step_end_s > now:
        rep.step_end_s = now
        update_winner(fleet, engines, r)


@kernel
def leave_replica(engines: Engines, index: int, now: float) -> None:
    """Count a request out of its replica and pool; the engine has let go of it before."""
    slot = engines.slots[index]
    engines.load[slot.replica] -= 1
    _count_out(engines.pools[slot.target], slot, now)


@kernel
def reply_delay_s(engines: Engines, slot: Any) -> float:
    """What the way between gateway and replicas, and the time there outside steps, add to a request's times."""
    delay = 0.0
    if slot.target != NONE and slot.target < len(engines.pools):
        delay = engines.pools[slot.target].latency_s
    if slot.prefill_target != NONE:
        delay += engines.pools[slot.prefill_target].latency_s
    return delay


@kernel
def throw_away(fleet: Fleet, slot: Any) -> None:
    """What the request's target has put out for it so far is seen by nobody."""
    slot.thrown_tokens += max(slot.generated, 0)
    fleet.targets[slot.target * len(fleet.classes) + slot.class_id].thrown_output += max(slot.generated, 0)


@kernel
def end_request(fleet: Fleet, engines: Engines, index: int, status: int, now: float) -> None:
    """Write the record, call the next turn or the closed-loop user's next request, and give the slot back."""
    slot = engines.slots[index]
    slot.isl = slot.full_isl
    delay = reply_delay_s(engines, slot)
    if status != COMPLETED and is_held_back(fleet, slot):
        if slot.target < len(engines.pools):
            throw_away(fleet, slot)
        forget_progress(slot)
        slot.first_token_s = np.nan
    if slot.peer != NONE:
        release_blocks(fleet, engines, slot.peer, now)
        slot.peer = NONE
    record = engines.out[engines.counters[N_OUT]]
    engines.counters[N_OUT] += 1
    engines.counters[N_IN_FLIGHT] -= 1
    record.request = slot.request
    record.class_id = slot.class_id
    record.status = status
    record.target = slot.target
    record.replica = slot.replica
    record.isl = slot.isl
    record.osl = slot.full_osl
    record.generated = max(slot.generated, 0)
    record.cached_tokens = slot.cached_tokens
    record.preemptions = slot.preemptions
    record.retries = slot.retries
    record.overflowed = slot.overflowed
    record.arrival_s = slot.arrival_s
    record.scheduled_s = slot.scheduled_s
    record.first_token_s = slot.first_token_s + delay
    record.finish_s = now + delay if status == COMPLETED else now
    record.no_replica_s = slot.no_replica_s
    record.escalated = slot.escalated
    record.checked_s = slot.checked_s
    record.thrown_tokens = slot.thrown_tokens
    record.reason = NO_REASON if status == COMPLETED else slot.reason
    record.prefill_target = slot.prefill_target
    if slot.prefill_target == NONE:
        record.prefilled_s = np.nan
        record.transferred_s = np.nan
    else:
        record.prefilled_s = slot.prefilled_s
        record.transferred_s = slot.transferred_s
    record.unsent_turns = 0
    if fleet.scalars[CLOSING] == 0:
        _call_next(fleet, engines, slot, status, now + delay)
        if status != COMPLETED:
            record.unsent_turns = drop_turns(engines, slot.next_turn)
    else:
        drop_turns(engines, slot.next_turn)
    give_back(engines, index)


@kernel
def _call_next(fleet: Fleet, engines: Engines, slot: Any, status: int, now: float) -> None:
    if slot.closed_loop != NONE:
        pause = slot.think_s
        if status != COMPLETED:
            pause = max(pause, _REJECTED_PAUSE_S)
        set_timer(fleet, now + pause, TIMER_CLOSED, slot.closed_loop, NONE)
    if slot.next_turn != NONE and status == COMPLETED:
        set_timer(fleet, now + engines.slots[slot.next_turn].think_s, TIMER_ARRIVE, slot.next_turn, NONE)


@kernel
def drop_turns(engines: Engines, index: int) -> int:
    """Forget the later turns of a session that does not go on, and count them: they never arrive."""
    dropped = 0
    while index != NONE:
        following = engines.slots[index].next_turn
        give_back(engines, index)
        index = following
        dropped += 1
    return dropped
