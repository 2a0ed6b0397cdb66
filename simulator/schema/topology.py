"""Topologies section: pools of replicas on sites, token APIs, and the way requests choose among them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import (
    IS_NUMBER,
    AtLeastOne,
    Auto,
    ByHour,
    Count,
    DataClass,
    Day,
    Name,
    NotNegative,
    Positive,
    Settings,
    Share,
    Switch,
)
from simulator.schema.clock import ReplicaWindow, RoutingWindow
from simulator.schema.engine import EngineSettings
from simulator.schema.hardware import HardwareSettings
from simulator.schema.money import (
    FeeSettings,
    PeakSettings,
    PromptCacheSettings,
    Servers,
    ServiceTierSettings,
    StaffSettings,
    TokenPriceSettings,
)


class QueueAutoscaler(Settings):
    """Queue-driven autoscaling in the manner of the Kubernetes HPA."""

    kind: Literal["queue"] = "queue"
    """Scale by the requests at the pool."""
    min: Count | Auto
    """Fewest replicas, and those at the start; auto looks for the cheapest that meets the SLO."""
    max: AtLeastOne | Auto
    """Most replicas, or auto."""
    target_per_replica: Positive | Auto
    """Requests per ready replica that scaling aims at, or auto."""
    metric: Literal["outstanding", "waiting"] = "outstanding"
    """Requests that count: running and waiting, or waiting alone."""
    period_s: Positive = 15.0
    """Time between decisions."""
    tolerance: NotNegative = 0.1
    """Relative distance from the target within which nothing changes."""
    up_window_s: NotNegative = 0.0
    """The smallest wish of this time counts for scaling up."""
    down_window_s: NotNegative = 300.0
    """The largest wish of this time counts for scaling down."""


class ColdStartSettings(Settings):
    """Stages of a cold start; what is not given comes from the site and the model's size."""

    provision_s: NotNegative | None = None
    """From the order to a running machine."""
    image_s: NotNegative | None = None
    """Pulling the container image."""
    weights_s: NotNegative | None = None
    """Loading the weights."""
    engine_s: NotNegative | None = None
    """Starting the engine: memory profiling, compilation, CUDA graphs."""


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


class Outages(Settings):
    """When the whole of a provider or of a site's zone is down: at random, at given times, or both."""

    mtbf_h: Positive | None = None
    """Mean time from the end of an outage to the next, exponential; needs mttr_h."""
    mttr_h: Positive | None = None
    """Mean length of an outage, exponential; needs mtbf_h."""
    windows: tuple[OutageWindow, ...] = ()
    """Outages at given times."""


class KvTransferSettings(Settings):
    """Link over which a replica sends or fetches the KV cache of a prompt."""

    gb_per_s_per_gpu: Positive | None = None
    """Bandwidth for each GPU in 1e9 bytes/s, instead of what its network between nodes reaches."""
    latency_s: NotNegative | None = None
    """From the end of a transfer to its being noticed, on the side that fetches; the catalog's unless given."""


class CommitmentSettings(Settings):
    """Instances under commitment for a term, beside others and those on demand."""

    term_months: Annotated[int, Field(ge=1, le=120), IS_NUMBER]
    """Length of a term; paid to its end."""
    instances: Count | Auto = "auto"
    """From the start on, renewed as long as the study lasts; auto as many, and when, as save money."""
    price_usd_per_gpu_hour: NotNegative | None = None
    """All in; that of the catalog's offer of the term unless given."""
    upfront_share: Share | None = None
    """Share of a term's price that is paid at its start; the offer's unless given."""


