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


def passes(rooms: Sequence[Plain], plan: Plan, request: Request, running: bool) -> Answer:
    """The first answer that is not to go on."""
    answers = (room.passes(plan, request, running) for room in rooms)
    return next((answer for answer in answers if answer is not Answer.GO), Answer.GO)


def admits(rooms: Sequence[Plain], plan: Plan, request: Request, computed: int) -> Answer:
    """The first answer that is not to go on."""
    answers = (room.admits(plan, request, computed) for room in rooms)
    return next((answer for answer in answers if answer is not Answer.GO), Answer.GO)


def cut(rooms: Sequence[Plain], plan: Plan, request: Request, n: int, computed: int) -> int:
    """Tokens that all rooms leave."""
    for room in rooms:
        n = room.cut(plan, request, n, computed)
    return n


def counts(rooms: Sequence[Plain], request: Request, n: int) -> tuple[bool, bool]:
    """Whether the step's tokens are delivered, and whether they move the request's counters."""
    delivered = counted = True
    for room in rooms:
        here, moves = room.counts(request, n)
        delivered, counted = delivered and here, counted and moves
    return delivered, counted
