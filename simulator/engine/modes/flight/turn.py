"""An engine's iteration with plans in flight (vLLM `step_with_batch_queue`): plan, and wait for the oldest output."""

from __future__ import annotations

from typing import Any

from simulator.engine.doors import room_door
from simulator.engine.general import plan_general
from simulator.engine.modes.flight.lanes import leave_lanes
from simulator.engine.modes.flight.ring import close_plan
from simulator.engine.modes.rooms.answers import close_rooms
from simulator.engine.state import Engines
from simulator.engine.step import plan_lanes
from simulator.engine.timing import go_idle
from simulator.jit import inline_kernel, kernel


@kernel
def _plan_both_lanes(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> bool:
    keeps = engines.flight.replicas[r].keeps_lanes != 0 and rep.lanes != 0
    if keeps and plan_lanes(engines, r, rep, pool, now):
        return True
    leave_lanes(engines, r, rep, pool)
    return False


@kernel
def _plan_no_lanes(engines: Engines, r: int, rep: Any, pool: Any, now: float) -> bool:
    return False


_plan_by_lanes = room_door(_plan_both_lanes, _plan_no_lanes, inline=True)
"""Plan a step by lanes; False where every request has to be looked at."""


@inline_kernel
def make_plan(engines: Engines, r: int, now: float) -> bool:
    """Make one plan; whether it has tokens, or requests are left."""
    rep = engines.replicas[r]
    pool = engines.pools[rep.pool]
    head = engines.flight.replicas[r]
    head.plan_number += 1
    head.has_finished = 0
    preempted = False
    if not _plan_by_lanes(engines, r, rep, pool, now):
        preempted = plan_general(engines, r, rep, pool, now)
    close_rooms(engines, r, rep, preempted, now)
    close_plan(engines, r, rep, pool, now, preempted)
    return rep.n_running > 0 or rep.n_waiting > 0


@kernel
def nothing_in_flight(engines: Engines, r: int, rep: Any) -> bool:
    """Whether all plans in flight are empty: those that wait can do so only until something comes from elsewhere."""
    head = engines.flight.replicas[r]
    filled = 0
    for place in range(rep.in_step):
        filled += 1 - engines.flight.plans[r, (head.first + place) % head.depth].is_empty
    return filled == 0


@inline_kernel
def take_turn(engines: Engines, r: int, now: float) -> None:
    """Make plans until enough are in flight, and wait for the oldest one's output; idle without anything to do."""
    rep = engines.replicas[r]
    head = engines.flight.replicas[r]
    more = False
    while rep.n_running > 0 or rep.n_waiting > 0 or head.has_finished != 0:
        more = make_plan(engines, r, now)
        if rep.in_step == head.depth or not more:
            break
        if head.plan_s > 0.0:
            rep.step_end_s = now + head.plan_s
            return
    if rep.in_step == 0 or (more and rep.step_seqs == 0 and nothing_in_flight(engines, r, rep)):
        go_idle(rep, now)
        return
    head.waits = 1
    rep.step_end_s = max(engines.flight.plans[r, head.first].end_s, now + head.plan_s)
