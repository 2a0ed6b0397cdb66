"""Block tables of one KV cache group: full attention (vLLM `FullAttentionManager`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.engine.modes.spec import GroupKind, KvGroup
from simulator.engine.reference.blocks import BlockPool, KVCacheBlock
from simulator.engine.reference.request import Request
from simulator.engine.rules import RuleSet

LookUp = Callable[[int], KVCacheBlock | None]
"""Index of a block of the request -> cached block with that content."""


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """What all groups of an engine have to know.

    Attributes
    ----------
    alignment : tokens of a scheduler block, the common multiple of all groups' blocks; a prefix can be resumed at its
        multiples alone
    content_tokens : that one content hash covers, the common divisor of all groups' blocks
    in_flight_tokens, longest_tokens : most tokens in flight, and `max_model_len`: what a request holds at once
    reads_ahead_tokens : tokens that several MTP modules may compute again
    hash_lookahead_tokens : tokens after a block that its hash covers
    gives_up_block : some group gives up the last block of a hit, so that a request resumes a block earlier
    saves_amid_chunk : all groups with a state can save it amid a chunk
    rules : version of vLLM
    """

    alignment: int
    content_tokens: int
    in_flight_tokens: int
    longest_tokens: int
    reads_ahead_tokens: int
    hash_lookahead_tokens: int
    gives_up_block: bool
    saves_amid_chunk: bool
    rules: RuleSet


class FullGroup:
    """Blocks of the layers that read all tokens before, one table for each request.

    Parameters
    ----------
    number : of the group; blocks are findable by (number, content)

    Attributes
    ----------
    gives_up_block : its drafter needs the last block of a hit computed again
    """

    def __init__(self, number: int, spec: KvGroup, pool: BlockPool, limits: CacheLimits) -> None:
        self.number, self.spec, self.pool, self.limits = number, spec, pool, limits
        self.size = spec.block_size
        self._hashes = max(self.size // limits.content_tokens, 1)
        self.gives_up_block = False
        self.held: dict[Request, list[KVCacheBlock]] = {}
        self.n_cached: dict[Request, int] = {}

    @property
    def most_fetched(self) -> int:
        """Most blocks of a request that are fetched from another engine; those that are read there."""
        return len(self.pool.blocks)

    def skipped_tokens(self, computed: int) -> int:
        """Tokens at the beginning that attention no longer reads once `computed` are there."""
        return 0

    def admission_cap(self) -> int | None:
        """Most blocks that a request ever holds at once; None where it is all of them."""
        return None

    def blocks_needed(
        self, request: Request, reach: int, main: int, computed: int, hit: Sequence[KVCacheBlock], capped: bool
    ) -> int:
        """Free blocks used up when the request comes to hold `reach` tokens: new ones, and hit ones that nobody holds.

        Parameters
        ----------
        main : `reach` without look-ahead slots
        computed : tokens whose blocks are there or hit; those no longer read need none
        capped : count no more than the request ever holds at once
        """
        held = self.held.get(request, ())
        required = -(-reach // self.size)
        cap = self.admission_cap() if capped else None
        if cap is not None:
            required = min(required, cap)
        if request in self.n_cached:
            return max(required - len(held), 0)
        skip = self.skipped_tokens(computed) // self.size
        new = max(required - max(skip, len(hit) + len(held)), 0)
        return new + self._idle(hit[max(0, skip - len(held)) :])

    def _idle(self, hit: Sequence[KVCacheBlock]) -> int:
        return sum(block.ref_cnt == 0 and block is not self.pool.null_block for block in hit)

    def remove_skipped(self, request: Request, processed: int) -> None:
        """Give back the blocks that attention no longer reads once `processed` tokens are computed and confirmed."""

    def adopt(self, request: Request, hit: Sequence[KVCacheBlock], computed: int) -> None:
        """Take over a cached prefix; blocks that are no longer read become the null block."""
        skip = max(self.skipped_tokens(computed), 0) // self.size
        kept = hit[skip:]
        self.pool.touch(kept)
        self.held[request] = [self.pool.null_block] * skip + list(kept)
        self.n_cached[request] = len(self.held[request])

    def adopt_external(self, request: Request, local: int, external: int) -> None:
        """Blocks for tokens that a connector brings, behind those that were hit here."""
        total = local + external
        if self.skipped_tokens(total) > 0:
            external = min(total - self.skipped_tokens(total), external)
        if external > 0:
            held = self.held[request]
            held += self.pool.get_new_blocks(max(0, -(-total // self.size) - len(held)))

    def extend(self, request: Request, reach: int, main: int) -> None:
        """New blocks up to `reach` tokens."""
        held = self.held.setdefault(request, [])
        held += self.pool.get_new_blocks(max(-(-reach // self.size) - len(held), 0))

    def keeps(self, request: Request) -> Callable[[int], bool]:
        """Which blocks of the request, by index, become findable once they are full."""
        return lambda index: True

    def cache(self, request: Request, tokens: int) -> None:
        """Make the blocks that `tokens` tokens fill findable."""
        self._cache_filled(request, tokens)
        if self._hashes > 1 and self.spec.kind == GroupKind.FULL:
            self._cache_tail(request, tokens)

    def _cache_filled(self, request: Request, tokens: int) -> None:
        begin, end = self.n_cached.get(request, 0), min(tokens // self.size, len(request.block_hashes) // self._hashes)
        if begin >= end:
            return
        keeps = self.keeps(request)
        for index in range(begin, end):
            block = self.held[request][index]
            if block is not self.pool.null_block and keeps(index):
                self.register(request, block, index)
        self.n_cached[request] = end

    def _cache_tail(self, request: Request, tokens: int) -> None:
        """A block that a prompt ends in has the prompt's last content until it is full (vLLM 0.32.0).

        Nobody goes on in the midst of a block, so it is never found; but it counts as a block with content.
        """
        content = self.limits.content_tokens
        n_contents = (request.isl - (not self.gives_up_block)) // content
        index = n_contents // self._hashes
        is_known = 0 < n_contents <= min(tokens // content, len(request.block_hashes))
        held = self.held.get(request, ())
        if not is_known or n_contents % self._hashes == 0 or index >= len(held) or held[index].block_hash is not None:
            return
        self.pool.cache_full_block(held[index], (self.number, request.block_hashes[n_contents - 1]))

    def register(self, request: Request, block: KVCacheBlock, index: int) -> None:
        if self._hashes > 1 and block.block_hash not in (None, self.content(request, index)):
            self.pool.forget_content(block)
        if block.block_hash is None:
            self.pool.cache_full_block(block, self.content(request, index))

    def look_up(self, request: Request) -> LookUp:
        """Cached blocks of this group by index."""
        return lambda index: self.pool.get_cached_block(self.content(request, index))

    def content(self, request: Request, index: int) -> tuple[int, int]:
        """What the block with that index is found by: the hash of the last content in it covers all before."""
        return (self.number, request.block_hashes[(index + 1) * self._hashes - 1])

    def _is_aligned(self, blocks: int) -> bool:
        """Whether a request can go on after so many blocks."""
        return blocks * self.size % self.limits.alignment == 0

    def find(self, look: LookUp, most: int, gives_up: bool) -> list[KVCacheBlock]:
        """Cached blocks of the longest prefix of at most `most` tokens, from the left until one is missing.

        Parameters
        ----------
        gives_up : the last of them is dropped
        """
        hit: list[KVCacheBlock] = []
        for index in range(most // self.size):
            block = look(index)
            if block is None:
                break
            hit.append(block)
        if gives_up:
            del hit[-1:]
        while not self._is_aligned(len(hit)):
            hit.pop()
        return hit

    def pop(self, request: Request) -> list[KVCacheBlock]:
        """The request's blocks; it has none any more."""
        self.n_cached.pop(request, None)
        return self.held.pop(request, [])
