"""Which request holds which KV blocks (vLLM `kv_cache_manager.py`, `kv_cache_coordinator.py`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind, KvGroup
from simulator.engine.modes.tables.reference import AlignedLinearGroup, make_group
from simulator.engine.reference.blocks import BlockPool, KVCacheBlock
from simulator.engine.reference.groups import CacheLimits, FullGroup
from simulator.engine.reference.request import ContentHasher, Request, RequestStatus


def lookahead_tokens(config: EngineConfig) -> int:
    """KV slots reserved beyond the scheduled tokens; none without speculative decoding."""
    return config.num_lookahead_tokens if config.num_speculative_tokens > 0 else 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A cached prefix: its blocks by group, its tokens, and the junction: how far some kind of layers had more."""

    blocks: tuple[list[KVCacheBlock], ...]
    tokens: int
    junction: int = 0


class KVCacheManager:
    """Gives blocks to requests and finds cached prefixes (vLLM `KVCacheManager`)."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        modes = config.modes
        self.block_pool = BlockPool(config.num_blocks)
        self.watermark_blocks = int(config.watermark * config.num_blocks)
        specs = modes.groups or (KvGroup(GroupKind.FULL, config.block_size),)
        size = specs[0].block_size if len(specs) == 1 else config.block_size
        alignment = config.block_size
        if config.names_blocks:
            size = math.gcd(*(spec.block_size for spec in specs))
            alignment = math.lcm(*(spec.block_size for spec in specs))
        drafts = modes.drafts
        lookahead = drafts.num_hash_lookahead_tokens if drafts else 0
        self.limits = CacheLimits(
            alignment=alignment,
            content_tokens=size,
            in_flight_tokens=modes.max_in_flight_tokens or config.max_num_batched_tokens,
            longest_tokens=config.max_model_len,
            reads_ahead_tokens=max(0, drafts.num_prefill_lookahead_tokens - 1) if drafts else 0,
            hash_lookahead_tokens=lookahead,
            gives_up_block=config.drop_last_hit_block,
            saves_amid_chunk=all(spec.saves_amid_chunk for spec in specs if spec.kind == GroupKind.LINEAR),
            rules=config.rules,
        )
        self.groups = tuple(make_group(k, spec, self.block_pool, self.limits) for k, spec in enumerate(specs))
        self._hasher = ContentHasher(size, lookahead)
        kinds: dict[KvGroup, list[FullGroup]] = {}
        for group, spec in zip(self.groups, specs, strict=True):
            kinds.setdefault(replace(spec, has_draft_layers=False), []).append(group)
        self._kinds = sorted(kinds.values(), key=lambda same: same[0].spec.kind != GroupKind.FULL)
        none_said = not any(spec.has_draft_layers for spec in specs)
        for same in self._kinds:
            named = none_said or any(group.spec.has_draft_layers for group in same)
            for group in same:
                group.gives_up_block = config.drop_last_hit_block and named

    def begin_step(self) -> None:
        """States of linear attention that are written in a step can be hit from the next one on."""
        for group in self.groups:
            if isinstance(group, AlignedLinearGroup):
                group.written_in_this_step.clear()

    def no_hit(self) -> Hit:
        return Hit(tuple([] for _ in self.groups), 0)

    def get_computed_blocks(self, request: Request) -> Hit:
        """Longest cached prefix of `request`, in full blocks (vLLM `get_computed_blocks`).

        The last token is always recomputed, for its logits, so at most tokens - 1 can hit. A drafter that reads hidden
        states gives up the last block of the hit (0.32). Several kinds of layers must agree: full attention from the
        left, then each other kind within the length so far; a shorter length starts over.
        """
        if not self.config.enable_prefix_caching:
            return self.no_hit()
        most = request.num_tokens - 1
        most = min(most, self._hashed_tokens(request))
        self._hasher.extend(request, self._hashed_tokens(request) // self._hasher.block_size)
        if len(self.groups) == 1:
            group = self.groups[0]
            hit = group.find(group.look_up(request), most, group.gives_up_block)
            return Hit((hit,), len(hit) * group.size)
        return self._agree(request, most)

    def hit_for_transfer(self, request: Request, hit: Hit) -> Hit:
        """Cached prefix of a request behind which another engine brings the rest, where it has any.

        Beside linear attention each kind of layers is looked up by itself, and the hit of full attention counts: the
        state at its end is brought as well. Where another kind has more than it, the `hit` on which all agree does
        (vLLM `get_computed_blocks_for_connector`).
        """
        has_state = any(same[0].spec.kind == GroupKind.LINEAR for same in self._kinds)
        full = self._kinds[0]
        if not self.config.enable_prefix_caching or not has_state or full[0].spec.kind != GroupKind.FULL:
            return hit
        found: dict[FullGroup, list[KVCacheBlock]] = {}
        for same in self._kinds:
            reach = self._reach(request, same[0], request.num_tokens - 1, same[0].gives_up_block)
            found |= zip(same, self._find_in_all(request, same, reach, same[0].gives_up_block), strict=True)
        tokens = len(found[full[0]]) * full[0].size
        if any(len(blocks) * group.size > tokens for group, blocks in found.items()):
            return hit
        return Hit(tuple(found[group] for group in self.groups), tokens)

    def _reach(self, request: Request, group: FullGroup, most: int, gives_up: bool) -> int:
        """Tokens within which a group looks for a hit of `most`; one that gives up a block looks one block further."""
        if not gives_up or group.spec.kind == GroupKind.LINEAR:
            return most
        size = self._hasher.block_size
        return min(most + group.size, self._hashed_tokens(request) // size * size)

    def _hashed_tokens(self, request: Request) -> int:
        known = max(request.num_tokens, request.isl + request.held_back)
        return max(0, known - self._hasher.lookahead_tokens)

    def _agree(self, request: Request, most: int) -> Hit:
        """Hits of all groups at one length (vLLM `HybridKVCacheCoordinator.find_longest_cache_hit`).

        Groups that give up a block look one block further and drop it, once for each length that is tried.
        """
        found: dict[FullGroup, list[KVCacheBlock]] = {}
        full_tokens: dict[FullGroup, int] = {}
        gave_up: set[FullGroup] = set()
        simple = len(self._kinds) == 2 and self._kinds[0][0].spec.kind == GroupKind.FULL
        length, longest = most, 0
        while True:
            now = length
            for same in self._kinds:
                first = same[0]
                if first in full_tokens:
                    now = min(now, full_tokens[first])
                    continue
                gives_up = first.gives_up_block and first not in gave_up
                reach = self._reach(request, first, now, gives_up)
                for group, hit in zip(same, self._find_in_all(request, same, reach, gives_up), strict=True):
                    found[group] = hit
                here = len(found[first]) * first.size
                if gives_up:
                    gave_up.add(first)
                elif here < now:
                    gave_up.clear()
                now = here
                if first.spec.kind == GroupKind.FULL:
                    full_tokens[first] = now
                longest = max(longest, now)
            if now >= length:
                break
            length = now
            if simple:
                break
        for group in found:
            if group.spec.kind == GroupKind.FULL:
                del found[group][-(-length // group.size) :]
        junction = longest if longest > length else 0
        return Hit(tuple(found[group] for group in self.groups), length, junction)

    def _find_in_all(
        self, request: Request, same: Sequence[FullGroup], most: int, gives_up: bool
    ) -> list[list[KVCacheBlock]]:
        """Hits of groups of one kind: a block counts as cached only if all of them have it."""
        looks = [group.look_up(request) for group in same]
        chosen: dict[int, list[KVCacheBlock]] = {}

        def look(index: int) -> KVCacheBlock | None:
            blocks = [block for each in looks if (block := each(index)) is not None]
            if len(blocks) < len(looks):
                return None
            chosen[index] = blocks
            return blocks[0]

        null = self.block_pool.null_block
        hit = same[0].find(look, most, gives_up)
        return [[null if block is null else chosen[k][j] for k, block in enumerate(hit)] for j in range(len(same))]

    def num_blocks_to_allocate(
        self, request: Request, reach: int, main: int, computed: int, hit: Hit | None = None, capped: bool = False
    ) -> int:
        """Free blocks used up when `request` comes to hold `reach` tokens, summed over the groups."""
        blocks = (hit or self.no_hit()).blocks
        return sum(
            group.blocks_needed(request, reach, main, computed, blocks[k], capped)
            for k, group in enumerate(self.groups)
        )

    def blocks_until_decoding(self, requests: Iterable[Request], extra: int) -> int:
        """Blocks that requests still need up to their first decode step, of `extra` tokens, and those of one more."""
        most, total = self.config.max_model_len, 0
        for request in requests:
            whole = min(request.num_tokens, most)
            total += self.num_blocks_to_allocate(
                request, whole + extra, whole, request.num_computed_tokens, capped=True
            )
        kinds = [group for group in self.groups if group.spec.kind != GroupKind.LINEAR]
        return total + sum(-(-extra // group.size) for group in kinds)

    def allocate_slots(
        self,
        request: Request,
        num_new_tokens: int,
        hit: Hit | None = None,
        *,
        num_external_tokens: int = 0,
        apart: bool = False,
        full_sequence_must_fit: bool = False,
        reserved_blocks: int = 0,
        has_scheduled_reqs: bool = True,
    ) -> bool:
        """Blocks for `num_new_tokens` more tokens; False is the normal answer "no room" (vLLM `allocate_slots`).

        Parameters
        ----------
        num_new_tokens : tokens to compute in this step, drafts included
        hit : cached prefix that a request takes over at its admission
        num_external_tokens : tokens whose KV comes from elsewhere
        apart : it comes after this step; its blocks become findable with `cache_blocks` once it is there, and lookahead
            slots are left for later
        full_sequence_must_fit : refuse unless all of prompt and generated tokens fit (not those still to generate)
        reserved_blocks : free blocks that must be left for others
        has_scheduled_reqs : something is running, so an admission has to leave the watermark free
        """
        config, pool = self.config, self.block_pool
        given = hit or self.no_hit()
        base = request.num_computed_tokens + given.tokens
        total = min(base + num_external_tokens, config.max_model_len)
        admitted = request.status in (RequestStatus.WAITING, RequestStatus.PREEMPTED)
        watermark = self.watermark_blocks if admitted and has_scheduled_reqs else 0
        if full_sequence_must_fit:
            whole = min(request.num_tokens, config.max_model_len)
            needed = self.num_blocks_to_allocate(request, whole, whole, total, given, capped=True)
            if needed + watermark > pool.get_num_free_blocks():
                return False
        main = total + num_new_tokens
        reach = min(main + (0 if apart else lookahead_tokens(config)), config.max_model_len)
        for group in self.groups:
            group.remove_skipped(request, max(0, total - request.num_in_flight_tokens))
        needed = self.num_blocks_to_allocate(request, reach, main, base + num_external_tokens, given)
        if needed + watermark > pool.get_num_free_blocks() - reserved_blocks:
            return False
        if (hit is not None or num_external_tokens > 0) and not any(request in group.n_cached for group in self.groups):
            for k, group in enumerate(self.groups):
                group.adopt(request, given.blocks[k], base + num_external_tokens)
            for group in self.groups:
                group.adopt_external(request, base, num_external_tokens)
        for group in self.groups:
            group.extend(request, reach, main)
        if not (num_external_tokens and apart):
            self.cache_blocks(request, min(main, request.num_tokens))
        return True

    def cache_blocks(self, request: Request, num_tokens: int) -> None:
        """Make the blocks that `num_tokens` tokens fill findable; hybrid groups register whole scheduler blocks."""
        if not self.config.enable_prefix_caching:
            return
        self._hasher.extend(request, min(num_tokens, self._hashed_tokens(request)) // self._hasher.block_size)
        for group in self.groups:
            group.cache(request, self._cacheable_tokens(group, num_tokens))

    def _cacheable_tokens(self, group: FullGroup, num_tokens: int) -> int:
        """Of `num_tokens` those that can be registered (vLLM `get_num_cacheable_tokens`).

        Several MTP modules may compute the last ones again. Hybrid groups register whole scheduler blocks, and those
        that give up a block the one beyond.
        """
        block = self.limits.alignment
        final = max(0, num_tokens - self.limits.reads_ahead_tokens)
        if len(self.groups) == 1:
            return final
        aligned = num_tokens // block * block
        if group.gives_up_block and aligned > 0:
            aligned = min(final, final // block * block + group.size)
        return aligned

    def remove_skipped(self, request: Request, processed: int) -> None:
        for group in self.groups:
            group.remove_skipped(request, processed)

    def note_states(self) -> None:
        """States of linear attention are wanted by `take_kept_states`."""
        for group in self.groups:
            if isinstance(group, AlignedLinearGroup):
                group.notes_states = True

    def take_kept_states(self) -> list[tuple[FullGroup, Request, KVCacheBlock, int]]:
        """States of linear attention that became findable: group, request, block, and tokens before it."""
        found: list[tuple[FullGroup, Request, KVCacheBlock, int]] = []
        for group in self.groups:
            if isinstance(group, AlignedLinearGroup):
                found += [(group, *kept) for kept in group.kept_states]
                group.kept_states.clear()
        return found

    @property
    def content_tokens(self) -> int:
        """Tokens that one content hash covers."""
        return self._hasher.block_size

    def content(self, request: Request, n_blocks: int) -> list[int]:
        """Content of the leading blocks, whether findable or not; all their tokens must be known."""
        self._hasher.extend(request, n_blocks)
        return request.block_hashes[:n_blocks]

    def take_all(self, request: Request) -> list[KVCacheBlock]:
        """The request's blocks group by group, in order; it holds none any more."""
        return [block for group in self.groups for block in group.pop(request)]

    def free(self, request: Request) -> None:
        """Give back all blocks of `request`, group by group, the last block first, so that it is evicted first."""
        for group in self.groups:
            self.block_pool.free_blocks(group.pop(request)[::-1])

    def reset(self) -> bool:
        """Forget all cached content; refused while a block is held."""
        return self.block_pool.reset()
