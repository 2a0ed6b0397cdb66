"""What becomes findable in the prefix cache of several groups: all full blocks, but of windows and states few."""

from __future__ import annotations

from typing import Any

from simulator.engine.blocks import forget_content, register_block, shareable_blocks
from simulator.engine.content import NO_HASH, PRIVATE, extend_chain
from simulator.engine.modes.offload.states import note_states
from simulator.engine.modes.spec import GroupKind
from simulator.engine.modes.tables.arrays import N_WRITTEN, NULL
from simulator.engine.modes.tables.holding import full_blocks
from simulator.engine.modes.tables.prefix import group_key
from simulator.engine.modes.tables.saved import last_state_before
from simulator.engine.state import NONE, Engines
from simulator.jit import inline_kernel, kernel

_FULL, _WINDOW, _CHUNK, _LINEAR = (int(kind) for kind in GroupKind)


@inline_kernel
def _reads(kind: Any, place: int, end: int) -> bool:
    """Whether a window or a state reads the block at `place` where a request resumes after `end` blocks."""
    if kind.kind == _LINEAR:
        return place == end - 1
    return end - kind.tail <= place < end + kind.gives_up


@inline_kernel
def _keeps(head: Any, slot: Any, kind: Any, place: int, junction: int) -> bool:
    """Whether the full block at `place` becomes findable: windows and states keep what is read where one resumes.

    Parameters
    ----------
    junction : tokens that some kind had more than all of them
    """
    if kind.kind != _WINDOW and kind.kind != _LINEAR:
        return True
    alignment = head.alignment
    end = (slot.isl - 1) // alignment * alignment
    if head.gives_up != 0:
        whole = slot.isl // alignment * alignment
        kept = _reads(kind, place, full_blocks(max(end - alignment, 0), kind))
        kept = kept or _reads(kind, place, full_blocks(max(whole - alignment, 0), kind))
    else:
        kept = _reads(kind, place, full_blocks(end, kind))
    if junction > 0 and not kept:
        kept = _reads(kind, place, full_blocks(junction, kind))
        if kind.gives_up != 0 and head.junction_kept_one_lower != 0:
            lower = (junction - kind.block_size) // alignment * alignment
            kept = kept or _reads(kind, place, full_blocks(lower, kind))
    return kept


@inline_kernel
def _register_group(
    engines: Engines, rep: Any, slot: Any, g: int, k: int, content: int, chain: Any, listed: int
) -> None:
    """Register the block of a group that ends with a content, if one does and it is kept."""
    groups = engines.groups
    kind = groups.kinds[rep.pool, k]
    if (content + 1) % kind.hashes != 0:
        return
    place = (content + 1) // kind.hashes - 1
    held = groups.held[slot.row, k]
    if place < held.begin or place >= held.end:
        return
    note = groups.rows[slot.row]
    if kind.kind == _LINEAR and note.saved_tokens > 0 and place == note.saved_place:
        return
    if not _keeps(groups.pools[rep.pool], slot, kind, place, note.junction):
        return
    index = groups.tables[slot.row, g, place]
    if index == NULL:
        return
    block = engines.blocks[rep.block_base + index]
    if block.hash == NO_HASH or (kind.marks_end != 0 and block.hash == PRIVATE):
        if kind.kind == _FULL and content >= listed:
            block.hash = PRIVATE
        else:
            register_block(engines, rep, index, group_key(chain, g))
    if kind.kind == _LINEAR:
        _note_written(engines, chain)


@inline_kernel
def _mark_private(engines: Engines, rep: Any, slot: Any, g: int, k: int, content: int) -> None:
    """A block of full attention beyond what anybody else can have."""
    groups = engines.groups
    kind = groups.kinds[rep.pool, k]
    if kind.kind == _FULL and (content + 1) % kind.hashes == 0:
        place = (content + 1) // kind.hashes - 1
        engines.blocks[rep.block_base + groups.tables[slot.row, g, place]].hash = PRIVATE


