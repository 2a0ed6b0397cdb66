"""What lies in the memory of the CPU, and what is evicted from it, in compiled code; the specification is `tier`."""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.offload.arrays import (
    AGAIN,
    FREE,
    GONE_AGAIN,
    GONE_ONCE,
    INSERTED,
    MISSED,
    NONE,
    ONCE,
    PENDING,
    REUSED,
    SEEN,
)
from simulator.engine.modes.offload.keys import chunk_key, find_named, give_name, take_name
from simulator.engine.modes.offload.offers import count_offers, is_wanted
from simulator.engine.state import Engines
from simulator.jit import kernel


@kernel
def empty_memory(engines: Engines, r: int) -> None:
    """Forget all chunks."""
    offload = engines.offload
    head = offload.replicas[r]
    n = offload.chunks.shape[1]
    for kind in range(offload.lists.shape[1]):
        offload.lists[r, kind].head = NONE
        offload.lists[r, kind].tail = NONE
        offload.lists[r, kind].n = 0
    for c in range(n):
        chunk = offload.chunks[r, c]
        chunk.list = FREE
        chunk.before = c - 1
        chunk.after = c + 1 if c + 1 < n else NONE
    offload.lists[r, FREE].head = 0
    offload.lists[r, FREE].tail = n - 1
    offload.lists[r, FREE].n = n
    for bucket in range(offload.buckets.shape[1]):
        offload.buckets[r, bucket] = NONE
    head.target = 0.0
    head.generation += 1
    head.is_ready = 1


@kernel
def find_chunk(engines: Engines, r: int, key: Any) -> int:
    """Where a chunk stands that is there or was given up lately, or `NONE`."""
    return find_named(engines.offload.chunks[r], engines.offload.buckets[r], key)


@kernel
def is_there(engines: Engines, r: int, c: int) -> bool:
    return c != NONE and engines.offload.chunks[r, c].list <= AGAIN


@kernel
def _unlink(engines: Engines, r: int, c: int) -> None:
    chunks = engines.offload.chunks
    chunk = chunks[r, c]
    ends = engines.offload.lists[r, chunk.list]
    if chunk.before != NONE:
        chunks[r, chunk.before].after = chunk.after
    else:
        ends.head = chunk.after
    if chunk.after != NONE:
        chunks[r, chunk.after].before = chunk.before
    else:
        ends.tail = chunk.before
    ends.n -= 1


@kernel
def _link_after(engines: Engines, r: int, c: int, kind: int, before: int) -> None:
    """Put a chunk into a list, behind another or at its head."""
    chunks = engines.offload.chunks
    ends = engines.offload.lists[r, kind]
    after = ends.head if before == NONE else chunks[r, before].after
    chunks[r, c].list = kind
    chunks[r, c].before = before
    chunks[r, c].after = after
    if before == NONE:
        ends.head = c
    else:
        chunks[r, before].after = c
    if after == NONE:
        ends.tail = c
    else:
        chunks[r, after].before = c
    ends.n += 1


@kernel
def _move(engines: Engines, r: int, c: int, kind: int) -> None:
    """To the end of a list."""
    _unlink(engines, r, c)
    _link_after(engines, r, c, kind, engines.offload.lists[r, kind].tail)


@kernel
def _forget(engines: Engines, r: int, c: int) -> None:
    """A chunk is neither there nor remembered any more."""
    take_name(engines.offload.chunks[r], engines.offload.buckets[r], c)
    _move(engines, r, c, FREE)


@kernel
def _is_used_before(chunk: Any, use: int, end: int, group: int) -> bool:
    if chunk.use != use:
        return bool(chunk.use < use)
    if chunk.end != end:
        return bool(chunk.end > end)
    return bool(chunk.group < group)


@kernel
def _use(engines: Engines, r: int, c: int, use: int, end: int, group: int) -> None:
    """Put a chunk where LRU has it by its last use, which is rarely far from the newest."""
    chunks = engines.offload.chunks
    _unlink(engines, r, c)
    before = engines.offload.lists[r, ONCE].tail
    while before != NONE and not _is_used_before(chunks[r, before], use, end, group):
        before = chunks[r, before].before
    chunks[r, c].use = use
    chunks[r, c].end = end
    chunks[r, c].group = group
    _link_after(engines, r, c, ONCE, before)


