"""Workload section: classes of requests, how they arrive, how long they are, what they may share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import (
    IS_NUMBER,
    AtLeastOne,
    Count,
    DataClass,
    Name,
    NotNegative,
    Positive,
    Settings,
    Share,
    Switch,
    Whole32,
)
from simulator.schema.money import Tier


class Constant(Settings):
    """Always the same value."""

    kind: Literal["constant"]
    """Always the same."""
    value: Positive
    """The value."""


class Uniform(Settings):
    """Evenly distributed between two values."""

    kind: Literal["uniform"]
    """Evenly distributed."""
    low: NotNegative
    """Smallest value."""
    high: NotNegative
    """Largest value."""


class Lognormal(Settings):
    """Mean and coefficient of variation before clamping to [min, max]."""

    kind: Literal["lognormal"]
    """Lognormal."""
    mean: Positive
    """Mean."""
    cv: NotNegative
    """Coefficient of variation."""
    min: AtLeastOne = 1
    """Smallest value."""
    max: AtLeastOne = 131072
    """Largest value."""


class Empirical(Settings):
    """Drawn from a column of a CSV or Parquet file."""

    kind: Literal["empirical"]
    """As in a file."""
    file: str
    """CSV or Parquet file, from the scenario's folder."""
    column: str
    """Column of the file."""


Length = Positive | Annotated[Constant | Uniform | Lognormal | Empirical, Field(discriminator="kind")]
"""Tokens: a number, or a distribution."""


class Poisson(Settings):
    """Independent arrivals at a constant rate."""

    kind: Literal["poisson"]
    """Independent arrivals."""
    rate_rps: Positive
    """Requests per second."""


class Gamma(Settings):
    """Renewal process; cv above 1 is burstier than Poisson."""

    kind: Literal["gamma"]
    """Gamma-distributed gaps."""
    rate_rps: Positive
    """Requests per second."""
    cv: Positive
    """Coefficient of variation of the gaps."""


class Profile(Settings):
    """A traffic description derived from a recorded trace."""

    kind: Literal["profile"]
    """Like a recorded trace."""
    file: str
    """Traffic description, from the scenario's folder."""
    rate_scale: Positive = 1.0
    """Factor on the rate."""
    loop: Switch = True
    """Start again at the end of the description."""


class Spike(Settings):
    """A surge for a while."""

    start_s: NotNegative
    """Start."""
    duration_s: Positive
    """Duration."""
    factor: NotNegative
    """Factor on the rate; overlapping spikes multiply."""


class Schedule(Settings):
    """A mean rate times factors by hour of day, day of week, and spikes. Second 0 is `run.start`."""

    kind: Literal["schedule"]
    """By hour and day."""
    rate_rps: Positive
    """Requests per second before the factors."""
    hourly: Annotated[tuple[NotNegative, ...], Field(min_length=24, max_length=24)] | None = None
    """24 factors from 00:00 on; 1 unless given."""
    weekly: Annotated[tuple[NotNegative, ...], Field(min_length=7, max_length=7)] | None = None
    """7 factors from Monday on; 1 unless given."""
    spikes: tuple[Spike, ...] = ()
    """Passing surges."""
    cv: Positive = 1.0
    """Coefficient of variation of the gaps once the rate is scaled out; 1 is Poisson."""


TraceColumn = Literal[
    "arrival_s",
    "input_tokens",
    "output_tokens",
    "hash_ids",
    "class",
    "session_id",
    "think_s",
    "e2e_s",
    "acceptance",
    "cached_tokens",
]


