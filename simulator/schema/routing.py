"""How requests choose among pools and token APIs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import IS_NUMBER, Auto, NotNegative, Settings, Share, Switch
from simulator.schema.clock import RoutingWindow

UpToAnHour = Annotated[float, Field(ge=0, le=3_600), IS_NUMBER]


class RoutingSettings(Settings):
    """What every rule may have: hours in which targets are open."""

    windows: tuple[RoutingWindow, ...] = ()
    """Targets that take requests at some hours of the week; where several windows hold, the first counts."""
    otherwise: tuple[str, ...] | None = None
    """Targets at all other hours; all unless given."""


class WindowsRouting(RoutingSettings):
    """The first target, as the windows list them, that is open at the hour, has a ready replica or is up."""

    kind: Literal["windows"]
    """By the hour of the week."""


class WeightedRouting(RoutingSettings):
    """At random by weight; equal weights unless given."""

    kind: Literal["weighted"] = "weighted"
    """At random by weight."""
    weights: dict[str, NotNegative] | None = None
    """Weight by target; a target left out gets nothing."""


class OverflowWhen(Settings):
    """Thresholds above which a pool is passed over."""

    waiting_per_replica: NotNegative | None = None
    """Requests waiting per ready replica."""
    outstanding_per_replica: NotNegative | Auto | None = None
    """Requests running and waiting per ready replica; auto looks for the number with which the busiest month costs
    least."""
    kv_usage: Share | None = None
    """Share of the KV blocks in use."""


class OverflowRouting(RoutingSettings):
    """The first target in order that is not over a threshold."""

    kind: Literal["overflow"]
    """First target that has room."""
    order: tuple[str, ...] | None = None
    """Targets, first choice first; pools then providers as listed, unless given."""
    when: OverflowWhen = OverflowWhen(waiting_per_replica=0.0)
    """When a pool counts as full; as soon as any request waits there, unless given."""


class ComplexityRouting(RoutingSettings):
    """The target with the lowest limit that is at least the request's complexity."""

    kind: Literal["complexity"]
    """By the request's complexity."""
    limits: dict[str, Share]
    """Largest complexity that a target serves, by target; unlimited for a target left out."""
    classify_s: UpToAnHour = 0.0
    """Time that the classifier takes before a request has a target."""


class EscalateWhen(Settings):
    """Which answers of the first target do not pass the check: at random, above a complexity, or both."""

    share: Share = 0.0
    """Share of all answers, at random."""
    above_complexity: Share | None = None
    """Those of requests that are more complex than this."""


class CascadeRouting(RoutingSettings):
    """A small model answers everything; what does not pass a check goes on to a larger one, and both are paid for."""

    kind: Literal["cascade"]
    """A first target for all, a second for what it cannot answer."""
    first: str
    """Pool or provider that answers every request."""
    second: str
    """Pool or provider that answers anew what is escalated."""
    escalate: EscalateWhen
    """Which requests go on."""
    check_s: UpToAnHour = 0.0
    """Time that the check of an answer takes."""
    stream_first: Switch = False
    """Show the first answer while it is written; otherwise nobody sees it before its check."""


Routing = Annotated[
    WeightedRouting | OverflowRouting | ComplexityRouting | CascadeRouting | WindowsRouting,
    Field(discriminator="kind"),
]
