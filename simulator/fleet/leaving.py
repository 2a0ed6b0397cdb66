"""Requests that are dropped: they have waited too long, or their client has left."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.doors import room_door
from simulator.engine.kept import keep_blocks
from simulator.engine.leave import leave_running
from simulator.engine.modes.offload.answers import keep_for_load, note_left_request
from simulator.engine.modes.rooms.answers import tell_ended
from simulator.engine.modes.tables.answers import free_blocks
from simulator.engine.modes.waves.kernels import end_deferral
from simulator.engine.remote import leave_queue
from simulator.engine.state import (
    CHECKED,
    DECODE,
    GATEWAY,
    LANDING,
    LOG_LOAD,
    NONE,
    PREFILL,
    PROVIDER,
    RECEIVED,
    RECEIVING,
    REQUEUED,
    RETRYING,
    WAITING,
    Engines,
)
from simulator.engine.timing import write_log
from simulator.fleet.gateway import TIMED_OUT, end_request, leave_gateway, leave_replica
from simulator.fleet.providers import end_call
from simulator.fleet.records import Reason
from simulator.fleet.slots import wake
from simulator.fleet.state import TIMER_LEAVE, TIMER_SENT, Fleet
from simulator.fleet.timers import set_timer
from simulator.jit import kernel

_LEFT = int(Reason.LEFT)


@kernel
def _take_waiting(engines: Engines, rep: Any, pool: Any, index: int) -> int:
    """Take a request out that has not begun to run. Its blocks go back, or stay in a slot while a load fills them."""
    slot = engines.slots[index]
    kept = NONE
    leave_queue(engines, rep, pool, index)
    if slot.state in (RECEIVED, REQUEUED):
        free_blocks(engines, rep, pool, slot)
    elif slot.state == RECEIVING:
        kept = keep_blocks(engines, index)
        engines.slots[kept].peer = NONE
        if slot.peer != NONE:
            engines.slots[slot.peer].peer = kept
            slot.peer = NONE
    rep.batch_room = min(rep.batch_room, rep.n_waiting)
    pool.n_waiting -= 1
    return kept


@kernel
def _leave_replica_now(engines: Engines, fleet: Fleet, index: int, now: float) -> bool:
    slot = engines.slots[index]
    r = slot.replica
    rep, pool = engines.replicas[r], engines.pools[slot.target]
    if slot.state == PREFILL or slot.state == DECODE or slot.state == LANDING:
        leave_running(engines, r, rep, pool, index)
    else:
        _take_waiting(engines, rep, pool, index)
    leave_replica(engines, index, now)
    wake(fleet, engines, r, now)
    return True


@kernel
def _leave_asking(engines: Engines, fleet: Fleet, index: int, now: float) -> bool:
    slot = engines.slots[index]
    r = slot.replica
    rep, pool = engines.replicas[r], engines.pools[slot.target]
    head, mine = engines.flight.replicas[r], engines.rooms.slots[index]
    if head.plan_s > 0.0 and rep.in_step > 0 and head.waits == 0 and rep.step_end_s > now:
        set_timer(fleet, now + head.plan_s, TIMER_LEAVE, index, slot.request)
        return False
    head.has_finished = 1
    if mine.remote != 0 and len(engines.log) > 0:
        write_log(engines, LOG_LOAD, slot.request, NONE, 0)
    row = note_left_request(engines, r, pool, index, False)
    if slot.state != RECEIVING:
        tell_ended(engines, r, rep, index)
    if slot.state == PREFILL:
        leave_running(engines, r, rep, pool, index)
    else:
        loads = slot.state == RECEIVING and slot.peer == NONE
        kept = _take_waiting(engines, rep, pool, index)
        end_deferral(engines, r, index)
        if loads and row != NONE:
            keep_for_load(engines, row, kept)
        elif loads:
            set_timer(fleet, mine.loaded_s, TIMER_SENT, kept, engines.slots[kept].request)
    leave_replica(engines, index, now)
    if engines.rooms.replicas[r].turns == 0:
        wake(fleet, engines, r, now)
    return True


leave_engine = room_door(_leave_replica_now, _leave_asking)
"""Take a request out of its replica; False if that has to wait for the next output."""


@kernel
def drop_request(fleet: Fleet, engines: Engines, index: int, now: float, left: bool) -> None:
    """Drop a request that still waits when its time is over, or whose client has left, wherever it is.

    One that is being computed, called for or checked, or has its first token, is served to its end unless its client
    has left.
    """
    slot = engines.slots[index]
    state = slot.state
    if not left and not np.isnan(slot.first_token_s):
        return
    if state == GATEWAY:
        leave_gateway(engines, index, engines.pools[slot.target], now)
    elif state == WAITING or (left and state in (PREFILL, DECODE, LANDING, RECEIVING, RECEIVED, REQUEUED)):
        if not leave_engine(engines, fleet, index, now):
            return
    elif left and state == PROVIDER:
        end_call(fleet, slot, slot.target - len(engines.pools), now)
    elif state != RETRYING and not (left and state == CHECKED):
        return
    if left:
        slot.reason = _LEFT
    end_request(fleet, engines, index, TIMED_OUT, now)
