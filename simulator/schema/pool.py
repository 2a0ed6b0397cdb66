"""Pools: replicas of an engine on owned or rented GPUs, how many and how they are scaled."""

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
from simulator.schema.clock import ReplicaWindow
from simulator.schema.engine import EngineSettings
from simulator.schema.faults import Outages, ReliabilitySettings, ServerFailure, StockOut
from simulator.schema.hardware import HardwareSettings
from simulator.schema.money import GpuVolumePriceSettings, ServiceCreditSettings


class QueueAutoscaler(Settings):
    """Queue-driven autoscaling in the manner of the Kubernetes HPA."""

    kind: Literal["queue"] = "queue"
    """Scale by the requests at the pool."""
    min: Count | Auto
    """Fewest replicas; auto looks for the cheapest that meets the SLO. A run begins with those that its first traffic
    keeps."""
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
    site: str = "elsewhere"
    """Site of the catalog; unless given a provider that it does not know, where times, faults and least billing are
    estimates, and whose prices the pool states."""
    grid: str | None = None
    """Grid of the catalog that feeds rented machines, instead of the site's."""
    data_classes: tuple[DataClass, ...] | None = None
    """Data that may go there, instead of what the catalog says of the site."""
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
    """Instance of the catalog, as p5.48xlarge; the one that costs least unless given."""
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
    billed: Literal["from_launch", "from_ready", "while_busy"] = "from_launch"
    """What of its time a replica on demand or spot is paid for, as GPUs that scale to zero are sold: from its launch,
    from when it is ready (starts are free), or while it serves alone."""
    billing_minimum_s: NotNegative | None = None
    """Shortest time that a stay of an instance is billed for; the offer's unless given."""
    billing_granularity_s: NotNegative | None = None
    """Steps in which stays are billed; the offer's unless given, 0 is to the second."""
    volume_prices: GpuVolumePriceSettings | None = None
    """Prices of rented GPUs that change with the GPU-hours of a month; none unless given."""
    minimum_usd_per_month: NotNegative | None = None
    """Spend that is agreed: what all else of the rented pool's bill lacks of it in a month is paid, too."""
    service_credits: tuple[ServiceCreditSettings, ...] | None = None
    """Credits by falling availability, counted as its outages are; none unless given."""
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
        "longest_prefix",
    ] = "least_outstanding"
    """Choice of a replica within the pool: `prefix_affinity` goes by the first piece of a prompt alone,
    `longest_prefix` by what is in each replica's prefix cache, and by its load."""
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
    stock_outs: tuple[StockOut, ...] = ()
    """Times in which no launch of it finds capacity, of what is rented; each is tried again every
    `reliability.retry_s`. An instance that failed is replaced at its repair whatever capacity there is."""
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
