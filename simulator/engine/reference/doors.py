"""The questions of the scheduler's loop, and the answers of plain serving.

A mode is a room: a subclass of `Plain` that answers some of them from its own folder. The loop asks all rooms in the
order of `rooms_of` and knows none of them: numbers of `due` add up, `cut` is applied one after the other, the first
answer of `passes` and `admits` that is not "go" counts, `external` is the first room's that has any or does not know
yet, and all others are told to every room.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.engine.reference.plan import Plan, Sampled, StepPlan
    from simulator.engine.reference.request import Request
    from simulator.engine.reference.scheduler import Scheduler


class Answer(Enum):
    """Whether a request takes part in the plan: it does, is passed over, or the loop ends."""

    GO = "go"
    PASS = "pass over"
    STOP = "stop"


class Left(Enum):
    """Why a request gives up its blocks."""

    FINISHED = "finished"
    ABORTED = "aborted"
    PREEMPTED = "preempted"


class Plain:
    """Plain serving: the answer that each question has by itself.

    Attributes
    ----------
    no_tokens_stop : a waiting request that this room cuts to nothing ends the waiting loop in every version
    """

    no_tokens_stop = False

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    def opens(self, plan: Plan) -> None:
        """A plan begins."""

    def queued(self, request: Request) -> None:
        """A new request is about to be queued."""

    def passes(self, plan: Plan, request: Request, running: bool) -> Answer:
        """Before tokens are given, in the running or the waiting loop."""
        return Answer.GO

    def turns(self, plan: Plan) -> None:
        """The running loop is done, the waiting loop begins."""

    def external(self, request: Request, local_tokens: int) -> tuple[int | None, bool]:
        """At admission: tokens that come from elsewhere beyond those hit here, and whether apart from the step.

        None: that is not known yet, and the request is passed over.
        """
        return 0, False

    def admits(self, plan: Plan, request: Request, computed: int) -> Answer:
        """At admission, once the tokens that are there are known."""
        return Answer.GO

    def due(self, request: Request) -> int:
        """Tokens to compute beyond those known and not computed."""
        return 0

    def pads(self, plan: Plan, request: Request, n: int, computed: int) -> int | None:
        """At admission: tokens due, padding included; None ends the waiting loop."""
        return n

    def cut(self, plan: Plan, request: Request, n: int, computed: int) -> int:
        """Tokens left of `n` that follow on `computed`, after caps and budget."""
        return n

    def may_preempt(self, victim: Request) -> bool:
        """Whether the victim's blocks can go back now."""
        return True

    def refused(self, request: Request) -> None:
        """There was no room to admit the request."""

    def allocated(self, plan: Plan, request: Request, external: int, apart: bool) -> None:
        """Blocks were given at admission."""

    def given(self, plan: Plan, request: Request, n: int, running: bool) -> None:
        """Tokens were given."""

    def taken_back(self, plan: Plan, victim: Request) -> None:
        """Tokens given in this plan were taken back from a victim."""

    def closes(self, plan: Plan) -> None:
        """Everything is given; counters have not moved yet."""

    def planned(self, plan: Plan, request: Request, n: int) -> None:
        """`n` tokens count as computed from now on."""

    def output_begins(self, plan: StepPlan) -> None:
        """The output of a plan is about to be applied."""

    def output_ends(self, plan: StepPlan, sampled: list[Sampled]) -> None:
        """It was applied."""

    def counts(self, request: Request, n: int) -> tuple[bool, bool]:
        """Whether the output of `n` planned tokens is delivered, and whether it moves the request's counters."""
        return True, True

    def applied(self, request: Request, tokens: int, counted: bool) -> None:
        """Output was applied to the request: `tokens` delivered."""

    def confirmed(self, request: Request) -> None:
        """Rejected drafts are taken back; what is computed less placeholders is confirmed."""

    def left(self, request: Request, why: Left) -> None:
        """The request has left the running or waiting requests; its blocks have not gone back yet."""

    def keeps_blocks(self, request: Request, why: Left) -> bool:
        """Whether the blocks of a request that left stay for now."""
        return False

    def drops_output(self, dropping: bool) -> None:
        """Whether output that is on its way to requests that are preempted now will be dropped."""
