"""How many replicas a hybrid should own, by the rule P(D > K) <= F/((c - v) 8760), beside how many it owns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.bill.annuity import MONTHS_PER_YEAR
from simulator.bill.owned import site_owner
from simulator.bill.sums import mean, total_usd
from simulator.decide.volumes import owned_units
from simulator.run.uncertainty import Case
from simulator.study.bill import Line
from simulator.units import HOURS_PER_MONTH

_BY_REPLICA = ("hardware", "network and storage", "installation", "maintenance", "space")
"""Categories that grow with each owned replica; staff does not."""


def hybrid_rule(case: Case, warmup_s: float) -> dict[str, Any] | None:
    """The rule's number of owned replicas for a hybrid of one owned pool that overflows to a rented one; else None.

    Demand is the requests in the system at each sample, over the requests that the scenario lets one replica hold:
    `outstanding_per_replica` of the overflow, else the autoscaler's target. Cold starts and queues are not in the rule.
    """
    planned, terms = case.planned, case.priced.terms
    if len(terms.owned) != 1 or len(terms.owned[0].pools) != 1 or len(terms.rented) != 1 or terms.apis:
        return None
    if planned.settings.routing.kind != "overflow":
        return None
    (site,), (offer,) = terms.owned, terms.rented
    base, burst = (next(p for p in planned.fleet.pools if p.name == name) for name in (*site.pools, offer.pool))
    load = planned.settings.routing.when.outstanding_per_replica
    if load is None and burst.autoscaler is not None:
        load = burst.autoscaler.target_per_replica
    if not load or not base.replicas or base.gpus_per_replica != burst.gpus_per_replica:
        return None
    lines = [line for line in case.priced.bill.lines if line.owner == site_owner(site)]
    fixed = _usd(lines, *_BY_REPLICA) + _usd(lines, "electricity", part="hosts")
    hourly = sum(mean(usd) for usd in offer.usd_per_instance_hour) / len(offer.usd_per_instance_hour)
    figures = {
        "fixed_usd_per_replica_year": fixed * MONTHS_PER_YEAR / base.replicas,
        "rented_usd_per_replica_hour": hourly * burst.gpus_per_replica / offer.gpus_per_instance,
        "owned_usd_per_replica_hour": _usd(lines, "electricity", part="gpus") / (base.replicas * HOURS_PER_MONTH),
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


def _usd(lines: Sequence[Line], *categories: str, part: str | None = None) -> float:
    return mean(total_usd(line for line in lines if line.category in categories and part in (None, line.part)))
