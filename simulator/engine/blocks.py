"""The KV block pool in compiled code: allocation, prefix cache and eviction (vLLM 0.32 `block_pool.py`).

Without prefix caching block identity doesn't matter and only `free_blocks` is kept. The specification is
`simulator.engine.reference.blocks`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.content import NO_HASH, PRIVATE, ROOT, continues, extend_chain
from simulator.engine.doors import door, offload_door
from simulator.engine.state import NONE, Engines
from simulator.jit import inline_kernel, kernel


@kernel
def find_entry(engines: Engines, rep: Any, key: int) -> int:
    """Position of `key` in the replica's hash table, or of the empty entry where it belongs."""
    mask = rep.hash_mask
    position = (key ^ (key >> np.int64(32))) & mask
    while True:
        entry = engines.hashes[rep.hash_base + position]
        if entry.first == NONE or entry.hash == key:
            return rep.hash_base + position
        position = (position + 1) & mask


@kernel
def _erase(engines: Engines, rep: Any, hole: int) -> None:
    """Empty an entry and close the gap (linear probing with backward shift)."""
    mask = rep.hash_mask
    base = rep.hash_base
    hole -= base
    position = hole
    while True:
        position = (position + 1) & mask
        entry = engines.hashes[base + position]
        if entry.first == NONE:
            break
        home = (entry.hash ^ (entry.hash >> np.int64(32))) & mask
        if ((position - home) & mask) >= ((position - hole) & mask):
            gap = engines.hashes[base + hole]
            gap.hash = entry.hash
            gap.first = entry.first
            gap.last = entry.last
            hole = position
    engines.hashes[base + hole].first = NONE


@kernel
def register_block(engines: Engines, rep: Any, index: int, key: int) -> None:
    """Make the full block `index` findable; of equal blocks the oldest is found."""
    block = engines.blocks[rep.block_base + index]
    entry = engines.hashes[find_entry(engines, rep, key)]
    block.hash = key
    block.same_next = NONE
    if entry.first == NONE:
        entry.hash = key
        entry.first = index
        block.same_prev = NONE
    else:
        block.same_prev = entry.last
        engines.blocks[rep.block_base + entry.last].same_next = index
    entry.last = index


@kernel
def forget_content(engines: Engines, rep: Any, index: int) -> None:
    """What the block holds is no longer found."""
    block = engines.blocks[rep.block_base + index]
    if block.hash == PRIVATE:
        block.hash = NO_HASH
        return
    position = find_entry(engines, rep, block.hash)
    entry = engines.hashes[position]
    if block.same_prev != NONE:
        engines.blocks[rep.block_base + block.same_prev].same_next = block.same_next
    else:
        entry.first = block.same_next
    if block.same_next != NONE:
        engines.blocks[rep.block_base + block.same_next].same_prev = block.same_prev
    else:
        entry.last = block.same_prev
    if entry.first == NONE:
        _erase(engines, rep, position)
    block.hash = NO_HASH


@kernel
def unlink_free(engines: Engines, rep: Any, index: int) -> None:
    block = engines.blocks[rep.block_base + index]
    if block.free_prev != NONE:
        engines.blocks[rep.block_base + block.free_prev].free_next = block.free_next
    else:
        rep.free_head = block.free_next
    if block.free_next != NONE:
        engines.blocks[rep.block_base + block.free_next].free_prev = block.free_prev
    else:
        rep.free_tail = block.free_prev


@inline_kernel
def take_block(engines: Engines, rep: Any) -> int:
    """Take the block at the head of the free queue, forgetting what it held. The caller counts free blocks."""
    index = rep.free_head
    block = engines.blocks[rep.block_base + index]
    rep.free_head = block.free_next
    if block.free_next != NONE:
        engines.blocks[rep.block_base + block.free_next].free_prev = NONE
    else:
        rep.free_tail = NONE
    if block.hash != NO_HASH:
        forget_content(engines, rep, index)
    block.ref = 1
    return index


@kernel
def append_block(engines: Engines, rep: Any, slot: Any) -> None:
    """Give `slot` the next free block. The caller counts free blocks."""
    engines.tables[slot.row, slot.n_blocks] = take_block(engines, rep)
    slot.n_blocks += 1


