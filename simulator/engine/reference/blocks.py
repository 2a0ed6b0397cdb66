"""The KV block pool: free queue, reference counts, and what each block holds (vLLM 0.32.0 `block_pool.py`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NULL_BLOCK = 0
"""Block that is never handed out (vLLM's `null_block`)."""


@dataclass(eq=False, slots=True)
class KVCacheBlock:
    """One block: who holds it, and what it holds.

    Attributes
    ----------
    block_id : 0 is the null block
    ref_cnt : requests that hold the block; at 0 it is in the free queue
    block_hash : (KV cache group, chain hash of its content) once it is full, kept after it was freed until it is taken
    """

    block_id: int
    ref_cnt: int = 0
    block_hash: tuple[int, int] | None = None

    @property
    def is_null(self) -> bool:
        return self.block_id == NULL_BLOCK


class FreeKVCacheBlockQueue:
    """Free blocks in order of eviction: taken at the head, or anywhere on a hit (vLLM 0.32.0)."""

    def __init__(self, blocks: Sequence[KVCacheBlock]) -> None:
        self._queue = OrderedDict((block.block_id, block) for block in blocks)

    def __len__(self) -> int:
        return len(self._queue)

    def __contains__(self, block: KVCacheBlock) -> bool:
        return block.block_id in self._queue

    def __iter__(self) -> Iterator[KVCacheBlock]:
        return iter(self._queue.values())

    def popleft(self) -> KVCacheBlock:
        return self._queue.popitem(last=False)[1]

    def remove(self, block: KVCacheBlock) -> None:
        del self._queue[block.block_id]

    def append_n(self, blocks: Sequence[KVCacheBlock]) -> None:
        """Put blocks behind the tail, in the order given."""
        for block in blocks:
            self._queue[block.block_id] = block

    def prepend_n(self, blocks: Sequence[KVCacheBlock]) -> None:
        """Put blocks before the head; the first given becomes the head."""
        for block in reversed(blocks):
            self._queue[block.block_id] = block
            self._queue.move_to_end(block.block_id, last=False)


class BlockPool:
    """All blocks of a replica (vLLM 0.32.0 `BlockPool`).

    Parameters
    ----------
    num_blocks : blocks of the replica, the null block included

    Raises
    ------
    ValueError : fewer than one block
    """

    def __init__(self, num_blocks: int) -> None:
        if num_blocks < 1:
            raise ValueError(f"a pool needs at least the null block, got {num_blocks} blocks")
        self.blocks = [KVCacheBlock(block_id) for block_id in range(num_blocks)]
        self.free_block_queue = FreeKVCacheBlockQueue(self.blocks[NULL_BLOCK + 1 :])
        self._cached: dict[tuple[int, int], dict[int, KVCacheBlock]] = {}

    @property
    def null_block(self) -> KVCacheBlock:
        """Stands where attention no longer reads; nobody holds it."""
        return self.blocks[NULL_BLOCK]

    def get_num_free_blocks(self) -> int:
        return len(self.free_block_queue)

    def get_cached_block(self, block_hash: tuple[int, int]) -> KVCacheBlock | None:
        """Block with this content; of several equal ones the first that was cached (vLLM 0.32.0 `get_one_block`)."""
        same = self._cached.get(block_hash)
        return next(iter(same.values())) if same else None

    def get_new_blocks(self, n: int) -> list[KVCacheBlock]:
        """Take n blocks from the head of the free queue; their cached content is forgotten (vLLM 0.32.0).

        Raises
        ------
        ValueError : fewer than n are free
        """
        if n > self.get_num_free_blocks():
            raise ValueError(f"cannot get {n} blocks, {self.get_num_free_blocks()} are free")
        taken = [self.free_block_queue.popleft() for _ in range(n)]
        for block in taken:
            self.forget_content(block)
            block.ref_cnt = 1
        return taken

    def forget_content(self, block: KVCacheBlock) -> None:
        """What the block holds is no longer found (vLLM 0.32.0 `_maybe_evict_cached_block`)."""
        if block.block_hash is None:
            return
        same = self._cached[block.block_hash]
        del same[block.block_id]
        if not same:
            del self._cached[block.block_hash]
        block.block_hash = None

    def cache_full_block(self, block: KVCacheBlock, block_hash: tuple[int, int]) -> None:
        """Make a full block findable by its content (vLLM 0.32.0 `cache_full_blocks`)."""
        block.block_hash = block_hash
        self._cached.setdefault(block_hash, {})[block.block_id] = block

    def touch(self, blocks: Sequence[KVCacheBlock]) -> None:
        """One more request holds these blocks; a free one leaves the free queue (vLLM 0.32.0)."""
        for block in blocks:
            if block is self.null_block:
                continue
            if block.ref_cnt == 0:
                self.free_block_queue.remove(block)
            block.ref_cnt += 1

    def free_blocks(self, ordered_blocks: Sequence[KVCacheBlock]) -> None:
        """One request fewer holds these blocks, given in order of eviction (vLLM 0.32.0).

        Those that nobody holds any more become free: with content at the tail of the queue (evicted last), without
        content at its head (reused first).
        """
        held = [block for block in ordered_blocks if block is not self.null_block]
        for block in held:
            block.ref_cnt -= 1
        freed = [block for block in held if block.ref_cnt == 0]
        self.free_block_queue.prepend_n([block for block in freed if block.block_hash is None])
        self.free_block_queue.append_n([block for block in freed if block.block_hash is not None])

    def reset(self) -> bool:
        """Forget all content (vLLM `reset_prefix_cache`); refused, and nothing changes, while a block is held."""
        if self.get_num_free_blocks() != len(self.blocks) - 1:
            return False
        for block in self.blocks:
            block.block_hash = None
        self._cached.clear()
        return True
