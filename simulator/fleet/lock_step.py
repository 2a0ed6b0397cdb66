"""Data-parallel ranks that share experts step together: each layer's exchange waits for all of them."""

from __future__ import annotations

from typing import Any

from simulator.engine.state import Engines
from simulator.fleet.state import Fleet
from simulator.fleet.timers import update_winner
from simulator.jit import kernel


@kernel
def waits_for_ranks(engines: Engines, r: int, now: float) -> bool:
    """Whether replica `r`, idle until now, has to wait for the end of its group's step; it looks again then.

    Meanwhile it computes dummy batches with the others, which cost nothing here.
    """
    rep = engines.replicas[r]
    if engines.rooms.pools[rep.pool].lock_step <= 1 or rep.in_step != 0 or rep.n_waiting == 0:
        return False
    first, end = _group(engines, r)
    for q in range(first, end):
        if engines.replicas[q].in_step != 0:
            k = engines.flight.replicas[q].first
            plan = engines.flight.plans[q, k]
            if engines.rooms.common[q, k].number != 0 and plan.start_s < now and plan.end_s > now:
                rep.step_end_s = plan.end_s
                return True
    return False


@kernel
def align_ranks(fleet: Fleet, engines: Engines, r: int, now: float) -> None:
    """Put the plans that replica `r` has just made into the steps that its group of ranks makes together.

    A common step begins when the one before has ended. It takes what the longest part takes for its own tokens, and
    what all spend on the tokens of all: :math:`\\max_r (T_r - S(t_r)) + S(\\overline t)`, with S of
    `StepTime.shared_time_s`.
    """
    rep, head = engines.replicas[r], engines.flight.replicas[r]
    if engines.rooms.pools[rep.pool].lock_step <= 1:
        return
    first, end = _group(engines, r)
    mine = engines.rooms.replicas[r]
    free_s = 0.0
    for place in range(rep.in_step):
        k = (head.first + place) % head.depth
        plan, common = engines.flight.plans[r, k], engines.rooms.common[r, k]
        if plan.number > mine.aligned:
            mine.aligned = plan.number
            common.number = 0
            if plan.is_empty == 0:
                common.alone_s = plan.end_s - plan.start_s
                if place > 0:
                    plan.start_s = free_s
                plan.end_s = plan.start_s
                _join(engines, r, plan, common, first, end)
                _settle(fleet, engines, r, first, end)
        free_s = max(free_s, plan.end_s)
    if head.waits != 0:
        oldest = engines.flight.plans[r, head.first]
        rep.step_end_s = max(oldest.end_s, now + head.plan_s - mine.pause_s)


@kernel
def _group(engines: Engines, r: int) -> tuple[int, int]:
    """First replica of the group that `r` steps with, and the one behind its last."""
    pool = engines.replicas[r].pool
    room, base = engines.rooms.pools[pool], engines.pools[pool].replica_base
    first = base + (r - base) // room.lock_step * room.lock_step
    return first, min(first + room.lock_step, base + room.n_replicas)


@kernel
def _join(engines: Engines, r: int, plan: Any, common: Any, first: int, end: int) -> None:
    """The earliest common step that has not begun when the plan could, else a new one behind all that have."""
    mine = engines.rooms.replicas[r]
    number, start_s = 0, float("inf")
    running_until_s, newest = plan.start_s, mine.common
    for q in range(first, end):
        newest = max(newest, engines.rooms.replicas[q].common)
        head = engines.flight.replicas[q]
        for place in range(engines.replicas[q].in_step if q != r else 0):
            j = (head.first + place) % head.depth
            theirs, other = engines.rooms.common[q, j].number, engines.flight.plans[q, j]
            if theirs == 0:
                continue
            if theirs <= mine.common or other.start_s < plan.start_s:
                running_until_s = max(running_until_s, other.end_s)
            elif other.start_s < start_s:
                number, start_s = theirs, other.start_s
    if number == 0:
        number, start_s = newest + 1, running_until_s
    common.number = number
    mine.common = number
    plan.start_s = start_s


@kernel
def _settle(fleet: Fleet, engines: Engines, r: int, first: int, end: int) -> None:
    """Common steps follow each other; each is only ever longer than before."""
    ranks, shared_s = end - first, engines.rooms.shared_s[engines.replicas[r].pool]
    before, before_end_s = 0, float("-inf")
    while True:
        number = _next_number(engines, first, end, before)
        if number == 0:
            return
        start_s, longest_s, end_s, tokens = before_end_s, 0.0, float("-inf"), 0
        for q in range(first, end):
            k = _place_of(engines, q, number)
            if k >= 0:
                start_s = max(start_s, engines.flight.plans[q, k].start_s)
                common = engines.rooms.common[q, k]
                longest_s = max(longest_s, common.alone_s - shared_s[min(common.tokens, len(shared_s) - 1)])
                tokens += common.tokens
                end_s = max(end_s, engines.flight.plans[q, k].end_s)
        mean = (tokens + ranks - 1) // ranks
        end_s = max(end_s, start_s + longest_s + shared_s[min(mean, len(shared_s) - 1)])
        for q in range(first, end):
            k = _place_of(engines, q, number)
            if k >= 0:
                _move(fleet, engines, r, q, k, start_s, end_s)
        before, before_end_s = number, end_s


@kernel
def _next_number(engines: Engines, first: int, end: int, before: int) -> int:
    """Lowest number of a common step above `before` that is in a ring; 0 if there is none."""
    found = 0
    for q in range(first, end):
        head = engines.flight.replicas[q]
        for place in range(engines.replicas[q].in_step):
            number = engines.rooms.common[q, (head.first + place) % head.depth].number
            if number > before and (found == 0 or number < found):
                found = number
    return found


@kernel
def _place_of(engines: Engines, q: int, number: int) -> int:
    """Place of the common step's part in a rank's ring; -1 if it has none."""
    head = engines.flight.replicas[q]
    for place in range(engines.replicas[q].in_step):
        k = (head.first + place) % head.depth
        if engines.rooms.common[q, k].number == number:
            return k
    return -1


@kernel
def _move(fleet: Fleet, engines: Engines, r: int, q: int, k: int, start_s: float, end_s: float) -> None:
    """A rank's part begins and ends with the common step, and all of it is busy time."""
    rep, head, plan = engines.replicas[q], engines.flight.replicas[q], engines.flight.plans[q, k]
    more_s = end_s - start_s - plan.busy_s
    rep.busy_s += more_s
    rep.energy_j += more_s * engines.power_w[engines.pools[rep.pool].power_base + plan.n_seqs]
    rep.kv_block_s += more_s * plan.used_blocks
    plan.busy_s = end_s - start_s
    plan.start_s, plan.end_s = start_s, end_s
    if k == (head.first + rep.in_step - 1) % head.depth:
        head.last_end_s = end_s
        engines.flight.stage_free_s[q, 0] = end_s
    if k == head.first and head.waits != 0 and rep.step_end_s < end_s:
        rep.step_end_s = end_s
        if q != r:
            update_winner(fleet, engines, q)
