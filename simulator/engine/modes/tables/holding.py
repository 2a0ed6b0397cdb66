"""What a request holds in several groups: blocks appended, given back behind windows, and freed.

The specification is `reference.FullGroup` and its kinds. A request's place in the tables is its row.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.blocks import release_block, take_block
from simulator.engine.content import NO_HASH
from simulator.engine.doors import offload_door
from simulator.engine.modes.spec import GroupKind
from simulator.engine.modes.tables.arrays import N_WRITTEN, NO_CAP, NULL
from simulator.engine.modes.tables.saved import is_place_free, place_to_save
from simulator.engine.state import Engines
from simulator.jit import inline_kernel, kernel

_FULL, _WINDOW, _CHUNK, _LINEAR = (int(kind) for kind in GroupKind)


@kernel
def full_blocks(tokens: int, kind: Any) -> int:
    """Blocks that so many tokens fill; a division takes longer than a shift."""
    return tokens >> kind.shift if kind.shift >= 0 else tokens // kind.block_size


@kernel
def blocks_for(tokens: int, kind: Any) -> int:
    """Blocks that hold so many tokens."""
    return full_blocks(tokens + kind.block_size - 1, kind)


@kernel
def skipped_blocks(kind: Any, computed: int) -> int:
    """Leading blocks that attention no longer reads once `computed` tokens are there."""
    if kind.kind == _WINDOW:
        return full_blocks(max(computed - kind.window + 1, 0), kind)
    if kind.kind == _CHUNK:
        return full_blocks(computed // kind.window * kind.window, kind)
    if kind.kind == _LINEAR:
        return full_blocks(max(computed - 1, 0), kind)
    return 0


@kernel
def _release_all(engines: Engines, rep: Any, row: int, g: int, first: int, last: int) -> None:
    for place in range(last - 1, first - 1, -1):
        if engines.groups.tables[row, g, place] != NULL:
            release_block(engines, rep, engines.groups.tables[row, g, place])


@kernel
def _release_filled(engines: Engines, rep: Any, row: int, g: int, first: int, last: int) -> None:
    for place in range(last - 1, first - 1, -1):
        block = engines.groups.tables[row, g, place]
        if block != NULL and engines.blocks[rep.block_base + block].hash != NO_HASH:
            release_block(engines, rep, block)


_release = offload_door(_release_all, _release_filled)
"""Give back blocks of a group, the last first; where copies may still read them those without content come later."""


@kernel
def _nothing_is_left(engines: Engines, rep: Any, row: int, g: int, first: int, last: int) -> None:
    return


@kernel
def _release_empty(engines: Engines, rep: Any, row: int, g: int, first: int, last: int) -> None:
    for place in range(first, last):
        block = engines.groups.tables[row, g, place]
        if block != NULL and engines.blocks[rep.block_base + block].hash == NO_HASH:
            release_block(engines, rep, block)


_release_rest = offload_door(_nothing_is_left, _release_empty)
"""Those that are left, so that the last of them is taken first."""


@inline_kernel
def remove_skipped(engines: Engines, rep: Any, slot: Any, processed: int) -> None:
    """Give back what is no longer read once `processed` tokens are computed and confirmed, the last first."""
    groups = engines.groups
    head = groups.pools[rep.pool]
    row = slot.row
    groups.rows[row].processed = processed
    some = False
    for k in range(head.n_kinds):
        held = groups.held[row, k]
        some = some or min(skipped_blocks(groups.kinds[rep.pool, k], processed), held.end) > held.begin
    if not some:
        return
    if head.tracks != 0:
        for g in range(head.n_groups):
            k = groups.kind_of[rep.pool, g]
            held = groups.held[row, k]
            last = min(skipped_blocks(groups.kinds[rep.pool, k], processed), held.end)
            _release(engines, rep, row, g, held.begin, last)
            _release_rest(engines, rep, row, g, held.begin, last)
    for k in range(head.n_kinds):
        kind = groups.kinds[rep.pool, k]
        held = groups.held[row, k]
        last = max(held.begin, min(skipped_blocks(kind, processed), held.end))
        if head.tracks == 0:
            rep.free_blocks += (last - held.begin) * kind.n_groups
        held.begin = last


@kernel
def blocks_to_extend(engines: Engines, rep: Any, slot: Any, reach: int, main: int, capped: bool) -> int:
    """Blocks that a request which holds some takes to hold `reach` tokens; `main` are those without look-ahead slots.

    Parameters
    ----------
    capped : count of each kind no more than a request ever holds at once
    """
    groups = engines.groups
    total = 0
    for k in range(groups.pools[rep.pool].n_kinds):
        kind = groups.kinds[rep.pool, k]
        end = groups.held[slot.row, k].end
        if kind.kind == _LINEAR:
            saved = place_to_save(engines, rep, slot, slot.computed, main) > 0
            most = 2 if saved and is_place_free(engines, rep, slot, main) else 1
            total += min(blocks_for(main, kind) + kind.more - end, most) * kind.n_groups
        else:
            required = blocks_for(reach, kind) + kind.more
            if capped:
                required = min(required, kind.cap)
            total += max(required - end, 0) * kind.n_groups
    return total


@inline_kernel
def extend(engines: Engines, rep: Any, slot: Any, start: int, reach: int, main: int) -> None:
    """New blocks up to `reach` tokens; of linear attention one state, the places before it are null.

    Its last places are the running state and those for drafts, which move along; before them one that is saved amid
    the chunk from `start` on.
    """
    groups = engines.groups
    head = groups.pools[rep.pool]
    row = slot.row
    saved = place_to_save(engines, rep, slot, start, main)
    if saved > 0 and not is_place_free(engines, rep, slot, main):
        saved = 0
    groups.rows[row].saved_tokens = saved
    began = groups.rows[row].began
    groups.rows[row].began = 1
    for g in range(head.n_groups if head.tracks != 0 else 0):
        k = groups.kind_of[rep.pool, g]
        kind = groups.kinds[rep.pool, k]
        begin = groups.held[row, k].end
        if kind.kind == _LINEAR:
            end = blocks_for(main, kind) + kind.more
            if end > begin:
                states = end - kind.more - (2 if saved > 0 else 1)
                before = begin
                for place in range(before, states):
                    groups.tables[row, g, place] = NULL
                begin = max(before, states)
                first = before - kind.more if began != 0 else before
                for place in range(first, min(before, states)):
                    groups.tables[row, g, begin] = groups.tables[row, g, place]
                    groups.tables[row, g, place] = NULL
                    begin += 1
            if saved > 0:
                groups.rows[row].saved_place = end - kind.more - 2
        else:
            end = blocks_for(reach, kind) + kind.more
        for place in range(begin, end):
            groups.tables[row, g, place] = take_block(engines, rep)
            rep.free_blocks -= 1
    for k in range(head.n_kinds):
        kind = groups.kinds[rep.pool, k]
        held = groups.held[row, k]
        end = blocks_for(main, kind) if kind.kind == _LINEAR else blocks_for(reach, kind)
        end = max(held.end, end + kind.more)
        if head.tracks == 0:
            rep.free_blocks -= (end - held.end) * kind.n_groups
        held.end = end


@inline_kernel
def count_changes(engines: Engines, rep: Any, row: int, processed: int, reach: int) -> None:
    """As `remove_skipped` and `extend` of a request that decodes, where blocks have no identity."""
    groups = engines.groups
    groups.rows[row].processed = processed
    taken = 0
    for k in range(groups.pools[rep.pool].n_kinds):
        kind = groups.kinds[rep.pool, k]
        held = groups.held[row, k]
        begin, end = held.begin, held.end
        first = max(begin, min(skipped_blocks(kind, processed), end))
        last = max(end, blocks_for(reach, kind) + kind.more)
        taken += (last - end - (first - begin)) * kind.n_groups
        held.begin = first
        held.end = last
    rep.free_blocks -= taken


@kernel
def _idle_hits(engines: Engines, rep: Any, k: int, first: int, n_hits: int) -> int:
    """Hit blocks of a kind from place `first` on that nobody holds: taking them over uses up free blocks."""
    groups = engines.groups
    idle = 0
    for g in range(groups.pools[rep.pool].n_groups):
        if groups.kind_of[rep.pool, g] == k:
            for place in range(first, n_hits):
                if engines.blocks[rep.block_base + groups.hits[g, place]].ref == 0:
                    idle += 1
    return idle


@kernel
def _was_written(engines: Engines, chain: Any) -> bool:
    n = engines.groups.scalars[N_WRITTEN] - 1
    while n >= 0 and engines.groups.written[n] != chain:
        n -= 1
    return n >= 0


@kernel
def blocks_to_admit(
    engines: Engines, rep: Any, slot: Any, n_hits: int, computed: int, reach: int, main: int, capped: bool
) -> int:
    """Free blocks used up when a request is admitted with a hit of `n_hits` blocks and comes to hold `reach` tokens.

    Parameters
    ----------
    computed : tokens that are there once it runs: hit ones, and those that come from elsewhere
    main : `reach` without look-ahead slots
    capped : count no more than a request ever holds at once
    """
    groups = engines.groups
    total = 0
    for k in range(groups.pools[rep.pool].n_kinds):
        kind = groups.kinds[rep.pool, k]
        required = blocks_for(reach, kind) + kind.more
        if kind.kind == _LINEAR:
            n_states = min(n_hits // kind.hashes, groups.lengths[k])
            if n_states > 0 and _was_written(engines, groups.chains[n_states - 1]):
                return NO_CAP
            most = 2 if place_to_save(engines, rep, slot, computed, main) > 0 else 1
            fresh = min(required - n_states, most + kind.more)
            total += fresh * kind.n_groups + _idle_hits(engines, rep, k, groups.found[k], n_states)
            continue
        if capped:
            required = min(required, kind.cap)
        skip = skipped_blocks(kind, computed)
        n_found = min(n_hits // kind.hashes, groups.lengths[k])
        total += max(required - max(skip, n_found), 0) * kind.n_groups
        total += _idle_hits(engines, rep, k, max(skip, groups.found[k]), n_found)
    return total


@kernel
def free_groups(engines: Engines, rep: Any, slot: Any, backwards: bool) -> None:
    """Give back all blocks of a request, group by group, the last block first; its row is free.

    Parameters
    ----------
    backwards : the last group first
    """
    groups = engines.groups
    head = groups.pools[rep.pool]
    for k in range(head.n_kinds if head.tracks == 0 else 0):
        held = groups.held[slot.row, k]
        rep.free_blocks += (held.end - held.begin) * groups.kinds[rep.pool, k].n_groups
    for n in range(head.n_groups if head.tracks != 0 else 0):
        g = head.n_groups - 1 - n if backwards else n
        held = groups.held[slot.row, groups.kind_of[rep.pool, g]]
        _release(engines, rep, slot.row, g, held.begin, held.end)
        if not backwards:
            _release_rest(engines, rep, slot.row, g, held.begin, held.end)
    for g in range(head.n_groups if head.tracks != 0 and backwards else 0):
        held = groups.held[slot.row, groups.kind_of[rep.pool, g]]
        _release_rest(engines, rep, slot.row, g, held.begin, held.end)
    slot.n_registered = 0
    rep.n_free_rows += 1
    engines.free_rows[rep.row_base + rep.n_free_rows - 1] = slot.row
