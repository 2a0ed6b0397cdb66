"""LoRA adapters: at most so many different ones in a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.engine.reference.doors import Answer, Plain
from simulator.engine.reference.plan import Plan
from simulator.engine.reference.request import Request

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler


class LoraRoom(Plain):
    """Passes over waiting requests with one adapter too many."""

    def __init__(self, scheduler: Scheduler, max_loras: int) -> None:
        super().__init__(scheduler)
        self._most = max_loras
        self._adapters: set[int] = set()

    def turns(self, plan: Plan) -> None:
        running = self.scheduler.config.rules.lora_counts_running
        users = self.scheduler.running if running else list(plan.given)
        self._adapters = {request.lora for request in users if request.lora}

    def passes(self, plan: Plan, request: Request, running: bool) -> Answer:
        if running or not request.lora:
            return Answer.GO
        full = len(self._adapters) == self._most and request.lora not in self._adapters
        return Answer.PASS if full else Answer.GO

    def given(self, plan: Plan, request: Request, n: int, running: bool) -> None:
        if not running and request.lora:
            self._adapters.add(request.lora)