@kernel
def _mark_end(engines: Engines, rep: Any, pool: Any, slot: Any, k: int, contents: int) -> None:
    """A block in which a prompt ends counts as one with content once `contents` are known, and is never found."""
    groups = engines.groups
    kind = groups.kinds[rep.pool, k]
    prompt = (slot.isl - (1 if kind.gives_up == 0 else 0)) // pool.block_size
    place = prompt // kind.hashes
    if prompt % kind.hashes == 0 or prompt > contents or place >= groups.held[slot.row, k].end:
        return
    for g in range(groups.pools[rep.pool].n_groups):
        if groups.kind_of[rep.pool, g] == k:
            block = engines.blocks[rep.block_base + groups.tables[slot.row, g, place]]
            if block.hash == NO_HASH:
                block.hash = PRIVATE


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
    groups = engines.groups
    head = groups.pools[rep.pool]
    final = max(tokens - pool.reads_ahead, 0)
    main = tokens if head.agree != 0 else final
    registered = slot.n_registered
    hashed = max(max(known, slot.listed_tokens) - pool.hash_lookahead, 0)
    if head.alignment != size and head.agree != 0:
        main = main // head.alignment * head.alignment
    if full_blocks(min(main, hashed), groups.kinds[rep.pool, head.shortest]) > slot.n_registered:
        _register_new(engines, rep, pool, slot, min(main, hashed))
    if head.alignment != size and head.agree != 0:
        for k in range(head.n_kinds):
            kind = groups.kinds[rep.pool, k]
            if kind.marks_end != 0 and kind.lags == 0:
                _mark_end(engines, rep, pool, slot, k, min(main, hashed) // size)
    if head.some_lag != 0:
        for k in range(head.n_kinds if main > 0 else 0):
            kind = groups.kinds[rep.pool, k]
            if kind.lags != 0:
                filled = min(final, final // head.alignment * head.alignment + kind.block_size)
                _register_kind(engines, rep, pool, slot, k, min(filled, hashed) // size)
    if head.linear != NONE and groups.rows[slot.row].saved_tokens > 0:
        _register_saved_state(engines, rep, pool, slot)
    elif head.linear != NONE:
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
    chained = _chained(head, pool, slot, note.junction, listed, full)
    while note.n_chained < chained:
        first = note.n_chained
        count = min(chained - first, len(engines.chains))
        slot.chain = extend_chain(engines, pool, slot, first, count, engines.chains)
        for n in range(max(slot.n_registered - first, 0), count):
            for g in range(head.n_groups):
                k = groups.kind_of[rep.pool, g]
                if groups.kinds[rep.pool, k].lags == 0:
                    _register_group(engines, rep, slot, g, k, first + n, engines.chains[n], listed)
        note.n_chained = first + count
    for content in range(max(slot.n_registered, chained), full):
        for g in range(head.n_groups):
            k = groups.kind_of[rep.pool, g]
            if groups.kinds[rep.pool, k].lags == 0:
                _mark_private(engines, rep, slot, g, k, content)
    slot.n_registered = full


@kernel
def _chained(head: Any, pool: Any, slot: Any, junction: int, listed: int, full: int) -> int:
    """Of `full` contents those whose chain hash something is found by."""
    if head.registers_all != 0:
        return full
    end = (slot.isl - 1) // pool.block_size
    return max(listed, min(full, max(end, junction // pool.block_size) + head.gives_up))


@kernel
def _register_kind(engines: Engines, rep: Any, pool: Any, slot: Any, k: int, contents: int) -> None:
    """Register the blocks that the first `contents` fill of a kind that lags; it has a chain of its own."""
    groups = engines.groups
    head = groups.pools[rep.pool]
    kind, held = groups.kinds[rep.pool, k], groups.held[slot.row, k]
    full = contents // kind.hashes * kind.hashes
    if full > held.registered:
        before = slot.chain
        slot.chain = held.chain
        listed = shareable_blocks(pool, slot, full)
        last = min(full, _chained(head, pool, slot, groups.rows[slot.row].junction, listed, full))
        first = held.registered
        while first < last:
            count = min(last - first, len(engines.chains))
            slot.chain = extend_chain(engines, pool, slot, first, count, engines.chains)
            for n in range(count):
                for g in range(head.n_groups):
                    if groups.kind_of[rep.pool, g] == k:
                        _register_group(engines, rep, slot, g, k, first + n, engines.chains[n], listed)
            first += count
        for content in range(first, full):
            for g in range(head.n_groups):
                if groups.kind_of[rep.pool, g] == k:
                    _mark_private(engines, rep, slot, g, k, content)
        held.registered = full
        held.chain = slot.chain
        slot.chain = before
    if kind.marks_end != 0:
        _mark_end(engines, rep, pool, slot, k, contents)


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
def _register_saved_state(engines: Engines, rep: Any, pool: Any, slot: Any) -> None:
    """A state saved amid a chunk is findable if the prompt or a junction can be resumed there, and nothing else is."""
    groups = engines.groups
    head, note = groups.pools[rep.pool], groups.rows[slot.row]
    place, content = note.saved_place, note.saved_tokens // pool.block_size - 1
    end = last_state_before(slot.isl, pool.block_size, head.gives_up, pool.hash_lookahead)
    is_kept = note.saved_tokens == end or note.saved_tokens == note.junction
    chain = _chain_at(engines, pool, slot, content) if is_kept else slot.chain
    for g in range(head.n_groups):
        if groups.kind_of[rep.pool, g] != head.linear:
            continue
        index = groups.tables[slot.row, g, place]
        found_by = engines.blocks[rep.block_base + index].hash
        if index == NULL or (is_kept and found_by == group_key(chain, g)):
            continue
        if found_by != NO_HASH:
            forget_content(engines, rep, index)
        if is_kept:
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
    registered = slot.n_registered
    for k in range(engines.groups.pools[rep.pool].n_kinds):
        registered = max(registered, _registered(engines, rep, slot, k))
    known = 0
    while known < registered:
        count = min(registered - known, len(engines.chains))
        slot.chain = extend_chain(engines, pool, slot, known, count, engines.chains)
        for n in range(count):
            _list_place(engines, rep, slot, known + n, engines.chains[n])
        known += count


@kernel
def _registered(engines: Engines, rep: Any, slot: Any, k: int) -> int:
    """Contents whose blocks of a kind are registered."""
    if engines.groups.kinds[rep.pool, k].lags != 0:
        return int(engines.groups.held[slot.row, k].registered)
    return int(slot.n_registered)


@kernel
def _list_place(engines: Engines, rep: Any, slot: Any, content: int, chain: Any) -> None:
    groups = engines.groups
    for g in range(groups.pools[rep.pool].n_groups):
        k = groups.kind_of[rep.pool, g]
        kind = groups.kinds[rep.pool, k]
        ends = (content + 1) % kind.hashes == 0 and content < _registered(engines, rep, slot, k)
        if kind.kind == _FULL and ends:
            index = groups.tables[slot.row, g, (content + 1) // kind.hashes - 1]
            if engines.blocks[rep.block_base + index].hash == PRIVATE:
                register_block(engines, rep, index, group_key(chain, g))
