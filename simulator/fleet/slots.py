"""Slots of requests, and the blocks of finished prefills, which are kept until they have been sent."""

from __future__ import annotations

from typing import Any

from simulator.engine.kept import drop_kept
from simulator.engine.speculation import FIRST
from simulator.engine.state import NONE, SENT, Engines
from simulator.fleet.state import Fleet
from simulator.fleet.timers import update_winner
from simulator.jit import kernel


@kernel
def wake(fleet: Fleet, engines: Engines, r: int, now: float) -> None:
    """Let an idle replica look at its queue at this very instant."""
    rep = engines.replicas[r]
    if rep.in_step == 0 and rep.step_end_s > now:
        rep.step_end_s = now
        update_winner(fleet, engines, r)


@kernel
def forget_progress(slot: Any) -> None:
    """Nothing of the request is computed, and it holds no blocks (which have been freed, or are another slot's now)."""
    slot.generated = 0
    slot.computed = 0
    slot.scheduled = 0
    slot.drafts = 0
    slot.found = FIRST
    slot.n_blocks = 0
    slot.n_registered = 0


@kernel
def release_blocks(fleet: Fleet, engines: Engines, index: int, now: float) -> None:
    """Nobody needs these kept blocks any more: freed now, or when the step ends that their replica is in."""
    kept = engines.slots[index]
    rep = engines.replicas[kept.replica]
    if rep.in_step == 0:
        r = kept.replica
        drop_kept(engines, index)
        wake(fleet, engines, r, now)
        return
    kept.state = SENT
    kept.peer = NONE
    kept.run_next = NONE
    if rep.sent_head == NONE:
        rep.sent_head = index
    else:
        engines.slots[rep.sent_tail].run_next = index
    rep.sent_tail = index


@kernel
def drop_sent(engines: Engines, rep: Any) -> None:
    """At the end of a step: free the blocks that were sent in it."""
    while rep.sent_head != NONE:
        index = rep.sent_head
        rep.sent_head = engines.slots[index].run_next
        drop_kept(engines, index)