class Trace(Settings):
    """Replay of a recorded trace."""

    kind: Literal["trace"]
    """Replay."""
    file: str
    """Trace file, from the scenario's folder."""
    format: Literal["auto", "azure", "mooncake", "burstgpt", "table"] = "auto"
    """Format of the file; auto goes by its columns."""
    columns: dict[TraceColumn, str] = {}
    """What the file calls the columns of servecast's own format, as `{arrival_s: startTime, input_tokens: prompt}`;
    `date+time` is two columns together, `one+other` the sum of two counts of tokens.
    `acceptance` is of a request's drafts: the probability of each, given that all before it in the step were accepted;
    where it is empty, and without it, the engine's holds.
    `cached_tokens` are those that whoever wrote the file found in a cache: without hashes, so many of a prompt are the
    beginning of one text, the same for all of a class."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of times that are numbers. Unless given: that of a clock since 1970 by its size, ms where Mooncake's are all
    whole, else s."""
    hash_block_tokens: AtLeastOne | None = None
    """Prompt tokens that one entry of `hash_ids` stands for; what fits the prompts' lengths unless given."""
    leave_out_failures: Switch = False
    """Leave out rows without an output token, which are refused otherwise."""
    leave_out_classes: tuple[str, ...] = ()
    """Labels of the `class` column whose rows nobody serves; others that no class has are refused."""
    wait_for_answers: Switch = False
    """Let the requests of a session be turns: each waits for the answer before, and comes its pause after that. The
    pause is the column `think_s`, or what is left of the recorded gap after the column `e2e_s` of the answer before,
    or `think_s`. Without hashes a prompt at least as long as the one before with its answer begins with both."""
    prompts_grow: Switch = False
    """Let a prompt of a session that is at least as long as the one before with its answer begin with both, without
    hashes, while each comes when it was recorded."""
    think_s: NotNegative | None = None
    """Pause of each turn after the answer before, as of people and tools, where the file does not say it."""
    rate_scale: Positive = 1.0
    """Divides the times of the rows, so that the trace is over earlier; pauses stay."""
    row_factor: Positive = 1.0
    """Requests for each row, at its own time, as growth has it: 2 is twice the demand at the same hours."""
    loop: Switch = False
    """Start again at the end of the trace."""


class Sessions(Settings):
    """Conversations of several turns; `rate_rps` counts requests over all turns."""

    kind: Literal["sessions"]
    """Conversations."""
    rate_rps: Positive
    """Requests per second over all turns."""
    turns: Length
    """Turns of a conversation."""
    think_s: NotNegative
    """Mean pause between an answer and the next turn."""
    user_tokens: Length | None = None
    """New tokens that the user adds each turn; the class's isl unless given."""
    system_tokens: Count = 0
    """Prompt that all conversations of the class share."""


class ClosedLoop(Settings):
    """A fixed number of users, each with at most one request in flight."""

    kind: Literal["closed_loop"]
    """A fixed number of users."""
    concurrency: AtLeastOne
    """Users."""
    think_s: NotNegative = 0.0
    """Mean pause before the first request, and between an answer and the next one."""


class Job(Settings):
    """A finite job, as a batch of documents: all its requests come at once and are served as fast as the fleet can.

    The SLO is its deadline. Where all classes are jobs, the fleet is rented for the job alone, from a cold start to the
    last answer, and owned servers are paid for that share of the time.
    """

    kind: Literal["job"]
    """A finite job."""
    requests: AtLeastOne | None = None
    """Its requests."""
    tokens: AtLeastOne | None = None
    """Instead of their number: prompt and output tokens that all of them have together."""
    deadline_s: Positive
    """Seconds from its start within which all are answered, or the class's `served` share of them if that is given."""
    start_s: NotNegative = 0.0
    """When it comes."""
    per_month: Positive = 1.0
    """Such jobs in a month of 730 hours, one after another, where all classes are jobs."""


Arrivals = Annotated[
    Poisson | Gamma | Profile | Schedule | Trace | Sessions | ClosedLoop | Job, Field(discriminator="kind")
]


class Lengths(Settings):
    """Tokens of a request."""

    isl: Length
    """Prompt tokens."""
    osl: Length
    """Output tokens."""


class Prefixes(Settings):
    """Prompts that begin with one of several shared prefixes."""

    groups: Annotated[int, Field(ge=1, le=10_000_000), IS_NUMBER]
    """Number of shared texts."""
    tokens: Length
    """Length of a shared text."""
    share: Share = 1.0
    """Share of the prompts that begin with one."""
    zipf: NotNegative = 0.0
    """Exponent of their popularity; 0 is uniform."""


class Leaves(Settings):
    """Clients that leave before their answer is complete, waiting or being served."""

    share: Share
    """Share of the clients that have no more patience than that."""
    after_s: Positive
    """Their mean patience in seconds from the request on, exponentially distributed."""


class Adapters(Settings):
    """LoRA adapters that requests ask for; prompts of different adapters share no prefix cache."""

    number: Annotated[int, Field(ge=1, le=10_000), IS_NUMBER]
    """Adapters, numbered from 1; those of all classes are the same."""
    share: Share = 1.0
    """Share of the requests, or conversations, that have one."""
    zipf: NotNegative = 0.0
    """Exponent of their popularity; 0 is uniform."""


