"""Several plans in flight (vLLM `AsyncScheduler`, `step_with_batch_queue`)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from simulator.engine.modes.spec import Flight
from simulator.engine.reference.doors import Answer, Left, Plain
from simulator.engine.reference.plan import Plan, StepPlan
from simulator.engine.reference.request import Request, RequestStatus

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler


class FlightRoom(Plain):
    """Requests whose last output is still on its way.

    Asynchronous plans count on tokens that are not sampled yet: a placeholder for each, and one for each draft. What a
    preempted request had in flight is stale: it is delivered, but moves no counter.
    """

    def __init__(self, scheduler: Scheduler, spec: Flight) -> None:
        super().__init__(scheduler)
        self.spec = spec
        self._plan_number = 0
        self._eligible: dict[Request, int] = {}
        self._stale: dict[Request, int] = {}
        self._dropped: set[Request] = set()
        self._dropping = False

    def opens(self, plan: Plan) -> None:
        self._plan_number += 1

    def passes(self, plan: Plan, request: Request, running: bool) -> Answer:
        if not running:
            waits = self._stale.get(request, 0) > 0 and request not in self._dropped
            return Answer.PASS if waits else Answer.GO
        placeholders = request.num_output_placeholders
        last = request.num_computed_tokens + 2 - placeholders >= request.isl + request.osl
        if (placeholders > 0 and last) or self._plan_number < self._eligible.get(request, 0):
            return Answer.PASS
        return Answer.GO

    def due(self, request: Request) -> int:
        return request.num_output_placeholders

    def planned(self, plan: Plan, request: Request, n: int) -> None:
        request.num_in_flight_tokens += n
        if not self.spec.asynchronous or request.is_prefill_chunk:
            return
        request.num_output_placeholders += 1 + plan.drafts.get(request, 0)
        request.num_spec_tokens = plan.most_drafts
        if self.spec.eligible_after:
            self._eligible[request] = self._plan_number + self.spec.eligible_after

    def counts(self, request: Request, n: int) -> tuple[bool, bool]:
        request.num_in_flight_tokens -= n
        stale = self._stale.get(request, 0)
        if stale <= 0:
            return True, True
        self._stale[request] = stale - n
        return request not in self._dropped, False

    def applied(self, request: Request, tokens: int, counted: bool) -> None:
        if not tokens or not self.spec.asynchronous:
            return
        if counted:
            request.num_output_placeholders -= tokens
        with_plan = self.scheduler.config.rules.registers_drafts_with_plan
        if request.status is not RequestStatus.RUNNING or not (counted or with_plan):
            return
        ahead = request.num_output_placeholders if with_plan else request.num_in_flight_tokens
        self.scheduler.kv_cache_manager.cache_blocks(request, request.num_computed_tokens - ahead)

    def drops_output(self, dropping: bool) -> None:
        self._dropping = dropping

    def left(self, request: Request, why: Left) -> None:
        if why is not Left.PREEMPTED:
            for known in (self._eligible, self._stale):
                known.pop(request, None)
            self._dropped.discard(request)
            return
        if self._dropping or (request in self._dropped and self._stale.get(request, 0) > 0):
            self._dropped.add(request)
        else:
            self._dropped.discard(request)
        self._stale[request] = request.num_in_flight_tokens


class PlanQueue:
    """Plans whose output is not applied yet, oldest first (vLLM `step_with_batch_queue`).

    Parameters
    ----------
    depth : plans that are made before the oldest one's output is waited for
    """

    def __init__(self, scheduler: Scheduler, depth: int) -> None:
        self.scheduler, self.depth = scheduler, depth
        self._queue: deque[StepPlan] = deque()
        self._late: StepPlan | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, plan: StepPlan, more: bool) -> bool:
        """Queue a plan; whether the engine goes on planning before it waits for an output.

        Parameters
        ----------
        more : the plan has tokens, or requests are left
        """
        if plan.sampling_waits:
            self._late = plan
            return False
        self._queue.append(plan)
        return len(self._queue) < self.depth and more

    def pop(self) -> StepPlan:
        """The oldest plan, whose output is applied now."""
        return self._queue.popleft()

    def settle(self) -> None:
        """A plan whose sampling waited for that output is queued after it."""
        if self._late is not None:
            self._queue.append(self._late)
            self._late = None
