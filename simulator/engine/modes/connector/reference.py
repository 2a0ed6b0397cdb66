"""KV caches that come from elsewhere or go there: NIXL's pull mode on both sides, stores of beginnings.

vLLM `v1/nixl/pull_scheduler.py`, `_update_waiting_for_remote_kv`, and `KVConnectorBase_V1` for stores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.engine.modes.tables.arrays import block_tokens, held_back_tokens
from simulator.engine.reference.blocks import KVCacheBlock
from simulator.engine.reference.doors import Answer, Left, Plain
from simulator.engine.reference.plan import Plan, StepPlan
from simulator.engine.reference.request import Request, RequestStatus

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler


class ConnectorRoom(Plain):
    """Loads before a request runs, sends after it has ended.

    With several plans in flight, blocks go back only when the newest plan that the request was in has been applied.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        modes = scheduler.config.modes
        self.sending: dict[int, Request] = {}
        self.new_sends: list[int] = []
        self._received: set[int] = set()
        self._abandoned: dict[int, Request] = {}
        self._never_fetched: list[int] = []
        self._active = modes.connector
        self._held_back = held_back_tokens(scheduler.config)
        self._fenced = modes.connector and modes.flight is not None and modes.flight.depth > 1
        self._planned_seq = self._applied_seq = 0
        self._last_plan: dict[Request, int] = {}
        self._deferred: list[tuple[int, list[KVCacheBlock]]] = []

    @property
    def busy(self) -> bool:
        """Whether something is on its way for a request that is no longer scheduled."""
        return bool(self.sending or self._abandoned)

    def knows(self, number: int) -> bool:
        """Whether a load that arrives is still waited for, or its blocks are."""
        return number in self.scheduler.requests or number in self._abandoned

    def finish_load(self, number: int) -> None:
        """The KV of a request has arrived (vLLM `finished_recving`)."""
        gone = self._abandoned.pop(number, None)
        if gone is None:
            self._received.add(number)
        else:
            self._give_back(gone)

    def finish_sending(self, number: int) -> None:
        """The KV of a finished request has been sent: its blocks are freed (vLLM `finished_sending`)."""
        self._give_back(self.sending.pop(number))

    def opens(self, plan: Plan) -> None:
        plan.loads += [(number, 0) for number in self._never_fetched]
        self._never_fetched.clear()

    def passes(self, plan: Plan, request: Request, running: bool) -> Answer:
        if request.status is not RequestStatus.WAITING_FOR_REMOTE_KVS:
            return Answer.GO
        if request.number not in self._received:
            return Answer.PASS
        self._received.remove(request.number)
        self.scheduler.kv_cache_manager.cache_blocks(request, request.num_computed_tokens)
        if request.num_computed_tokens == request.num_tokens:
            request.num_computed_tokens -= 1
        request.kv_loaded = True
        request.status = RequestStatus.PREEMPTED if request.num_preemptions else RequestStatus.WAITING
        return Answer.GO

    def external(self, request: Request, local_tokens: int) -> tuple[int | None, bool]:
        """NIXL: the whole prompt, apart. A store: full blocks of what it has, at most tokens - 1."""
        if request.remote_prefill:
            ahead = self._held_back
            whole = request.num_tokens - ahead if request.num_tokens > ahead else request.num_tokens
            return max(whole - local_tokens, 0), True
        if request.external_tokens:
            size = block_tokens(self.scheduler.config)
            stored = min(request.external_tokens, request.num_tokens - 1) // size * size
            return max(stored - local_tokens, 0), request.external_apart
        return 0, False

    def allocated(self, plan: Plan, request: Request, external: int, apart: bool) -> None:
        if not apart and not request.remote_prefill:
            return
        by_nixl, request.remote_prefill = request.remote_prefill, False
        many = 0
        for group in self.scheduler.kv_cache_manager.groups if external or not by_nixl else ():
            empty = sum(not block.is_null and block.block_hash is None for block in group.held.get(request, ()))
            many += min(empty, group.most_fetched) if by_nixl else empty
        plan.loads.append((request.number, many))

    def may_preempt(self, victim: Request) -> bool:
        return not self._fenced or self._last_plan.get(victim, 0) <= self._applied_seq

    def closes(self, plan: Plan) -> None:
        if self._fenced and plan.given:
            self._planned_seq += 1

    def planned(self, plan: Plan, request: Request, n: int) -> None:
        if self._fenced:
            self._last_plan[request] = self._planned_seq

    def output_begins(self, plan: StepPlan) -> None:
        if not self._fenced or not plan.scheduled:
            return
        self._applied_seq += 1
        while self._deferred and self._deferred[0][0] <= self._applied_seq:
            self.scheduler.kv_cache_manager.block_pool.free_blocks(self._deferred.pop(0)[1][::-1])

    def left(self, request: Request, why: Left) -> None:
        """A request that leaves before its KV was asked for tells the other side, so that blocks there are freed."""
        if why is not Left.PREEMPTED and request.remote_prefill:
            self._never_fetched.append(request.number)
        if self._active and why is not Left.PREEMPTED:
            processed = max(0, request.num_computed_tokens - request.num_in_flight_tokens)
            self.scheduler.kv_cache_manager.remove_skipped(request, processed)

    def keeps_blocks(self, request: Request, why: Left) -> bool:
        if why is Left.FINISHED and request.remote_decode:
            self.sending[request.number] = request
            self.new_sends.append(request.number)
            return True
        loading = request.status is RequestStatus.WAITING_FOR_REMOTE_KVS
        if loading and why is Left.ABORTED and request.number not in self._received:
            self._abandoned[request.number] = request
            return True
        if self.may_preempt(request):
            return False
        self._defer(request)
        return True

    def _give_back(self, request: Request) -> None:
        if self.may_preempt(request):
            self.scheduler.kv_cache_manager.free(request)
        else:
            self._defer(request)

    def _defer(self, request: Request) -> None:
        blocks = self.scheduler.kv_cache_manager.take_all(request)
        if blocks:
            self._deferred.append((self._planned_seq, blocks))
