"""Speculative decoding: drafts to verify, padding of first steps, and what drafters read ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import Drafts
from simulator.engine.reference.doors import Left, Plain
from simulator.engine.reference.plan import Plan, Sampled, StepPlan
from simulator.engine.reference.request import Request, RequestStatus

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler


def drafts_of(config: EngineConfig) -> Drafts | None:
    """How the engine drafts: its mode, or what its plain limits say; None without drafts."""
    if config.modes.drafts is not None or config.num_speculative_tokens == 0:
        return config.modes.drafts
    return Drafts(
        config.num_speculative_tokens,
        config.num_lookahead_tokens,
        reads_hidden_states=config.drop_last_hit_block,
        slots=config.draft_slots,
    )


class DraftsRoom(Plain):
    """Each request that has caught up gets drafts, which its next step verifies."""

    def __init__(self, scheduler: Scheduler, spec: Drafts) -> None:
        super().__init__(scheduler)
        self.spec = spec
        flight = scheduler.config.modes.flight
        self._asynchronous = flight is not None and flight.asynchronous
        self._padded: Request | None = None

    def opens(self, plan: Plan) -> None:
        self._padded = None

    def due(self, request: Request) -> int:
        return request.num_spec_tokens

    def pads(self, plan: Plan, request: Request, n: int, computed: int) -> int | None:
        """A request that is due one token gets K placeholder drafts beside it, so that its step is as wide as others'.

        Not while a running request that was planned is in the middle of its prompt, nor if nothing was computed before.
        """
        self._padded = None
        k, config = self.spec.num_speculative_tokens, self.scheduler.config
        running = [other for other in plan.given if other not in plan.admitted]
        if self.spec.by_batch_size or n != 1 or any(other.is_prefill_chunk for other in running):
            return n
        if not (running or computed > 0) or computed + 2 + k > config.max_model_len:
            return n
        if 1 + k > plan.room:
            return None
        self._padded = request
        return 1 + k

    def cut(self, plan: Plan, request: Request, n: int, computed: int) -> int:
        """Several MTP modules read ahead: a chunk leaves none of the prompt, or as much as they read.

        Padding that does not fit before the end of a chunk of linear attention is left out.
        """
        if self._padded is request and 0 < n < 1 + self.spec.num_speculative_tokens:
            self._padded = None
            n = 1
        ahead = self.spec.num_prefill_lookahead_tokens
        left = request.num_tokens - computed - n
        return max(n - (ahead - left), 0) if 0 < left < ahead else n

    def given(self, plan: Plan, request: Request, n: int, running: bool) -> None:
        if not running:
            if self._padded is request:
                plan.drafts[request] = self.spec.num_speculative_tokens
            return
        if request.num_spec_tokens:
            known = request.num_tokens + request.num_output_placeholders
            beyond = request.num_computed_tokens + n - known
            if beyond > 0:
                plan.drafts[request] = min(beyond, request.num_spec_tokens)
            request.num_spec_tokens = 0

    def closes(self, plan: Plan) -> None:
        table = self.spec.by_batch_size
        plan.most_drafts = self.spec.num_speculative_tokens
        if table and plan.given:
            n = len(plan.given)
            plan.most_drafts = next((k for low, high, k in table if low <= n <= high), table[-1][2])

    def output_ends(self, plan: StepPlan, sampled: list[Sampled]) -> None:
        """Without asynchronous scheduling the drafts are known before the next plan."""
        if self._asynchronous:
            return
        worker = self.scheduler.worker
        for made in sampled:
            request = made.request
            if self.scheduler.requests.get(request.number) is request:
                drafts = made.tokens and not request.is_prefill_chunk
                request.num_spec_tokens = worker.drafts_after(request, plan.most_drafts) if drafts else 0

    def applied(self, request: Request, tokens: int, counted: bool) -> None:
        """Blocks that accepted drafts filled become findable with the output (0.33)."""
        with_plan = self.scheduler.config.rules.registers_drafts_with_plan
        if not with_plan and not self._asynchronous and tokens and counted and request.status is RequestStatus.RUNNING:
            self.scheduler.kv_cache_manager.cache_blocks(
                request, request.num_computed_tokens - request.num_in_flight_tokens
            )

    def left(self, request: Request, why: Left) -> None:
        request.num_spec_tokens = 0
