"""Autoscaled pools as they are when a run begins: with as many replicas as its first traffic has had for a while."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from simulator.fleet.simulate import simulate_fleet
from simulator.simulate.demand import Demand
from simulator.study.fleet import Autoscaler, ColdStart, FleetSpec, Outages, PoolSpec, ProviderSpec, Reliability

PERIODS_TO_RISE = 8
"""Decisions in which a pool gets from its fewest replicas to those that it needs: at first four more, then twice."""


def settled(fleet: FleetSpec, demand: Demand, number: int) -> FleetSpec:
    """The fleet with as many replicas in its autoscaled pools as they hold under the first traffic of a replication.

    A month is made of hours like those that are simulated, and a service that has run for months does not begin with
    the fewest replicas: with these a pool that starts cold would miss its service levels until the first launch is up,
    whatever it is set to, unless the warm-up is longer. So the first traffic is served once before, by the same rule
    with launches that take no time and nothing that fails,

        for  T = down_window + up_window + 8 periods,  at most the horizon, whose first 8 periods it does not remember,

    since in these it makes up for having begun with too few. What a pool then has is ready at time 0. A job, before
    which there was no traffic, finds the fewest.

    Parameters
    ----------
    number : of the replication
    """
    scalers = [pool.autoscaler for pool in fleet.pools if pool.autoscaler is not None]
    if not scalers or demand.last_job_s is not None:
        return fleet
    span_s = min(max(map(_settling_s, scalers)), demand.horizon_s)
    before = replace(
        fleet,
        pools=tuple(_at_once(pool, span_s) for pool in fleet.pools),
        providers=tuple(_always_up(provider) for provider in fleet.providers),
    )
    run = simulate_fleet(
        before,
        demand.source(number),
        horizon_s=span_s,
        drain_s=0.0,
        warmup_s=0.0,
        seed=demand.replication_seed(number),
        sink=_forget,
        sample_s=span_s,
    )
    ready = dict(zip(run.samples["pool"].tolist(), run.samples["ready"].tolist(), strict=True))
    pools = (replace(pool, replicas=ready[k]) if pool.autoscaler else pool for k, pool in enumerate(fleet.pools))
    return replace(fleet, pools=tuple(pools))


def _settling_s(policy: Autoscaler) -> float:
    return policy.down_window_s + policy.up_window_s + PERIODS_TO_RISE * policy.period_s


def _at_once(pool: PoolSpec, span_s: float) -> PoolSpec:
    policy = pool.autoscaler
    if policy is not None:
        remembers_s = max(span_s - PERIODS_TO_RISE * policy.period_s, 0.0)
        policy = replace(policy, down_window_s=min(policy.down_window_s, remembers_s))
    return replace(pool, cold_start=ColdStart(), reliability=Reliability(), outages=Outages(), autoscaler=policy)


def _always_up(provider: ProviderSpec) -> ProviderSpec:
    return replace(provider, outages=Outages())


def _forget(_: NDArray[Any]) -> None:
    """Whatever ended before a run is no part of it."""
