"""Encoder inputs: a budget of embeddings per step, and a cache of them (vLLM `encoder_cache_manager.py`)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.engine.modes.spec import Encoder
from simulator.engine.reference.doors import Left, Plain
from simulator.engine.reference.plan import Plan
from simulator.engine.reference.request import Request

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler


class EncoderCache:
    """Embeddings of pictures, in tokens: who uses them, and which are idle, the longest idle first."""

    def __init__(self, size_tokens: int) -> None:
        self.free = self.reclaimable = size_tokens
        self._users: dict[str, set[Request]] = {}
        self._sizes: dict[str, int] = {}
        self._idle: OrderedDict[str, int] = OrderedDict()
        self.used_by: dict[Request, set[int]] = {}

    def use_if_cached(self, request: Request, index: int) -> bool:
        """One more user of a picture that is there."""
        name = request.images[index][2]
        if name not in self._users:
            return False
        if not self._users[name]:
            self.reclaimable -= self._idle.pop(name)
        self._users[name].add(request)
        self.used_by.setdefault(request, set()).add(index)
        return True

    def has_room(self, size: int, budget: int, planned: int) -> bool:
        """Whether a picture can be encoded beside `planned` tokens of this request; idle ones make way."""
        if size > budget:
            return False
        size += planned
        if size <= self.free:
            return True
        if size > self.reclaimable:
            return False
        while size > self.free:
            name, gone = self._idle.popitem(last=False)
            del self._users[name]
            self.free += gone
        return True

    def put(self, request: Request, index: int) -> None:
        """The picture is encoded in this step."""
        _, size, name = request.images[index]
        self._users.setdefault(name, set()).add(request)
        self._sizes[name] = size
        self.used_by.setdefault(request, set()).add(index)
        self.free -= size
        self.reclaimable -= size

    def release(self, request: Request, index: int) -> None:
        """The request no longer needs this picture."""
        name, mine = request.images[index][2], self.used_by.get(request, set())
        mine.discard(index)
        users = self._users.get(name)
        if not users or any(request.images[other][2] == name for other in mine):
            return
        users.discard(request)
        if not users:
            self._idle[name] = self._sizes[name]
            self.reclaimable += self._sizes[name]

    def release_all(self, request: Request) -> None:
        for index in sorted(self.used_by.get(request, ())):
            self.release(request, index)
        self.used_by.pop(request, None)


@dataclass(slots=True)
class _Wanted:
    """Pictures of a chunk: to encode, named twice in it, and the budget left after them."""

    encode: list[int] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    budget_left: int = 0


class EncoderRoom(Plain):
    """A chunk ends before a picture that cannot be encoded in this step (vLLM `_try_schedule_encoder_inputs`)."""

    def __init__(self, scheduler: Scheduler, spec: Encoder) -> None:
        super().__init__(scheduler)
        self.spec = spec
        self.cache = EncoderCache(spec.cache_tokens)
        drafts = scheduler.config.modes.drafts
        self._read_ahead = drafts.num_prefill_lookahead_tokens if drafts else 0
        self._budget = 0
        self._wanted: tuple[Request, _Wanted] | None = None

    def opens(self, plan: Plan) -> None:
        self._budget = self.spec.budget_tokens

    def cut(self, plan: Plan, request: Request, n: int, computed: int) -> int:
        self._wanted = None
        if not request.images or n == 0:
            return n
        wanted, planned, names = _Wanted(budget_left=self._budget), 0, set()
        ahead = self._read_ahead
        stops_early = ahead if self.scheduler.config.rules.reads_ahead_of_pictures else 0
        end = computed + n + ahead
        for index, (offset, size, name) in enumerate(request.images):
            if offset >= end or offset + size <= computed:
                continue
            if self.spec.whole_items and computed + n < offset + size and self._is_whole_from(computed, offset):
                n = max(0, offset - computed - ahead)
                break
            if name in names:
                wanted.again.append(index)
                continue
            if self.cache.use_if_cached(request, index):
                continue
            if not self.cache.has_room(size, wanted.budget_left, planned):
                n = max(0, min(n, offset - computed - stops_early))
                break
            planned += size
            wanted.budget_left -= size
            names.add(name)
            wanted.encode.append(index)
        self._wanted = (request, wanted)
        return n

    def _is_whole_from(self, computed: int, offset: int) -> bool:
        """Whether a picture must not be cut by a chunk that begins at `computed`."""
        begins_with_it = computed == offset and not self.scheduler.config.rules.chunk_may_begin_with_part
        return computed < offset or begins_with_it

    def given(self, plan: Plan, request: Request, n: int, running: bool) -> None:
        if self._wanted is None or self._wanted[0] is not request or not self._wanted[1].encode:
            return
        wanted = self._wanted[1]
        plan.encoded[request] = wanted.encode
        for index in wanted.encode:
            self.cache.put(request, index)
        for index in wanted.again:
            self.cache.use_if_cached(request, index)
        self._budget = wanted.budget_left

    def taken_back(self, plan: Plan, victim: Request) -> None:
        for index in plan.encoded.pop(victim, ()):
            self._budget += victim.images[index][1]

    def refused(self, request: Request) -> None:
        self.cache.release_all(request)

    def confirmed(self, request: Request) -> None:
        """Pictures go, in order, when their last token is computed and confirmed."""
        ahead = self._read_ahead if self.scheduler.config.rules.reads_ahead_of_pictures else 0
        known = request.num_computed_tokens - request.num_output_placeholders - ahead
        for index in sorted(self.cache.used_by.get(request, ())):
            offset, size, _ = request.images[index]
            if offset + size <= known:
                self.cache.release(request, index)

    def left(self, request: Request, why: Left) -> None:
        self.cache.release_all(request)
