"""The scheduler of one replica (vLLM 0.32.0 `v1/core/sched/scheduler.py`), rule by rule.

Of KV connectors: the asynchronous transfer of whole prompts between a prefill and a decode engine, as the NIXL
connector's pull mode does it (`nixl/pull_scheduler.py`). Left out: encoder inputs, LoRA, structured output, async
scheduling. Added: static batching and one-at-a-time serving, which change who may be admitted and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.engine.config import Batching, EngineConfig, Policy
from simulator.engine.reference.kv_cache_manager import KVCacheManager, lookahead_tokens
from simulator.engine.reference.request import Request, RequestStatus
from simulator.engine.reference.request_queue import RequestQueue

AcceptedDrafts = Callable[[int, int, int], int]
"""(request number, tokens generated so far, drafts verified) -> leading drafts accepted, 0 to all of them.

Asked when the request's step has been computed, before the step's tokens are counted as generated.
"""


@dataclass(slots=True)
class StepPlan:
    """What one step computes, and what was given up for it (vLLM `SchedulerOutput`).

    Attributes
    ----------
    scheduled : (request number, tokens scheduled, tokens computed before), in the scheduler's order
    preempted : request numbers in order of preemption
    free_blocks : free KV blocks once everything is scheduled
    loads : (request number, KV blocks) to be fetched from the prefill engine, beginning with this step
    """

    scheduled: list[tuple[int, int, int]] = field(default_factory=list)
    preempted: list[int] = field(default_factory=list)
    free_blocks: int = 0
    loads: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class StepResult:
    """What a computed step brought (vLLM `EngineCoreOutputs`).

    Attributes
    ----------
    tokens : (request number, tokens delivered), in the scheduler's order
    finished : request numbers that have all their tokens and have left, in the same order
    """

    tokens: list[tuple[int, int]] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)


def can_serve(config: EngineConfig, isl: int, osl: int) -> bool:
    """Whether an otherwise empty replica can bring such a request to its end; if not it is rejected at arrival.

    It must keep to `max_model_len`, its KV must fit into all blocks but the null block (the last token is never
    computed; drafts and lookahead slots are, up to `max_model_len`), and without chunked prefill all tokens that a
    preemption may make it recompute must fit into one step.
    """
    if isl + osl > config.max_model_len:
        return False
    longest = isl + osl - 1
    if not config.enable_chunked_prefill and longest > config.max_num_batched_tokens:
        return False
    drafts = config.num_speculative_tokens if osl > 1 else 0
    reach = min(longest + drafts + lookahead_tokens(config), config.max_model_len)
    return -(-reach // config.block_size) <= config.num_blocks - 1


def spec_decode_tokens(config: EngineConfig) -> int:
    """Tokens that a request's first decode step may hold beyond those known: its own, drafts and lookahead slots."""
    drafts = config.num_speculative_tokens
    return 1 + drafts + lookahead_tokens(config) if drafts > 0 else 0