class StructuredOutputs(Settings):
    """Answers that follow a grammar, which has to be compiled before a request can be scheduled."""

    share: Share = 1.0
    """Share of the requests that ask for one."""
    compile_s: NotNegative
    """Seconds that it takes, from the request on; 0 where it was compiled before."""


class Images(Settings):
    """Pictures in prompts: part of `isl`, behind what the prompt shares, as far as they fit."""

    tokens: Length
    """Tokens of a picture."""
    number: Annotated[int, Field(ge=1, le=62), IS_NUMBER] = 1
    """Pictures of a request that has any."""
    share: Share = 1.0
    """Share of the requests that have any."""
    distinct: AtLeastOne | None = None
    """Pictures that there are in all; no two are alike unless given."""


class Slo(Settings):
    """Limits in seconds by percentile, as `ttft_s: {p99: 1.0}`."""

    ttft_s: dict[Literal["p50", "p90", "p95", "p99"], Positive] = {}
    """Time to first token."""
    tpot_s: dict[Literal["p50", "p90", "p95", "p99"], Positive] = {}
    """Time per output token after the first."""
    e2e_s: dict[Literal["p50", "p90", "p95", "p99"], Positive] = {}
    """End to end."""
    served: Annotated[float, Field(gt=0, le=1), IS_NUMBER] = 0.99
    """Least share of the requests that is answered, turns that a broken conversation no longer sends among them."""


class KvTransferParams(Settings):
    """What requests ask of the memory of the CPU (`engine.kv_offloading_size`), as vLLM's `kv_transfer_params`."""

    max_load_tokens: Count | None = None
    """Most tokens of a request that are loaded from it, in whole chunks; no limit unless given."""
    max_offload_tokens: Count | None = None
    """Most tokens of a request, from its beginning, that are stored there; no limit unless given."""


class RequestClass(Settings):
    """Requests of one kind."""

    name: Name
    """Name of the class."""
    arrivals: Arrivals
    """When requests come."""
    lengths: Lengths | None = None
    """Needed unless the arrivals come with lengths (profile, trace), which it replaces."""
    prefixes: Prefixes | None = None
    """Beginnings that prompts share; instead of those of a profile or trace."""
    priority: Whole32 = 0
    """Lower is served first, with the engine's scheduling_policy `priority`."""
    data_class: DataClass = "internal"
    """Decides where the requests may go, before anything else does."""
    service_tier: Tier = "standard"
    """Tier at token APIs, at its price and speed; the usual one where an API has no such tier.

    Answers to `batch` may take a day: its only SLO is a deadline, as `e2e_s: {p99: 86400}`, and it has no timeout."""
    tenant: Name | None = None
    """Who the requests are for; bills are split by it."""
    complexity: Share | Annotated[Uniform | Constant, Field(discriminator="kind")] = Uniform(
        kind="uniform", low=0.0, high=1.0
    )
    """0 (simple) to 1, for routing by complexity and cascades; uniform from 0 to 1 unless given."""
    stop_token_share: Share = 0.0
    """Share of the answers that a stop token ends, so that the engine does not know their length before; the others end
    with their last token allowed (`max_tokens`). With plans in flight each takes one token more that nobody gets."""
    n: Annotated[int, Field(ge=1, le=128), IS_NUMBER] = 1
    """Answers to each request (vLLM's `n`): so many requests with one prompt at one time, on one replica, of the same
    length, each counted as a request."""
    cache_salts: Annotated[int, Field(ge=1, le=1_000_000), IS_NUMBER] = 1
    """Tenants whose prompts share no prefix cache with each other's (vLLM's `cache_salt`); each request or conversation
    is of one of them."""
    leaves: Leaves | None = None
    """Clients that leave before their answer is complete; none unless given."""
    adapters: Adapters | None = None
    """LoRA adapters that they ask for; the model itself unless given."""
    structured_outputs: StructuredOutputs | None = None
    """Answers that follow a grammar; none unless given."""
    images: Images | None = None
    """Pictures in prompts; none unless given."""
    kv_transfer_params: KvTransferParams | None = None
    """What they ask of the memory of the CPU; nothing unless given."""
    slo: Slo = Slo()
    """Service levels that the class is held to."""
    timeout_s: NotNegative = 0.0
    """A request that still waits after this long is dropped; 0 is never."""
    max_retries: Count = 1
    """Times that a request is sent again after its replica was lost before streaming."""


class Workload(Settings):
    """The requests."""

    classes: Annotated[tuple[RequestClass, ...], Field(min_length=1)]
    """Kinds of requests, each with traffic and service levels of its own."""
