"""What the loop asks of all rooms at once, in their order, and the cap of long prefills."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.config import EngineConfig
from simulator.engine.reference.doors import Answer, Plain
from simulator.engine.reference.plan import Plan
from simulator.engine.reference.request import Request


def prefill_cap(config: EngineConfig, present: int) -> int:
    """Most tokens of one request in this step (vLLM `long_prefill_token_threshold`).

    It keeps long prompts from holding up others, so a request alone in the system is not capped; the adaptive cap
    is the larger of it and an equal share of the inputs.

    Parameters
    ----------
    present : requests in the system, running and waiting
    """
    threshold = config.long_prefill_token_threshold
    if threshold <= 0 or present <= 1:
        return config.max_model_len
    if config.modes.adaptive_prefill_cap:
        return max(threshold, config.max_num_batched_tokens // present)
    return threshold


class Asks:
    """Questions to all rooms of an engine; `held_back` and `shortened` are told of answers that decide something."""

    def __init__(self, rooms: Sequence[Plain]) -> None:
        self._rooms = rooms

    def held_back(self, room: Plain, request: Request, answer: Answer, admitting_after: int | None = None) -> None:
        """A room passed a request over or ended the loop; at its admission after that many tokens."""

    def shortened(self, room: Plain, request: Request, n: int, left: int, computed: int) -> None:
        """A room left fewer than `n` tokens after `computed`."""

    def passes(self, plan: Plan, request: Request, running: bool) -> Answer:
        """The first answer that is not to go on."""
        for room in self._rooms:
            answer = room.passes(plan, request, running)
            if answer is not Answer.GO:
                self.held_back(room, request, answer)
                return answer
        return Answer.GO

    def admits(self, plan: Plan, request: Request, computed: int) -> Answer:
        """The first answer that is not to go on."""
        for room in self._rooms:
            answer = room.admits(plan, request, computed)
            if answer is not Answer.GO:
                self.held_back(room, request, answer, admitting_after=computed)
                return answer
        return Answer.GO

    def external(self, request: Request, local_tokens: int) -> tuple[int | None, bool]:
        """Tokens that the first room with any has beyond those hit here, and whether apart from the step."""
        for room in self._rooms:
            tokens, apart = room.external(request, local_tokens)
            if tokens is None:
                self.held_back(room, request, Answer.PASS, admitting_after=local_tokens)
            if tokens != 0:
                return tokens, apart
        return 0, False

    def cut(self, plan: Plan, request: Request, n: int, computed: int) -> int:
        """Tokens that all rooms leave."""
        for room in self._rooms:
            left = room.cut(plan, request, n, computed)
            if left != n:
                self.shortened(room, request, n, left, computed)
            n = left
        return n

    def counts(self, request: Request, n: int) -> tuple[bool, bool]:
        """Whether the step's tokens are delivered, and whether they move the request's counters."""
        delivered = counted = True
        for room in self._rooms:
            here, moves = room.counts(request, n)
            delivered, counted = delivered and here, counted and moves
        return delivered, counted
