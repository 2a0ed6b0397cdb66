"""Block tables of layers that do not read all tokens before: windows, local chunks, linear attention.

vLLM `single_type_kv_cache_manager.py`: `SlidingWindowManager`, `ChunkedLocalAttentionManager`, `MambaManager`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.engine.modes.spec import GroupKind, KvGroup
from simulator.engine.reference.blocks import BlockPool, KVCacheBlock
from simulator.engine.reference.groups import FullGroup, LookUp
from simulator.engine.reference.request import Request


class _LimitedGroup(FullGroup):
    """Layers that stop reading tokens; their blocks go back while the request runs.

    Parameters
    ----------
    in_flight_tokens, longest_tokens : most tokens in flight, and `max_model_len`: what a request holds at once
    """

    def __init__(
        self,
        number: int,
        spec: KvGroup,
        pool: BlockPool,
        alignment: int,
        in_flight_tokens: int,
        longest_tokens: int,
    ) -> None:
        super().__init__(number, spec, pool, alignment)
        self.window = spec.window_tokens
        self.in_flight_tokens, self.longest_tokens = in_flight_tokens, longest_tokens

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
        """Tokens at which a later request can resume: the last of the prompt, and a junction that was seen."""
        return [request.isl - 1, *([request.junction] if request.junction else [])]


class WindowGroup(_LimitedGroup):
    """A sliding window of W tokens: W - 1 tokens before the present one are read."""

    def skipped_tokens(self, computed: int) -> int:
        return max(0, computed - self.window + 1)

    def admission_cap(self) -> int | None:
        return -(-min(self.window - 1 + self.in_flight_tokens, self.longest_tokens) // self.size) + 1

    def keeps(self, request: Request) -> Callable[[int], bool]:
        """Sparse retention: the tail that a window reads before each place where a request can resume."""
        many = -(-(self.window - 1) // self.size)
        kept: set[int] = set()
        for place in self._resume_places(request):
            last = place // self.alignment * self.alignment // self.size
            kept |= set(range(last - many, last))
        return kept.__contains__

    def find(self, look: LookUp, most: int) -> list[KVCacheBlock]:
        """From the right the first run of blocks that covers the window, or one that reaches the beginning."""
        limit, needed, run = most // self.size, -(-(self.window - 1) // self.size), 0
        hit = [self.pool.null_block] * limit
        for index in range(limit - 1, -1, -1):
            block = look(index)
            if block is None:
                run = 0
                continue
            hit[index] = block
            run += 1
            if run >= needed:
                return hit[: index + run]
        return hit[:run]


class ChunkGroup(_LimitedGroup):
    """Local chunks of C tokens: only tokens of the present chunk are read."""

    def skipped_tokens(self, computed: int) -> int:
        return computed // self.window * self.window

    def admission_cap(self) -> int | None:
        return -(-min(self.window + self.in_flight_tokens, self.longest_tokens) // self.size)

    def find(self, look: LookUp, most: int) -> list[KVCacheBlock]:
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
    """Linear attention without the prefix cache: one block of state for each request."""

    def skipped_tokens(self, computed: int) -> int:
        return computed - 1

    def find(self, look: LookUp, most: int) -> list[KVCacheBlock]:
        """The last cached state."""
        for index in range(most // self.size - 1, -1, -1):
            block = look(index)
            if block is not None:
                return [self.pool.null_block] * index + [block]
        return []


class AlignedLinearGroup(LinearGroup):
    """Linear attention with the prefix cache: the state at block boundaries, the places between are null."""

    def __init__(
        self,
        number: int,
        spec: KvGroup,
        pool: BlockPool,
        alignment: int,
        in_flight_tokens: int,
        longest_tokens: int,
    ) -> None:
        super().__init__(number, spec, pool, alignment, in_flight_tokens, longest_tokens)
        self.written_in_this_step: set[tuple[int, int]] = set()
        self._last_state: dict[Request, int] = {}
        self._retired: dict[Request, int] = {}

    def blocks_needed(
        self, request: Request, reach: int, main: int, computed: int, hit: Sequence[KVCacheBlock], capped: bool
    ) -> int:
        if hit and hit[-1].block_hash in self.written_in_this_step:
            return len(self.pool.blocks) + 1
        new = -(-main // self.size) - len(hit) - len(self.held.get(request, ()))
        return min(new, 1) + self._idle(hit)

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
        required, before = -(-main // self.size), len(held)
        if required > before:
            if before > 0:
                self._last_state[request] = before - 1
            held += [self.pool.null_block] * (required - 1 - before)
            held += self.pool.get_new_blocks(required - len(held))

    def keeps(self, request: Request) -> Callable[[int], bool]:
        places = self._resume_places(request)
        return {place // self.alignment * self.alignment // self.size - 1 for place in places}.__contains__

    def register(self, request: Request, block: KVCacheBlock, index: int) -> None:
        super().register(request, block, index)
        if block.block_hash is not None:
            self.written_in_this_step.add(block.block_hash)

    def cache(self, request: Request, tokens: int) -> None:
        super().cache(request, tokens)
        # the state at the prompt's last boundary counts as written in this very step while it is in the table
        if tokens > 0 and tokens == (request.isl - 1) // self.size * self.size:
            index = tokens // self.size - 1
            block = self.held[request][index]
            if block is not self.pool.null_block:
                super().register(request, block, index)
                self.written_in_this_step.add((self.number, request.block_hashes[index]))

    def pop(self, request: Request) -> list[KVCacheBlock]:
        self._last_state.pop(request, None)
        self._retired.pop(request, None)
        return super().pop(request)


_KINDS = {GroupKind.WINDOW: WindowGroup, GroupKind.CHUNK: ChunkGroup, GroupKind.LINEAR: LinearGroup}


def make_group(
    number: int, spec: KvGroup, pool: BlockPool, alignment: int, in_flight_tokens: int, longest_tokens: int
) -> FullGroup:
    """The tables of a group, by its kind."""
    if spec.kind == GroupKind.FULL:
        return FullGroup(number, spec, pool, alignment)
    made = AlignedLinearGroup if spec.aligned else _KINDS[spec.kind]
    return made(number, spec, pool, alignment, in_flight_tokens, longest_tokens)


def chunk_end(request: Request, n: int, start: int, block_size: int, most: int) -> int:
    """Tokens of a chunk of linear attention with the prefix cache: it ends where a state is kept (0.32).

    Block boundaries (but for blocks wider than a chunk, and the prompt's last chunk), the last boundary before the end,
    and a junction.

    Parameters
    ----------
    most : tokens that a chunk can have at most
    """
    end_of_prefill = max(request.isl, request.num_tokens - 1)
    if start >= end_of_prefill:
        return n
    end = start + n
    last = max((request.num_tokens - 1) // block_size * block_size, 0)
    if end < end_of_prefill:
        aligned = end // block_size * block_size
        if aligned > start or block_size <= most:
            end = aligned
    junction = request.junction
    stops = [last]
    if start % block_size:
        stops.append((start // block_size + 1) * block_size)
    if start < junction < end:
        stops.append(start + (junction - start) // block_size * block_size)
    end = min((stop for stop in stops if start < stop < end), default=end)
    return max(end - start, 0)
