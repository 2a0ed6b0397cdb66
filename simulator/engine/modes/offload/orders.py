"""What a plan asks of the memory of the CPU: loads, stores, and which copies its call has to wait for.

Compiled; the specification is `reference.OffloadRoom` and `copies.CopyWorker`.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.content import NO_HASH
from simulator.engine.modes.offload.arrays import NONE, ORDERED
from simulator.engine.modes.offload.keys import chunk_key
from simulator.engine.modes.offload.known import chain_contents, known_tokens_of, storable_tokens
from simulator.engine.modes.offload.memory import begin_access, empty_memory, end_use, find_chunk, meet, store_offered
from simulator.engine.modes.offload.under_way import call_model, forget_if_done
from simulator.engine.state import LOG_COPY, LOG_LOAD, Engines
from simulator.engine.timing import write_log
from simulator.jit import kernel

_NULL = 0


@kernel
def _held(engines: Engines, rep: Any, slot: Any, g: int) -> tuple[int, int]:
    """Places of a request's table that are no null blocks behind what is no longer read."""
    groups = engines.groups
    if groups.pools[rep.pool].n_groups == 0:
        return 0, slot.n_blocks
    held = groups.held[slot.row, groups.kind_of[rep.pool, g]]
    return held.begin, held.end


@kernel
def _block_at(engines: Engines, rep: Any, slot: Any, g: int, place: int) -> int:
    groups = engines.groups
    if groups.pools[rep.pool].n_groups == 0:
        return int(engines.tables[slot.row, place])
    return int(groups.tables[slot.row, g, place])


@kernel
def _take(engines: Engines, r: int, rep: Any, block: int) -> None:
    engines.offload.taken[rep.block_base + block] = engines.offload.replicas[r].plan


@kernel
def _is_taken(engines: Engines, r: int, rep: Any, block: int) -> bool:
    taken = engines.offload.taken[rep.block_base + block] == engines.offload.replicas[r].plan
    return block != _NULL and bool(taken)


