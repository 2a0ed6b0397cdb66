"""What the running loop asks: who is passed over, how far a chunk goes; and what it tells of what it gave and took.

The order of the answers is that of `reference.rooms`. The waiting loop is `admission`.
"""

from __future__ import annotations

from typing import Any

from simulator.engine import admission
from simulator.engine.doors import room_door
from simulator.engine.modes.encoder.kernels import encode_wanted, release_pictures, take_back_budget
from simulator.engine.modes.flight.answers import held_back
from simulator.engine.modes.offload.answers import close_copies
from simulator.engine.modes.rooms import admission as asking
from simulator.engine.modes.tables.answers import chunk_tokens
from simulator.engine.modes.tables.holding import remove_skipped
from simulator.engine.modes.waves.kernels import close_wave, end_deferral, open_wave
from simulator.engine.state import PREFILL, RECEIVED, Engines
from simulator.engine.timing import log_step
from simulator.jit import kernel

_ALL_TOKENS = 1 << 60


@kernel
def _nothing_opens(engines: Engines, r: int, rep: Any, now: float) -> None:
    return


@kernel
def _rooms_open(engines: Engines, r: int, rep: Any, now: float) -> None:
    head = engines.rooms.replicas[r]
    head.encoder_left = engines.rooms.pools[rep.pool].encoder_budget
    head.sampling_waits = 0
    open_wave(engines, r, rep, now)


open_rooms = room_door(_nothing_opens, _rooms_open)
"""A plan begins."""


@kernel
def _is_held_back(engines: Engines, r: int, slot: Any, index: int) -> bool:
    return held_back(engines, r, slot, index)


@kernel
def _is_passed_over(engines: Engines, r: int, slot: Any, index: int) -> bool:
    return held_back(engines, r, slot, index) or (engines.rooms.replicas[r].held != 0 and slot.catching_up != 0)


is_passed_over = room_door(_is_held_back, _is_passed_over, inline=True)
"""Whether a running request is passed over."""


@kernel
def _cut_at_states(
    engines: Engines, r: int, rep: Any, pool: Any, index: int, known: int, start: int, n: int, fresh: bool
) -> int:
    return chunk_tokens(engines, rep, pool, engines.slots[index], known, start, n, fresh)


@kernel
def _cut_by_rooms(
    engines: Engines, r: int, rep: Any, pool: Any, index: int, known: int, start: int, n: int, fresh: bool
) -> int:
    return asking.cut_by_rooms(engines, r, rep, pool, index, known, start, n, fresh)


cut_chunk = room_door(_cut_at_states, _cut_by_rooms, inline=True)
"""Of `n` tokens from `start` on those that a chunk takes; `known` are the request's, `fresh` tells an admission."""


@kernel
def _nothing_told(engines: Engines, r: int, rep: Any, index: int) -> None:
    return


@kernel
def _tell_given(engines: Engines, r: int, rep: Any, index: int) -> None:
    encode_wanted(engines, r, index)


tell_given = room_door(_nothing_told, _tell_given, inline=True)
"""A running request got its tokens."""


@kernel
def _nothing_taken(engines: Engines, r: int, index: int) -> None:
    return


@kernel
def _tell_taken_back(engines: Engines, r: int, index: int) -> None:
    take_back_budget(engines, r, index)


tell_taken_back = room_door(_nothing_taken, _tell_taken_back, inline=True)
"""Tokens given in this plan are taken back from a victim."""


@kernel
def _tell_left(engines: Engines, r: int, index: int) -> None:
    mine = engines.rooms.slots[index]
    release_pictures(engines, r, index, _ALL_TOKENS)
    end_deferral(engines, r, index)
    mine.loaded = 0
    still_dropped = mine.dropped != 0 and engines.flight.aloft[index].stale > 0
    mine.dropped = 1 if engines.rooms.replicas[r].drops_output != 0 or still_dropped else 0


