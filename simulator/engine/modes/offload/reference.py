"""KV blocks that are kept in the memory of the CPU (vLLM `offloading/scheduler.py`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.engine.modes.connector.reference import ConnectorRoom
from simulator.engine.modes.offload.chunks import Chunks
from simulator.engine.modes.offload.copies import Job, Orders
from simulator.engine.modes.offload.spec import Offload
from simulator.engine.modes.offload.tier import Access, CpuTier, Key
from simulator.engine.reference.blocks import NULL_BLOCK, KVCacheBlock
from simulator.engine.reference.doors import Left
from simulator.engine.reference.groups import FullGroup
from simulator.engine.reference.plan import Plan
from simulator.engine.reference.request import Request

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler


@dataclass(slots=True)
class _Table:
    """Blocks of a request in one group as they were given out, and its leading chunks that were offered or loaded."""

    blocks: list[int] = field(default_factory=list)
    n_stored: int = 0


@dataclass(eq=False, slots=True)
class _Known:
    """What is known of a request until its copies are done.

    Attributes
    ----------
    local_tokens : hit on the GPU when the tier was asked last
    why : how it left; None before
    ended : its last blocks were offered
    """

    request: Request
    access: Access
    tables: tuple[_Table, ...]
    local_tokens: int = 0
    jobs: set[Job] = field(default_factory=set)
    why: Left | None = None
    ended: bool = False


class OffloadRoom(ConnectorRoom):
    """Chunks of blocks are stored as they fill, and loaded where the GPU's own prefix cache no longer has them."""

    def __init__(self, scheduler: Scheduler, spec: Offload) -> None:
        super().__init__(scheduler)
        self.tier = CpuTier(spec, scheduler.config.rules.chunks_used_at_once)
        self._spec = spec
        manager = scheduler.kv_cache_manager
        manager.note_states()
        self._chunks = tuple(Chunks(group, spec.blocks_per_chunk, manager.content_tokens) for group in manager.groups)
        full = [chunks for chunks in self._chunks if not chunks.limited]
        self._limited = sorted((chunks for chunks in self._chunks if chunks.limited), key=lambda c: -c.window)
        self._order = [*full, *self._limited]
        sizes = {chunks.tokens for chunks in full} or {max(chunks.tokens for chunks in self._chunks)}
        self._alignment = sizes.pop() if len(sizes) == 1 else None
        self._known: dict[Request, _Known] = {}
        self._jobs: set[Job] = set()
        self._n_jobs = 0
        self._loading: set[Key] = set()
        self._readers: dict[int, set[Job]] = defaultdict(set)
        self._taken: set[int] = set()
        self._preempted: list[_Known] = []
        self._left: list[_Known] = []
        self._orders = Orders()
        self._rules = scheduler.config.rules

    @property
    def busy(self) -> bool:
        return super().busy or bool(self._jobs)

    def take_orders(self) -> Orders:
        """What the last plan tells the worker."""
        orders, self._orders = self._orders, Orders()
        return orders

    def queued(self, request: Request) -> None:
        tables = tuple(_Table() for _ in self._chunks)
        self._known[request] = _Known(request, self.tier.access(None), tables)

    def external(self, request: Request, local_tokens: int) -> tuple[int | None, bool]:
        """Tokens that are there beyond the hit on the GPU; None while any of them is on its way.

        A request whose own copies are not done waits for them. Less than a chunk is not loaded.
        """
        known = self._known[request]
        for table in known.tables:
            table.blocks.clear()
            table.n_stored = 0 if self._rules.chunks_offered_again else table.n_stored
        if known.jobs:
            return None, False
        known.local_tokens = local_tokens
        content = self._content(request)
        found = self._agree(request, local_tokens, content)
        if found and self._is_loading(local_tokens, local_tokens + found, content):
            return None, False
        return found, bool(found)

    def _content(self, request: Request) -> list[int]:
        """Of all blocks whose tokens are known."""
        manager = self.scheduler.kv_cache_manager
        return manager.content(request, request.num_tokens // manager.content_tokens)

    def _agree(self, request: Request, local: int, content: Sequence[int]) -> int | None:
        """Tokens that all groups have beyond the local hit; full attention first, then the widest windows.

        A shorter length starts over, as on the GPU; a drafter's group looks one chunk further and gives it up.
        """
        most, limit = request.num_tokens, request.most_loaded_tokens
        if limit is not None:
            most = min(most, local + limit)
        most -= bool(self._limited)
        for chunks in self._chunks:
            most = most // chunks.tokens * chunks.tokens if chunks.aligned else most
        hit, pending = 0, False
        gave_up: set[Chunks] = set()
        todo: Sequence[Chunks] = self._order
        while todo:
            now, todo, saw_limited = todo, (), False
            for chunks in now:
                keys, size = chunks.keys(content), chunks.tokens
                gives_up = chunks.drafts and chunks not in gave_up
                most = min(most, len(keys) * size)
                if limit is not None:
                    most = most // size * size
                if most - local < size:
                    return 0
                reach = min(most + size * gives_up, len(keys) * size)
                first, end = local // size, min(-(-reach // size), len(keys))
                found = chunks.find(keys[first:end], most, end, gives_up, self.tier.users)
                if found == 0:
                    return 0
                if found is None:
                    pending = True
                else:
                    if gives_up:
                        found -= 1
                        gave_up.add(chunks)
                    most = min(most, (first + found) * size)
                if most - local < size:
                    return 0
                if most - local < hit:
                    if not chunks.drafts:
                        gave_up.clear()
                    if pending:
                        pending, todo = False, self._order
                    elif saw_limited and not todo:
                        todo = self._limited
                saw_limited |= chunks.limited
                hit = most - local
        return None if pending else hit

    def _is_loading(self, local: int, total: int, content: Sequence[int]) -> bool:
        """Whether a chunk that would be loaded already is, for another request."""
        for chunks in self._chunks:
            keys = chunks.keys(content)[local // chunks.tokens : -(-total // chunks.tokens)]
            needed = keys[-chunks.window_before(total) :] if chunks.limited else keys
            if not self._loading.isdisjoint(needed):
                return True
        return False

    def allocated(self, plan: Plan, request: Request, external: int, apart: bool) -> None:
        if not external:
            return
        known, content = self._known[request], self._content(request)
        total, keys, blocks = known.local_tokens + external, list[Key](), list[int]()
        for chunks, table in zip(self._chunks, known.tables, strict=True):
            held, size = chunks.group.held[request], chunks.group.size
            self._taken.update(block.block_id for block in held if not block.is_null)
            end = -(-total // size)
            empty = (k for k in range(-(-known.local_tokens // size), end) if held[k].block_hash is None)
            first = next((k for k in empty if not held[k].is_null), end)
            blocks += [block.block_id for block in held[first:end]]
            table.n_stored = -(-total // chunks.tokens)
            if first < end:
                keys += chunks.keys(content)[first // chunks.blocks : table.n_stored]
        self.tier.begins_load(keys, self._access(known), self._positions(request))
        self._orders.loads.append(self._new_job(known, False, keys, blocks))
        plan.loads.append((request.number, len(blocks)))
        if self.scheduler.config.enable_prefix_caching:
            self._loading.update(keys)

    def _access(self, known: _Known) -> Access:
        known.access = self.tier.access(known.access)
        return known.access

    def _new_job(
        self, known: _Known, is_store: bool, keys: Iterable[Key], blocks: Iterable[int], freed: Iterable[int] = ()
    ) -> Job:
        job = Job(self._n_jobs, known.request, is_store, tuple(keys), tuple(blocks), tuple(freed))
        self._n_jobs += 1
        self._jobs.add(job)
        known.jobs.add(job)
        return job

    def left(self, request: Request, why: Left) -> None:
        super().left(request, why)
        known = self._known[request]
        if why is Left.PREEMPTED:
            self._preempted.append(known)
            return
        known.why = why
        self._left.append(known)
        for job in known.jobs:
            if job.is_store:
                self._watch(job, job.blocks)

    def _watch(self, job: Job, blocks: Iterable[int]) -> None:
        """These blocks are or may be free; whoever takes one of them has to wait for the store that reads it."""
        for block in blocks:
            self._readers[block].add(job)

    def closes(self, plan: Plan) -> None:
        super().closes(plan)
        self._follow_tables(plan)
        for known in self._preempted:
            self._orders.flushed |= known.jobs - set(self._orders.loads)
        self._preempted.clear()
        self._orders.flushed.update(*(self._readers[block] for block in self._taken if block in self._readers))
        left = sorted(self._left, key=lambda known: known.request.number)
        self._left.clear()
        self._store_states()
        for request, n in plan.given.items():
            self._store(self._known[request], request.num_computed_tokens + n)
        for known in left:
            request = known.request
            finished = max(request.isl, request.num_tokens - 1)
            self._store(known, finished if known.why is Left.FINISHED else request.num_computed_tokens)
        for known in left:
            known.ended = True
            self.tier.request_ended(known.access, self._positions(known.request))
            self._forget_if_done(known)
        self._taken.clear()

    def _follow_tables(self, plan: Plan) -> None:
        """Block tables as far as plans told them: what was given out, not what went back while requests run.

        A block of a window that is not offered yet and that somebody took in this step is lost to the tier.
        """
        known_before = {known: [len(table.blocks) for table in known.tables] for known in self._known.values()}
        for request in plan.given:
            known = self._known[request]
            for k, (chunks, table) in enumerate(zip(self._chunks, known.tables, strict=True)):
                if request in plan.admitted:
                    known_before[known][k] = 0
                    table.blocks.clear()
                fresh = [block.block_id for block in chunks.group.held[request][len(table.blocks) :]]
                table.blocks += fresh
                self._taken.update(block for block in fresh if block != NULL_BLOCK)
        for known, lengths in known_before.items():
            for chunks, table, length in zip(self._chunks, known.tables, lengths, strict=True):
                for k in range(table.n_stored * chunks.blocks, length) if chunks.limited else ():
                    if table.blocks[k] in self._taken:
                        table.blocks[k] = NULL_BLOCK

    def _positions(self, request: Request) -> dict[Key, int]:
        content = self._content(request)
        return {key: k * chunks.tokens for chunks in self._chunks for k, key in enumerate(chunks.keys(content), 1)}

    def _store_states(self) -> None:
        """Offer the states that linear attention keeps as soon as they are findable, each by itself."""
        kept: dict[Request, list[tuple[FullGroup, KVCacheBlock, int]]] = {}
        for group, request, block, tokens in self.scheduler.kv_cache_manager.take_kept_states():
            kept.setdefault(request, []).append((group, block, tokens))
        for request, states in kept.items():
            known, content = self._known[request], self._content(request)
            for group, block, tokens in states:
                chunks = self._chunks[group.number]
                if tokens % chunks.tokens or tokens > self._storable_tokens(request, request.num_tokens):
                    continue
                key = chunks.key(content, tokens // chunks.tokens - 1)
                stored = self.tier.begins_store([key], self._access(known), self._positions(request))
                if stored:
                    job = self._new_job(known, True, stored, (), [block.block_id])
                    self._orders.stores.append(job)
                    self._watch(job, job.freed_blocks)

    def _storable_tokens(self, request: Request, computed: int) -> int:
        """Tokens that may be stored: those generated last have no KV, those beyond what is known may be wrong."""
        tokens = min(computed, request.num_tokens)
        if request.most_stored_tokens is not None:
            tokens = min(tokens, request.most_stored_tokens)
        return min(tokens, request.isl) if self._spec.prompt_only else tokens

    def _store(self, known: _Known, computed: int) -> None:
        """Offer the chunks that this plan fills; where the tier has no room they are offered again."""
        request, content = known.request, self._content(known.request)
        tokens = self._storable_tokens(request, computed)
        ends, offered = [], list[Key]()
        for chunks, table in zip(self._chunks, known.tables, strict=True):
            ends.append(chunks.storable(request, tokens, len(table.blocks), known.why is not None))
            kept = chunks.kept(request, self._alignment)
            for k in () if chunks.aligned else range(table.n_stored, ends[-1]):
                blocks = range(k * chunks.blocks, (k + 1) * chunks.blocks)
                needed = [table.blocks[block] for block in blocks if kept(block)]
                whole = not self._rules.chunks_stored_whole or NULL_BLOCK not in needed
                if needed and whole and table.blocks[blocks[-1]] != NULL_BLOCK:
                    offered.append(chunks.key(content, k))
        positions = self._positions(request)
        stored = self.tier.begins_store(offered, self._access(known), positions) if offered else []
        if stored is None:
            return
        if stored:
            self._order_store(known, stored, ends, content)
        for table, end in zip(known.tables, ends, strict=True):
            table.n_stored = max(table.n_stored, end)

    def _order_store(self, known: _Known, stored: Sequence[Key], ends: Sequence[int], content: Sequence[int]) -> None:
        """Blocks of full attention can go when the request leaves, those of a window before."""
        wanted, kept, freed = set(stored), list[int](), list[int]()
        for chunks, table, end in zip(self._chunks, known.tables, ends, strict=True):
            for k in range(table.n_stored, end):
                if chunks.key(content, k) in wanted:
                    blocks = table.blocks[k * chunks.blocks : (k + 1) * chunks.blocks]
                    (freed if chunks.limited else kept).extend(block for block in blocks if block != NULL_BLOCK)
        job = self._new_job(known, True, stored, kept, freed)
        self._orders.stores.append(job)
        self._watch(job, freed)
        if known.why is not None:
            self._watch(job, kept)
            if not self._taken.isdisjoint(kept):
                self._orders.flushed.add(job)

    def finish_copy(self, job: Job) -> None:
        """The worker has reported a copy, which is not noticed if the tier was emptied meanwhile."""
        if job not in self._jobs:
            return
        self._jobs.remove(job)
        known = self._known[job.request]
        if job.is_store:
            self.tier.ends_store(job.keys)
            for block in (*job.blocks, *job.freed_blocks):
                if block in self._readers:
                    self._readers[block].discard(job)
                    if not self._readers[block]:
                        del self._readers[block]
        else:
            self.tier.ends_load(job.keys)
            self._loading.difference_update(job.keys)
        known.jobs.remove(job)
        self._forget_if_done(known)

    def _forget_if_done(self, known: _Known) -> None:
        if known.ended and not known.jobs:
            del self._known[known.request]

    def reset_cache(self) -> None:
        """Forget all chunks; copies on their way are waited for with the next plan, and count for nothing."""
        self._orders.flushed |= self._jobs
        for known in list(self._known.values()):
            if known.why is not None:
                del self._known[known.request]
            known.jobs.clear()
            for table in known.tables:
                table.n_stored = 0
        self._left.clear()
        self.tier.reset()
        self._jobs.clear()
        self._readers.clear()
        self._loading.clear()
