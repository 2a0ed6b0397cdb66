"""What a simulated fleet used: the ledger that money is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Use of one pool over the simulated time [0, end_s].

    Billed time runs from the launch of a replica to its end, so cold starts are in it. It splits exactly:
    billed = starting + busy + idle + down (failed but still paid for), in replica-seconds.

    Attributes
    ----------
    billed_s, starting_s, busy_s, idle_s, down_s : replica-seconds
    gpus_per_replica : GPU-seconds are replica-seconds times this
    billed_by_hour_s : replica-seconds billed in each simulated hour, shape (ceil(end_s / 3600),); sums to billed_s
    energy_by_hour_j : energy of the GPUs in each simulated hour, same shape
    launches : replicas started after time 0 (each a cold start)
    peak_replicas : most replicas billed at once
    requests, input_tokens, cached_tokens, output_tokens : delivered work (all requests that ended here)
    outages, zone_down_s : outages of its zone that began, and seconds that the zone was down
    """

    name: str
    site: str
    gpus_per_replica: int
    initial_replicas: int
    billed_s: float
    starting_s: float
    busy_s: float
    idle_s: float
    down_s: float
    billed_by_hour_s: NDArray[np.float64]
    energy_by_hour_j: NDArray[np.float64]
    launches: int
    failures: int
    reclaims: int
    stockouts: int
    peak_replicas: int
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    outages: int = 0
    zone_down_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ProviderUsage:
    """Requests and tokens of one token API, and how it was up.

    Attributes
    ----------
    outages, down_s : outages that began, and seconds down, within the simulated time
    failed : requests that an outage ended: streams that broke, and those that nobody else could take
    """

    name: str
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    outages: int = 0
    down_s: float = 0.0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """The ledger of one simulated topology."""

    end_s: float
    pools: tuple[PoolUsage, ...]
    providers: tuple[ProviderUsage, ...]
