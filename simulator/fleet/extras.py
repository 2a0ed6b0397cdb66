"""What requests bring for modes beyond plain serving, on their way through the fleet."""

from __future__ import annotations

from typing import Any

from simulator.engine.doors import room_door
from simulator.engine.modes.waves.kernels import defer, note_arrival
from simulator.engine.state import Engines
from simulator.fleet.state import TIMER_GRAMMAR, Fleet
from simulator.fleet.timers import set_timer
from simulator.jit import kernel


@kernel
def _nothing_loaded(engines: Engines, index: int, row: Any) -> None:
    return


@kernel
def _load_extras(engines: Engines, index: int, row: Any) -> None:
    mine = engines.rooms.slots[index]
    mine.grammar_s = row.grammar_s
    mine.load_s = row.load_s
    mine.send_s = row.send_s
    mine.first_picture = row.first_picture
    mine.n_pictures = row.n_pictures
    mine.adapter = row.adapter
    mine.stored_tokens = row.stored_tokens
    mine.stored_apart = row.stored_apart
    mine.remote = row.remote
    mine.seen = 0


load_extras = room_door(_nothing_loaded, _load_extras)
"""Fill a request's slot from its row."""


@kernel
def _nothing_begins(engines: Engines, fleet: Fleet, index: int, now: float) -> None:
    return


@kernel
def _begin_waiting(engines: Engines, fleet: Fleet, index: int, now: float) -> None:
    slot, mine = engines.slots[index], engines.rooms.slots[index]
    note_arrival(engines, slot.replica, now)
    mine.used = 0
    mine.encoded = 0
    mine.loaded = 0
    mine.deferred = 0
    mine.dropped = 0
    mine.grammar_ready_s = 0.0
    if mine.grammar_s > 0.0:
        mine.grammar_ready_s = now + mine.grammar_s
        set_timer(fleet, mine.grammar_ready_s, TIMER_GRAMMAR, index, slot.request)
    if mine.grammar_s >= 0.0:
        defer(engines, slot.replica, index)
    if mine.send_s > 0.0:
        slot.keeps_blocks = 1


begin_waiting = room_door(_nothing_begins, _begin_waiting)
"""A request is queued at a replica."""


@kernel
def _nothing_is_due(engines: Engines, index: int) -> None:
    return


@kernel
def _forget_what_is_due(engines: Engines, index: int) -> None:
    engines.rooms.slots[index].grammar_ready_s = 0.0
    engines.rooms.slots[index].loaded_s = 0.0


forget_what_is_due = room_door(_nothing_is_due, _forget_what_is_due)
"""A request leaves its replica before its grammar or KV is there: their timers mean nothing more."""
