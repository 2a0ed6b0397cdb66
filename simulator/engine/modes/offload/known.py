"""What is known of a request while its blocks are copied, and what of it is found in the memory of the CPU.

Compiled; the specification is `reference.OffloadRoom` and `chunks`.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.content import extend_chain
from simulator.engine.modes.offload.arrays import MOST_LOADED, MOST_STORED, NONE, PENDING
from simulator.engine.modes.offload.keys import chunk_key
from simulator.engine.modes.offload.memory import empty_memory, find_chunk, is_there
from simulator.engine.state import Engines
from simulator.jit import kernel

_UNKNOWN = -1
_ALL = 1 << 60


@kernel
def known_row(engines: Engines, r: int, index: int) -> int:
    """Row of a request, a new one if it has none."""
    offload = engines.offload
    if offload.row_of[index] != NONE:
        return int(offload.row_of[index])
    head = offload.replicas[r]
    offload.scalars[0] -= 1
    row = offload.free_rows[offload.scalars[0]]
    known = offload.rows[row]
    slot = engines.slots[index]
    known.request = slot.request
    known.most_loaded = _limit(engines, r, slot, MOST_LOADED)
    known.most_stored = _limit(engines, r, slot, MOST_STORED)
    known.generation = 0
    known.slot = index
    known.kept = NONE
    known.n_chained = 0
    known.n_jobs = 0
    known.load = 0
    known.void = 0
    known.left = 0
    known.ended = 0
    known.before = NONE
    known.after = head.known_head
    if head.known_head != NONE:
        offload.rows[head.known_head].before = row
    head.known_head = row
    for g in range(offload.tables.shape[1]):
        offload.tables[row, g].n_blocks = 0
        offload.tables[row, g].n_stored = 0
    offload.row_of[index] = row
    return int(row)


@kernel
def forget_row(engines: Engines, r: int, row: int) -> None:
    offload = engines.offload
    known = offload.rows[row]
    if known.before != NONE:
        offload.rows[known.before].after = known.after
    else:
        offload.replicas[r].known_head = known.after
    if known.after != NONE:
        offload.rows[known.after].before = known.before
    if known.slot != NONE:
        offload.row_of[known.slot] = NONE
    offload.free_rows[offload.scalars[0]] = row
    offload.scalars[0] += 1


@kernel
def asked_of(engines: Engines, request: int, what: int) -> int:
    """What a replay has of a request, -1 without."""
    asked = engines.offload.asked
    return int(asked[request, what]) if request < len(asked) else NONE


@kernel
def _limit(engines: Engines, r: int, slot: Any, what: int) -> int:
    """Most tokens of a request that may be copied, as a replay or its class has it, NONE without."""
    most, pool = engines.offload.most, engines.replicas[r].pool
    if slot.class_id < most.shape[1]:
        return int(most[pool, slot.class_id, what - MOST_LOADED])
    return asked_of(engines, slot.request, what)


@kernel
def known_tokens_of(engines: Engines, index: int) -> int:
    """Tokens of a request whose values are known."""
    slot = engines.slots[index]
    return int(slot.isl + slot.generated - engines.flight.aloft[index].placeholders)


@kernel
def storable_tokens(engines: Engines, rep: Any, row: int, computed: int) -> int:
    """Tokens that may be stored: those generated last have no KV, those beyond what is known may be wrong."""
    known = engines.offload.rows[row]
    tokens = min(computed, known.known)
    limit = known.most_stored
    if limit >= 0:
        tokens = min(tokens, limit)
    if engines.offload.pools[rep.pool].prompt_only != 0:
        tokens = min(tokens, known.isl)
    return int(tokens)


@kernel
def chain_contents(engines: Engines, pool: Any, index: int, row: int, tokens: int) -> int:
    """Hashes of all contents that so many tokens fill; how many these are."""
    offload, slot = engines.offload, engines.slots[index]
    known = offload.rows[row]
    wanted = tokens // pool.block_size
    before = slot.chain
    while known.n_chained < wanted:
        first = known.n_chained
        count = min(wanted - first, len(engines.chains))
        if first > 0:
            slot.chain = offload.contents[row, first - 1]
        extend_chain(engines, pool, slot, first, count, engines.chains)
        for n in range(count):
            offload.contents[row, first + n] = engines.chains[n]
        known.n_chained = first + count
    slot.chain = before
    return int(wanted)


@kernel
def window_before(of_group: Any, tokens: int) -> int:
    """Last chunks that are needed to go on after so many tokens; a window may begin one chunk further left."""
    if of_group.is_window == 0:
        return int(of_group.window)
    behind = (of_group.tokens - tokens % of_group.tokens) % of_group.tokens
    return int(max(of_group.window, (of_group.reads + behind + of_group.tokens - 1) // of_group.tokens))


@kernel
def _users(engines: Engines, r: int, rep: Any, row: int, g: int, index: int) -> int:
    """Loads that read a chunk, `PENDING` while it is stored, below that where it is not there."""
    c = find_chunk(engines, r, chunk_key(engines, rep, row, g, index))
    return int(engines.offload.chunks[r, c].users) if is_there(engines, r, c) else PENDING - 1


@kernel
def _find(engines: Engines, r: int, rep: Any, row: int, g: int, first: int, end: int, most: int, gives_up: int) -> int:
    """Leading chunks from `first` to `end` up to which a request could go on; unknown while one is on its way."""
    of_group = engines.offload.groups[rep.pool, g]
    pending = False
    run = 0
    if of_group.limited == 0:
        for index in range(first, end):
            users = _users(engines, r, rep, row, g, index)
            if users < PENDING:
                break
            pending = pending or users == PENDING
            run += 1
        return _UNKNOWN if pending else run
    needed = of_group.window + gives_up
    wanted = window_before(of_group, min(most, (end - gives_up) * of_group.tokens)) + gives_up
    for index in range(end - 1, first - 1, -1):
        users = _users(engines, r, rep, row, g, index)
        if users < PENDING:
            run = 0
            pending = False
            wanted = needed
        else:
            pending = pending or users == PENDING
            run += 1
        if run == wanted:
            return _UNKNOWN if pending else index - first + wanted
    return _UNKNOWN if pending else run


@kernel
def _agree(engines: Engines, r: int, rep: Any, row: int, tokens: int, local: int, n_contents: int, limit: int) -> int:
    """Tokens that all groups have beyond the local hit, -1 while any is on its way.

    Full attention first, then the widest windows; a shorter length starts over. A drafter's group looks one chunk
    further and gives it up.

    Parameters
    ----------
    limit : most tokens that may come from the memory
    """
    offload = engines.offload
    rules = offload.pools[rep.pool]
    most = tokens
    if limit < _ALL:
        most = min(most, local + limit)
    if rules.some_limited != 0:
        most -= 1
    for g in range(rules.n_groups):
        if offload.groups[rep.pool, g].aligned != 0:
            most = most // offload.groups[rep.pool, g].tokens * offload.groups[rep.pool, g].tokens
    hit = 0
    pending = False
    gave_up = 0
    todo, limited_only = True, False
    while todo:
        only, saw_limited = limited_only, False
        todo = limited_only = False
        for place in range(rules.n_groups):
            g = offload.groups[rep.pool, place].order
            of_group = offload.groups[rep.pool, g]
            if only and of_group.limited == 0:
                continue
            size, n_keys = of_group.tokens, n_contents // of_group.hashes
            gives_up = 1 if of_group.drafts != 0 and gave_up & (1 << g) == 0 else 0
            most = min(most, n_keys * size)
            if limit < _ALL:
                most = most // size * size
            if most - local < size:
                return 0
            reach = min(most + size * gives_up, n_keys * size)
            first, end = local // size, min((reach + size - 1) // size, n_keys)
            found = _find(engines, r, rep, row, g, first, end, most, gives_up)
            if found == 0:
                return 0
            if found == _UNKNOWN:
                pending = True
            else:
                if gives_up != 0:
                    found -= 1
                    gave_up |= 1 << g
                most = min(most, (first + found) * size)
            if most - local < size:
                return 0
            if most - local < hit:
                if of_group.drafts == 0:
                    gave_up = 0
                if pending:
                    pending = False
                    todo, limited_only = True, False
                elif saw_limited and not todo:
                    todo = limited_only = True
            saw_limited = saw_limited or of_group.limited != 0
            hit = most - local
    return _UNKNOWN if pending else hit


@kernel
def _is_loading(engines: Engines, r: int, rep: Any, row: int, local: int, total: int, n_contents: int) -> bool:
    """Whether a chunk that would be loaded already is, for another request."""
    offload = engines.offload
    if offload.pools[rep.pool].caches == 0:
        return False
    for g in range(offload.pools[rep.pool].n_groups):
        of_group = offload.groups[rep.pool, g]
        end = min((total + of_group.tokens - 1) // of_group.tokens, n_contents // of_group.hashes)
        first = local // of_group.tokens
        if of_group.limited != 0:
            first = max(first, end - window_before(of_group, total))
        for index in range(first, end):
            c = find_chunk(engines, r, chunk_key(engines, rep, row, g, index))
            if is_there(engines, r, c) and offload.chunks[r, c].loading != 0:
                return True
    return False


@kernel
def found_elsewhere(engines: Engines, r: int, rep: Any, pool: Any, index: int, local: int) -> int:
    """Tokens that are there beyond the hit on the GPU; -1 while any of them, or a copy of its own, is on its way."""
    offload = engines.offload
    rules = offload.pools[rep.pool]
    if offload.replicas[r].is_ready == 0:
        empty_memory(engines, r)
    row = known_row(engines, r, index)
    known = offload.rows[row]
    for g in range(rules.n_groups):
        offload.tables[row, g].n_blocks = 0
        if rules.offers_again != 0:
            offload.tables[row, g].n_stored = 0
    if known.n_jobs > 0:
        return _UNKNOWN
    known.local = local
    known.isl = engines.slots[index].isl
    tokens = known_tokens_of(engines, index)
    n_contents = chain_contents(engines, pool, index, row, tokens)
    limit = known.most_loaded
    found = _agree(engines, r, rep, row, tokens, local, n_contents, limit if limit >= 0 else _ALL)
    if found > 0 and _is_loading(engines, r, rep, row, local, local + found, n_contents):
        return _UNKNOWN
    return found
