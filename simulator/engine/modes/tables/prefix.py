"""Hits in the prefix cache of several groups: one chain of hashes, found by group; hits that agree, taken over."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.blocks import content_tokens, find_entry, hashed_blocks, shareable_blocks, unlink_free
from simulator.engine.content import NO_HASH, PRIVATE, ROOT, extend_chain, mix
from simulator.engine.modes.spec import GroupKind
from simulator.engine.modes.tables.arrays import JUNCTION
from simulator.engine.modes.tables.holding import skipped_blocks
from simulator.engine.state import NONE, Engines
from simulator.jit import kernel

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
    chain = groups.chains[(place + 1) * groups.kinds[rep.pool, k].hashes - 1]
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
    hashes = engines.groups.kinds[rep.pool, k].hashes
    while place < limit:
        if (place + 1) * hashes > known:
            known = _chain_to(engines, pool, slot, known, min(limit * hashes, known + len(engines.chains)))
        if not _look(engines, rep, k, place):
            break
        place += 1
    return place, known


@kernel
def _find(
    engines: Engines, rep: Any, pool: Any, slot: Any, k: int, most: int, listed: int, known: int, gives_up: int
) -> tuple[int, int]:
    """Blocks of the longest cached prefix of at most `most` tokens in one kind, and the chain hashes known now.

    A prefix ends where a request can go on: where the blocks of all kinds end.

    Parameters
    ----------
    listed : contents that can be in the cache at all
    gives_up : 1 if the last of them is dropped
    """
    groups = engines.groups
    kind = groups.kinds[rep.pool, k]
    limit = most // kind.block_size
    able = min(limit, listed // kind.hashes)
    step = groups.pools[rep.pool].alignment // kind.block_size
    if kind.kind == _FULL:
        groups.found[k] = 0
        hit, known = _from_the_left(engines, rep, pool, slot, k, 0, able, known)
        return max(hit - gives_up, 0) // step * step, known
    if kind.kind == _CHUNK:
        start = most // kind.window * kind.window // kind.block_size
        groups.found[k] = start
        known = _chain_to(engines, pool, slot, known, min(start, limit) * kind.hashes)
        return _from_the_left(engines, rep, pool, slot, k, start, max(able, start), known)
    known = _chain_to(engines, pool, slot, known, able * kind.hashes)
    run = 0
    for place in range(able - 1, -1, -1):
        if not _look(engines, rep, k, place):
            run = 0
            continue
        if run == 0 and (place + 1 - gives_up) % step != 0:
            continue
        run += 1
        if kind.kind == _LINEAR or run >= kind.tail + gives_up:
            groups.found[k] = place
            return place + run - (0 if kind.kind == _LINEAR else gives_up), known
    groups.found[k] = 0
    return (0, known) if kind.kind == _LINEAR else (max(run // step * step - gives_up, 0) // step * step, known)


@kernel
def cached_prefix(engines: Engines, rep: Any, pool: Any, slot: Any) -> int:
    """Leading blocks of `slot` that are cached in every kind of layers; their junction is noted.

    Full attention first, then each other kind within the length so far; a shorter length starts over, not with two.
    Layers that give up a block look one block further and drop it, once for each length that is tried.
    """
    groups = engines.groups
    head = groups.pools[rep.pool]
    size = pool.block_size
    content = content_tokens(slot)
    hashed = hashed_blocks(pool, content)
    most = min(slot.isl + slot.generated - 1, max(content - pool.hash_lookahead, 0))
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
        groups.lengths[0] = hit
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
            reach = min(now + kind.block_size, hashed * size) if gives_up != 0 and kind.kind != _LINEAR else now
            hit, known = _find(engines, rep, pool, slot, k, reach, listed, known, gives_up)
            if gives_up != 0:
                gave_up |= 1 << k
            elif hit * kind.block_size < now:
                gave_up = 0
            now = hit * kind.block_size
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
    for k in range(head.n_kinds):
        groups.lengths[k] = length // groups.kinds[rep.pool, k].block_size
    return length // size


@kernel
def hit_for_transfer(engines: Engines, rep: Any, pool: Any, slot: Any, n_hits: int) -> int:
    """Leading blocks that are cached of a request behind which another engine brings the rest, where it has any.

    Beside linear attention each kind is looked up by itself, and those of full attention count: the state at their end
    is brought as well. Where another kind has more than that, the `n_hits` on which all agree.
    """
    groups = engines.groups
    n_kinds, linear = groups.pools[rep.pool].n_kinds, groups.pools[rep.pool].linear
    if n_kinds < 2 or linear == NONE or groups.kinds[rep.pool, 0].kind != _FULL:
        return n_hits
    size, content = pool.block_size, content_tokens(slot)
    hashed = hashed_blocks(pool, content)
    most = min(slot.isl + slot.generated - 1, max(content - pool.hash_lookahead, 0))
    listed = shareable_blocks(pool, slot, hashed) if slot.preemptions == 0 else hashed
    before = slot.chain
    known = longest = 0
    for k in range(n_kinds):
        kind = groups.kinds[rep.pool, k]
        gives_up = kind.gives_up if kind.kind != _LINEAR else 0
        reach = min(most + size, hashed * size) if gives_up != 0 else most
        groups.lengths[k], known = _find(engines, rep, pool, slot, k, reach, listed, known, gives_up)
        longest = max(longest, groups.lengths[k])
    full = groups.lengths[0]
    _chain_to(engines, pool, slot, known, full)
    slot.chain = before
    if longest > full:
        return cached_prefix(engines, rep, pool, slot)
    groups.scalars[JUNCTION] = 0
    return full


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
    n_registered = n_hits
    for k in range(head.n_kinds):
        kind = groups.kinds[rep.pool, k]
        held = groups.held[row, k]
        n_found = min(n_hits // kind.hashes, groups.lengths[k])
        first = groups.found[k] if n_found > 0 else 0
        held.begin = max(skipped_blocks(kind, computed), first) if computed > 0 else 0
        held.end = max(n_found, held.begin)
        n_registered = min(n_registered, held.end * kind.hashes)
    for g in range(head.n_groups):
        k = groups.kind_of[rep.pool, g]
        n_found = min(n_hits // groups.kinds[rep.pool, k].hashes, groups.lengths[k])
        for place in range(groups.held[row, k].begin, n_found):
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
    note.n_chained = n_registered
    note.began = 0
    note.saved_tokens = 0
    slot.chain = groups.chains[n_registered - 1] if n_registered > 0 else ROOT
    for k in range(head.n_kinds):
        groups.held[row, k].registered = n_registered
        groups.held[row, k].chain = slot.chain
    slot.n_registered = n_registered
