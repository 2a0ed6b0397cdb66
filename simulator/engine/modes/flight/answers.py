"""What plans in flight change in the scheduler's loop; the specification is `reference.FlightRoom`.

Tokens planned count as generated at once: `slot.generated` runs ahead of what was delivered by the placeholders.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.doors import door
from simulator.engine.modes.flight.entries import may_stop
from simulator.engine.queues import push_waiting, remove_waiting
from simulator.engine.state import NONE, Engines
from simulator.jit import kernel


@kernel
def _known_plain(engines: Engines, slot: Any, index: int) -> int:
    return slot.isl + slot.generated


@kernel
def _known_in_flight(engines: Engines, slot: Any, index: int) -> int:
    return slot.isl + slot.generated - engines.flight.aloft[index].placeholders


known_tokens = door(_known_plain, _known_in_flight)
"""Tokens whose values are known, so that blocks of them have a content."""


@kernel
def _never_held_back(engines: Engines, r: int, slot: Any, index: int) -> bool:
    return False


@kernel
def _held_back_in_flight(engines: Engines, r: int, slot: Any, index: int) -> bool:
    aloft = engines.flight.aloft[index]
    if aloft.placeholders > 0 and slot.computed + 2 - aloft.placeholders >= slot.isl + slot.osl + may_stop(slot):
        return True
    return engines.flight.replicas[r].plan_number < aloft.eligible


held_back = door(_never_held_back, _held_back_in_flight)
"""Whether a running request is passed over: its last token is on its way, or its last plan not through the pipeline."""


@kernel
def _never_passed(engines: Engines, r: int, rep: Any, pool: Any) -> bool:
    return False


@kernel
def set_aside(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    """Take the head of the waiting queue out of this plan; `return_passed` gives it its place again."""
    index = rep.wait_head
    remove_waiting(engines, rep, pool.policy, index)
    put_aside(engines, r, index)


@kernel
def put_aside(engines: Engines, r: int, index: int) -> None:
    """`return_passed` queues a request that stands in no queue, before all that wait."""
    engines.slots[index].wait_next = engines.flight.replicas[r].passed
    engines.flight.replicas[r].passed = index


@kernel
def _passed_in_flight(engines: Engines, r: int, rep: Any, pool: Any) -> bool:
    if engines.flight.aloft[rep.wait_head].stale == 0:
        return False
    set_aside(engines, r, rep, pool)
    return True


pass_over = door(_never_passed, _passed_in_flight)
"""Set the head of the waiting queue aside if output of a plan before its preemption is still to come."""


@kernel
def _none_passed(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    return


@kernel
def _return_passed(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    head = engines.flight.replicas[r]
    while head.passed != NONE:
        index = head.passed
        head.passed = engines.slots[index].wait_next
        push_waiting(engines, rep, pool.policy, index, True)


return_passed = door(_none_passed, _return_passed)
"""Those that were set aside take their places again."""


@kernel
def _nothing_stale(engines: Engines, slot: Any, index: int) -> None:
    return


@kernel
def _become_stale(engines: Engines, slot: Any, index: int) -> None:
    aloft = engines.flight.aloft[index]
    slot.generated -= aloft.placeholders
    aloft.stale += aloft.in_flight
    aloft.placeholders = 0
    aloft.in_flight = 0


make_stale = door(_nothing_stale, _become_stale)
"""A request is preempted: what it has on its way is delivered, but moves no counter."""


@kernel
def _anybody(engines: Engines, r: int, index: int) -> bool:
    return True


@kernel
def _not_in_flight(engines: Engines, r: int, index: int) -> bool:
    return engines.flight.replicas[r].fenced == 0 or engines.flight.aloft[index].in_flight == 0


may_preempt = door(_anybody, _not_in_flight)
"""Whether a running request may be preempted: with a connector not while a plan in flight uses its blocks."""


@kernel
def _nothing_aloft(engines: Engines, index: int) -> None:
    return


@kernel
def _clear_aloft(engines: Engines, index: int) -> None:
    aloft = engines.flight.aloft[index]
    aloft.landing = 0
    aloft.eligible = 0
    aloft.in_flight = 0
    aloft.placeholders = 0
    aloft.stale = 0


clear_aloft = door(_nothing_aloft, _clear_aloft)
"""A request is new at its replica."""


@kernel
def _one_plan(engines: Engines) -> int:
    return 1


@kernel
def _ring_size(engines: Engines) -> int:
    return engines.flight.plans.shape[1]


most_plans = door(_one_plan, _ring_size)
"""Most plans of a replica at once."""
