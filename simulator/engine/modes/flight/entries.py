"""What plans in flight say of single requests: entries of a plan."""

from __future__ import annotations

from typing import Any

from simulator.engine.state import DECODE, LANDING, PREFILL, RECEIVED, RECEIVING, REQUEUED, WAITING, Engines
from simulator.jit import inline_kernel, kernel


@inline_kernel
def add_entry(engines: Engines, r: int, k: int, index: int, tokens: int, yields: int, last: int, lands: int) -> Any:
    plan = engines.flight.plans[r, k]
    entry = engines.flight.entries[r, k, plan.n_entries]
    plan.n_entries += 1
    _fill(entry, engines.slots[index].request, index, tokens, yields, last, lands)
    return entry


@inline_kernel
def _fill(entry: Any, request: int, index: int, tokens: int, yields: int, last: int, lands: int) -> None:
    entry.request = request
    entry.slot = index
    entry.tokens = tokens
    entry.yields = yields
    entry.last = last
    entry.lands = lands


@inline_kernel
def may_stop(slot: Any) -> int:
    """1 if a stop token ends a request, which is not known in advance; a prefill that is handed on has one token."""
    return 0 if slot.keeps_blocks != 0 else slot.stops


@inline_kernel
def is_here(engines: Engines, r: int, entry: Any) -> bool:
    """Whether the request of an entry still runs or waits at replica `r`, also for what it loads again."""
    slot = engines.slots[entry.slot]
    here = slot.state == PREFILL or slot.state == DECODE or slot.state == LANDING or slot.state == WAITING
    here = here or slot.state == RECEIVING or slot.state == RECEIVED or slot.state == REQUEUED
    return here and slot.request == entry.request and slot.replica == r


@kernel
def sort_entries(engines: Engines, r: int, k: int) -> None:
    """Into running order."""
    entries = engines.flight.entries
    for e in range(1, engines.flight.plans[r, k].n_entries):
        moved = entries[r, k, e]
        request, index, tokens = moved.request, moved.slot, moved.tokens
        yields, last, lands = moved.yields, moved.last, moved.lands
        place = e
        while place > 0 and engines.slots[entries[r, k, place - 1].slot].run_seq > engines.slots[index].run_seq:
            entries[r, k, place] = entries[r, k, place - 1]
            place -= 1
        _fill(entries[r, k, place], request, index, tokens, yields, last, lands)


@kernel
def count_entries(engines: Engines, r: int, k: int) -> None:
    for e in range(engines.flight.plans[r, k].n_entries):
        entry = engines.flight.entries[r, k, e]
        aloft = engines.flight.aloft[entry.slot]
        if is_here(engines, r, entry) and aloft.stale == 0:
            aloft.in_flight += entry.tokens
            aloft.placeholders += entry.yields