tell_left = room_door(_nothing_taken, _tell_left, inline=True)
"""A running request gives up its blocks: it is preempted, or it has ended."""


@kernel
def _tell_freed(engines: Engines, r: int, rep: Any, index: int) -> None:
    if engines.rooms.pools[rep.pool].connector != 0 and engines.groups.pools[rep.pool].n_groups != 0:
        slot, aloft = engines.slots[index], engines.flight.aloft[index]
        late = aloft.in_flight + aloft.stale
        if engines.rooms.pools[rep.pool].takes_back_trimmed != 0:
            late = max(late, aloft.placeholders)
        if slot.state in (PREFILL, RECEIVED):
            remove_skipped(engines, rep, slot, max(slot.computed - late, 0))


tell_freed = room_door(_nothing_told, _tell_freed, inline=True)
"""The blocks of a request that has ended go back; beside a connector first what windows no longer read."""


@kernel
def _tell_ended(engines: Engines, r: int, rep: Any, index: int) -> None:
    _tell_left(engines, r, index)
    _tell_freed(engines, r, rep, index)


tell_ended = room_door(_nothing_told, _tell_ended, inline=True)
"""A request leaves its engine before it has ended."""


@kernel
def _tell_planned(engines: Engines, r: int, index: int) -> None:
    if engines.rooms.slots[index].grammar_s >= 0.0 and engines.flight.aloft[index].placeholders > 0:
        engines.rooms.replicas[r].sampling_waits = 1


tell_planned = room_door(_nothing_taken, _tell_planned, inline=True)
"""A plan brings a request's next token; with a grammar its sampling waits for the one before."""


@kernel
def _nothing_dropped(engines: Engines, index: int) -> bool:
    return False


@kernel
def _is_dropped(engines: Engines, index: int) -> bool:
    return engines.rooms.slots[index].dropped != 0


is_dropped = room_door(_nothing_dropped, _is_dropped, inline=True)
"""Whether output of a plan before a preemption is thrown away: the cache was reset."""


@kernel
def _tell_confirmed(engines: Engines, r: int, index: int) -> None:
    early = engines.rooms.pools[engines.replicas[r].pool].stops_early
    known = engines.slots[index].computed - engines.flight.aloft[index].placeholders - early
    release_pictures(engines, r, index, known)


tell_confirmed = room_door(_nothing_taken, _tell_confirmed, inline=True)
"""Output of a request has come: what is computed less placeholders is confirmed."""


@kernel
def _nothing_closes(engines: Engines, r: int, rep: Any, preempted: bool, now: float) -> None:
    return


@kernel
def _rooms_close(engines: Engines, r: int, rep: Any, preempted: bool, now: float) -> None:
    close_copies(engines, r, rep, now)
    close_wave(engines, r, rep, preempted)
    head = engines.flight.replicas[r]
    engines.rooms.common[r, (head.first + rep.in_step) % head.depth].tokens = rep.step_tokens


close_rooms = room_door(_nothing_closes, _rooms_close)
"""Everything is given; counters have not moved yet."""


@kernel
def _skip_empty(engines: Engines, r: int, rep: Any, start_s: float) -> None:
    return


@kernel
def _log_empty(engines: Engines, r: int, rep: Any, start_s: float) -> None:
    if len(engines.log) > 0:
        rep.step_start_s = start_s
        log_step(engines, r, rep)


log_empty = room_door(_skip_empty, _log_empty)
"""A plan is empty; with rooms it is logged, too."""


@kernel
def _admit_plain(engines: Engines, r: int, rep: Any, pool: Any, budget: int, pads: int, now: float) -> None:
    admission.admit_waiting(engines, r, rep, pool, budget, pads, now)


@kernel
def _admit_asking(engines: Engines, r: int, rep: Any, pool: Any, budget: int, pads: int, now: float) -> None:
    asking.admit_asking(engines, r, rep, pool, budget, pads, now)


admit_waiting = room_door(_admit_plain, _admit_asking)
"""Admit waiting requests into the plan."""
