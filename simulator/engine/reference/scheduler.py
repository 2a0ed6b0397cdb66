"""The scheduler of one replica (vLLM `v1/core/sched/scheduler.py`), rule by rule.

The loop is plain serving; modes answer its questions from rooms of their own (`doors`, `rooms`). Added: static batching
and one-at-a-time serving, which change who may be admitted and nothing else.
"""

from __future__ import annotations

from typing import TypeVar

from simulator.engine.config import Batching, EngineConfig, Policy
from simulator.engine.modes.drafts.reference import drafts_of
from simulator.engine.reference.asks import Asks, prefill_cap
from simulator.engine.reference.doors import Answer, Left, Plain
from simulator.engine.reference.kv_cache_manager import Hit, KVCacheManager
from simulator.engine.reference.limits import spec_decode_tokens
from simulator.engine.reference.plan import Plan, Scheduled, StepPlan, StepResult
from simulator.engine.reference.request import Request, RequestStatus
from simulator.engine.reference.request_queue import RequestQueue
from simulator.engine.reference.rooms import rooms_of
from simulator.engine.reference.worker import AcceptedDrafts, DraftsMade, Worker

RoomT = TypeVar("RoomT", bound=Plain)


class Scheduler:
    """vLLM's `Scheduler`.

    Parameters
    ----------
    config : limits and modes of the replica
    accepted : how many of the verified drafts are accepted; needed with speculative decoding
    drafted : how many drafts are made; all that are asked for unless given

    Raises
    ------
    ValueError : speculative decoding without `accepted`
    """

    def __init__(
        self, config: EngineConfig, accepted: AcceptedDrafts | None = None, drafted: DraftsMade | None = None
    ) -> None:
        if config.num_speculative_tokens > 0 and accepted is None:
            raise ValueError("speculative decoding needs the function that says how many drafts are accepted")
        self.config = config
        self.kv_cache_manager = KVCacheManager(config)
        self.worker = Worker(accepted, drafted)
        self.waiting = RequestQueue(config.policy)
        self.kv_holding_waiting = RequestQueue(config.policy)
        self.running: list[Request] = []
        self.requests: dict[int, Request] = {}
        self.inflight_prefills: dict[Request, None] = {}
        self.rooms: tuple[Plain, ...] = rooms_of(self)
        self.asks = Asks(self.rooms)
        self._batch_room = 0

    def room(self, kind: type[RoomT]) -> RoomT:
        """The engine's room of that kind.

        Raises
        ------
        StopIteration : the engine is not in that mode
        """
        return next(room for room in self.rooms if isinstance(room, kind))

    @property
    def has_requests(self) -> bool:
        return bool(self.running or self.waiting or self.kv_holding_waiting)

    def add(self, request: Request) -> None:
        """Queue a new request (vLLM `add_request`). The caller has asked `can_serve`."""
        self.requests[request.number] = request
        for room in self.rooms:
            room.queued(request)
        self.waiting.add_request(request)

    def abort(self, number: int) -> None:
        """A client has left: its request goes at once, wherever it is (vLLM `finish_requests`)."""
        request = self.requests.get(number)
        if request is not None:
            self._leave(request, Left.ABORTED)
        self._batch_room = min(self._batch_room, len(self.waiting) + len(self.kv_holding_waiting))

    def reset_prefix_cache(self, preempt_running: bool = False) -> bool:
        """Forget cached content; refused while a block is held, unless the running requests are preempted first."""
        if preempt_running:
            for room in self.rooms:
                room.drops_output(True)
            while self.running:
                self._preempt(self.running[-1])
            for room in self.rooms:
                room.drops_output(False)
        return self.kv_cache_manager.reset()

    def schedule(self, throttled: bool = False) -> StepPlan:
        """Plan the next step: running requests first, then waiting ones (vLLM `schedule`).

        A request catches up with its tokens, so `num_computed_tokens` advances now and not when the step is done.

        Parameters
        ----------
        throttled : this is a step in which data-parallel ranks hold prefills back
        """
        config = self.config
        self.kv_cache_manager.begin_step()
        budget = config.modes.max_num_scheduled_tokens or config.max_num_batched_tokens
        drafts = drafts_of(config)
        slots = drafts.slots if drafts else 0
        present = len(self.running) + len(self.waiting) + len(self.kv_holding_waiting)
        plan = Plan(budget, config.max_num_batched_tokens, slots, prefill_cap(config, present))
        plan.throttled = throttled
        for room in self.rooms:
            room.opens(plan)
        self._schedule_running(plan)
        for room in self.rooms:
            room.turns(plan)
        if not plan.preempted:
            self._schedule_waiting(plan)
        return self._close(plan)

    def _close(self, plan: Plan) -> StepPlan:
        for room in self.rooms:
            room.closes(plan)
        made = StepPlan(
            scheduled=[(r.number, n, r.num_computed_tokens) for r, n in plan.given.items()],
            preempted=[request.number for request in plan.preempted],
            free_blocks=self.kv_cache_manager.block_pool.get_num_free_blocks(),
            loads=plan.loads,
            entries=[
                Scheduled(r, n, r.num_computed_tokens, plan.drafts.get(r, 0), plan.admitted.get(r))
                for r, n in plan.given.items()
            ],
            encoded=[(r.number, tuple(indices)) for r, indices in plan.encoded.items()],
            most_drafts=plan.most_drafts,
            throttled=plan.throttled,
        )
        for request, n in plan.given.items():
            request.num_computed_tokens += n
            request.is_prefill_chunk = (
                request.num_computed_tokens < request.num_tokens + request.num_output_placeholders
            )
            if not request.is_prefill_chunk:
                self.inflight_prefills.pop(request, None)
            for room in self.rooms:
                room.planned(plan, request, n)
        made.sampling_waits = plan.sampling_waits
        return made

    def _max_num_running_reqs(self) -> int:
        """Most requests running in this step. Static and one-at-a-time batching are not in vLLM.

        They form a batch when nothing runs, of those that wait then; it is filled over as many steps as the budget
        takes, and closed for good where the next of it does not find its blocks, or one of it is preempted.
        """
        if self.config.batching == Batching.CONTINUOUS:
            return self.config.max_num_seqs
        if not self.running:
            self._batch_room = 1 if self.config.batching == Batching.ONE_AT_A_TIME else self.config.max_num_seqs
        self._batch_room = min(self._batch_room, len(self.waiting) + len(self.kv_holding_waiting))
        return len(self.running) + self._batch_room

    def _give(self, plan: Plan, request: Request, n: int, running: bool) -> None:
        plan.give(request, n)
        for room in self.rooms:
            room.given(plan, request, n, running)

    def _schedule_running(self, plan: Plan) -> None:
        """Give running requests their tokens in order of admission, preempting for room (vLLM `schedule`).

        Tokens known or drafted, less those computed, up to the cap, the budget, and one short of `max_model_len` for
        the token to be sampled. A request that gets nothing is passed over.
        """
        for request in tuple(self.running):
            if plan.is_full:
                return
            if request.status is not RequestStatus.RUNNING:
                continue
            if self.asks.passes(plan, request, running=True) is not Answer.GO:
                continue
            computed = request.num_computed_tokens
            n = request.num_tokens - computed + sum(room.due(request) for room in self.rooms)
            n = min(n, plan.cap, plan.room, self.config.max_model_len - 1 - computed)
            n = self.asks.cut(plan, request, n, computed)
            if n <= 0:
                continue
            if self._allocate_or_preempt(plan, request, n):
                self._give(plan, request, n, running=True)
            elif request.status is RequestStatus.RUNNING or self.config.rules.self_preemption_ends_loop:
                return

    def _allocate_or_preempt(self, plan: Plan, request: Request, n: int) -> bool:
        """Preempt until `request` has its blocks; False when it was preempted itself, or a victim must stay."""
        while not self.kv_cache_manager.allocate_slots(request, n):
            victim = self._choose_victim()
            if not all(room.may_preempt(victim) for room in self.rooms):
                return False
            if plan.take_back(victim):
                for room in self.rooms:
                    room.taken_back(plan, victim)
            self._preempt(victim)
            plan.preempted.append(victim)
            if victim is request:
                return False
        return True

    def _choose_victim(self) -> Request:
        """FCFS: the last admitted. Priority: the first of those with the largest (priority, arrival)."""
        if self.config.policy == Policy.PRIORITY:
            return max(self.running, key=lambda r: r.victim_order)
        return self.running[-1]

    def _preempt(self, request: Request) -> None:
        """Free all its blocks, their content stays findable; it is recomputed later."""
        self.running.remove(request)
        self._give_back(request, Left.PREEMPTED)
        self.inflight_prefills.pop(request, None)
        request.kv_loaded = False
        request.status = RequestStatus.PREEMPTED
        request.num_computed_tokens = 0
        request.num_output_placeholders = 0
        request.num_preemptions += 1
        self._batch_room = 0
        self.waiting.prepend_request(request)

    def _give_back(self, request: Request, why: Left) -> None:
        for room in self.rooms:
            room.left(request, why)
        if not any(room.keeps_blocks(request, why) for room in self.rooms):
            self.kv_cache_manager.free(request)

    def _schedule_waiting(self, plan: Plan) -> None:
        """Admit from the head of the queue until one has to wait: the head of the line blocks (vLLM `schedule`).

        Requests that wait but hold blocks, since their KV is or was on its way, come before all others. Those that are
        passed over keep their order.
        """
        passed_holding: list[Request] = []
        passed: list[Request] = []
        running, most = len(self.running), self._max_num_running_reqs()
        while plan.budget > 0:
            queue = self.kv_holding_waiting or self.waiting
            if not queue or plan.is_full or len(self.running) >= most:
                break
            request = queue.peek_request()
            answer = self.asks.passes(plan, request, running=False)
            if answer is Answer.GO:
                answer = self._admit(plan, queue, request)
            if answer is Answer.STOP:
                break
            if answer is Answer.PASS:
                queue.pop_request()
                holds = request.num_computed_tokens > 0 or request.status is RequestStatus.WAITING_FOR_REMOTE_KVS
                (passed_holding if holds else passed).append(request)
        self._batch_room -= len(self.running) - running
        plan.passed = [*passed, *passed_holding]
        self.kv_holding_waiting.prepend_requests(passed_holding)
        self.waiting.prepend_requests(passed)

    def _admit(self, plan: Plan, queue: RequestQueue, request: Request) -> Answer:
        """Let the head of a queue run, if it has room (vLLM `schedule`).

        Tokens beyond those cached or brought from elsewhere, generated ones of a preempted request included, up to the
        cap. Without chunked prefill a request that exceeds the budget waits; with it, it gets the rest of the budget.
        One whose KV comes apart from the step gets blocks for all of it, and is passed over until it is there.
        """
        hit: Hit | None = None
        external, apart, computed = 0, False, request.num_computed_tokens
        if computed == 0:
            hit, found, apart = self._look_up(request)
            if found is None:
                return Answer.PASS
            external, computed = found, hit.tokens + found
        n = 0
        if not apart:
            answer = self.asks.admits(plan, request, computed)
            if answer is not Answer.GO:
                return answer
            wanted = self._tokens_at_admission(plan, request, computed)
            if wanted is None:
                return Answer.STOP
            n = self.asks.cut(plan, request, wanted, computed)
            if n <= 0:
                return Answer.STOP if self._no_tokens_end(plan, request, wanted, computed) else Answer.PASS
        if not self.kv_cache_manager.allocate_slots(
            request,
            n,
            hit,
            num_external_tokens=external,
            apart=apart,
            full_sequence_must_fit=self.config.reserve_full_isl,
            reserved_blocks=self.blocks_on_the_way() if apart else 0,
            has_scheduled_reqs=bool(self.running),
        ):
            if not request.kv_loaded:
                self._batch_room = 0
            for room in self.rooms:
                room.refused(request)
            return Answer.STOP
        for room in self.rooms:
            room.allocated(plan, request, external, apart)
        if request.num_cached_tokens is None:
            request.num_cached_tokens = hit.tokens if apart and hit else computed
        request.num_computed_tokens = computed
        if apart:
            request.status = RequestStatus.WAITING_FOR_REMOTE_KVS
            self.inflight_prefills[request] = None
            return Answer.PASS
        queue.pop_request()
        self.running.append(request)
        request.status = RequestStatus.RUNNING
        plan.admitted[request] = request.num_output_tokens
        if computed + n < request.num_tokens:
            self.inflight_prefills[request] = None
        self._give(plan, request, n, running=False)
        return Answer.GO

    def _look_up(self, request: Request) -> tuple[Hit, int | None, bool]:
        """Cached prefix, tokens from elsewhere beyond it (None: not known yet), and whether these come apart."""
        hit = self.kv_cache_manager.get_computed_blocks(request)
        asked = self.kv_cache_manager.hit_for_transfer(request, hit) if request.remote_prefill else hit
        found, apart = self.asks.external(request, asked.tokens)
        hit = asked if found else hit
        request.junction = hit.junction
        return hit, found, apart

    def _tokens_at_admission(self, plan: Plan, request: Request, computed: int) -> int | None:
        """Tokens of an admitted request before they are cut to what rooms allow; None ends the waiting loop."""
        n: int | None = request.num_tokens - computed
        for room in self.rooms:
            n = None if n is None else room.pads(plan, request, n, computed)
        if n is None:
            return None
        n = min(n, plan.cap)
        if not self.config.enable_chunked_prefill and n > plan.room:
            return None
        return min(n, plan.room)

    def _no_tokens_end(self, plan: Plan, request: Request, n: int, computed: int) -> bool:
        """Whether a waiting request that got no tokens ends the waiting loop."""
        if n <= 0 or self.config.rules.no_tokens_end_waiting:
            return True
        return any(room.no_tokens_stop and room.cut(plan, request, n, computed) <= 0 for room in self.rooms)

    def blocks_on_the_way(self) -> int:
        """Blocks that all requests on their way to their first decode step still need, and one such step."""
        return self.kv_cache_manager.blocks_until_decoding(self.inflight_prefills, spec_decode_tokens(self.config))

    def update(self, plan: StepPlan) -> StepResult:
        """Apply a computed step (vLLM `update_from_output`).

        A request that has caught up gets one token, and one for each accepted draft, but never more than it asked for;
        rejected drafts are taken back from `num_computed_tokens`. A finished request frees its blocks at once, unless a
        room keeps them.
        """
        result = StepResult()
        for room in self.rooms:
            room.output_begins(plan)
        made = self.worker.compute(plan)
        for sampled in made:
            request = sampled.request
            if sampled.drafts and sampled.tokens:
                result.verified.append((request.number, sampled.drafts, sampled.accepted))
            if self.requests.get(request.number) is not request or request.status is RequestStatus.FINISHED:
                continue
            delivered, counted = self.asks.counts(request, sampled.n)
            if not delivered:
                continue
            if sampled.drafts and sampled.tokens and counted:
                request.take_back_drafts(sampled.drafts - sampled.accepted)
            for room in self.rooms:
                room.confirmed(request)
            tokens = request.deliver(sampled.tokens, self.config.max_model_len)
            if counted and self.config.rules.stop_takes_back_trimmed:
                request.num_computed_tokens -= sampled.tokens - tokens
            for room in self.rooms:
                room.applied(request, tokens, counted)
            if tokens:
                result.tokens.append((request.number, tokens))
                if request.is_finished(self.config.max_model_len):
                    result.finished.append(request.number)
                    self._leave(request, Left.FINISHED)
        for room in self.rooms:
            room.output_ends(plan, made)
        return result

    def _leave(self, request: Request, why: Left) -> None:
        if request.status is RequestStatus.RUNNING:
            self.running.remove(request)
        else:
            self.waiting.discard(request)
            self.kv_holding_waiting.discard(request)
        self.inflight_prefills.pop(request, None)
        self._give_back(request, why)
        request.status = RequestStatus.FINISHED
        self.requests.pop(request.number, None)
