"""Block tables of layers that do not read all tokens before: windows, local chunks, linear attention.

vLLM `single_type_kv_cache_manager.py`: `SlidingWindowManager`, `ChunkedLocalAttentionManager`, `MambaManager`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.engine.modes.spec import GroupKind, KvGroup
from simulator.engine.reference.blocks import BlockPool, KVCacheBlock
from simulator.engine.reference.groups import CacheLimits, FullGroup, LookUp
from simulator.engine.reference.request import Request

NONE = -1
"""Index of a block where there is none."""


def last_state_before(tokens: int, size: int, limits: CacheLimits) -> int:
    """Last multiple of `size` at which a request of so many tokens can be resumed.

    One token is left for its logits (0.33: or as many as a hash covers beyond its block); where a hit block is given
    up, the block before it (vLLM `get_mamba_prefill_checkpoint_position`).
    """
    if limits.gives_up_block:
        return max(tokens // size * size - size, 0)
    return max((tokens - max(1, limits.hash_lookahead_tokens)) // size * size, 0)


def end_of_prefill(request: Request) -> int:
    """Tokens at which the prompt ends, or what a preempted request computes again."""
    return max(request.isl, request.num_tokens - 1)


def saved_place(start: int, tokens: int, size: int, limits: CacheLimits) -> int:
    """Tokens after which a kernel saves the state amid the chunk from `start` on which ends the prefill; 0 if nowhere.

    A chunk that begins amid a block saves none, and none is saved before the chunk's second block (vLLM
    `is_mamba_prefill_checkpoint_valid`).

    Parameters
    ----------
    tokens : of a request that would be resumed there
    """
    place = last_state_before(tokens, size, limits)
    return place if start % size == 0 and start < place else 0


class _LimitedGroup(FullGroup):
    """Layers that stop reading tokens; their blocks go back while the request runs."""

    @property
    def window(self) -> int:
        return self.spec.window_tokens

    def remove_skipped(self, request: Request, processed: int) -> None:
        held = self.held.get(request)
        tokens = self.skipped_tokens(processed)
        if held is None or tokens <= 0:
            return
        freed = []
        for index in range(min(tokens // self.size, len(held)) - 1, -1, -1):
            if held[index] is self.pool.null_block:
                break
            freed.append(held[index])
            held[index] = self.pool.null_block
        self.pool.free_blocks(freed)

    def _resume_places(self, request: Request) -> list[int]:
        """Tokens at which a later request can resume: the end of the prompt, and a junction that was seen.

        Where a hit block is given up, an equal prompt and a longer one each resume a block before their last (vLLM
        `replay_boundaries`).
        """
        limits, block = self.limits, self.limits.alignment
        places = [request.isl - 1]
        if limits.gives_up_block:
            places = [max(tokens // block * block - block, 0) for tokens in (request.isl - 1, request.isl)]
        if request.junction:
            places.append(request.junction)
            if self.gives_up_block and limits.rules.junction_kept_one_lower:
                places.append(request.junction - self.size)
        return places


class WindowGroup(_LimitedGroup):
    """A sliding window of W tokens: W - 1 tokens before the present one are read.

    Several MTP modules may compute the last tokens again, so their blocks are kept beyond the window.
    """

    @property
    def most_fetched(self) -> int:
        return -(-self.window // self.size) + 1

    def skipped_tokens(self, computed: int) -> int:
        return max(0, computed - self.window + 1 - self.limits.reads_ahead_tokens)

    def admission_cap(self) -> int | None:
        limits = self.limits
        tokens = self.window - 1 + limits.reads_ahead_tokens + limits.in_flight_tokens
        return -(-min(tokens, limits.longest_tokens) // self.size) + 1

    def keeps(self, request: Request) -> Callable[[int], bool]:
        """Sparse retention: the tail that a window reads before each place where a request can resume.

        Where a hit block is given up, the tail ends with it.
        """
        given_up = int(self.gives_up_block)
        many = -(-(self.window - 1) // self.size) + given_up
        kept: set[int] = set()
        for place in self._resume_places(request):
            last = place // self.limits.alignment * self.limits.alignment // self.size + given_up
            kept |= set(range(last - many, last))
        return kept.__contains__

    def find(self, look: LookUp, most: int, gives_up: bool) -> list[KVCacheBlock]:
        """From the right the first run of blocks that covers the window, or one that reaches the beginning.

        A run ends where a request can go on.
        """
        limit, needed, run = most // self.size, -(-(self.window - 1) // self.size) + gives_up, 0
        hit = [self.pool.null_block] * limit
        for index in range(limit - 1, -1, -1):
            block = look(index)
            if block is None:
                run = 0
                continue
            if run == 0 and not self._is_aligned(index + 1 - gives_up):
                continue
            hit[index] = block
            run += 1
            if run >= needed:
                del hit[index + run :]
                break
        else:
            del hit[run:]
            while not self._is_aligned(len(hit)):
                hit.pop()
        if gives_up:
            del hit[-1:]
        while not self._is_aligned(len(hit)):
            hit.pop()
        return hit


class ChunkGroup(_LimitedGroup):
    """Local chunks of C tokens: only tokens of the present chunk are read. vLLM has no EAGLE or MTP with them."""

    def skipped_tokens(self, computed: int) -> int:
        return computed // self.window * self.window

    def admission_cap(self) -> int | None:
        return -(-min(self.window + self.limits.in_flight_tokens, self.limits.longest_tokens) // self.size)

    def find(self, look: LookUp, most: int, gives_up: bool) -> list[KVCacheBlock]:
        """All before the present chunk counts as hit; within it from the left."""
        start = most // self.window * self.window // self.size
        hit = [self.pool.null_block] * start
        for index in range(start, most // self.size):
            block = look(index)
            if block is None:
                break
            hit.append(block)
        return hit


class LinearGroup(_LimitedGroup):
    """Linear attention without the prefix cache: a block of state for each request, and one for each draft."""

    @property
    def most_fetched(self) -> int:
        """The state; those for drafts are computed here."""
        return 1

    def skipped_tokens(self, computed: int) -> int:
        return computed - 1

    def blocks_needed(
        self, request: Request, reach: int, main: int, computed: int, hit: Sequence[KVCacheBlock], capped: bool
    ) -> int:
        with_drafts = reach + self.size * self.spec.draft_states
        return super().blocks_needed(request, with_drafts, main, computed, hit, capped)

    def extend(self, request: Request, reach: int, main: int) -> None:
        super().extend(request, reach + self.size * self.spec.draft_states, main)

    def find(self, look: LookUp, most: int, gives_up: bool) -> list[KVCacheBlock]:
        """The last cached state; drafters have no linear attention, so none is given up."""
        for index in range(most // self.size - 1, -1, -1):
            block = look(index)
            if block is not None:
                return [self.pool.null_block] * index + [block]
        return []


class AlignedLinearGroup(LinearGroup):
    """Linear attention with the prefix cache: the state at block boundaries, the places between are null.

    The last places of a table are the running state and one state for each draft; they move along.

    Attributes
    ----------
    notes_states : somebody wants to know of states that became findable
    kept_states : (request, block, tokens) of them since they were last taken

    Where the kernel saves a state amid the chunk that was planned last, `_saved` has the tokens before it and its index
    in the table: the last one but that of the running state, wherever the state would stand by its tokens.
    """

    def __init__(self, number: int, spec: KvGroup, pool: BlockPool, limits: CacheLimits) -> None:
        super().__init__(number, spec, pool, limits)
        self.written_in_this_step: set[tuple[int, int]] = set()
        self.notes_states = False
        self.kept_states: list[tuple[Request, KVCacheBlock, int]] = []
        self._last_state: dict[Request, int] = {}
        self._retired: dict[Request, int] = {}
        self._began: set[Request] = set()
        self._saved: dict[Request, tuple[int, int]] = {}

    def blocks_needed(
        self, request: Request, reach: int, main: int, computed: int, hit: Sequence[KVCacheBlock], capped: bool
    ) -> int:
        if hit and hit[-1].block_hash in self.written_in_this_step:
            return len(self.pool.blocks) + 1
        drafts = self.spec.draft_states
        new = -(-main // self.size) + drafts - len(hit) - len(self.held.get(request, ()))
        place = self._place_to_save(request, computed, main)
        if not capped:
            self._saved.pop(request, None)
            if place:
                self._saved[request] = (place, -(-main // self.size) - 2)
        most = 1 + (0 if request in self._began else drafts) + bool(place)
        return min(new, most) + self._idle(hit)

    def _place_to_save(self, request: Request, start: int, end: int) -> int:
        """Tokens after which the kernel saves the state amid a chunk, 0 if it does not."""
        if not self.spec.saves_amid_chunk or end < end_of_prefill(request):
            return 0
        place = saved_place(start, end, self.size, self.limits)
        held, index = self.held.get(request, []), -(-end // self.size) - 2
        n_states = len(held) - (self.spec.draft_states if request in self._began else 0)
        in_use = place > 0 and index < n_states and held[index] is not self.pool.null_block
        return 0 if in_use else place

    def remove_skipped(self, request: Request, processed: int) -> None:
        held, null = self.held.get(request), self.pool.null_block
        if held is None:
            return
        tokens = self.skipped_tokens(processed)
        last = min(tokens // self.size, len(held)) if tokens > 0 else 0
        begin = self._retired.get(request, 0)
        if begin < last:
            retired = [index for index in range(last - 1, begin - 1, -1) if held[index] is not null]
            freed = [held[index] for index in retired]
            for index in retired:
                held[index] = null
            self.pool.free_blocks(freed)
            self._retired[request] = last
        state = self._last_state.get(request)
        if state is not None and state < -(-processed // self.size) - 1 and held[state] is not null:
            self.pool.free_blocks([held[state]])
            held[state] = null

    def extend(self, request: Request, reach: int, main: int) -> None:
        held = self.held.setdefault(request, [])
        drafts, before = self.spec.draft_states, len(held)
        required = -(-main // self.size) + drafts
        if required > before or request in self._saved:
            if request in self._began:
                self._last_state[request] = before - 1 - drafts
            elif before > 0:
                self._last_state[request] = before - 1
            first_held = required - drafts - 1 - (request in self._saved)
            held += [self.pool.null_block] * (first_held - before)
            if request in self._began:
                for index in range(before - drafts, min(before, first_held)):
                    held.append(held[index])
                    held[index] = self.pool.null_block
            held += self.pool.get_new_blocks(max(required - len(held), 0))
        self._began.add(request)

    def keeps(self, request: Request) -> Callable[[int], bool]:
        block = self.limits.alignment
        return {place // block * block // self.size - 1 for place in self._resume_places(request)}.__contains__

    def register(self, request: Request, block: KVCacheBlock, index: int) -> None:
        super().register(request, block, index)
        if block.block_hash is not None:
            self.written_in_this_step.add(block.block_hash)

    def cache(self, request: Request, tokens: int) -> None:
        """The state at the prompt's last place is findable while it is in the table, and counts as written just now."""
        begin = self.n_cached.get(request, 0)
        super().cache(request, tokens)
        saved, at = self._saved.get(request, (0, NONE))
        if saved:
            self._cache_saved_state(request, saved, at)
        else:
            self._cache_last_state(request, tokens)
        if not self.notes_states:
            return
        for index in range(begin, self.n_cached.get(request, 0)):
            block = self.held[request][index]
            if block is not self.pool.null_block and block.block_hash is not None:
                self.kept_states.append((request, block, saved if index == at else (index + 1) * self.size))

    def _cache_saved_state(self, request: Request, tokens: int, at: int) -> None:
        """A state saved amid a chunk is findable if the prompt or a junction can be resumed there, and nothing else."""
        block = self.held[request][at]
        is_kept = tokens in (last_state_before(request.isl, self.size, self.limits), request.junction)
        content = self.content(request, tokens // self.size - 1) if is_kept else None
        if block is self.pool.null_block or (content is not None and block.block_hash == content):
            return
        self.pool.forget_content(block)
        if content is not None:
            self.pool.cache_full_block(block, content)
            self.written_in_this_step.add(content)

    def _cache_last_state(self, request: Request, tokens: int) -> None:
        held = self.held.get(request, [])
        index = tokens // self.size - 1
        if tokens <= 0 or index >= len(held) or tokens != last_state_before(request.isl, self.size, self.limits):
            return
        block, content = held[index], self.content(request, index)
        known = block.block_hash == content and self.limits.rules.state_written_once
        if block is not self.pool.null_block and not known:
            super().register(request, block, index)
            self.written_in_this_step.add(content)

    def pop(self, request: Request) -> list[KVCacheBlock]:
        self._last_state.pop(request, None)
        self._retired.pop(request, None)
        self._began.discard(request)
        self._saved.pop(request, None)
        self.kept_states = [kept for kept in self.kept_states if kept[0] is not request]
        return super().pop(request)


_KINDS = {GroupKind.WINDOW: WindowGroup, GroupKind.CHUNK: ChunkGroup, GroupKind.LINEAR: LinearGroup}


def make_group(number: int, spec: KvGroup, pool: BlockPool, limits: CacheLimits) -> FullGroup:
    """The tables of a group, by its kind."""
    if spec.kind == GroupKind.FULL:
        return FullGroup(number, spec, pool, limits)
    made = AlignedLinearGroup if spec.aligned else _KINDS[spec.kind]
    return made(number, spec, pool, limits)


def chunk_end(request: Request, n: int, start: int, block_size: int, most: int, limits: CacheLimits) -> int:
    """Tokens of a chunk of linear attention with the prefix cache: it ends where a state is kept.

    Block boundaries (but for blocks wider than a chunk, and the prompt's last chunk), the last place before the end
    where a state can be resumed unless the kernel saves it amid the chunk, and a junction.

    Parameters
    ----------
    most : tokens that a chunk can have at most
    """
    last = end_of_prefill(request)
    if start >= last:
        return n
    end = start + n
    saves = limits.saves_amid_chunk and end >= last and saved_place(start, last, block_size, limits) > 0
    if end < last:
        aligned = end // block_size * block_size
        if aligned > start or block_size <= most:
            end = aligned
    junction = request.junction
    stops = [] if saves else [last_state_before(request.num_tokens, block_size, limits)]
    if start % block_size:
        stops.append((start // block_size + 1) * block_size)
    if start < junction < end:
        stops.append(start + (junction - start) // block_size * block_size)
    end = min((stop for stop in stops if start < stop < end), default=end)
    return max(end - start, 0)