def can_receive(config: EngineConfig, isl: int, osl: int) -> bool:
    """As `can_serve`, for a decode engine that fetches the prompt's KV: room must be left for a first decode step."""
    size = config.block_size
    blocks = -(-isl // size) + -(-spec_decode_tokens(config) // size)
    return can_serve(config, isl, osl) and blocks <= config.num_blocks - 1


class Scheduler:
    """vLLM 0.32.0's `Scheduler` with synchronous scheduling.

    Parameters
    ----------
    config : limits of the replica
    accepted : how many of the verified drafts are accepted; needed with speculative decoding

    Raises
    ------
    ValueError : speculative decoding without `accepted`
    """

    def __init__(self, config: EngineConfig, accepted: AcceptedDrafts | None = None) -> None:
        if config.num_speculative_tokens > 0 and accepted is None:
            raise ValueError("speculative decoding needs the function that says how many drafts are accepted")
        self.config = config
        self.accepted = accepted
        self.kv_cache_manager = KVCacheManager(config)
        self.waiting = RequestQueue(config.policy)
        self.kv_holding_waiting = RequestQueue(config.policy)
        self.running: list[Request] = []
        self.sending: dict[int, Request] = {}
        self._inflight_prefills: set[Request] = set()
        self._finished_recving: set[int] = set()
        self.requests: dict[int, Request] = {}

    @property
    def has_requests(self) -> bool:
        return bool(self.requests)

    def add(self, request: Request) -> None:
        """Queue a new request (vLLM 0.32.0 `add_request`). The caller has asked `can_serve`."""
        self.requests[request.number] = request
        self.waiting.add_request(request)

    def abort(self, number: int) -> None:
        """Drop a request that waits, preempted ones included (vLLM 0.32.0 `finish_requests`)."""
        request = self.requests.pop(number)
        self.waiting.remove_request(request)
        request.status = RequestStatus.FINISHED

    def schedule(self) -> StepPlan:
        """Plan the next step: running requests first, then waiting ones (vLLM 0.32.0 `schedule`).

        A request catches up with its tokens, so `num_computed_tokens` advances now and not when the step is done.
        """
        plan = _Plan(self.config.max_num_batched_tokens)
        cap = self._prefill_cap()
        admits = self._admission_is_open()
        self._schedule_running(plan, cap)
        if not plan.preempted and admits:
            self._schedule_waiting(plan, cap)
        scheduled = [(r.number, n, r.num_computed_tokens) for r, n in plan.scheduled]
        for request, n in plan.scheduled:
            request.num_computed_tokens += n
            if request.num_computed_tokens >= request.num_tokens:
                self._inflight_prefills.discard(request)
        return StepPlan(
            scheduled=scheduled,
            preempted=[request.number for request in plan.preempted],
            free_blocks=self.kv_cache_manager.block_pool.get_num_free_blocks(),
            loads=plan.loads,
        )

    def _prefill_cap(self) -> int:
        """Most tokens of one request in this step (vLLM 0.32.0 `long_prefill_token_threshold`).

        It keeps long prompts from holding up others, so a request alone in the system is not capped.
        """
        threshold = self.config.long_prefill_token_threshold
        return threshold if threshold > 0 and len(self.requests) > 1 else self.config.max_num_batched_tokens

    def _admission_is_open(self) -> bool:
        """Static and one-at-a-time batching admit only in steps that begin with nothing running. Not in vLLM."""
        return self.config.batching == Batching.CONTINUOUS or not self.running

    def _max_num_running_reqs(self) -> int:
        return 1 if self.config.batching == Batching.ONE_AT_A_TIME else self.config.max_num_seqs

    def _schedule_running(self, plan: _Plan, cap: int) -> None:
        """Give running requests their tokens in order of admission, preempting for room (vLLM 0.32.0 `schedule`).

        Tokens with drafts, less those computed, up to the cap, the budget, and one short of `max_model_len` for the
        token to be sampled. A request that gets nothing is passed over. The loop ends with one that preempts itself.
        """
        index = 0
        while index < len(self.running) and plan.budget > 0:
            request = self.running[index]
            n = request.num_tokens_with_spec - request.num_computed_tokens
            n = min(n, cap, plan.budget, self.config.max_model_len - 1 - request.num_computed_tokens)
            if n <= 0:
                index += 1
                continue
            if not self._allocate_or_preempt(plan, request, n):
                return
            plan.give(request, n)
            index = self.running.index(request) + 1

    def _allocate_or_preempt(self, plan: _Plan, request: Request, n: int) -> bool:
        """Preempt until `request` has its blocks; False when it was preempted itself (vLLM 0.32.0 `schedule`)."""
        while not self.kv_cache_manager.allocate_slots(request, n):
            victim = self._choose_victim()
            plan.take_back(victim)
            self._preempt_request(victim)
            plan.preempted.append(victim)
            if victim is request:
                return False
        return True

    def _choose_victim(self) -> Request:
        """FCFS: the last admitted. Priority: the largest (priority, arrival) of all running (vLLM 0.32.0)."""
        if self.config.policy == Policy.PRIORITY:
            return max(self.running, key=lambda r: r.serving_order)
        return self.running[-1]

    def _preempt_request(self, request: Request) -> None:
        """Free all its blocks, their content stays findable; it is recomputed later (vLLM 0.32.0)."""
        self.running.remove(request)
        self.kv_cache_manager.free(request)
        self._inflight_prefills.discard(request)
        request.kv_loaded = False
        request.status = RequestStatus.PREEMPTED
        request.num_computed_tokens = 0
        request.num_spec_tokens = 0
        request.num_preemptions += 1
        self.waiting.prepend_request(request)

    def _schedule_waiting(self, plan: _Plan, cap: int) -> None:
        """Admit from the head of the queue until one has to wait: the head of the line blocks (vLLM 0.32.0 `schedule`).

        Requests that wait but hold blocks, since their KV is or was on its way, come before all others. Those whose KV
        is not there yet are passed over and keep their order.
        """
        skipped: list[Request] = []
        while plan.budget > 0 and len(self.running) < self._max_num_running_reqs():
            queue = self.kv_holding_waiting or self.waiting
            if not queue:
                break
            request = queue.peek_request()
            if request.status == RequestStatus.WAITING_FOR_REMOTE_KVS and not self._promote(request):
                skipped.append(queue.pop_request())
            elif request.remote_prefill:
                if not self._start_load(plan, request):
                    break
                skipped.append(queue.pop_request())
            elif not self._admit(plan, queue, request, cap):
                break
        self.kv_holding_waiting.prepend_requests(skipped)

    def _admit(self, plan: _Plan, queue: RequestQueue, request: Request, cap: int) -> bool:
        """Let the head of a queue run, if it has room (vLLM 0.32.0 `schedule`).

        Tokens beyond the cached prefix, generated ones of a preempted request included, up to the cap. Without chunked
        prefill a request that exceeds the budget waits; with it, it gets the rest of the budget. Of a request whose KV
        was fetched only the last token is due.
        """
        hit = self.kv_cache_manager.get_computed_blocks(request) if request.num_computed_tokens == 0 else []
        computed = request.num_computed_tokens + len(hit) * self.config.block_size
        n = min(request.num_tokens - computed, cap)
        if not self.config.enable_chunked_prefill and n > plan.budget:
            return False
        n = min(n, plan.budget)
        if not self.kv_cache_manager.allocate_slots(
            request,
            n,
            hit,
            full_sequence_must_fit=self.config.reserve_full_isl,
            has_scheduled_reqs=bool(self.running),
        ):
            return False
        queue.pop_request()
        self.running.append(request)
        request.status = RequestStatus.RUNNING
        request.num_computed_tokens = computed
        if request.num_cached_tokens is None:
            request.num_cached_tokens = computed
        if computed + n < request.num_tokens:
            self._inflight_prefills.add(request)
        plan.give(request, n)
        return True

    def _start_load(self, plan: _Plan, request: Request) -> bool:
        """Allocate blocks for a whole prompt and begin to fetch what the local prefix cache lacks (vLLM 0.32.0).

        The blocks are held for the whole transfer without progress and cannot be preempted, so room must be left for
        everything that is still on its way to its first decode step, and for one such step. There is one transfer for
        each request: after a preemption it is computed here.
        """
        manager = self.kv_cache_manager
        hit = manager.get_computed_blocks(request)
        hit_tokens = len(hit) * self.config.block_size
        reserved = sum(self._remaining_blocks(other) for other in self._inflight_prefills)
        reserved += -(-spec_decode_tokens(self.config) // self.config.block_size)
        if not manager.allocate_slots(
            request,
            0,
            hit,
            num_external_tokens=request.num_tokens - hit_tokens,
            full_sequence_must_fit=self.config.reserve_full_isl,
            reserved_blocks=reserved,
            has_scheduled_reqs=bool(self.running),
        ):
            return False
        plan.loads.append((request.number, len(manager.req_to_blocks[request.number]) - len(hit)))
        request.num_cached_tokens = hit_tokens
        request.status = RequestStatus.WAITING_FOR_REMOTE_KVS
        request.num_computed_tokens = request.num_tokens
        request.remote_prefill = False
        self._inflight_prefills.add(request)
        return True

    def _remaining_blocks(self, request: Request) -> int:
        """Blocks that a request needs until its first decode step (vLLM 0.32.0 `_request_remaining_blocks`)."""
        tokens = min(request.num_tokens, self.config.max_model_len) + spec_decode_tokens(self.config)
        return self.kv_cache_manager.num_blocks_to_allocate(request, tokens)

    def _promote(self, request: Request) -> bool:
        """Whether a request's KV has arrived; then its blocks become findable (vLLM 0.32.0
        `_update_waiting_for_remote_kv`). The last token is computed again, for its logits.
        """
        if request.number not in self._finished_recving:
            return False
        self._finished_recving.remove(request.number)
        self.kv_cache_manager.cache_blocks(request, request.num_computed_tokens)
        request.num_computed_tokens = request.num_tokens - 1
        request.kv_loaded = True
        request.status = RequestStatus.WAITING
        return True

    def finish_load(self, number: int) -> None:
        """The KV of a request has arrived (vLLM 0.32.0 `finished_recving`)."""
        self._finished_recving.add(number)

    def finish_sending(self, number: int) -> None:
        """The KV of a finished request has been sent: its blocks are freed (vLLM 0.32.0 `finished_sending`)."""
        self.kv_cache_manager.free(self.sending.pop(number))

    def update(self, plan: StepPlan) -> StepResult:
        """Apply a computed step (vLLM 0.32.0 `update_from_output`).

        A request that has caught up gets one token, and one for each accepted draft, but never more than it asked for;
        rejected drafts are taken back from `num_computed_tokens`. It drafts anew for its next step. A finished request
        frees its blocks at once, unless they are still to be sent.
        """
        result = StepResult()
        for number, n, computed_before in plan.scheduled:
            request = self.requests[number]
            drafted = computed_before + n - request.num_tokens
            if drafted < 0:
                continue
            accepted = self._accepted_drafts(request, drafted)
            request.num_computed_tokens -= drafted - accepted
            tokens = min(accepted + 1, request.osl - request.num_output_tokens)
            request.num_output_tokens += tokens
            request.num_spec_tokens = self.config.num_speculative_tokens
            result.tokens.append((number, tokens))
            if request.is_finished:
                self._free_request(request)
                result.finished.append(number)
        return result

    def _accepted_drafts(self, request: Request, drafted: int) -> int:
        if drafted == 0 or self.accepted is None:
            return 0
        return self.accepted(request.number, request.num_output_tokens, drafted)

    def _free_request(self, request: Request) -> None:
        self.running.remove(request)
        if request.remote_decode:
            self.sending[request.number] = request
        else:
            self.kv_cache_manager.free(request)
        request.status = RequestStatus.FINISHED
        del self.requests[request.number]


class _Plan:
    """A step in the making: its budget, and who got what so far."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.scheduled: list[tuple[Request, int]] = []
        self.preempted: list[Request] = []
        self.loads: list[tuple[int, int]] = []

    def give(self, request: Request, n: int) -> None:
        self.scheduled.append((request, n))
        self.budget -= n

    def take_back(self, victim: Request) -> None:
        """Tokens that a victim got earlier in this step return to the budget (vLLM 0.32.0, priority policy)."""
        self.budget += sum(n for request, n in self.scheduled if request is victim)
        self.scheduled = [(request, n) for request, n in self.scheduled if request is not victim]
