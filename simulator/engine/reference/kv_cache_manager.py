"""Which request holds which KV blocks (vLLM 0.32.0 `kv_cache_manager.py`, full attention)."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.config import EngineConfig
from simulator.engine.reference.blocks import BlockPool, KVCacheBlock
from simulator.engine.reference.request import ContentHasher, Request, RequestStatus


def lookahead_tokens(config: EngineConfig) -> int:
    """KV slots reserved beyond the scheduled tokens; none without speculative decoding."""
    return config.num_lookahead_tokens if config.num_speculative_tokens > 0 else 0


class KVCacheManager:
    """Gives blocks to requests and finds cached prefixes (vLLM 0.32.0 `KVCacheManager`)."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.block_pool = BlockPool(config.num_blocks)
        self.watermark_blocks = int(config.watermark * config.num_blocks)
        self.req_to_blocks: dict[int, list[KVCacheBlock]] = {}
        self._num_cached_blocks: dict[int, int] = {}
        self._hasher = ContentHasher(config.block_size)

    def get_computed_blocks(self, request: Request) -> list[KVCacheBlock]:
        """Longest cached prefix of `request`, in full blocks (vLLM 0.32.0 `get_computed_blocks`).

        The last token is always recomputed, for its logits, so at most tokens - 1 can hit. The look-up stops at the
        first miss. EAGLE needs the hidden states before the first new token and gives up the last block of the hit.
        """
        if not self.config.enable_prefix_caching:
            return []
        most = (request.num_tokens - 1) // self.config.block_size
        self._hasher.extend(request, most)
        hit: list[KVCacheBlock] = []
        for block_hash in request.block_hashes[:most]:
            block = self.block_pool.get_cached_block(block_hash)
            if block is None:
                break
            hit.append(block)
        return hit[:-1] if self.config.drop_last_hit_block else hit

    def num_blocks_to_allocate(self, request: Request, num_tokens: int, hit: Sequence[KVCacheBlock] = ()) -> int:
        """Free blocks used up when `request` comes to hold `num_tokens`: new ones, and hit ones that nobody holds."""
        needed = -(-num_tokens // self.config.block_size)
        owned = len(self.req_to_blocks.get(request.number, ()))
        return max(needed - owned - len(hit), 0) + sum(block.ref_cnt == 0 for block in hit)

    def allocate_slots(
        self,
        request: Request,
        num_new_tokens: int,
        hit: Sequence[KVCacheBlock] = (),
        *,
        num_external_tokens: int = 0,
        full_sequence_must_fit: bool = False,
        reserved_blocks: int = 0,
        has_scheduled_reqs: bool = True,
    ) -> bool:
        """Blocks for `num_new_tokens` more tokens; False is the normal answer "no room" (vLLM 0.32.0 `allocate_slots`).

        Parameters
        ----------
        num_new_tokens : tokens to compute in this step, drafts included
        hit : cached prefix that a request takes over at its admission
        num_external_tokens : tokens whose KV is fetched from elsewhere; their blocks become findable by `cache_blocks`
            once it is there, and lookahead slots are left for later
        full_sequence_must_fit : refuse unless all of prompt and generated tokens fit (not those still to generate)
        reserved_blocks : free blocks that must be left for others
        has_scheduled_reqs : something is running, so an admission has to leave the watermark free
        """
        config, pool = self.config, self.block_pool
        admitted = request.status in (RequestStatus.WAITING, RequestStatus.PREEMPTED)
        watermark = self.watermark_blocks if admitted and has_scheduled_reqs else 0
        if full_sequence_must_fit:
            whole = min(request.num_tokens, config.max_model_len)
            if self.num_blocks_to_allocate(request, whole, hit) + watermark > pool.get_num_free_blocks():
                return False
        computed = request.num_computed_tokens + len(hit) * config.block_size + num_external_tokens
        lookahead = 0 if num_external_tokens else lookahead_tokens(config)
        reach = min(computed + num_new_tokens + lookahead, config.max_model_len)
        available = pool.get_num_free_blocks() - reserved_blocks
        if self.num_blocks_to_allocate(request, reach, hit) + watermark > available:
            return False
        blocks = self.req_to_blocks.setdefault(request.number, [])
        pool.touch(hit)
        blocks.extend(hit)
        blocks.extend(pool.get_new_blocks(max(-(-reach // config.block_size) - len(blocks), 0)))
        self._num_cached_blocks.setdefault(request.number, len(hit))
        if num_external_tokens == 0:
            self.cache_blocks(request, min(computed + num_new_tokens, request.num_tokens))
        return True

    def cache_blocks(self, request: Request, num_tokens: int) -> None:
        """Make the blocks that `num_tokens` tokens fill findable; unverified drafts don't count (vLLM 0.32.0)."""
        if not self.config.enable_prefix_caching:
            return
        full = num_tokens // self.config.block_size
        self._hasher.extend(request, full)
        for index in range(self._num_cached_blocks[request.number], full):
            self.block_pool.cache_full_block(self.req_to_blocks[request.number][index], request.block_hashes[index])
        self._num_cached_blocks[request.number] = max(full, self._num_cached_blocks[request.number])

    def free(self, request: Request) -> None:
        """Give back all blocks of `request`, the last block first, so that it is evicted first (vLLM 0.32.0)."""
        self.block_pool.free_blocks(self.req_to_blocks.pop(request.number, [])[::-1])
        self._num_cached_blocks.pop(request.number, None)
