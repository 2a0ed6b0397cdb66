"""Blocks of requests that are admitted, of one table or of several groups, with tokens that come from elsewhere."""

from __future__ import annotations

from typing import Any

from simulator.engine import blocks
from simulator.engine.modes.tables import holding, prefix, retention
from simulator.engine.modes.tables.arrays import NO_CAP
from simulator.engine.state import Engines
from simulator.jit import kernel


@kernel
def blocks_wanted(
    engines: Engines,
    rep: Any,
    pool: Any,
    index: int,
    fresh: bool,
    n_hits: int,
    external: int,
    tokens: int,
    reach: int,
    main: int,
    reserve: int,
) -> int:
    """Free blocks that a waiting request of `tokens` tokens uses up to hold `reach`; `NO_CAP` if not all of it fits.

    Parameters
    ----------
    fresh : it holds no blocks yet
    external : tokens that come from elsewhere behind the hit ones
    main : `reach` without look-ahead slots
    reserve : blocks that all of it must leave free
    """
    slot, size = engines.slots[index], pool.block_size
    fits = pool.reserve_full_isl == 0
    whole = min(tokens, pool.max_model_len)
    free = rep.free_blocks - reserve
    if engines.groups.pools[rep.pool].n_groups == 0:
        held = n_hits if fresh else slot.n_blocks
        idle = blocks.in_free_list(engines, rep, n_hits) if fresh else 0
        fits = fits or max((whole + size - 1) // size - held, 0) + idle <= free
        return max((reach + size - 1) // size - held, 0) + idle if fits else NO_CAP
    if fresh:
        computed = n_hits * size + external
        fits = fits or holding.blocks_to_admit(engines, rep, slot, n_hits, computed, whole, whole, True) <= free
        return holding.blocks_to_admit(engines, rep, slot, n_hits, computed, reach, main, False) if fits else NO_CAP
    if not fits and holding.blocks_to_extend(engines, rep, slot, whole, whole, True) > free:
        return NO_CAP
    holding.remove_skipped(engines, rep, slot, slot.computed)
    return holding.blocks_to_extend(engines, rep, slot, reach, main, False)


@kernel
def adopt_hits(engines: Engines, rep: Any, pool: Any, slot: Any, n_hits: int, external: int) -> None:
    """Let a request hold the hit blocks, and new ones for what comes from elsewhere."""
    if engines.groups.pools[rep.pool].n_groups == 0:
        slot.n_blocks = 0
        if pool.prefix_caching != 0:
            blocks.take_row(engines, rep, slot)
            blocks.touch(engines, rep, slot, n_hits)
        return
    blocks.take_row(engines, rep, slot)
    computed = n_hits * pool.block_size + external
    prefix.adopt(engines, rep, pool, slot, n_hits, computed)
    if external > 0:
        holding.extend(engines, rep, slot, computed, computed, computed)


@kernel
def extend_table(engines: Engines, rep: Any, pool: Any, slot: Any, start: int, reach: int, main: int) -> None:
    """New blocks up to `reach` tokens, of which those from `start` on are to be computed."""
    if engines.groups.pools[rep.pool].n_groups != 0:
        holding.extend(engines, rep, slot, start, reach, main)
        return
    fresh = max((reach + pool.block_size - 1) // pool.block_size - slot.n_blocks, 0)
    rep.free_blocks -= fresh
    if pool.prefix_caching == 0:
        slot.n_blocks += fresh
        return
    for _ in range(fresh):
        blocks.append_block(engines, rep, slot)


@kernel
def register(engines: Engines, rep: Any, pool: Any, slot: Any, tokens: int, known: int) -> None:
    """Make the blocks that `tokens` of the `known` tokens of a request fill findable."""
    if engines.groups.pools[rep.pool].n_groups != 0:
        retention.register(engines, rep, pool, slot, min(tokens, known), known)
    else:
        blocks.register_full_blocks(engines, rep, pool, slot, min(tokens, known - pool.unhashed))


@kernel
def blocks_to_come(engines: Engines, rep: Any, pool: Any, slot: Any, reach: int, main: int) -> int:
    """Blocks that a request which holds some still needs up to `reach` tokens."""
    if engines.groups.pools[rep.pool].n_groups != 0:
        return holding.blocks_to_extend(engines, rep, slot, reach, main, True)
    return max((reach + pool.block_size - 1) // pool.block_size - slot.n_blocks, 0)


@kernel
def blocks_at_least(engines: Engines, rep: Any, pool: Any, tokens: int) -> int:
    """Blocks of one step of so many tokens in all groups that grow."""
    groups = engines.groups
    if groups.pools[rep.pool].n_groups == 0:
        return (tokens + pool.block_size - 1) // pool.block_size
    total = 0
    for k in range(groups.pools[rep.pool].n_kinds):
        kind = groups.kinds[rep.pool, k]
        if kind.grows != 0:
            total += holding.blocks_for(tokens, kind) * kind.n_groups
    return total


@kernel
def empty_blocks(engines: Engines, rep: Any, pool: Any, slot: Any, limited: bool) -> int:
    """Blocks that a request holds and that have no content yet: those to be fetched.

    Parameters
    ----------
    limited : of a window no more than it reads
    """
    groups = engines.groups
    if groups.pools[rep.pool].n_groups == 0:
        return slot.n_blocks - slot.n_registered if pool.prefix_caching != 0 else slot.n_blocks
    total = 0
    for g in range(groups.pools[rep.pool].n_groups):
        kind = groups.kinds[rep.pool, groups.kind_of[rep.pool, g]]
        held = groups.held[slot.row, groups.kind_of[rep.pool, g]]
        empty = held.end - held.begin
        if groups.pools[rep.pool].tracks != 0:
            empty = 0
            for place in range(held.begin, held.end):
                block = groups.tables[slot.row, g, place]
                if block != 0 and engines.blocks[rep.block_base + block].hash == 0:
                    empty += 1
        total += min(empty, kind.most_fetched) if limited else empty
    return total
