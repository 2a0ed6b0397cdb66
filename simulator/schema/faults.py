"""What fails, when and for how long: servers, spot capacity, zones and providers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simulator.schema.base import IS_NUMBER, NotNegative, Positive, Settings, Share


class ReliabilitySettings(Settings):
    """Faults of one server, or rented instance, which take all its replicas; what is not given comes from the site."""

    mtbf_h: NotNegative | None = None
    """Mean time between failures; 0 is never."""
    mttr_h: NotNegative | None = None
    """Mean time to repair."""
    reclaim_mtbf_h: NotNegative | None = None
    """Mean time between spot reclaims; 0 is never."""
    reclaim_notice_s: NotNegative | None = None
    """Notice before a reclaim, in which the replicas drain."""
    reclaim_correlation: Share | None = None
    """Share of the reclaims that take all spot replicas of the zone at once; 0 unless given."""
    unavailable_probability: Annotated[float, Field(ge=0, lt=1), IS_NUMBER] | None = None
    """Chance that a launch finds no capacity."""
    retry_s: Positive | None = None
    """Pause before the next try to launch."""


class OutageWindow(Settings):
    """One outage at a known time."""

    start_s: NotNegative
    """Start in simulated time."""
    duration_s: Positive
    """Length."""


class ServerFailure(Settings):
    """One server that fails at a known time."""

    start_s: NotNegative
    """When it fails, in simulated time."""
    duration_s: Positive
    """To its repair; a spare stands in before that, a rented instance is replaced after it."""


class StockOut(Settings):
    """A time in which no launch finds capacity."""

    start_s: NotNegative
    """Start in simulated time."""
    duration_s: Positive
    """Length."""


class Throttling(Settings):
    """A time in which a token API answers 429 to a share of the calls, whatever its limits are."""

    start_s: NotNegative
    """Start in simulated time."""
    duration_s: Positive
    """Length."""
    share: Annotated[float, Field(gt=0, le=1), IS_NUMBER] = 1.0
    """Share of the calls that it refuses; one that is made again has a new chance."""


class Outages(Settings):
    """When the whole of a provider or of a site's zone is down: at random, at given times, or both."""

    mtbf_h: Positive | None = None
    """Mean time from the end of an outage to the next, exponential; needs mttr_h."""
    mttr_h: Positive | None = None
    """Mean length of an outage, exponential; needs mtbf_h."""
    windows: tuple[OutageWindow, ...] = ()
    """Outages at given times."""
