"""Workload section: classes of requests, how they arrive, how long they are, what they may share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import AtLeastOne, Count, DataClass, Name, NotNegative, Positive, Settings, Share


class Constant(Settings):
    kind: Literal["constant"]
    value: Positive


class Uniform(Settings):
    kind: Literal["uniform"]
    low: NotNegative
    high: NotNegative


class Lognormal(Settings):
    """Mean and coefficient of variation before clamping to [min, max]."""

    kind: Literal["lognormal"]
    mean: Positive
    cv: NotNegative
    min: AtLeastOne = 1
    max: AtLeastOne = 131072


class Empirical(Settings):
    """Drawn from a column of a CSV or Parquet file."""

    kind: Literal["empirical"]
    file: str
    column: str


Length = Positive | Annotated[Constant | Uniform | Lognormal | Empirical, Field(discriminator="kind")]
"""Tokens: a number, or a distribution."""


class Poisson(Settings):
    kind: Literal["poisson"]
    rate_rps: Positive


class Gamma(Settings):
    """Renewal process; cv above 1 is burstier than Poisson."""

    kind: Literal["gamma"]
    rate_rps: Positive
    cv: Positive


class Profile(Settings):
    """A traffic description derived from a recorded trace."""

    kind: Literal["profile"]
    file: str
    rate_scale: Positive = 1.0
    loop: bool = True


class Spike(Settings):
    start_s: NotNegative
    duration_s: Positive
    factor: NotNegative


class Schedule(Settings):
    """A mean rate times factors by hour of day, day of week, and spikes. Second 0 is Monday, 00:00."""

    kind: Literal["schedule"]
    rate_rps: Positive
    hourly: Annotated[tuple[NotNegative, ...], Field(min_length=24, max_length=24)] | None = None
    weekly: Annotated[tuple[NotNegative, ...], Field(min_length=7, max_length=7)] | None = None
    spikes: tuple[Spike, ...] = ()
    cv: Positive = 1.0


class Trace(Settings):
    """Replay of a recorded trace."""

    kind: Literal["trace"]
    file: str
    format: Literal["auto", "azure", "mooncake", "burstgpt", "table"] = "auto"
    rate_scale: Positive = 1.0
    loop: bool = False


class Sessions(Settings):
    """Conversations of several turns; `rate_rps` counts requests over all turns."""

    kind: Literal["sessions"]
    rate_rps: Positive
    turns: Length
    think_s: NotNegative
    user_tokens: Length | None = None
    system_tokens: Count = 0


class ClosedLoop(Settings):
    """A fixed number of users, each with at most one request in flight."""

    kind: Literal["closed_loop"]
    concurrency: AtLeastOne
    think_s: NotNegative = 0.0


Arrivals = Annotated[Poisson | Gamma | Profile | Schedule | Trace | Sessions | ClosedLoop, Field(discriminator="kind")]


class Lengths(Settings):
    isl: Length
    """Prompt tokens."""
    osl: Length
    """Output tokens."""


class Prefixes(Settings):
    """Prompts that begin with one of several shared prefixes."""

    groups: AtLeastOne
    tokens: Length
    share: Share = 1.0
    zipf: NotNegative = 0.0


class Slo(Settings):
    """Limits in seconds by percentile, as `ttft_s: {p99: 1.0}`."""

    ttft_s: dict[Literal["p50", "p90", "p95", "p99"], Positive] = {}
    """Time to first token."""
    tpot_s: dict[Literal["p50", "p90", "p95", "p99"], Positive] = {}
    """Time per output token after the first."""
    e2e_s: dict[Literal["p50", "p90", "p95", "p99"], Positive] = {}
    """End to end."""


class RequestClass(Settings):
    """Requests of one kind."""

    name: Name
    arrivals: Arrivals
    lengths: Lengths | None = None
    """Needed unless the arrivals come with lengths (profile, trace)."""
    prefixes: Prefixes | None = None
    priority: int = 0
    """Lower is served first, with the engine policy `priority`."""
    data_class: DataClass = "internal"
    """Decides where the requests may go, before anything else does."""
    complexity: Share | Annotated[Uniform | Constant, Field(discriminator="kind")] = Uniform(
        kind="uniform", low=0.0, high=1.0
    )
    """0 (simple) to 1, for routing by complexity."""
    slo: Slo = Slo()
    timeout_s: NotNegative = 0.0
    """A request that still waits after this long is dropped; 0 is never."""
    max_retries: Count = 1
    """Times that a request is sent again after its replica was lost before streaming."""


class Workload(Settings):
    classes: Annotated[tuple[RequestClass, ...], Field(min_length=1)]