@kernel
def _use_of(engines: Engines, r: int, row: int) -> int:
    """Time of all that a request meets, which is that of the first of it."""
    known = engines.offload.rows[row]
    if known.use == 0:
        engines.offload.replicas[r].uses += 1
        known.use = engines.offload.replicas[r].uses
    return known.use


@kernel
def begin_access(engines: Engines, r: int, row: int) -> None:
    """What a request has met before the memory was emptied counts no more."""
    offload = engines.offload
    known = offload.rows[row]
    if known.generation == offload.replicas[r].generation:
        return
    known.generation = offload.replicas[r].generation
    known.use = 0
    for g in range(offload.met.shape[1]):
        for index in range(offload.met.shape[2]):
            offload.met[row, g, index] = 0


@kernel
def meet(engines: Engines, r: int, rep: Any, row: int, g: int, index: int, c: int, reused: bool) -> None:
    """A request meets a chunk, which may not be there."""
    offload = engines.offload
    rules = offload.pools[rep.pool]
    bits = offload.met[row, g, index]
    if bits & SEEN == 0 and rules.at_once != 0 and rules.adaptive == 0:
        use = _use_of(engines, r, row)
        end = (index + 1) * offload.groups[rep.pool, g].tokens
        if is_there(engines, r, c) and _is_used_before(offload.chunks[r, c], use, end, g):
            _use(engines, r, c, use, end, g)
    bits |= SEEN
    if reused and bits & INSERTED == 0:
        bits |= REUSED
    offload.met[row, g, index] = bits


@kernel
def _note_missed(engines: Engines, r: int, rules: Any, c: int) -> None:
    """ARC: the share of chunks used once follows what is missed of those that were given up."""
    if rules.adaptive == 0 or c == NONE:
        return
    offload = engines.offload
    head, kind = offload.replicas[r], offload.chunks[r, c].list
    once, again = offload.lists[r, GONE_ONCE].n, offload.lists[r, GONE_AGAIN].n
    if kind == GONE_ONCE:
        head.target = min(head.target + max(1.0, again / once), float(rules.capacity))
        _move(engines, r, c, GONE_ONCE)
    elif kind == GONE_AGAIN:
        head.target = max(head.target - max(1.0, once / again), 0.0)
        _move(engines, r, c, GONE_AGAIN)


@kernel
def _next_idle(engines: Engines, r: int, c: int, mark: int) -> int:
    """From `c` on, the first chunk that nobody reads or stores and that is not offered."""
    chunks = engines.offload.chunks
    while c != NONE and (chunks[r, c].users != 0 or chunks[r, c].mark == mark):
        c = chunks[r, c].after
    return c


@kernel
def _give_up(engines: Engines, r: int, rules: Any, n: int, mark: int, really: bool) -> bool:
    """Give up `n` chunks, or look whether so many can be."""
    offload = engines.offload
    once = _next_idle(engines, r, offload.lists[r, ONCE].head, mark)
    again = _next_idle(engines, r, offload.lists[r, AGAIN].head, mark)
    left = offload.lists[r, ONCE].n
    for _ in range(n):
        from_once = once != NONE and (left >= int(offload.replicas[r].target) or again == NONE)
        c = once if from_once else again
        if c == NONE:
            return False
        following = _next_idle(engines, r, offload.chunks[r, c].after, mark)
        if really and rules.adaptive == 0:
            _forget(engines, r, c)
        elif really:
            gone = GONE_ONCE if from_once else GONE_AGAIN
            _move(engines, r, c, gone)
            if offload.lists[r, gone].n > rules.capacity:
                _forget(engines, r, offload.lists[r, gone].head)
        if from_once:
            once = following
            left -= 1
        else:
            again = following
    return True


@kernel
def _insert(engines: Engines, r: int, rep: Any, row: int, g: int, index: int, key: Any, c: int) -> int:
    """A chunk is stored: where it stands now."""
    offload = engines.offload
    rules = offload.pools[rep.pool]
    if c == NONE:
        c = offload.lists[r, FREE].head
        give_name(offload.chunks[r], offload.buckets[r], c, key)
    chunk = offload.chunks[r, c]
    chunk.users = PENDING
    chunk.loading = 0
    if rules.adaptive != 0:
        _move(engines, r, c, ONCE)
    elif rules.at_once != 0:
        _use(engines, r, c, _use_of(engines, r, row), (index + 1) * offload.groups[rep.pool, g].tokens, g)
    else:
        offload.replicas[r].uses += 1
        _use(engines, r, c, offload.replicas[r].uses, 0, g)
    chunk.group = g
    chunk.index = index
    offload.met[row, g, index] |= INSERTED
    return c