class Pool(Settings):
    """Replicas of one kind on one site."""

    name: Name
    """Name within the topology."""
    site: str
    """Site of the catalog."""
    gpu: str
    """GPU of the catalog."""
    hardware: HardwareSettings | str | None = None
    """What differs of one's own GPUs and links from that one, its nearest measured relative; or a YAML file of it."""
    tensor_parallel_size: Annotated[int, Field(ge=1, le=4096), IS_NUMBER] = 1
    """Tensor-parallel GPUs."""
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=4096), IS_NUMBER] = 1
    """Pipeline stages."""
    replicas: Count | Auto = 1
    """Replicas at the start (of an autoscaler its minimum); auto looks for the cheapest number that meets the SLO."""
    autoscaler: QueueAutoscaler | Auto | None = None
    """Changes the number of replicas with the load; auto looks for its settings; fixed unless given."""
    billing: Literal[
        "owned", "on_demand", "reserved_1y", "reserved_3y", "reserved_5y", "reserved", "spot", "capacity_block"
    ] = "on_demand"
    """Owned servers, or the tier of the rent; `reserved` is a commitment of `term_months`."""
    instance: str | None = None
    """Instance of the catalog, as p5.48xlarge; the smallest that holds a replica unless given."""
    gpus_per_instance: Annotated[int, Field(ge=1, le=72), IS_NUMBER] | None = None
    """GPUs of a rented instance, which is paid as a whole; the offer's unless given."""
    price_usd_per_gpu_hour: NotNegative | None = None
    """Instead of the catalog's offer: with reserved billing what a commitment costs, all in."""
    price_by_hour_usd_per_gpu_hour: ByHour | None = None
    """24 prices on demand or spot from 00:00 on, instead of one, by the clock of the run."""
    on_demand_usd_per_gpu_hour: NotNegative | None = None
    """With reserved billing, what is paid above commitments; the catalog's unless given, else as reserved."""
    price_source: str | None = None
    """Where a price of one's own comes from."""
    price_date: Day | None = None
    """Day of a price of one's own, as 2026-11-26."""
    commitments: Count | Auto | tuple[CommitmentSettings, ...] | None = None
    """With reserved billing, instances under commitment, or auto; those of `replicas` unless given. On demand, several
    commitments with the rest on demand, or auto: of all terms that the catalog has, the cheapest mix."""
    term_months: Annotated[int, Field(ge=1, le=120), IS_NUMBER] | None = None
    """Length of a commitment; the offer's unless given."""
    upfront_share: Share | None = None
    """Share of a term's price that is paid at its start; the offer's unless given."""
    billing_minimum_s: NotNegative | None = None
    """Shortest time that a stay of an instance is billed for; the offer's unless given."""
    billing_granularity_s: NotNegative | None = None
    """Steps in which stays are billed; the offer's unless given, 0 is to the second."""
    storage_gb: NotNegative | None = None
    """Object storage of a rented pool, instead of one copy of the weights and of the container image."""
    storage_usd_per_gb_month: NotNegative | None = None
    """Instead of the site's price of object storage."""
    egress_usd_per_gb: NotNegative | None = None
    """Instead of the site's price of traffic to the internet."""
    model: str | None = None
    """Another model than the scenario's."""
    engine: EngineSettings | None = None
    """Differences from the scenario's engine section."""
    routing: Literal[
        "round_robin",
        "random",
        "least_outstanding",
        "least_kv",
        "power_of_two",
        "prefix_affinity",
        "session_sticky",
    ] = "least_outstanding"
    """Choice of a replica within the pool."""
    cold_start: ColdStartSettings | None = None
    """Times of a cold start that differ from the site's."""
    zone: str | None = None
    """Zone of the site: pools of one zone have its outages and reclaims in common; the whole site unless given."""
    schedule: tuple[ReplicaWindow, ...] = ()
    """Replicas by the time of the week; `replicas` at all other times, 0 included."""
    start_early_s: NotNegative | None = None
    """Time from the launch of a window's replicas to the window; a cold start unless given, so that they are ready."""
    failures: Switch | None = None
    """Let servers fail, and launches find no capacity, at the site's rates; false: never, despite `reliability`."""
    reclaims: Switch | None = None
    """Let spot capacity be reclaimed; so it is unless this says false."""
    reliability: ReliabilitySettings | None = None
    """Faults that differ from the site's."""
    outages: Outages | None = None
    """When the zone of the pool is down, with all its replicas; never unless given."""
    server_failures: tuple[ServerFailure, ...] = ()
    """Failures at known times, whatever `failures` says: each takes one server, or rented instance, that the pool
    stands on, the first in use, with all replicas on it."""
    max_waiting_per_replica: Count = 0
    """Reject a request that would wait behind more than this; 0 is no limit."""
    role: Literal["both", "prefill", "decode"] = "both"
    """Whether it serves whole requests, only computes prompts, or only answers those computed elsewhere."""
    hands_to: str | None = None
    """Pool that answers what this prefill pool has computed; the only decode pool unless given."""
    kv_transfer: KvTransferSettings | None = None
    """Link of a prefill or decode pool that differs from the catalog's."""
    network_s: NotNegative | None = None
    """One-way delay between gateway and replica in seconds, instead of the site's."""


class LatencySettings(Settings):
    """Lognormal: median in seconds, standard deviation of the logarithm."""

    median: Positive
    """Median in seconds."""
    sigma: NotNegative = 0.0
    """Standard deviation of the logarithm."""


