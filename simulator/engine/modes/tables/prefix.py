"""The prefix cache of several groups: one chain of hashes, found by group; hits that agree; what windows retain."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.blocks import find_entry, hashed_blocks, register_block, shareable_blocks, unlink_free
from simulator.engine.content import NO_HASH, PRIVATE, ROOT, extend_chain, mix
from simulator.engine.modes.spec import GroupKind
from simulator.engine.modes.tables.arrays import JUNCTION, N_WRITTEN
from simulator.engine.modes.tables.holding import NULL, full_blocks, skipped_blocks
from simulator.engine.state import NONE, Engines
from simulator.jit import inline_kernel, kernel

_FULL, _WINDOW, _CHUNK, _LINEAR = (int(kind) for kind in GroupKind)
_GROUP = np.int64(-7723592293110705685)


@kernel
def group_key(chain: Any, g: int) -> Any:
    """Hash of a content in one group."""
    key = mix(chain ^ (np.int64(g + 1) * _GROUP))
    return np.int64(2) if key in (NO_HASH, PRIVATE) else key


@kernel
def _chain_to(engines: Engines, pool: Any, slot: Any, known: int, wanted: int) -> int:
    """Bring the chain hashes in `groups.chains` to at least `wanted` blocks; how many there are now."""
    while known < wanted:
        count = min(wanted - known, len(engines.chains))
        slot.chain = extend_chain(engines, pool, slot, known, count, engines.chains)
        for n in range(count):
            engines.groups.chains[known + n] = engines.chains[n]
        known += count
    return known


@kernel
def _look(engines: Engines, rep: Any, k: int, place: int) -> bool:
    """Whether all groups of a kind have the block at `place`; it stands in `groups.hits` then."""
    groups = engines.groups
    chain = groups.chains[place]
    for g in range(groups.pools[rep.pool].n_groups):
        if groups.kind_of[rep.pool, g] == k:
            first = engines.hashes[find_entry(engines, rep, group_key(chain, g))].first
            if first == NONE:
                return False
            groups.hits[g, place] = first
    return True


@kernel
def _from_the_left(
    engines: Engines, rep: Any, pool: Any, slot: Any, k: int, place: int, limit: int, known: int
) -> tuple[int, int]:
    """First place that is missing, at most `limit`, and how many chain hashes are known now."""
    while place < limit:
        if place == known:
            known = _chain_to(engines, pool, slot, known, min(limit, known + len(engines.chains)))
        if not _look(engines, rep, k, place):
            break
        place += 1
    return place, known


@kernel
def _find(
    engines: Engines, rep: Any, pool: Any, slot: Any, k: int, most: int, listed: int, known: int, gives_up: int
) -> tuple[int, int]:
    """Blocks of the longest cached prefix of at most `most` tokens in one kind, and the chain hashes known now.

    Parameters
    ----------
    listed : blocks that can be in the cache at all
    gives_up : 1 if the last of them is dropped
    """
    groups = engines.groups
    kind = groups.kinds[rep.pool, k]
    limit = most // kind.block_size
    able = min(limit, listed)
    if kind.kind == _FULL:
        groups.found[k] = 0
        hit, known = _from_the_left(engines, rep, pool, slot, k, 0, able, known)
        return max(hit - gives_up, 0), known
    if kind.kind == _CHUNK:
        start = most // kind.window * kind.window // kind.block_size
        groups.found[k] = start
        known = _chain_to(engines, pool, slot, known, min(start, limit))
        return _from_the_left(engines, rep, pool, slot, k, start, max(able, start), known)
    known = _chain_to(engines, pool, slot, known, able)
    run = 0
    for place in range(able - 1, -1, -1):
        if not _look(engines, rep, k, place):
            run = 0
            continue
        run += 1
        if kind.kind == _LINEAR or run >= kind.tail + gives_up:
            groups.found[k] = place
            return place + run - (0 if kind.kind == _LINEAR else gives_up), known
    groups.found[k] = 0
    return (0, known) if kind.kind == _LINEAR else (max(run - gives_up, 0), known)


@kernel
def cached_prefix(engines: Engines, rep: Any, pool: Any, slot: Any) -> int:
    """Leading blocks of `slot` that are cached in every kind of layers; their junction is noted.

    Full attention first, then each other kind within the length so far; a shorter length starts over, not with two.
    Layers that give up a block look one block further and drop it, once for each length that is tried.
    """
    groups = engines.groups
    head = groups.pools[rep.pool]
    size = pool.block_size
    hashed = hashed_blocks(pool, slot.isl + slot.generated)
    most = min(slot.isl + slot.generated - 1, max(slot.isl + slot.generated - pool.hash_lookahead, 0))
    listed = hashed
    if slot.preemptions == 0:
        listed = shareable_blocks(pool, slot, listed)
    groups.scalars[JUNCTION] = 0
    before = slot.chain
    known = 0
    if head.agree == 0:
        hit, known = _find(engines, rep, pool, slot, 0, most, listed, known, groups.kinds[rep.pool, 0].gives_up)
        _chain_to(engines, pool, slot, known, hit)
        slot.chain = before
        return hit
    simple = head.n_kinds == 2 and groups.kinds[rep.pool, 0].kind == _FULL
    length = most
    longest = 0
    full = NONE
    gave_up = 0
    while True:
        now = length
        for k in range(head.n_kinds):
            if groups.kinds[rep.pool, k].kind == _FULL and full != NONE:
                now = min(now, full)
                continue
            kind = groups.kinds[rep.pool, k]
            gives_up = 1 if kind.gives_up != 0 and gave_up & (1 << k) == 0 else 0
            reach = min(now + size, hashed * size) if gives_up != 0 and kind.kind != _LINEAR else now
            hit, known = _find(engines, rep, pool, slot, k, reach, listed, known, gives_up)
            if gives_up != 0:
                gave_up |= 1 << k
            elif hit * size < now:
                gave_up = 0
            now = hit * size
            if groups.kinds[rep.pool, k].kind == _FULL:
                full = now
            longest = max(longest, now)
        if now >= length:
            break
        length = now
        if simple:
            break
    if longest > length:
        groups.scalars[JUNCTION] = longest
    _chain_to(engines, pool, slot, known, length // size)
    slot.chain = before
    return length // size


@kernel
def adopt(engines: Engines, rep: Any, pool: Any, slot: Any, n_hits: int, computed: int) -> None:
    """Let `slot`, which has just got its row, hold the hit blocks; those no longer read become the null block.

    Parameters
    ----------
    computed : tokens that are there once it runs: hit ones, and those that come from elsewhere
    """
    groups = engines.groups
    head = groups.pools[rep.pool]
    row = slot.row
    for k in range(head.n_kinds):
        kind = groups.kinds[rep.pool, k]
        held = groups.held[row, k]
        first = groups.found[k] if n_hits > 0 else 0
        held.begin = max(skipped_blocks(kind, computed), first) if computed > 0 else 0
        held.end = max(n_hits, held.begin)
    for g in range(head.n_groups):
        for place in range(groups.held[row, groups.kind_of[rep.pool, g]].begin, n_hits):
            index = groups.hits[g, place]
            block = engines.blocks[rep.block_base + index]
            if block.ref == 0:
                unlink_free(engines, rep, index)
                rep.free_blocks -= 1
            block.ref += 1
            groups.tables[row, g, place] = index
    note = groups.rows[row]
    note.processed = n_hits * pool.block_size
    note.junction = groups.scalars[JUNCTION]
    note.n_chained = n_hits
    note.n_lagging = n_hits
    note.began = 0
    slot.chain = groups.chains[n_hits - 1] if n_hits > 0 else ROOT
    slot.n_registered = n_hits


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
def _register_place(
    engines: Engines, rep: Any, slot: Any, place: int, chain: Any, listed: int, end: int, lags: int
) -> None:
    """Register the block at `place` of those kinds that lag, or of the others."""
    groups = engines.groups
    head = groups.pools[rep.pool]
    size = groups.kinds[rep.pool, 0].block_size
    junction = groups.rows[slot.row].junction // size
    whole = slot.isl // size
    for g in range(head.n_groups):
        k = groups.kind_of[rep.pool, g]
        kind = groups.kinds[rep.pool, k]
        held = groups.held[slot.row, k]
        if kind.lags != lags or place < held.begin or place >= held.end:
            continue
        if not _keeps(head, kind, place, end, whole, junction):
            continue
        index = groups.tables[slot.row, g, place]
        if index == NULL:
            continue
        block = engines.blocks[rep.block_base + index]
        if block.hash == NO_HASH:
            if kind.kind == _FULL and place >= listed:
                block.hash = PRIVATE
            else:
                register_block(engines, rep, index, group_key(chain, g))
        if kind.kind == _LINEAR:
            _note_written(engines, chain)


@inline_kernel
def _mark_private(engines: Engines, rep: Any, slot: Any, place: int, lags: int) -> None:
    """Blocks of full attention beyond what anybody else can have, of those kinds that lag, or of the others."""
    groups = engines.groups
    for g in range(groups.pools[rep.pool].n_groups):
        kind = groups.kinds[rep.pool, groups.kind_of[rep.pool, g]]
        if kind.kind == _FULL and kind.lags == lags:
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
    size = pool.block_size
    head = engines.groups.pools[rep.pool]
    final = max(tokens - pool.reads_ahead, 0)
    main = tokens if head.agree != 0 else final
    hashed = max(known - pool.hash_lookahead, 0)
    if full_blocks(min(main, hashed), engines.groups.kinds[rep.pool, 0]) > slot.n_registered:
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
                _register_place(engines, rep, slot, first + n, engines.chains[n], listed, end, 0)
        note.n_chained = first + count
    for place in range(max(slot.n_registered, chained), full):
        _mark_private(engines, rep, slot, place, 0)
    slot.n_registered = full


@kernel
def _register_lagging(engines: Engines, rep: Any, pool: Any, slot: Any, full: int) -> None:
    """Register the first `full` blocks of kinds that lag; their chain is computed once more, from the beginning."""
    note = engines.groups.rows[slot.row]
    if full <= note.n_lagging:
        return
    before = slot.chain
    listed = shareable_blocks(pool, slot, full)
    end = (slot.isl - 1) // pool.block_size
    last = min(full, note.n_chained)
    known = 0
    while known < last:
        count = min(last - known, len(engines.chains))
        slot.chain = extend_chain(engines, pool, slot, known, count, engines.chains)
        for n in range(count):
            if known + n >= note.n_lagging:
                _register_place(engines, rep, slot, known + n, engines.chains[n], listed, end, 1)
        known += count
    slot.chain = before
    for place in range(max(note.n_lagging, last), full):
        _mark_private(engines, rep, slot, place, 1)
    note.n_lagging = full


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
def _list_place(engines: Engines, rep: Any, slot: Any, place: int, chain: Any) -> None:
    groups = engines.groups
    for g in range(groups.pools[rep.pool].n_groups):
        if groups.kinds[rep.pool, groups.kind_of[rep.pool, g]].kind == _FULL:
            index = groups.tables[slot.row, g, place]
            if engines.blocks[rep.block_base + index].hash == PRIVATE:
                register_block(engines, rep, index, group_key(chain, g))
