"""Data-parallel ranks in lockstep: prefills are held back to steps that all ranks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.engine.modes.spec import Waves
from simulator.engine.reference.doors import Answer, Left, Plain
from simulator.engine.reference.plan import Plan
from simulator.engine.reference.request import Request, RequestStatus

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler

_BLOCKED = (RequestStatus.WAITING_FOR_REMOTE_KVS, RequestStatus.WAITING_FOR_GRAMMAR)


class WavesRoom(Plain):
    """Holds prefills back in throttled steps (vLLM `_should_throttle_prefills`).

    Only while some running request decodes, and the last plan that was not held back left none waiting but those that
    were passed over, in it or in an earlier one (vLLM `deferred_waiting`). From 0.33 on an engine by itself holds them,
    too, until the interval since the last step with a prefill is over.
    """

    def __init__(self, scheduler: Scheduler, spec: Waves) -> None:
        super().__init__(scheduler)
        alone = scheduler.config.rules.prefill_interval_alone
        self._own_interval = spec.prefill_interval if alone else 1
        self._last_prefill = -self._own_interval
        self._executed = 0
        self._capacity_bound = False
        self._held = False
        self._deferred: set[Request] = set()

    def queued(self, request: Request) -> None:
        if request.status in _BLOCKED:
            self._deferred.add(request)

    def left(self, request: Request, why: Left) -> None:
        self._deferred.discard(request)

    def opens(self, plan: Plan) -> None:
        decodes = any(not request.is_prefill_chunk for request in self.scheduler.running)
        early = self._executed + 1 - self._last_prefill < self._own_interval
        self._held = (plan.throttled or early) and not self._capacity_bound and decodes
        plan.throttled = self._held

    def passes(self, plan: Plan, request: Request, running: bool) -> Answer:
        return Answer.PASS if running and self._held and request.is_prefill_chunk else Answer.GO

    def admits(self, plan: Plan, request: Request, computed: int) -> Answer:
        return Answer.STOP if self._held and computed < request.num_tokens - 1 else Answer.GO

    def closes(self, plan: Plan) -> None:
        if plan.given:
            self._executed += 1
        if any(self._prefills(plan, request) for request in plan.given):
            self._last_prefill = self._executed
        if plan.passed is None:
            return
        self._deferred |= set(plan.passed)
        self._deferred -= set(plan.admitted)
        if not self._held:
            waiting = len(self.scheduler.waiting) + len(self.scheduler.kv_holding_waiting)
            self._capacity_bound = waiting > len(self._deferred)

    def _prefills(self, plan: Plan, request: Request) -> bool:
        if request in plan.admitted:
            return request.num_computed_tokens < request.num_tokens - 1
        return request.is_prefill_chunk
