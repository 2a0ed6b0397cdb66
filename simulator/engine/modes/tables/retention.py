"""What becomes findable in the prefix cache of several groups: all full blocks, but of windows and states few."""

from __future__ import annotations

from typing import Any

from simulator.engine.blocks import register_block, shareable_blocks
from simulator.engine.content import NO_HASH, PRIVATE, extend_chain
from simulator.engine.modes.offload.states import note_states
from simulator.engine.modes.spec import GroupKind
from simulator.engine.modes.tables.arrays import N_WRITTEN
from simulator.engine.modes.tables.holding import NULL, full_blocks
from simulator.engine.modes.tables.prefix import group_key
from simulator.engine.state import NONE, Engines
from simulator.jit import inline_kernel, kernel

_FULL, _WINDOW, _CHUNK, _LINEAR = (int(kind) for kind in GroupKind)


@kernel
def last_state_before(tokens: int, size: int, gives_up: int, lookahead: int) -> int:
    """Last multiple of a block at which a request of so many tokens can be resumed."""
    if gives_up != 0:
        return max(tokens // size * size - size, 0)
    return max(tokens - max(1, lookahead), 0) // size * size


@inline_kernel
def _reads(kind: Any, place: int, end: int) -> bool:
    """Whether a window or a state reads the block at `place` where a request resumes after `end` blocks."""
    if kind.kind == _LINEAR:
        return place == end - 1
    return end - kind.tail <= place < end + kind.gives_up


@inline_kernel
def _keeps(head: Any, kind: Any, place: int, end: int, whole: int, junction: int) -> bool:
    """Whether the full block at `place` becomes findable: windows and states keep what is read where one resumes.

    Parameters
    ----------
    end : blocks before the last token of the prompt
    whole : full blocks of the prompt
    junction : blocks that some kind had more than all of them
    """
    if kind.kind != _WINDOW and kind.kind != _LINEAR:
        return True
    if head.gives_up != 0:
        kept = _reads(kind, place, max(end - 1, 0)) or _reads(kind, place, max(whole - 1, 0))
    else:
        kept = _reads(kind, place, end)
    if junction > 0 and not kept:
        kept = _reads(kind, place, junction)
        if kind.gives_up != 0 and head.junction_kept_one_lower != 0:
            kept = kept or _reads(kind, place, junction - 1)
    return kept


@inline_kernel
def _register_place(engines: Engines, rep: Any, slot: Any, content: int, chain: Any, listed: int, lags: int) -> None:
    """Register the blocks that end with a content of those kinds that lag, or of the others."""
    groups = engines.groups
    head = groups.pools[rep.pool]
    resumes = (slot.isl - 1) // head.alignment * head.alignment
    for g in range(head.n_groups):
        k = groups.kind_of[rep.pool, g]
        kind = groups.kinds[rep.pool, k]
        if (content + 1) % kind.hashes != 0:
            continue
        place = (content + 1) // kind.hashes - 1
        held = groups.held[slot.row, k]
        if kind.lags != lags or place < held.begin or place >= held.end:
            continue
        end, whole = full_blocks(resumes, kind), full_blocks(slot.isl, kind)
        if not _keeps(head, kind, place, end, whole, full_blocks(groups.rows[slot.row].junction, kind)):
            continue
        index = groups.tables[slot.row, g, place]
        if index == NULL:
            continue
        block = engines.blocks[rep.block_base + index]
        if block.hash == NO_HASH:
            if kind.kind == _FULL and content >= listed:
                block.hash = PRIVATE
            else:
                register_block(engines, rep, index, group_key(chain, g))
        if kind.kind == _LINEAR:
            _note_written(engines, chain)


@inline_kernel
def _mark_private(engines: Engines, rep: Any, slot: Any, content: int, lags: int) -> None:
    """Blocks of full attention beyond what anybody else can have, of those kinds that lag, or of the others."""
    groups = engines.groups
    for g in range(groups.pools[rep.pool].n_groups):
        kind = groups.kinds[rep.pool, groups.kind_of[rep.pool, g]]
        if kind.kind == _FULL and kind.lags == lags and (content + 1) % kind.hashes == 0:
            place = (content + 1) // kind.hashes - 1
            engines.blocks[rep.block_base + groups.tables[slot.row, g, place]].hash = PRIVATE


@kernel
def _note_written(engines: Engines, chain: Any) -> None:
    groups = engines.groups
    n = groups.scalars[N_WRITTEN]
    if n > 0 and groups.written[n - 1] == chain:
        return
    groups.written[n] = chain
    groups.scalars[N_WRITTEN] = n + 1


@inline_kernel
def register(engines: Engines, rep: Any, pool: Any, slot: Any, tokens: int, known: int) -> None:
    """Register the blocks that `tokens` computed tokens fill and that are kept.

    Several MTP modules may compute the last ones again: of several groups those that give up a block wait for them.

    Parameters
    ----------
    known : tokens of the request, at least those that are computed
    """
    if pool.finds_blocks == 0:
        return
    size = pool.block_size
    head = engines.groups.pools[rep.pool]
    final = max(tokens - pool.reads_ahead, 0)
    main = tokens if head.agree != 0 else final
    registered = slot.n_registered
    hashed = max(max(known, slot.listed_tokens) - pool.hash_lookahead, 0)
    if head.alignment != size and head.agree != 0:
        main = main // head.alignment * head.alignment
    first = engines.groups.kinds[rep.pool, 0]
    if full_blocks(min(main, hashed), first) * first.hashes > slot.n_registered:
        _register_new(engines, rep, pool, slot, min(main, hashed))
    if pool.reads_ahead > 0 and head.agree != 0 and head.gives_up != 0:
        _register_lagging(engines, rep, pool, slot, min(final, hashed) // size)
    if head.linear != NONE:
        whole = main
        if head.agree != 0:
            whole = tokens // size * size
            if engines.groups.kinds[rep.pool, head.linear].gives_up != 0 and whole > 0:
                whole = final
        if whole > 0 and whole == last_state_before(slot.isl, size, head.gives_up, pool.hash_lookahead):
            _register_last_state(engines, rep, pool, slot, whole // size - 1)
    note_states(engines, rep, slot, registered)


@kernel
def _register_new(engines: Engines, rep: Any, pool: Any, slot: Any, tokens: int) -> None:
    """Register the blocks that were not full before.

    Private blocks of full attention are only marked, as in `blocks.register_full_blocks`; those of other kinds may be
    given back while their request runs, and so are findable at once.
    """
    groups = engines.groups
    head = groups.pools[rep.pool]
    note = groups.rows[slot.row]
    full = tokens // pool.block_size
    listed = shareable_blocks(pool, slot, full)
    end = (slot.isl - 1) // pool.block_size
    chained = max(listed, min(full, max(end + head.gives_up, note.junction // pool.block_size + head.gives_up)))
    if head.registers_all != 0:
        chained = full
    while note.n_chained < chained:
        first = note.n_chained
        count = min(chained - first, len(engines.chains))
        slot.chain = extend_chain(engines, pool, slot, first, count, engines.chains)
        for n in range(count):
            if first + n >= slot.n_registered:
                _register_place(engines, rep, slot, first + n, engines.chains[n], listed, 0)
        note.n_chained = first + count
    for place in range(max(slot.n_registered, chained), full):
        _mark_private(engines, rep, slot, place, 0)
    slot.n_registered = full


@kernel
def _register_lagging(engines: Engines, rep: Any, pool: Any, slot: Any, full: int) -> None:
    """Register the first `full` blocks of kinds that lag; they have a chain of their own."""
    note = engines.groups.rows[slot.row]
    if full <= note.n_lagging:
        return
    before = slot.chain
    slot.chain = note.lagging_chain
    listed = shareable_blocks(pool, slot, full)
    first = note.n_lagging
    last = min(full, note.n_chained)
    while first < last:
        count = min(last - first, len(engines.chains))
        slot.chain = extend_chain(engines, pool, slot, first, count, engines.chains)
        for n in range(count):
            _register_place(engines, rep, slot, first + n, engines.chains[n], listed, 1)
        first += count
    for place in range(first, full):
        _mark_private(engines, rep, slot, place, 1)
    note.n_lagging = full
    note.lagging_chain = slot.chain
    slot.chain = before


@kernel
def _register_last_state(engines: Engines, rep: Any, pool: Any, slot: Any, place: int) -> None:
    """The state at the prompt's last place is findable while it is in the table, and counts as written just now."""
    groups = engines.groups
    head = groups.pools[rep.pool]
    held = groups.held[slot.row, head.linear]
    if place < held.begin or place >= held.end:
        return
    for g in range(head.n_groups):
        if groups.kind_of[rep.pool, g] != head.linear:
            continue
        index = groups.tables[slot.row, g, place]
        if index == NULL:
            return
        block = engines.blocks[rep.block_base + index]
        known = block.hash != NO_HASH
        if known and head.state_written_once != 0:
            continue
        chain = _chain_at(engines, pool, slot, place)
        if not known:
            register_block(engines, rep, index, group_key(chain, g))
        _note_written(engines, chain)


@kernel
def _chain_at(engines: Engines, pool: Any, slot: Any, place: int) -> Any:
    """Chain hash of the block at `place`, computed from the beginning."""
    before = slot.chain
    known = 0
    chain = before
    while known <= place:
        count = min(place + 1 - known, len(engines.chains))
        chain = extend_chain(engines, pool, slot, known, count, engines.chains)
        slot.chain = chain
        known += count
    slot.chain = before
    return chain


@kernel
def list_private(engines: Engines, rep: Any, pool: Any, slot: Any) -> None:
    """Make the private blocks of a request that is about to be preempted findable, for its own return."""
    known = 0
    while known < slot.n_registered:
        count = min(slot.n_registered - known, len(engines.chains))
        slot.chain = extend_chain(engines, pool, slot, known, count, engines.chains)
        for n in range(count):
            _list_place(engines, rep, slot, known + n, engines.chains[n])
        known += count


@kernel
def _list_place(engines: Engines, rep: Any, slot: Any, content: int, chain: Any) -> None:
    groups = engines.groups
    for g in range(groups.pools[rep.pool].n_groups):
        kind = groups.kinds[rep.pool, groups.kind_of[rep.pool, g]]
        if kind.kind == _FULL and (content + 1) % kind.hashes == 0:
            index = groups.tables[slot.row, g, (content + 1) // kind.hashes - 1]
            if engines.blocks[rep.block_base + index].hash == PRIVATE:
                register_block(engines, rep, index, group_key(chain, g))
