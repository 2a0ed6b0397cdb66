"""Structured output: a request waits until its grammar is compiled, and its tokens steer the next sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.engine.reference.doors import Answer, Left, Plain
from simulator.engine.reference.plan import Plan
from simulator.engine.reference.request import Request, RequestStatus

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler


class GrammarRoom(Plain):
    """Passes over requests whose grammar is not compiled; they keep their place."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._compiled: set[int] = set()

    def queued(self, request: Request) -> None:
        if request.has_grammar:
            request.status = RequestStatus.WAITING_FOR_GRAMMAR

    def compiled(self, number: int) -> None:
        """The grammar of a request is ready."""
        self._compiled.add(number)

    def passes(self, plan: Plan, request: Request, running: bool) -> Answer:
        if request.status is not RequestStatus.WAITING_FOR_GRAMMAR:
            return Answer.GO
        if request.number not in self._compiled:
            return Answer.PASS
        request.status = RequestStatus.WAITING
        return Answer.GO

    def planned(self, plan: Plan, request: Request, n: int) -> None:
        if request.has_grammar and request.num_output_placeholders > 0 and not request.is_prefill_chunk:
            plan.sampling_waits = True

    def left(self, request: Request, why: Left) -> None:
        if why is not Left.PREEMPTED:
            self._compiled.discard(request.number)
