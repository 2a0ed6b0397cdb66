"""Topologies section: pools of replicas on sites, token APIs, and the way requests choose among them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import AtLeastOne, Count, Name, NotNegative, Positive, Settings, Share
from simulator.schema.engine import EngineSettings


class QueueAutoscaler(Settings):
    """Queue-driven autoscaling in the manner of the Kubernetes HPA."""

    kind: Literal["queue"] = "queue"
    min: Count
    max: AtLeastOne
    target_per_replica: Positive
    """Requests per ready replica that scaling aims at."""
    metric: Literal["outstanding", "waiting"] = "outstanding"
    period_s: Positive = 15.0
    tolerance: NotNegative = 0.1
    up_window_s: NotNegative = 0.0
    down_window_s: NotNegative = 300.0


class ColdStartSettings(Settings):
    """Stages of a cold start; what is not given comes from the site and the model's size."""

    provision_s: NotNegative | None = None
    image_s: NotNegative | None = None
    weights_s: NotNegative | None = None
    engine_s: NotNegative | None = None


class ReliabilitySettings(Settings):
    """Faults of one replica; what is not given comes from the site."""

    mtbf_h: NotNegative | None = None
    mttr_h: NotNegative | None = None
    reclaim_mtbf_h: NotNegative | None = None
    reclaim_notice_s: NotNegative | None = None
    unavailable_probability: Annotated[float, Field(ge=0, lt=1)] | None = None
    retry_s: Positive | None = None


class Pool(Settings):
    """Replicas of one kind on one site."""

    name: Name
    site: str
    gpu: str
    tp: AtLeastOne = 1
    """Tensor-parallel GPUs."""
    pp: AtLeastOne = 1
    """Pipeline stages."""
    replicas: Count = 1
    """Replicas at the start; an autoscaler starts at its minimum."""
    autoscaler: QueueAutoscaler | None = None
    billing: Literal["owned", "on_demand", "reserved_1y", "reserved_3y", "spot"] = "on_demand"
    reserved_replicas: Count | None = None
    """Replicas under commitment, with reserved billing; `replicas` unless given."""
    price_usd_per_gpu_hour: NotNegative | None = None
    """Instead of the catalog's offer."""
    server_capex_usd: NotNegative | None = None
    """Price of one server with its GPUs, instead of the catalog's."""
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
    cold_start: ColdStartSettings | None = None
    failures: bool = False
    """Let replicas fail, and launches find no capacity, at the site's rates."""
    reliability: ReliabilitySettings | None = None
    max_waiting_per_replica: Count = 0
    """Reject a request that would wait behind more than this; 0 is no limit."""
    network_ms: NotNegative | None = None
    """One-way delay between gateway and replica, instead of the site's."""


class LatencySettings(Settings):
    """Lognormal: median in seconds, standard deviation of the logarithm."""

    median: Positive
    sigma: NotNegative = 0.0


class Vendor(Settings):
    """A managed token API."""

    name: Name
    offer: str
    """Token price of the catalog."""
    ttft_s: LatencySettings | None = None
    tpot_s: LatencySettings | None = None
    requests_per_minute: NotNegative | None = None
    """0 is no limit."""
    tokens_per_minute: NotNegative | None = None
    max_wait_s: NotNegative = 10.0
    """A request that the rate limits would hold back longer is rejected."""


class WeightedRouting(Settings):
    """At random by weight; equal weights unless given."""

    kind: Literal["weighted"] = "weighted"
    weights: dict[str, NotNegative] | None = None


class OverflowWhen(Settings):
    """Thresholds above which a pool is passed over."""

    waiting_per_replica: NotNegative | None = None
    """Requests waiting per ready replica."""
    outstanding_per_replica: NotNegative | None = None
    """Requests running and waiting per ready replica."""
    kv_usage: Share | None = None
    """Share of the KV blocks in use."""


class OverflowRouting(Settings):
    """The first target in order that is not over a threshold."""

    kind: Literal["overflow"]
    order: tuple[str, ...] | None = None
    """Targets, first choice first; pools then vendors as listed, unless given."""
    when: OverflowWhen = OverflowWhen(waiting_per_replica=0.0)


class ComplexityRouting(Settings):
    """The target with the lowest limit that is at least the request's complexity."""

    kind: Literal["complexity"]
    limits: dict[str, Share]


class Topology(Settings):
    """One way to serve the workload."""

    pools: tuple[Pool, ...] = ()
    vendors: tuple[Vendor, ...] = ()
    routing: Annotated[WeightedRouting | OverflowRouting | ComplexityRouting, Field(discriminator="kind")] = (
        WeightedRouting()
    )
