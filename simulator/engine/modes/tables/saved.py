"""Where a prompt can be resumed that has a state, and whether its kernel saves the state there amid a chunk.

The specification is `reference.saved_place` and `AlignedLinearGroup`.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.tables.arrays import NULL
from simulator.engine.state import NONE, Engines
from simulator.jit import kernel


@kernel
def last_state_before(tokens: int, size: int, gives_up: int, lookahead: int) -> int:
    """Last multiple of a block at which a request of so many tokens can be resumed."""
    if gives_up != 0:
        return max(tokens // size * size - size, 0)
    return max(tokens - max(1, lookahead), 0) // size * size


@kernel
def saved_place(head: Any, pool: Any, start: int, tokens: int) -> int:
    """Tokens after which a kernel saves the state amid the chunk from `start` on which ends the prefill; 0 if nowhere.

    A chunk that begins amid a block saves none.

    Parameters
    ----------
    tokens : of a request that would be resumed there
    """
    place = last_state_before(tokens, pool.block_size, head.gives_up, pool.hash_lookahead)
    return place if start % pool.block_size == 0 and start < place else 0


@kernel
def place_to_save(engines: Engines, rep: Any, slot: Any, start: int, end: int) -> int:
    """Tokens after which the kernel saves the state amid the chunk [`start`, `end`) of a request, 0 if it does not.

    The state's block is the last but that of the running state.
    """
    head = engines.groups.pools[rep.pool]
    if head.linear == NONE or end < max(slot.isl, slot.isl + slot.generated - 1):
        return 0
    kind = engines.groups.kinds[rep.pool, head.linear]
    return saved_place(head, engines.pools[rep.pool], start, end) if kind.saves != 0 else 0


@kernel
def is_place_free(engines: Engines, rep: Any, slot: Any, end: int) -> bool:
    """Whether the block for the state saved amid a chunk up to `end` is not that of another state of the request."""
    groups = engines.groups
    linear = groups.pools[rep.pool].linear
    kind, held = groups.kinds[rep.pool, linear], groups.held[slot.row, linear]
    place = (end + kind.block_size - 1) // kind.block_size - 2
    n_states = held.end - (kind.more if groups.rows[slot.row].began != 0 else 0)
    if place >= n_states or place < held.begin:
        return True
    for g in range(groups.pools[rep.pool].n_groups):
        if groups.kind_of[rep.pool, g] == linear:
            return bool(groups.tables[slot.row, g, place] == NULL)
    return True
