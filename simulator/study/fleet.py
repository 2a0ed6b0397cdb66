"""What a fleet is made of, resolved to numbers: the input of one simulation of one topology."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.perf.steptime import StepTime
from simulator.study.caches import CacheResets, PrefixScore
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.schedule import Schedule
from simulator.units import SECONDS_PER_WEEK


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Stages from the decision to start a replica to its first request, in seconds; billing runs from the launch."""

    provision_s: float = 0.0
    image_s: float = 0.0
    weights_s: float = 0.0
    engine_s: float = 0.0

    @property
    def total_s(self) -> float:
        return self.provision_s + self.image_s + self.weights_s + self.engine_s


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """Queue-driven scaling in the manner of the Kubernetes HPA (defaults in the catalog, id `hpa.defaults`).

    desired = ceil(replicas * metric / target) unless |metric/target - 1| <= tolerance; the largest desire of the last
    `down_window_s` and the smallest of the last `up_window_s` count; per period at most max(up_step, up_factor*n) more.

    Attributes
    ----------
    metric : `outstanding` (running + waiting) or `waiting`, per ready replica
    target_per_replica : the metric's set point, in requests
    """

    min_replicas: int
    max_replicas: int
    target_per_replica: float
    metric: str = "outstanding"
    period_s: float = 15.0
    tolerance: float = 0.1
    up_window_s: float = 0.0
    down_window_s: float = 300.0
    up_step: int = 4
    up_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Reliability:
    """Failures of a server, reclaims of spot capacity and stock-outs. Zero rates switch them off.

    Attributes
    ----------
    mtbf_s, mttr_s : mean time between failures of one server, which take all its replicas, and to its repair;
        exponential
    reclaim_mtbf_s : mean time between spot reclaims of one instance, with all its replicas
    reclaim_notice_s : notice before the reclaim; replicas drain meanwhile
    reclaim_correlation : share of the reclaims that take all spot replicas of the zone at once
    unavailable_probability : chance that the launch of a server finds no capacity
    retry_s : pause before the next try to launch
    known : (start, end) in s of simulated time: failures of one server each, the first in use, and their repairs
    stock_outs : (start, end) in s of simulated time, in which no launch of a server finds capacity
    """

    mtbf_s: float = 0.0
    mttr_s: float = 0.0
    reclaim_mtbf_s: float = 0.0
    reclaim_notice_s: float = 0.0
    reclaim_correlation: float = 0.0
    unavailable_probability: float = 0.0
    retry_s: float = 60.0
    known: tuple[tuple[float, float], ...] = ()
    stock_outs: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Outages:
    """When the whole of a provider or of a pool's zone is down: at random (exponential; 0 is never), and in windows.

    Attributes
    ----------
    mtbf_s, mttr_s : mean time from the end of an outage to the next, and mean length
    windows : (start, end) in s of simulated time
    """

    mtbf_s: float = 0.0
    mttr_s: float = 0.0
    windows: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class KvTransfer:
    """A replica's side of KV transfers. A link carries one after the other at the slower side's speed.

    Attributes
    ----------
    block_bytes : what one KV block is on all GPUs of a replica that receives it
    bytes_per_s : the link of a replica
    latency_s : from the end of a transfer to its being noticed
    lease_s : a prefill replica gives up blocks that nobody fetches after this long (vLLM `kv_lease_duration`)
    """

    block_bytes: float = 0.0
    bytes_per_s: float = 1.0
    latency_s: float = 0.0
    lease_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """Replicas of one kind on one site.

    Attributes
    ----------
    gpus_per_replica : TP x PP
    replicas : replicas at the start (ready at time 0)
    max_waiting_per_replica : a request that would wait behind more is rejected (or overflows); 0 is no limit
    network_s : delay between the gateway and the replica, one way
    power_w_by_seqs : shape (max_num_seqs + 1,); power of all the replica's GPUs while a step with n sequences runs;
        entry 0 is the idle power
    schedule : instead of an autoscaler; the replicas at the start are then those of its hour
    outages : of the zone; all replicas are lost at its beginning and launched again at its end
    hands_to : index of the pool that takes over once a prompt is computed; None: requests stay to their end
    kv_transfer : needed by pools that hand over, and by those that take over
    gpu, model, role, zone : what stands where; a zone is the whole site unless named. Zone, model and role name the
        random draws of the pool
    gpus_per_server : of the servers, or rented instances, that its replicas stand on; 0: one of its own for each
    owned : whether it shares servers and spares with the other owned pools of its site, zone and GPU
    spares : servers that stand in for failed ones, `swap_s` after the failure; of pools that share, the most count
    cache_resets : of its replicas' prefix caches; None: never
    prefix_score : by which LONGEST_PREFIX chooses a replica
    shared_by : so many replicas in a row share one set of experts, so they fail and start together
    """

    name: str
    site: str
    gpus_per_replica: int
    replicas: int
    engine: EngineConfig
    step_time: StepTime
    power_w_by_seqs: NDArray[np.float64]
    routing: ReplicaRouting = ReplicaRouting.LEAST_OUTSTANDING
    cold_start: ColdStart = field(default_factory=ColdStart)
    autoscaler: Autoscaler | None = None
    reliability: Reliability = field(default_factory=Reliability)
    max_waiting_per_replica: int = 0
    network_s: float = 0.0
    outages: Outages = field(default_factory=Outages)
    hands_to: int | None = None
    kv_transfer: KvTransfer = field(default_factory=KvTransfer)
    schedule: Schedule | None = None
    gpu: str = ""
    model: str = ""
    role: str = "both"
    zone: str = ""
    gpus_per_server: int = 0
    owned: bool = False
    spares: int = 0
    swap_s: float = 0.0
    cache_resets: CacheResets | None = None
    prefix_score: PrefixScore = field(default_factory=PrefixScore)
    shared_by: int = 1

    @property
    def most_replicas(self) -> int:
        """Most that it is ever meant to have at once."""
        if self.schedule is not None:
            return self.schedule.most
        return max(self.replicas, self.autoscaler.max_replicas if self.autoscaler else 0)

    @property
    def least_replicas(self) -> int:
        """Fewest that it is ever meant to have, faults and outages apart."""
        if self.schedule is not None:
            return self.schedule.least
        return min(self.replicas, self.autoscaler.min_replicas) if self.autoscaler else self.replicas

    @property
    def early_s(self) -> float:
        """How long before a window of its schedule it is launched."""
        given = self.schedule.start_early_s if self.schedule is not None else 0.0
        return self.cold_start.total_s if given is None else given

    @property
    def server_gpus(self) -> int:
        """GPUs of each server."""
        return self.gpus_per_server or self.gpus_per_replica