@kernel
def store_offered(engines: Engines, r: int, rep: Any, row: int, n_offered: int) -> tuple[int, int]:
    """Of the chunks in `offered` those that are stored now, linked from the first: it, and how many.

    How many is -1 where too few others can be given up.
    """
    offload = engines.offload
    rules, head, offered = offload.pools[rep.pool], offload.replicas[r], offload.offered
    begin_access(engines, r, row)
    if rules.threshold > 1:
        count_offers(engines, r, rep, row, n_offered)
    head.mark += 1
    wanted = 0
    for n in range(n_offered - 1, -1, -1):
        g, index = offered[n, 0], offered[n, 1]
        key = chunk_key(engines, rep, row, g, index)
        c = find_chunk(engines, r, key)
        if is_there(engines, r, c):
            offload.chunks[r, c].mark = head.mark
        elif is_wanted(engines, r, rules, key):
            wanted += 1
            if offload.met[row, g, index] & MISSED == 0:
                offload.met[row, g, index] |= MISSED
                _note_missed(engines, r, rules, c)
    for n in range(n_offered):
        g, index = offered[n, 0], offered[n, 1]
        key = chunk_key(engines, rep, row, g, index)
        c = find_chunk(engines, r, key)
        if is_there(engines, r, c):
            if offload.chunks[r, c].users != PENDING:
                meet(engines, r, rep, row, g, index, c, True)
        elif is_wanted(engines, r, rules, key):
            meet(engines, r, rep, row, g, index, c, False)
    too_many = wanted - (rules.capacity - offload.lists[r, ONCE].n - offload.lists[r, AGAIN].n)
    if too_many > 0:
        if not _give_up(engines, r, rules, too_many, head.mark, False):
            return NONE, -1
        _give_up(engines, r, rules, too_many, head.mark, True)
    first = NONE
    backwards = rules.at_once != 0 and rules.adaptive == 0
    for k in range(n_offered if wanted > 0 else 0):
        n = n_offered - 1 - k if backwards else k
        first = _insert_wanted(engines, r, rep, row, offered[n, 0], offered[n, 1], first)
    return first, wanted


@kernel
def _insert_wanted(engines: Engines, r: int, rep: Any, row: int, g: int, index: int, first: int) -> int:
    offload = engines.offload
    key = chunk_key(engines, rep, row, g, index)
    c = find_chunk(engines, r, key)
    if is_there(engines, r, c) or not is_wanted(engines, r, offload.pools[rep.pool], key):
        return first
    c = _insert(engines, r, rep, row, g, index, key, c)
    offload.chunks[r, c].next_of_job = first
    return c


@kernel
def end_use(engines: Engines, r: int, rep: Any, row: int) -> None:
    """A request has ended: its use of chunks counts now, ends of sequences first."""
    offload = engines.offload
    rules, known = offload.pools[rep.pool], offload.rows[row]
    if known.generation != offload.replicas[r].generation:
        return
    n_groups = rules.n_groups
    tokens = 0
    for g in range(n_groups):
        of_group = offload.groups[rep.pool, g]
        tokens = max(tokens, known.n_chained // of_group.hashes * of_group.tokens)
    while tokens > 0:
        following = 0
        for g in range(n_groups - 1, -1, -1):
            of_group = offload.groups[rep.pool, g]
            index = min(tokens, known.n_chained // of_group.hashes * of_group.tokens) // of_group.tokens - 1
            if index < 0:
                continue
            if (index + 1) * of_group.tokens == tokens:
                if offload.met[row, g, index] & SEEN != 0:
                    _end_use_of(engines, r, rep, row, g, index)
                index -= 1
            following = max(following, (index + 1) * of_group.tokens)
        tokens = following


@kernel
def _end_use_of(engines: Engines, r: int, rep: Any, row: int, g: int, index: int) -> None:
    offload = engines.offload
    c = find_chunk(engines, r, chunk_key(engines, rep, row, g, index))
    if not is_there(engines, r, c):
        return
    if offload.pools[rep.pool].adaptive == 0:
        offload.replicas[r].uses += 1
        _use(engines, r, c, offload.replicas[r].uses, 0, g)
        return
    bits = offload.met[row, g, index]
    if bits & REUSED != 0:
        _move(engines, r, c, AGAIN)
    elif bits & INSERTED != 0:
        _move(engines, r, c, offload.chunks[r, c].list)
