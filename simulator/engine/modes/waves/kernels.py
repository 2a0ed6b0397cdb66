"""Prefills that data-parallel ranks hold back, in compiled code; the specification is `reference.WavesRoom`."""

from __future__ import annotations

from typing import Any

from simulator.engine.state import NONE, Engines
from simulator.jit import kernel


@kernel
def _has_unfinished(engines: Engines, now: float) -> bool:
    """Whether requests that came before `now` wait or run at any rank."""
    for r in range(len(engines.replicas)):
        room = engines.rooms.replicas[r]
        if engines.load[r] > (room.n_arrived if room.arrived_s == now else 0):
            return True
    return False


@kernel
def _join_iteration(engines: Engines, head: Any, rules: Any, now: float) -> None:
    """The first rank to plan in an iteration counts those since the last one: the ranks look together now and then.

    Nobody planned in those between, so that the wave ends with the next look.
    """
    wave = engines.rooms.wave
    step_s = head.plan_s
    if wave[1] == now:
        return
    if wave[1] >= 0.0:
        unfinished = _has_unfinished(engines, now)
        made_s = wave[1]
        while made_s < now:
            wave[0] += 1.0
            if (wave[0] == 1.0 or wave[0] % rules.sync_interval == 0.0) and not unfinished:
                wave[0] = 0.0
                break
            made_s += step_s
    wave[1] = now


@kernel
def note_arrival(engines: Engines, r: int, now: float) -> None:
    """A request is queued at a rank."""
    room = engines.rooms.replicas[r]
    if room.arrived_s != now:
        room.arrived_s = now
        room.n_arrived = 0
    room.n_arrived += 1


@kernel
def open_wave(engines: Engines, r: int, rep: Any, now: float) -> None:
    """Whether this plan holds prefills back: somebody decodes, and the last one that did not left nobody waiting."""
    rooms = engines.rooms
    head, rules = rooms.replicas[r], rooms.pools[rep.pool]
    head.first_admitted = rep.run_seq + 1
    head.held = 0
    if rules.prefill_interval <= 1:
        return
    throttled = False
    if rules.ranks > 1:
        _join_iteration(engines, engines.flight.replicas[r], rules, now)
        throttled = rooms.wave[0] % rules.prefill_interval != 0.0
    if not throttled and head.executed + 1 - head.last_prefill >= rules.own_interval:
        return
    if head.capacity_bound != 0:
        return
    index = rep.run_head
    while index != NONE:
        if engines.slots[index].catching_up == 0:
            head.held = 1
            return
        index = engines.slots[index].run_next


@kernel
def close_wave(engines: Engines, r: int, rep: Any, preempted: bool) -> None:
    """Everything is given: whether there was a prefill, and whether requests wait that were not passed over."""
    rooms = engines.rooms
    head = rooms.replicas[r]
    if rooms.pools[rep.pool].prefill_interval <= 1:
        return
    if rep.step_seqs > 0:
        head.executed += 1
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.scheduled > 0:
            admitted = slot.run_seq >= head.first_admitted
            known = slot.isl + slot.generated - engines.flight.aloft[index].placeholders
            late = slot.computed < known - 1 if admitted else slot.catching_up != 0
            if late:
                head.last_prefill = head.executed
            if admitted:
                end_deferral(engines, r, index)
        index = slot.run_next
    if not preempted and head.held == 0:
        head.capacity_bound = 1 if rep.n_waiting > head.n_deferred else 0


@kernel
def defer(engines: Engines, r: int, index: int) -> None:
    """A request was passed over, or cannot be planned yet."""
    mine = engines.rooms.slots[index]
    if mine.deferred == 0:
        mine.deferred = 1
        engines.rooms.replicas[r].n_deferred += 1


@kernel
def end_deferral(engines: Engines, r: int, index: int) -> None:
    """It was admitted, or has left."""
    mine = engines.rooms.slots[index]
    if mine.deferred != 0:
        mine.deferred = 0
        engines.rooms.replicas[r].n_deferred -= 1