@dataclass(frozen=True, slots=True)
class PromptCache:
    """What a token API remembers of prompts, so that those which begin alike pay less for their beginning.

    Attributes
    ----------
    life_s : a beginning is forgotten this long after the last call that had it; 0: nothing is remembered
    least_tokens : shorter beginnings are neither kept nor found
    step_tokens : beginnings count in whole steps of this
    writes : whether what is put into the cache has a price of its own
    """

    life_s: float = 0.0
    least_tokens: int = 0
    step_tokens: int = 1
    writes: bool = False


@dataclass(frozen=True, slots=True)
class RetryDelay:
    """Pause before a call is repeated: initial_s * 2^k after k repetitions, at most max_s, less a random share.

    Attributes
    ----------
    jitter : largest share of the pause that is left out, drawn evenly
    """

    initial_s: float = 0.0
    max_s: float = 0.0
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class ServiceTier:
    """How a token API serves calls of one tier, against its standard one.

    Attributes
    ----------
    latency_factor : on TTFT and TPOT
    batch_window_s : answers come as a whole within this time, evenly spread; 0: at once
    """

    latency_factor: float = 1.0
    batch_window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A managed token API seen from outside.

    TTFT and TPOT are lognormal with the medians and the log-standard deviations given; each prompt token that its
    cache does not hold adds `ttft_s_per_input_token`. Rate limits are token buckets that hold one minute's worth; 0 is
    no limit. A call that would wait longer than `max_wait_s` for them is refused.

    Attributes
    ----------
    price_bands : prompt lengths above which another price list holds, the first 0; counters are kept by band
    tier_by_class : one for each class; empty: standard for all
    luck : name of its random draws; equal ones meet the same luck, whatever the provider is called; empty: its place
    by_hour : whether its calls are counted by the hour of day, UTC, in which they were made
    throttling : (start, end, share) in s of simulated time: so many of the calls are answered 429, whatever the limits
    taken : out of the buckets of its `LIMITS` by calls before the run
    cached_weight : what a cached prompt token takes out of the buckets of tokens and of input tokens
    output_weight : what a token of an answer takes out of that of tokens
    reserved_tokens : of an answer that a call takes out of the buckets at least, however short it is
    """

    name: str
    ttft_median_s: float
    ttft_sigma: float
    tpot_median_s: float
    tpot_sigma: float
    ttft_s_per_input_token: float = 0.0
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    input_tokens_per_minute: float = 0.0
    output_tokens_per_minute: float = 0.0
    max_wait_s: float = 10.0
    max_context_tokens: int = 0
    error_probability: float = 0.0
    outages: Outages = field(default_factory=Outages)
    throttling: tuple[tuple[float, float, float], ...] = ()
    cache: PromptCache = field(default_factory=PromptCache)
    retry: RetryDelay = field(default_factory=RetryDelay)
    price_bands: tuple[int, ...] = (0,)
    tier_by_class: tuple[ServiceTier, ...] = ()
    luck: str = ""
    by_hour: bool = False
    taken: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    cached_weight: float = 1.0
    output_weight: float = 1.0
    reserved_tokens: float = 0.0

    @property
    def limits_per_minute(self) -> tuple[float, float, float, float]:
        """Of what `LIMITS` name."""
        return (
            self.requests_per_minute,
            self.tokens_per_minute,
            self.input_tokens_per_minute,
            self.output_tokens_per_minute,
        )


@dataclass(frozen=True, slots=True)
class CascadeSpec:
    """A first target answers every request; a check of its answer sends some on to the second, which answers anew.

    Attributes
    ----------
    share : of the answers that do not pass the check, at random
    max_complexity : above it, a request's first answer does not pass either
    check_s : time that the check takes
    streams : whether the first answer is shown while it is written, not after the check
    """

    share: float = 0.0
    max_complexity: float = math.inf
    check_s: float = 0.0
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Opening:
    """From `start_s` on the fleet's clock on, which targets take new requests: shape (targets,)."""

    start_s: float
    targets: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class RoutingSpec:
    """Choice of a target for each request; arrays are by target, pools first, then providers.

    Attributes
    ----------
    order : target indices, first choice first
    weights : for WEIGHTED, by position in `order`
    overflow_waiting : for OVERFLOW, requests waiting per ready replica above which the target is passed over; inf never
    overflow_kv : same for the share of KV blocks in use
    overflow_outstanding : same for requests running and waiting per ready replica
    max_complexity : for COMPLEXITY, the largest complexity that the target serves
    cascade : for CASCADE, when the second target of `order` takes over from the first
    openings : by rising start; empty: every target is open all the time
    cycle_s : after which the openings come again, the first then at 0; inf: never, the first then holds before it, too
    classify_s : after its arrival a request is given a target
    """

    kind: TargetRouting
    order: tuple[int, ...]
    weights: tuple[float, ...] = ()
    overflow_waiting: tuple[float, ...] = ()
    overflow_kv: tuple[float, ...] = ()
    overflow_outstanding: tuple[float, ...] = ()
    max_complexity: tuple[float, ...] = ()
    cascade: CascadeSpec | None = None
    openings: tuple[Opening, ...] = ()
    cycle_s: float = SECONDS_PER_WEEK
    classify_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """What the gateway knows of a request class.

    Attributes
    ----------
    allowed : by target, whether the class's data may go there (perimeter and region against the data class)
    timeout_s : a request without a first token after this long is dropped; 0 is never
    max_retries : times that a request which has not streamed yet is sent again: its replica was lost, or a token API
        gave an error, refused it or went down
    """

    name: str
    allowed: tuple[bool, ...]
    timeout_s: float = 0.0
    max_retries: int = 1


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """One topology, ready to simulate.

    Attributes
    ----------
    clock_s : what its clock shows at simulated time 0, in s since Monday 00:00; where days have dates, since Monday,
        5 January 1970, 00:00 UTC
    """

    name: str
    pools: tuple[PoolSpec, ...]
    providers: tuple[ProviderSpec, ...]
    routing: RoutingSpec
    classes: tuple[ClassSpec, ...]
    clock_s: float = 0.0
