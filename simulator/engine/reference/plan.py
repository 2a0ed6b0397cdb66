"""What one step computes, in the making and made (vLLM `SchedulerOutput`, `EngineCoreOutputs`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.engine.reference.request import Request


class Plan:
    """A plan in the making: its budgets, and who got what so far.

    Attributes
    ----------
    budget : tokens that may still be scheduled
    inputs : inputs of the model that are left; drafters take `slots` of them for each request
    given : tokens by request, in the scheduler's order
    admitted : requests that came from the waiting queue
    drafts : drafts to verify, by request
    passed : requests that the waiting loop passed over; None where there was none
    """

    def __init__(self, budget: int, inputs: int, slots: int, cap: int) -> None:
        self.budget, self.inputs, self.slots, self.cap = budget, inputs, slots, cap
        self.given: dict[Request, int] = {}
        self.admitted: dict[Request, int] = {}
        self.preempted: list[Request] = []
        self.drafts: dict[Request, int] = {}
        self.loads: list[tuple[int, int]] = []
        self.encoded: dict[Request, list[int]] = {}
        self.most_drafts = 0
        self.sampling_waits = False
        self.throttled = False
        self.passed: list[Request] | None = None

    @property
    def room(self) -> int:
        """Most tokens that one more request can get."""
        return min(self.budget, self.inputs - self.slots)

    @property
    def is_full(self) -> bool:
        return self.budget <= 0 or self.inputs <= self.slots

    def give(self, request: Request, n: int) -> None:
        self.given[request] = n
        self.budget -= n
        self.inputs -= n + self.slots

    def take_back(self, victim: Request) -> bool:
        """Tokens that a victim got earlier in this plan return to the budgets (priority policy)."""
        if victim not in self.given:
            return False
        n = self.given.pop(victim)
        self.budget += n
        self.inputs += n + self.slots
        self.drafts.pop(victim, None)
        return True


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One request in a plan: tokens, tokens computed before, drafts verified, and its output so far if it is fresh."""

    request: Request
    tokens: int
    computed_before: int
    drafts: int
    output_before: int | None


@dataclass(slots=True)
class StepPlan:
    """What one step computes, and what was given up for it.

    Attributes
    ----------
    scheduled : (request number, tokens scheduled, tokens computed before), in the scheduler's order
    preempted : request numbers in order of preemption
    free_blocks : free KV blocks once everything is scheduled
    loads : (request number, KV blocks) to be fetched from elsewhere, beginning with this step
    entries : the same as `scheduled`, with what the worker needs
    encoded : (request number, indices of its pictures) computed in this step
    most_drafts : drafts asked for after this step
    sampling_waits : a grammar needs the tokens of the step before, so that sampling waits for it
    throttled : prefills were held back
    """

    scheduled: list[tuple[int, int, int]] = field(default_factory=list)
    preempted: list[int] = field(default_factory=list)
    free_blocks: int = 0
    loads: list[tuple[int, int]] = field(default_factory=list)
    entries: list[Scheduled] = field(default_factory=list)
    encoded: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    most_drafts: int = 0
    sampling_waits: bool = False
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the worker made of a scheduled request: tokens, drafts verified and accepted."""

    request: Request
    n: int
    tokens: int
    drafts: int
    accepted: int


@dataclass(slots=True)
class StepResult:
    """What a computed step brought.

    Attributes
    ----------
    tokens : (request number, tokens delivered), in the scheduler's order
    finished : request numbers that have all their tokens and have left, in the same order
    verified : (request number, drafts verified, drafts accepted)
    """

    tokens: list[tuple[int, int]] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    verified: list[tuple[int, int, int]] = field(default_factory=list)
