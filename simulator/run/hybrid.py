"""How many replicas a hybrid should own, by the rule of the cost room, beside how many it owns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.cost.breakeven import owned_units
from simulator.cost.lines import LineItem
from simulator.cost.prices import MONTHS_PER_YEAR, OwnedPrices, RentedPrices
from simulator.cost.report import CostReport
from simulator.run.uncertainty import Case
from simulator.units import HOURS_PER_MONTH

_BY_REPLICA = ("hardware", "network and storage", "maintenance", "colocation")
"""Categories that grow with each owned replica; staff does not."""


def hybrid_rule(case: Case, report: CostReport, warmup_s: float) -> dict[str, Any] | None:
    """The rule's number of owned replicas for a hybrid of one owned pool that overflows to a rented one; else None.

    Demand is the requests in the system at each sample, over the requests that the scenario lets one replica hold:
    `outstanding_per_replica` of the overflow, else the autoscaler's target. Cold starts and queues are not in the rule.
    """
    planned = case.planned
    owned = [pool for pool in planned.settings.pools if isinstance(case.prices.pools[pool.name], OwnedPrices)]
    rented = [pool for pool in planned.settings.pools if pool not in owned]
    if len(owned) != 1 or len(rented) != 1 or planned.fleet.providers or planned.settings.routing.kind != "overflow":
        return None
    base, burst = (next(p for p in planned.fleet.pools if p.name == pool.name) for pool in (owned[0], rented[0]))
    load = planned.settings.routing.when.outstanding_per_replica
    if load is None and rented[0].autoscaler is not None:
        load = rented[0].autoscaler.target_per_replica
    if not load or not base.replicas or base.gpus_per_replica != burst.gpus_per_replica:
        return None
    prices = case.prices.pools[burst.name]
    assert isinstance(prices, RentedPrices)
    lines = [line for line in report.lines if line.pool == base.name]
    fixed = _usd(lines, *_BY_REPLICA) + _usd(lines, "electricity", name="hosts")
    figures = {
        "fixed_usd_per_replica_year": fixed * MONTHS_PER_YEAR / base.replicas,
        "rented_usd_per_replica_hour": float(np.mean(prices.usd_per_gpu_hour)) * burst.gpus_per_replica,
        "owned_usd_per_replica_hour": _usd(lines, "electricity", name="gpus") / (base.replicas * HOURS_PER_MONTH),
    }
    return {
        "owned_replicas": base.replicas,
        "rule_replicas": owned_units(demand_replicas(case, load, warmup_s), *figures.values()),
        "requests_per_replica": load,
        **figures,
    }


def demand_replicas(case: Case, requests_per_replica: float, warmup_s: float) -> NDArray[np.float64]:
    """Replicas wanted at each sample after the warm-up: requests in all pools / requests per replica, rounded up."""
    found = []
    for replication in case.replications:
        samples = replication.run.samples
        times, where = np.unique(samples["time_s"], return_inverse=True)
        requests = np.bincount(where, weights=samples["running"] + samples["waiting"], minlength=len(times))
        found.append(np.ceil(requests[times >= warmup_s] / requests_per_replica))
    return np.concatenate(found)


def _usd(lines: list[LineItem], *categories: str, name: str | None = None) -> float:
    return math.fsum(line.usd_per_month for line in lines if line.category in categories and name in (None, line.name))
