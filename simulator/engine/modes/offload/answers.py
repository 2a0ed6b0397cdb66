"""What blocks in the memory of the CPU change in the scheduler's loop; the specification is `reference.OffloadRoom`."""

from __future__ import annotations

from typing import Any

from simulator.engine.doors import offload_door
from simulator.engine.kept import drop_kept
from simulator.engine.modes.connector import kernels as connector
from simulator.engine.modes.offload.arrays import NONE
from simulator.engine.modes.offload.known import found_elsewhere
from simulator.engine.modes.offload.orders import begin_load, close_orders, flush_copies, note_left
from simulator.engine.modes.offload.under_way import (
    end_stores,
    forget_chunks,
    is_reported,
    lose_copies,
    next_call_s,
    next_loaded,
)
from simulator.engine.state import RECEIVED, Engines
from simulator.jit import kernel


@kernel
def _has_memory(engines: Engines, r: int) -> bool:
    return engines.offload.pools[engines.replicas[r].pool].capacity >= 0


@kernel
def _found_anywhere(engines: Engines, pool: Any, index: int, tokens: int, local: int) -> tuple[int, bool]:
    r = engines.slots[index].replica
    if not _has_memory(engines, r):
        return connector.external_tokens(engines, pool, index, tokens, local)
    found = found_elsewhere(engines, r, engines.replicas[r], pool, index, local)
    return found, found > 0


external_tokens = offload_door(connector.external_tokens, _found_anywhere)
"""Tokens that come from elsewhere behind `local` ones, -1 while that is not known, and whether apart from the step."""


@kernel
def _tell_load_anywhere(engines: Engines, rep: Any, pool: Any, index: int, external: int, apart: bool) -> None:
    r = engines.slots[index].replica
    if not _has_memory(engines, r):
        connector.tell_load(engines, rep, pool, index, external, apart)
    elif external > 0:
        begin_load(engines, r, rep, index, external)


tell_load = offload_door(connector.tell_load, _tell_load_anywhere)
"""Blocks were given at an admission, and are to be filled from elsewhere."""


@kernel
def _found_here(engines: Engines, r: int, index: int, local: int, computed: int, apart: bool) -> int:
    return local if apart else computed


@kernel
def _found_or_loaded(engines: Engines, r: int, index: int, local: int, computed: int, apart: bool) -> int:
    if not _has_memory(engines, r):
        return local if apart else computed
    return min(computed, engines.slots[index].isl - 1)


tokens_found = offload_door(_found_here, _found_or_loaded)
"""Of a request's prompt that is admitted, what its own engine has: in its blocks, or in the memory beside them."""


@kernel
def _nothing_closes(engines: Engines, r: int, rep: Any, now: float) -> None:
    return


@kernel
def _close_orders(engines: Engines, r: int, rep: Any, now: float) -> None:
    head = engines.flight.replicas[r]
    close_orders(engines, r, rep, engines.pools[rep.pool], (head.first + rep.in_step) % head.depth, now)


close_copies = offload_door(_nothing_closes, _close_orders)
"""Everything is given; counters have not moved yet."""


@kernel
def _nothing_ends(engines: Engines, r: int, rep: Any, place: int) -> None:
    return


@kernel
def _end_copies(engines: Engines, r: int, rep: Any, place: int) -> None:
    if not _has_memory(engines, r):
        return
    end_stores(engines, r, place)
    more, index, kept = next_loaded(engines, r, rep, place)
    while more:
        if kept != NONE:
            drop_kept(engines, kept)
        elif index != NONE:
            engines.slots[index].state = RECEIVED
            rep.n_received += 1
        more, index, kept = next_loaded(engines, r, rep, place)


end_copies = offload_door(_nothing_ends, _end_copies)
"""The output of the plan at a place of the ring was applied, and tells of copies that are done."""


@kernel
def _nothing_flushed(engines: Engines, r: int, index: int) -> None:
    return


tell_preempted = offload_door(_nothing_flushed, flush_copies)
"""A running request is preempted."""


@kernel
def _nothing_left(engines: Engines, r: int, pool: Any, index: int, finished: bool) -> int:
    return NONE


note_left_request = offload_door(_nothing_left, note_left)
"""A request leaves; the row of what is known of it, -1 if nothing is."""


@kernel
def _nobody_keeps(engines: Engines, row: int, kept: int) -> None:
    return


@kernel
def _keep(engines: Engines, row: int, kept: int) -> None:
    engines.offload.rows[row].kept = kept


keep_for_load = offload_door(_nobody_keeps, _keep)
"""The blocks of a request that has left stay, in a slot, until its load is done."""


@kernel
def _never_waits(engines: Engines, r: int) -> bool:
    return False


@kernel
def _has_copies(engines: Engines, r: int) -> bool:
    return engines.offload.replicas[r].n_jobs > 0


waits_for_copies = offload_door(_never_waits, _has_copies)
"""Whether copies are on their way, so that an engine without requests goes on."""


@kernel
def _never_emptied(engines: Engines, r: int) -> None:
    return


empty_elsewhere = offload_door(_never_emptied, forget_chunks)
"""What is kept elsewhere is forgotten."""
lose_elsewhere = offload_door(_never_emptied, lose_copies)
"""The replica is gone, and what is kept beside it."""


@kernel
def _begins_now(engines: Engines, r: int, now: float) -> float:
    return now


@kernel
def _begins_after_copies(engines: Engines, r: int, now: float) -> float:
    return max(now, engines.offload.replicas[r].waits_s) if _has_memory(engines, r) else now


begins_s = offload_door(_begins_now, _begins_after_copies)
"""When the plan just made may be computed: once the stores that it waits for are done."""


@kernel
def _never_calls(engines: Engines, r: int, now: float) -> float:
    return float("inf")


copies_call_s = offload_door(_never_calls, next_call_s)
"""When copies need the model to be called, which an engine without anything else to do does with an empty plan."""


@kernel
def _never_told(engines: Engines, r: int) -> bool:
    return False


tells_of_copies = offload_door(_never_told, is_reported)
"""Whether a plan in flight tells of copies that are done."""


@kernel
def _never_lacks(engines: Engines, rep: Any) -> bool:
    return False


@kernel
def _lacks_rows(engines: Engines, rep: Any) -> bool:
    return engines.offload.scalars[0] < rep.n_waiting


lacks_rows = offload_door(_never_lacks, _lacks_rows)
"""Whether more requests might become known with the next plan than there is room for."""