@inline_kernel
def release_block(engines: Engines, rep: Any, index: int) -> None:
    """One request fewer holds a block; a free one with content goes to the tail of the free queue, else to its head."""
    block = engines.blocks[rep.block_base + index]
    block.ref -= 1
    if block.ref > 0:
        return
    rep.free_blocks += 1
    if block.hash != NO_HASH or rep.free_head == NONE:
        block.free_next = NONE
        block.free_prev = rep.free_tail
        if rep.free_tail != NONE:
            engines.blocks[rep.block_base + rep.free_tail].free_next = index
        else:
            rep.free_head = index
        rep.free_tail = index
    else:
        block.free_prev = NONE
        block.free_next = rep.free_head
        engines.blocks[rep.block_base + rep.free_head].free_prev = index
        rep.free_head = index


@kernel
def _release_table(engines: Engines, rep: Any, slot: Any) -> None:
    for k in range(slot.n_blocks - 1, -1, -1):
        release_block(engines, rep, engines.tables[slot.row, k])


@kernel
def _release_table_in_order(engines: Engines, rep: Any, slot: Any) -> None:
    for k in range(slot.n_blocks - 1, -1, -1):
        if engines.blocks[rep.block_base + engines.tables[slot.row, k]].hash != NO_HASH:
            release_block(engines, rep, engines.tables[slot.row, k])
    for k in range(slot.n_blocks):
        if engines.blocks[rep.block_base + engines.tables[slot.row, k]].hash == NO_HASH:
            release_block(engines, rep, engines.tables[slot.row, k])


release_table = offload_door(_release_table, _release_table_in_order)
"""Give back the blocks of a request, the last first. Which of those without content is taken next matters only where a
copy may still read it: the last one."""


@kernel
def free_table(engines: Engines, rep: Any, pool: Any, slot: Any) -> None:
    """Give back all of `slot`'s blocks, the last first."""
    if pool.prefix_caching == 0:
        rep.free_blocks += slot.n_blocks
        slot.n_blocks = 0
        return
    release_table(engines, rep, slot)
    slot.n_blocks = 0
    slot.n_registered = 0
    rep.n_free_rows += 1
    engines.free_rows[rep.row_base + rep.n_free_rows - 1] = slot.row


@kernel
def take_row(engines: Engines, rep: Any, slot: Any) -> None:
    """Row of the block table for a request that is admitted."""
    rep.n_free_rows -= 1
    slot.row = engines.free_rows[rep.row_base + rep.n_free_rows]


@kernel
def shareable_blocks(pool: Any, slot: Any, blocks: int) -> int:
    """How many of the first `blocks` blocks hold only content that other requests may have."""
    return blocks if continues(slot) else min(blocks, hashed_blocks(pool, slot.listed_tokens))


@kernel
def content_tokens(slot: Any) -> int:
    """Tokens whose content is known: a request's own, and those behind its prompt that another engine computes."""
    return max(slot.isl + slot.generated, slot.listed_tokens)


@kernel
def hashed_blocks(pool: Any, known: int) -> int:
    """How many blocks have a hash when `known` tokens are known: a hash may cover tokens beyond its block."""
    return max(known - pool.hash_lookahead, 0) // pool.block_size


@kernel
def register_full_blocks(engines: Engines, rep: Any, pool: Any, slot: Any, tokens: int) -> None:
    """Register every block that `tokens` computed tokens fill for good and that is not registered yet.

    Private blocks are only marked: nobody else can look for them. Their owner can, but only after a preemption, and
    `list_private_blocks` registers them then.
    """
    full = (tokens - pool.reads_ahead) // pool.block_size
    _register_range(engines, rep, pool, slot, shareable_blocks(pool, slot, full))
    while slot.n_registered < full:
        engines.blocks[rep.block_base + engines.tables[slot.row, slot.n_registered]].hash = PRIVATE
        slot.n_registered += 1


@kernel
def _register_range(engines: Engines, rep: Any, pool: Any, slot: Any, end: int) -> None:
    chains = engines.chains
    while slot.n_registered < end:
        first = slot.n_registered
        count = min(end - first, len(chains))
        slot.chain = extend_chain(engines, pool, slot, first, count, chains)
        for k in range(count):
            register_block(engines, rep, engines.tables[slot.row, first + k], chains[k])
        slot.n_registered = first + count