class Provider(Settings):
    """A managed token API."""

    name: Name
    """Name within the topology."""
    offer: str | None = None
    """Token price of the catalog; an offer of one's own needs `prices`, `ttft_s`, `tpot_s` and `data_classes`."""
    prices: tuple[TokenPriceSettings, ...] | None = None
    """Prices of one's own, by rising `above_tokens`, instead of the catalog's."""
    price_source: str | None = None
    """Where they come from."""
    price_date: Day | None = None
    """Their day, as 2026-11-26."""
    data_classes: tuple[DataClass, ...] | None = None
    """Data that may go there, instead of what the catalog says."""
    cache: PromptCacheSettings | None = None
    """What it remembers of prompts, instead of the catalog's."""
    service_tiers: dict[Literal["batch", "flex", "priority"], ServiceTierSettings] = {}
    """Tiers that differ from the catalog's."""
    peak: PeakSettings | None = None
    """Hours in which it is dearer, instead of the catalog's; with prices of one's own, none unless given."""
    bills_failed: Switch | None = None
    """Whether calls that end in an error are paid for; the offer's unless given."""
    fixed_usd_per_month: NotNegative = 0.0
    """A flat fee, whatever is used."""
    provisioned_units: NotNegative = 0.0
    """Units of throughput bought by the hour, whatever is used; tokens then cost what `prices` say, often nothing."""
    usd_per_unit_hour: NotNegative | None = None
    """Price of such a unit."""
    tokens_per_minute_per_unit: Positive | None = None
    """Prompt and output tokens that a unit lets through; the limit unless `tokens_per_minute` is given."""
    max_context_tokens: AtLeastOne | None = None
    """Longest prompt + output, instead of the catalog's."""
    error_probability: Annotated[float, Field(ge=0, lt=1), IS_NUMBER] | None = None
    """Share of the calls that end in an error, instead of the catalog's."""
    price_scale: NotNegative = 1.0
    """Factor on the offer's token prices, as a negotiated discount."""
    ttft_s: LatencySettings | None = None
    """Time to first token, instead of the catalog's."""
    tpot_s: LatencySettings | None = None
    """Time per output token, instead of the catalog's."""
    requests_per_minute: NotNegative | None = None
    """0 is no limit."""
    tokens_per_minute: NotNegative | None = None
    """Prompt and output tokens per minute; 0 is no limit."""
    max_wait_s: NotNegative = 10.0
    """A request that the rate limits would hold back longer is rejected."""
    residency: Switch = False
    """Processing in a chosen region, at the premium of the catalog."""
    outages: Outages | None = None
    """When the provider is down; never unless given."""


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
    outstanding_per_replica: NotNegative | None = None
    """Requests running and waiting per ready replica."""
    kv_usage: Share | None = None
    """Share of the KV blocks in use."""


class OverflowRouting(RoutingSettings):
    """The first target in order that is not over a threshold."""

    kind: Literal["overflow"]
    """First target that has room."""
    order: tuple[str, ...] | None = None
    """Targets, first choice first; pools then providers as listed, unless given."""
    when: OverflowWhen = OverflowWhen(waiting_per_replica=0.0)
    """When a pool counts as full."""


class ComplexityRouting(RoutingSettings):
    """The target with the lowest limit that is at least the request's complexity."""

    kind: Literal["complexity"]
    """By the request's complexity."""
    limits: dict[str, Share]
    """Largest complexity that a target serves, by target; unlimited for a target left out."""


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
    check_s: NotNegative = 0.0
    """Time that the check of an answer takes."""
    stream_first: Switch = False
    """Show the first answer while it is written; otherwise nobody sees it before its check."""


Routing = Annotated[
    WeightedRouting | OverflowRouting | ComplexityRouting | CascadeRouting | WindowsRouting,
    Field(discriminator="kind"),
]


class Topology(Settings):
    """One way to serve the workload."""

    servers: tuple[Servers, ...] = ()
    """Servers that owned pools stand on, where they differ from the scenario's and the catalog's."""
    staff: StaffSettings | None = None
    """Who runs it; for owned hardware the cost section's unless given, for all else nobody."""
    fees: tuple[FeeSettings, ...] = ()
    """Licences, support, integration."""

    pools: tuple[Pool, ...] = ()
    """Replicas of one's own, owned or rented."""
    providers: tuple[Provider, ...] = ()
    """Token APIs."""
    routing: Routing = WeightedRouting()
    """Choice of a pool or provider for each request."""
