"""An iteration of an engine whose requests are looked at one by one (vLLM `step`, `step_with_batch_queue`)."""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.flight.turn import make_plan, nothing_in_flight
from simulator.engine.modes.offload.answers import copies_call_s, tells_of_copies, waits_for_copies
from simulator.engine.state import Engines
from simulator.engine.timing import go_idle
from simulator.jit import inline_kernel, kernel


@kernel
def _waits_elsewhere(engines: Engines, r: int, rep: Any, now: float) -> bool:
    """Whether something is on its way for requests that are no longer scheduled, which vLLM waits for turn by turn.

    An engine that does not turn makes those plans alone in which copies begin or end.
    """
    if engines.rooms.replicas[r].turns != 0:
        return rep.n_kept > 0 or waits_for_copies(engines, r)
    return copies_call_s(engines, r, now) <= now


@inline_kernel
def take_turn_asking(engines: Engines, r: int, now: float) -> None:
    """Make plans until enough are in flight, and wait for the oldest one's output.

    A plan whose sampling waits for the one before is followed by that one's output. Without anything to do the engine
    idles, but for calls that copies need; one that turns goes on with empty plans while requests wait.
    """
    rep = engines.replicas[r]
    head = engines.flight.replicas[r]
    room = engines.rooms.replicas[r]
    more = False
    while rep.n_running > 0 or rep.n_waiting > 0 or head.has_finished != 0 or _waits_elsewhere(engines, r, rep, now):
        more = make_plan(engines, r, now) or _waits_elsewhere(engines, r, rep, now)
        if rep.in_step == head.depth or not more or room.sampling_waits != 0:
            break
        if head.plan_s > 0.0:
            rep.step_end_s = now + head.plan_s
            return
    stands = room.turns == 0 and more and rep.step_seqs == 0
    if rep.in_step == 0 or (stands and nothing_in_flight(engines, r, rep) and not tells_of_copies(engines, r)):
        go_idle(rep, now)
        rep.step_end_s = copies_call_s(engines, r, now)
        return
    head.waits = 1
    rep.step_end_s = max(engines.flight.plans[r, head.first].end_s, now + head.plan_s - room.pause_s)