@kernel
def list_private_blocks(engines: Engines, rep: Any, pool: Any, slot: Any) -> None:
    """Make the private blocks of a request that is about to be preempted findable, for its own return."""
    end = slot.n_registered
    first = end
    while first > 0 and engines.blocks[rep.block_base + engines.tables[slot.row, first - 1]].hash == PRIVATE:
        first -= 1
    slot.chain = ROOT if first == 0 else engines.blocks[rep.block_base + engines.tables[slot.row, first - 1]].hash
    slot.n_registered = first
    _register_range(engines, rep, pool, slot, end)


@kernel
def _take_decode_blocks(engines: Engines, r: int, rep: Any, pool: Any, step: int) -> None:
    index = engines.phase_head[r, (-step) % pool.block_size]
    while index != NONE:
        append_block(engines, rep, engines.slots[index])
        index = engines.slots[index].lane_next
    index = engines.phase_head[r, (-step - 1) % pool.block_size]
    while index != NONE:
        slot = engines.slots[index]
        register_full_blocks(engines, rep, pool, slot, slot.computed + step - slot.join_step + 1)
        index = slot.lane_next


@kernel
def _take_decode_blocks_in_flight(engines: Engines, r: int, rep: Any, pool: Any, step: int) -> None:
    if engines.flight.replicas[r].depth == 1:
        _take_decode_blocks(engines, r, rep, pool, step)
        return
    index = engines.phase_head[r, (-step) % pool.block_size]
    while index != NONE:
        slot = engines.slots[index]
        append_block(engines, rep, slot)
        register_full_blocks(engines, rep, pool, slot, slot.computed + step - slot.join_step)
        index = slot.lane_next


take_decode_blocks = door(_take_decode_blocks, _take_decode_blocks_in_flight)
"""Blocks of the decode lane in decode step `step`: a new one where the last is full, a hash where it fills up, or with
plans in flight, where the token that fills it is not known yet, in the plan after. The caller counts free blocks."""


@kernel
def cached_prefix(engines: Engines, rep: Any, pool: Any, slot: Any) -> int:
    """Number of leading blocks of `slot` found in the prefix cache, their indices in `engines.hits`.

    At most tokens - 1 tokens hit, since the last token is always recomputed; EAGLE gives up one block more (0.32), or
    its hashes cover the token after a block (0.33). Private blocks can only be there if the request was preempted.
    """
    hits = engines.hits
    tokens = slot.isl + slot.generated
    limit = min((tokens - 1) // pool.block_size, hashed_blocks(pool, tokens))
    if slot.preemptions == 0:
        limit = shareable_blocks(pool, slot, limit)
    chains = engines.chains
    found = 0
    before = slot.chain
    while found < limit:
        count = min(limit - found, len(chains))
        slot.chain = extend_chain(engines, pool, slot, found, count, chains)
        miss = False
        for k in range(count):
            entry = engines.hashes[find_entry(engines, rep, chains[k])]
            if entry.first == NONE:
                miss = True
                break
            hits[found] = entry.first
            found += 1
        if miss:
            break
    slot.chain = before
    if pool.drop_last_hit_block != 0 and found > 0:
        found -= 1
    return found


@kernel
def in_free_list(engines: Engines, rep: Any, n_hits: int) -> int:
    """How many of the hit blocks nobody holds: taking them uses up free blocks."""
    count = 0
    for k in range(n_hits):
        if engines.blocks[rep.block_base + engines.hits[k]].ref == 0:
            count += 1
    return count


@kernel
def touch(engines: Engines, rep: Any, slot: Any, n_hits: int) -> None:
    """Let `slot` hold the hit blocks; those that nobody held leave the free queue."""
    for k in range(n_hits):
        index = engines.hits[k]
        block = engines.blocks[rep.block_base + index]
        if block.ref == 0:
            unlink_free(engines, rep, index)
            rep.free_blocks -= 1
        block.ref += 1
        engines.tables[slot.row, k] = index
        slot.chain = block.hash
    slot.n_blocks = n_hits
    slot.n_registered = n_hits
