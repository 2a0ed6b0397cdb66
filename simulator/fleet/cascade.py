"""A cascade: a first target answers every request, a check of its answer sends some of them on to a second."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.speculation import uniform
from simulator.engine.state import CHECKED, NONE, Engines
from simulator.fleet.gateway import COMPLETED, end_request, place, reply_delay_s, throw_away
from simulator.fleet.records import Escalation
from simulator.fleet.routing import is_first_answer, provider_is_open, serves, turn_to
from simulator.fleet.slots import forget_progress, release_blocks
from simulator.fleet.state import SEED, TIMER_ESCALATE, Fleet
from simulator.fleet.timers import set_timer
from simulator.jit import kernel

_ESCALATED, _DENIED = int(Escalation.ESCALATED), int(Escalation.DENIED)
_CHECK_STREAM = 17


@kernel
def finish_answer(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """A target has given its whole answer: the user's, unless it is a cascade's first and does not pass its check."""
    slot = engines.slots[index]
    if not is_first_answer(fleet, slot):
        end_request(fleet, engines, index, COMPLETED, now)
        return
    cascade = fleet.cascade[0]
    fails = uniform(slot.luck, fleet.scalars[SEED] + _CHECK_STREAM) < cascade.share
    if fails or slot.complexity > np.float32(cascade.max_complexity):
        slot.state = CHECKED
        checked_s = now + reply_delay_s(engines, slot) + cascade.check_s
        set_timer(fleet, checked_s, TIMER_ESCALATE, index, slot.request)
    elif cascade.streams != 0:
        end_request(fleet, engines, index, COMPLETED, now)
    else:
        _keep_answer(fleet, engines, index, now + cascade.check_s)


@kernel
def _keep_answer(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """The first answer, checked at `now`, is the user's: one that nobody has seen so far arrives as a whole."""
    slot = engines.slots[index]
    if fleet.cascade[0].streams == 0:
        slot.first_token_s = now
        slot.checked_s = now + reply_delay_s(engines, slot)
    end_request(fleet, engines, index, COMPLETED, now)


@kernel
def escalate(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """An answer did not pass its check: the request begins anew at the second target.

    Where that one may not or cannot take it (data class, length, rate limit, outage), the first answer is kept.
    """
    slot = engines.slots[index]
    turn_to(fleet, engines, now)
    if not _can_take(fleet, engines, slot, fleet.cascade[0].second, now):
        slot.escalated = _DENIED
        _keep_answer(fleet, engines, index, now - reply_delay_s(engines, slot))
        return
    if slot.peer != NONE:
        release_blocks(fleet, engines, slot.peer, now)
        slot.peer = NONE
    throw_away(fleet, slot)
    fleet.targets[slot.target * len(fleet.classes) + slot.class_id].thrown_input += slot.isl
    slot.escalated = _ESCALATED
    slot.checked_s = now
    slot.prefill_target = NONE
    slot.replica = NONE
    slot.first_token_s = np.nan
    slot.scheduled_s = np.nan
    slot.cached_tokens = 0
    slot.no_replica_s = 0.0
    forget_progress(slot)
    place(fleet, engines, index, now)


@kernel
def _can_take(fleet: Fleet, engines: Engines, slot: Any, target: int, now: float) -> bool:
    if not serves(fleet, engines, slot, target):
        return False
    return target < len(engines.pools) or provider_is_open(fleet, engines, slot, target, now)