@kernel
def begin_load(engines: Engines, r: int, rep: Any, index: int, external: int) -> None:
    """Blocks were given to a request whose chunks are loaded: those without content are filled."""
    offload, slot = engines.offload, engines.slots[index]
    row = offload.row_of[index]
    known = offload.rows[row]
    begin_access(engines, r, row)
    total = known.local + external
    many = 0
    for g in range(offload.pools[rep.pool].n_groups):
        of_group, table = offload.groups[rep.pool, g], offload.tables[row, g]
        begin, held_end = _held(engines, rep, slot, g)
        for place in range(begin, held_end):
            _take(engines, r, rep, _block_at(engines, rep, slot, g, place))
        end = (total + of_group.block_size - 1) // of_group.block_size
        first = max((known.local + of_group.block_size - 1) // of_group.block_size, begin)
        while first < end:
            block = _block_at(engines, rep, slot, g, first)
            if block != _NULL and engines.blocks[rep.block_base + block].hash == NO_HASH:
                break
            first += 1
        first = min(first, end)
        many += end - first
        table.n_stored = (total + of_group.tokens - 1) // of_group.tokens
        table.end_loaded = min(table.n_stored, known.n_chained // of_group.hashes)
        table.first_loaded = first // of_group.blocks if first < end else table.end_loaded
        for n in range(table.first_loaded, table.end_loaded):
            c = find_chunk(engines, r, chunk_key(engines, rep, row, g, n))
            offload.chunks[r, c].users += 1
            if offload.pools[rep.pool].caches != 0:
                offload.chunks[r, c].loading = 1
            meet(engines, r, rep, row, g, n, c, True)
    known.load = ORDERED
    known.load_blocks = many
    known.void = 0
    head = offload.replicas[r]
    head.loaded_tokens += external
    known.next_load = NONE
    if head.load_head == NONE:
        head.load_head = row
    else:
        offload.rows[head.load_tail].next_load = row
    head.load_tail = row
    known.n_jobs += 1
    head.n_jobs += 1
    if len(engines.log) > 0:
        write_log(engines, LOG_LOAD, known.request, many, 0)


@kernel
def flush_copies(engines: Engines, r: int, index: int) -> None:
    """A request is preempted: the next call waits until its blocks are copied."""
    offload = engines.offload
    row = offload.row_of[index]
    if row == NONE:
        return
    job = offload.replicas[r].job_head
    while job != NONE:
        if offload.jobs[r, job].row == row:
            offload.jobs[r, job].flushed = 1
        job = offload.jobs[r, job].after


@kernel
def note_left(engines: Engines, r: int, pool: Any, index: int, finished: bool) -> int:
    """A request leaves: with the next plan it offers what it has not offered yet; the row of what is known of it."""
    offload, slot = engines.offload, engines.slots[index]
    row = offload.row_of[index]
    if row == NONE:
        return NONE
    known = offload.rows[row]
    known.known = slot.isl + slot.generated if finished else known_tokens_of(engines, index)
    known.finished = 1 if finished else 0
    known.computed = max(slot.isl, known.known - 1) if finished else slot.computed
    chain_contents(engines, pool, index, row, known.known)
    known.left = 1
    known.slot = NONE
    offload.row_of[index] = NONE
    before = NONE
    other = offload.replicas[r].left_head
    while other != NONE and offload.rows[other].request < known.request:
        before = other
        other = offload.rows[other].next_left
    known.next_left = other
    if before == NONE:
        offload.replicas[r].left_head = row
    else:
        offload.rows[before].next_left = row
    return int(row)


@kernel
def close_orders(engines: Engines, r: int, rep: Any, pool: Any, place: int, now: float) -> None:
    """Everything is given: blocks that are full are offered, and the worker is told.

    Parameters
    ----------
    place : of the plan in the ring
    """
    offload = engines.offload
    head = offload.replicas[r]
    if offload.pools[rep.pool].capacity < 0:
        return
    if head.is_ready == 0:
        empty_memory(engines, r)
    _follow_tables(engines, r, rep)
    job = head.job_head
    while job != NONE:
        if offload.jobs[r, job].flushed == 0 and _is_read(engines, r, rep, job, False):
            offload.jobs[r, job].flushed = 1
        job = offload.jobs[r, job].after
    if head.n_kept > 0:
        _store_states(engines, r, rep, pool)
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.scheduled > 0:
            row = offload.row_of[index]
            known = offload.rows[row]
            known.known = known_tokens_of(engines, index)
            known.isl = slot.isl
            chain_contents(engines, pool, index, row, known.known)
            _store(engines, r, rep, row, slot.computed + slot.scheduled)
        index = slot.run_next
    row = head.left_head
    while row != NONE:
        _store(engines, r, rep, row, offload.rows[row].computed)
        row = offload.rows[row].next_left
    row = head.left_head
    head.left_head = NONE
    while row != NONE:
        following = offload.rows[row].next_left
        offload.rows[row].ended = 1
        end_use(engines, r, rep, row)
        forget_if_done(engines, r, row)
        row = following
    call_model(engines, r, pool, place, now)
    head.plan += 1


@kernel
def _follow_tables(engines: Engines, r: int, rep: Any) -> None:
    """Block tables as far as plans told them: what was given out, not what went back while requests run.

    A block of a window that is not offered yet and that somebody took in this step is lost to the memory.
    """
    offload = engines.offload
    head, n_groups = offload.replicas[r], offload.pools[rep.pool].n_groups
    row = head.known_head
    while row != NONE:
        for g in range(n_groups):
            offload.tables[row, g].n_before = offload.tables[row, g].n_blocks
        row = offload.rows[row].after
    index = rep.run_head
    while index != NONE:
        slot = engines.slots[index]
        if slot.scheduled > 0:
            row = offload.row_of[index]
            admitted = slot.run_seq >= engines.rooms.replicas[r].first_admitted
            if admitted and engines.groups.pools[rep.pool].n_groups > 0:
                offload.rows[row].junction = engines.groups.rows[slot.row].junction
            for g in range(n_groups):
                table = offload.tables[row, g]
                begin, end = _held(engines, rep, slot, g)
                if admitted:
                    table.n_before = 0
                    table.n_blocks = 0
                for place in range(table.n_blocks, end):
                    block = _block_at(engines, rep, slot, g, place) if place >= begin else _NULL
                    offload.blocks[row, g, place] = block
                    if block != _NULL:
                        _take(engines, r, rep, block)
                table.n_blocks = max(table.n_blocks, end)
        index = slot.run_next
    if offload.pools[rep.pool].some_limited == 0:
        return
    row = head.known_head
    while row != NONE:
        for g in range(n_groups):
            table, of_group = offload.tables[row, g], offload.groups[rep.pool, g]
            if of_group.limited != 0:
                for place in range(table.n_stored * of_group.blocks, table.n_before):
                    if _is_taken(engines, r, rep, offload.blocks[row, g, place]):
                        offload.blocks[row, g, place] = _NULL
        row = offload.rows[row].after


@kernel
def _is_read(engines: Engines, r: int, rep: Any, job: int, new: bool) -> bool:
    """Whether a store reads a block that may be free and that this plan gave to somebody.

    Blocks of full attention are its request's until that leaves; those of a window go back before.

    Parameters
    ----------
    new : this plan has just asked for it
    """
    offload = engines.offload
    row = offload.jobs[r, job].row
    c = offload.jobs[r, job].chunk
    if offload.jobs[r, job].block != _NULL:
        return not new and _is_taken(engines, r, rep, offload.jobs[r, job].block)
    while c != NONE:
        chunk = offload.chunks[r, c]
        of_group = offload.groups[rep.pool, chunk.group]
        watched = offload.rows[row].left != 0 if of_group.limited == 0 else not new
        first = chunk.index * of_group.blocks
        for place in range(first, first + of_group.blocks if watched else first):
            if _is_taken(engines, r, rep, offload.blocks[row, chunk.group, place]):
                return True
        c = chunk.next_of_job
    return False


@kernel
def _storable(engines: Engines, rep: Any, row: int, g: int, tokens: int) -> int:
    """Leading chunks that may be offered: full, and not the last one that drafts may still change."""
    offload = engines.offload
    of_group, known = offload.groups[rep.pool, g], offload.rows[row]
    many = tokens // of_group.tokens
    if of_group.drafts != 0 and tokens > known.isl and known.left == 0:
        many = max(0, many - 1)
    return int(min(many, offload.tables[row, g].n_blocks // of_group.blocks))


@kernel
def _is_kept(alignment: int, of_group: Any, known: Any, place: int) -> bool:
    """Whether a block is worth storing: of a window those before a place where a request can resume."""
    if of_group.is_window == 0 or alignment == 0 or alignment % of_group.block_size != 0:
        return True
    many = (of_group.reads + of_group.block_size - 1) // of_group.block_size + of_group.drafts
    for k in range(2 if known.junction > 0 else 1):
        resumes = known.junction if k == 1 else known.isl - 1
        end = resumes // alignment * alignment // of_group.block_size + of_group.drafts
        if end - many <= place < end:
            return True
    return False


@kernel
def _is_offered(engines: Engines, rep: Any, row: int, g: int, n: int) -> bool:
    offload = engines.offload
    rules, of_group = offload.pools[rep.pool], offload.groups[rep.pool, g]
    first = n * of_group.blocks
    needed = 0
    for place in range(first, first + of_group.blocks):
        if _is_kept(rules.alignment, of_group, offload.rows[row], place):
            needed += 1
            if rules.stores_whole != 0 and offload.blocks[row, g, place] == _NULL:
                return False
    return needed > 0 and offload.blocks[row, g, first + of_group.blocks - 1] != _NULL


@kernel
def _store_states(engines: Engines, r: int, rep: Any, pool: Any) -> None:
    """Offer the states that became findable, each by itself; those of one request together, group by group."""
    offload = engines.offload
    head = offload.replicas[r]
    for n in range(head.n_kept):
        request = offload.kept[r, n].request
        seen = False
        for before in range(n):
            seen = seen or offload.kept[r, before].request == request
        row = head.known_head
        while row != NONE and (offload.rows[row].request != request or offload.rows[row].slot == NONE):
            row = offload.rows[row].after
        if seen or row == NONE:
            continue
        known = offload.rows[row]
        known.known = known_tokens_of(engines, known.slot)
        known.isl = engines.slots[known.slot].isl
        chain_contents(engines, pool, known.slot, row, known.known)
        tokens = storable_tokens(engines, rep, row, known.known)
        for g in range(offload.pools[rep.pool].n_groups):
            for other in range(n, head.n_kept):
                if offload.kept[r, other].group == g and offload.kept[r, other].request == request:
                    _store_state(engines, r, rep, row, g, offload.kept[r, other], tokens)
    head.n_kept = 0


@kernel
def _store_state(engines: Engines, r: int, rep: Any, row: int, g: int, kept: Any, tokens: int) -> None:
    offload = engines.offload
    of_group, slot = offload.groups[rep.pool, g], engines.slots[offload.rows[row].slot]
    end = (kept.place + 1) * of_group.block_size
    if kept.preemptions != slot.preemptions or end % of_group.tokens != 0 or end > tokens:
        return
    offload.offered[0, 0] = g
    offload.offered[0, 1] = end // of_group.tokens - 1
    first, stored = store_offered(engines, r, rep, row, 1)
    if stored > 0:
        _order_store(engines, r, rep, row, first, stored, kept.block)


@kernel
def _store(engines: Engines, r: int, rep: Any, row: int, computed: int) -> None:
    """Offer the chunks that this plan fills; where the memory has no room they are offered again."""
    offload = engines.offload
    rules = offload.pools[rep.pool]
    tokens = storable_tokens(engines, rep, row, computed)
    n_offered = 0
    for g in range(rules.n_groups):
        offload.ends[g] = _storable(engines, rep, row, g, tokens)
        first = offload.ends[g] if offload.groups[rep.pool, g].aligned != 0 else offload.tables[row, g].n_stored
        for n in range(first, offload.ends[g]):
            if _is_offered(engines, rep, row, g, n):
                offload.offered[n_offered, 0] = g
                offload.offered[n_offered, 1] = n
                n_offered += 1
    stored = 0
    if n_offered > 0:
        first, stored = store_offered(engines, r, rep, row, n_offered)
        if stored > 0:
            _order_store(engines, r, rep, row, first, stored, _NULL)
    for g in range(rules.n_groups if stored >= 0 else 0):
        offload.tables[row, g].n_stored = max(offload.tables[row, g].n_stored, offload.ends[g])


@kernel
def _order_store(engines: Engines, r: int, rep: Any, row: int, first: int, stored: int, block: int) -> None:
    offload = engines.offload
    head = offload.replicas[r]
    n = head.free_job
    job = offload.jobs[r, n]
    head.free_job = job.after
    job.row = row
    job.state = ORDERED
    job.chunk = first
    job.block = block
    job.before = head.job_tail
    job.after = NONE
    if head.job_tail == NONE:
        head.job_head = n
    else:
        offload.jobs[r, head.job_tail].after = n
    head.job_tail = n
    head.n_jobs += 1
    offload.rows[row].n_jobs += 1
    job.flushed = 1 if _is_read(engines, r, rep, n, True) else 0
    if len(engines.log) > 0:
        write_log(engines, LOG_COPY, offload.rows[row].request, stored, 0)
