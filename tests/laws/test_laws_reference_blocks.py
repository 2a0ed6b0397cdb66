"""Laws of the block pool: nothing is lost, held twice by accident, or found after it was evicted."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simulator.engine.reference.blocks import NULL_BLOCK, BlockPool, KVCacheBlock

NUM_BLOCKS = 9
HASHES = st.integers(0, 4)


class BlockPoolMachine(RuleBasedStateMachine):
    """Random use of a small pool, with few contents, so that equal blocks, hits and evictions are common."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(NUM_BLOCKS)
        self.holders: list[list[KVCacheBlock]] = []
        self.cached: list[tuple[int, int]] = []  # (hash, block id) in order of registration, an independent record

    @rule(n=st.integers(1, 4))
    def take(self, n: int) -> None:
        free = list(self.pool.free_block_queue)
        if n > len(free):
            with pytest.raises(ValueError, match="are free"):
                self.pool.get_new_blocks(n)
            return
        taken = self.pool.get_new_blocks(n)
        assert taken == free[:n]
        assert all(block.ref_cnt == 1 and block.block_hash is None for block in taken)
        ids = {block.block_id for block in taken}
        self.cached = [entry for entry in self.cached if entry[1] not in ids]
        self.holders.append(taken)

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), block_hash=HASHES)
    def fill(self, data: st.DataObject, block_hash: int) -> None:
        block = data.draw(st.sampled_from([block for holder in self.holders for block in holder]))
        if block.block_hash is None:
            self.pool.cache_full_block(block, block_hash)
            self.cached.append((block_hash, block.block_id))

    @rule(block_hash=HASHES)
    def hit(self, block_hash: int) -> None:
        block = self.pool.get_cached_block(block_hash)
        if block is not None:
            self.pool.touch([block])
            self.holders.append([block])
            assert block not in self.pool.free_block_queue

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        holder = self.holders.pop(data.draw(st.integers(0, len(self.holders) - 1)))
        before = list(self.pool.free_block_queue)
        last_first = holder[::-1]
        self.pool.free_blocks(last_first)
        freed = [block for block in last_first if block.ref_cnt == 0]
        unhashed = [block for block in freed if block.block_hash is None]
        hashed = [block for block in freed if block.block_hash is not None]
        assert list(self.pool.free_block_queue) == [*unhashed, *before, *hashed]

    @invariant()
    def every_block_is_free_or_held(self) -> None:
        held = {block.block_id for holder in self.holders for block in holder}
        free = {block.block_id for block in self.pool.free_block_queue}
        assert not held & free
        assert held | free == set(range(NULL_BLOCK + 1, NUM_BLOCKS))
        assert self.pool.get_num_free_blocks() + len(held) == NUM_BLOCKS - 1

    @invariant()
    def references_count_holders(self) -> None:
        for block in self.pool.blocks:
            assert block.ref_cnt == sum(holder.count(block) for holder in self.holders) >= 0

    @invariant()
    def the_first_cached_of_equal_blocks_is_found(self) -> None:
        for block_hash in range(5):
            oldest = next((number for key, number in self.cached if key == block_hash), None)
            found = self.pool.get_cached_block(block_hash)
            assert (found.block_id if found else None) == oldest

    @invariant()
    def blocks_without_content_are_reused_first(self) -> None:
        has_content = [block.block_hash is not None for block in self.pool.free_block_queue]
        assert has_content == sorted(has_content)


TestBlockPool = BlockPoolMachine.TestCase
TestBlockPool.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_pool_needs_its_null_block() -> None:
    with pytest.raises(ValueError, match="null block"):
        BlockPool(0)
    assert BlockPool(1).get_num_free_blocks() == 0
