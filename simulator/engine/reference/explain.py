"""Why a plan is as it is: the reference scheduler with a note for each rule that decided something."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.engine.config import EngineConfig
from simulator.engine.reference.asks import Asks
from simulator.engine.reference.doors import Answer, Plain
from simulator.engine.reference.plan import Plan, StepPlan
from simulator.engine.reference.replay import ReplayedEngine, ranks_of, run_engine, run_ranks
from simulator.engine.reference.request import Request
from simulator.engine.reference.request_queue import RequestQueue
from simulator.engine.reference.scheduler import Scheduler
from simulator.engine.reference.worker import AcceptedDrafts, DraftsMade
from simulator.engine.schedule_trace import ScheduleTrace, TraceEvent, TraceRequest


class ExplainingScheduler(Scheduler):
    """The same decisions; `reasons` says which rule made those of the last plan."""

    reasons: tuple[str, ...] = ()

    def __init__(
        self, config: EngineConfig, accepted: AcceptedDrafts | None = None, drafted: DraftsMade | None = None
    ) -> None:
        super().__init__(config, accepted, drafted)
        self.asks = _NotedAsks(self.rooms, self._note)

    def schedule(self, throttled: bool = False) -> StepPlan:
        self.reasons = ()
        return super().schedule(throttled)

    def _note(self, request: Request, words: str) -> None:
        reason = f"request {request.number}: {words}"
        self.reasons += () if reason in self.reasons else (reason,)

    def _give(self, plan: Plan, request: Request, n: int, running: bool) -> None:
        limits = [f"{plan.room} left of the budget"]
        if plan.cap < self.config.max_model_len:
            limits.append(f"long prefills capped at {plan.cap}")
        super()._give(plan, request, n, running)
        drafts = f", {plan.drafts[request]} of them drafts" if request in plan.drafts else ""
        computed = request.num_computed_tokens
        self._note(request, f"{n} tokens after {computed}{drafts}, of {request.num_tokens} ({', '.join(limits)})")

    def _allocate_or_preempt(self, plan: Plan, request: Request, n: int) -> bool:
        known = len(plan.preempted)
        has_room = super()._allocate_or_preempt(plan, request, n)
        for victim in plan.preempted[known:]:
            self._note(victim, f"preempted, for blocks of request {request.number}")
        return has_room

    def _admit(self, plan: Plan, queue: RequestQueue, request: Request) -> Answer:
        known = len(self.reasons)
        free = self.kv_cache_manager.block_pool.get_num_free_blocks()
        answer = super()._admit(plan, queue, request)
        if answer is Answer.STOP and len(self.reasons) == known:
            self._note(request, f"not admitted: no room ({free} free blocks, {plan.room} left of the budget)")
        if answer is Answer.PASS and len(self.reasons) == known:
            self._note(request, f"waits for {request.num_computed_tokens} tokens from elsewhere")
        return answer


class _NotedAsks(Asks):
    """Notes the answers that decide something, each with its room's rule."""

    def __init__(self, rooms: Sequence[Plain], note: Callable[[Request, str], None]) -> None:
        super().__init__(rooms)
        self._note = note

    def held_back(self, room: Plain, request: Request, answer: Answer, admitting_after: int | None = None) -> None:
        admission = "" if admitting_after is None else f"not admitted after {admitting_after} tokens, "
        self._note(request, f"{admission}{_OUTCOME[answer]} ({_rule(room)})")

    def shortened(self, room: Plain, request: Request, n: int, left: int, computed: int) -> None:
        self._note(request, f"{n} tokens after {computed} are cut to {left} ({_rule(room)})")


_OUTCOME = {Answer.PASS: "passed over", Answer.STOP: "the loop ends"}


def _rule(room: Plain) -> str:
    """The room's name, and its rule in its own words."""
    name = type(room).__name__.removesuffix("Room").lower()
    words = (type(room).__doc__ or "").partition("\n")[0].strip().rstrip(".")
    return f"{name}: {words}"


class _ExplainedEngine(ReplayedEngine):
    """A replayed engine that keeps the reasons of each of its steps."""

    scheduler_class = ExplainingScheduler

    def __init__(
        self, config: EngineConfig, requests: Sequence[TraceRequest], events: Sequence[TraceEvent] = ()
    ) -> None:
        super().__init__(config, requests, events)
        self._noted: list[tuple[str, ...]] = []

    def entry_reasons(self, position: int) -> list[str]:
        """Reasons of an entry; empty if there is none."""
        kept = [reasons for step, reasons in zip(self.steps, self._noted, strict=True) if step.is_kept]
        return list(kept[position]) if position < len(kept) else []

    def _plan(self, iteration: int, throttled: bool) -> StepPlan:
        plan = super()._plan(iteration, throttled)
        assert isinstance(self.scheduler, ExplainingScheduler)
        self._noted.append(self.scheduler.reasons)
        return plan


def explain_entry(trace: ScheduleTrace, position: int, rank: int = 0) -> list[str]:
    """What decided entry `position` of a replay, request by request, in the order in which it was decided."""
    if trace.ranks:
        engines = ranks_of(trace, _ExplainedEngine)
        run_ranks(trace, engines)
        return engines[rank].entry_reasons(position)
    engine = _ExplainedEngine(trace.config, trace.requests, trace.events)
    run_engine(engine)
    return engine.entry_reasons(position)
