"""Autoscaled pools as they are when a run begins: with as many replicas as its first traffic has had for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from simulator.fleet.simulate import simulate_fleet
from simulator.simulate.demand import Demand
from simulator.simulate.undisturbed import undisturbed
from simulator.study.fleet import Autoscaler, ColdStart, FleetSpec

PERIODS_TO_RISE = 8
"""Decisions in which a pool gets from its fewest replicas to those that it needs: at first four more, then twice."""


def settled(fleet: FleetSpec, demand: Demand, number: int) -> FleetSpec:
    """The fleet with as many replicas in its autoscaled pools as they hold under the first traffic of a replication.

    A month is made of hours like those that are simulated, and a service that has run for months does not begin with
    the fewest replicas: with these a pool that starts cold would miss its service levels until the first launch is up,
    whatever it is set to, unless the warm-up is longer. So the first traffic is served twice before, by the same rule
    with launches that take no time and nothing that fails,

        for  T = up_window + 8 periods,  at most the horizon,

    first from the fewest replicas, without a memory, to have those that it needs, then from these, to hold what the
    rule remembers. What a pool then has is ready at time 0. Of what comes no more than T is foreseen: a rise after it
    meets cold starts. A job, before which there was no traffic, finds the fewest.

    Parameters
    ----------
    number : of the replication
    """
    scalers = [pool.autoscaler for pool in fleet.pools if pool.autoscaler is not None]
    if not scalers or demand.last_job_s is not None:
        return fleet
    span_s = min(max(map(_rising_s, scalers)), demand.horizon_s)
    calm = undisturbed(fleet)
    before = replace(calm, pools=tuple(replace(pool, cold_start=ColdStart()) for pool in calm.pools))
    risen = _held(_forgetful(before), demand, number, span_s)
    before = _with_replicas(before, risen)
    return _with_replicas(fleet, _held(before, demand, number, span_s))


def _held(fleet: FleetSpec, demand: Demand, number: int, span_s: float) -> Sequence[int]:
    """Replicas of each pool when the first traffic of so long has been served."""
    run = simulate_fleet(
        fleet,
        demand.source(number),
        horizon_s=span_s,
        drain_s=0.0,
        warmup_s=0.0,
        seed=demand.replication_seed(number),
        sink=_forget,
        sample_s=span_s,
    )
    ready = dict(zip(run.samples["pool"].tolist(), run.samples["ready"].tolist(), strict=True))
    return [ready[k] for k in range(len(fleet.pools))]


def _forgetful(fleet: FleetSpec) -> FleetSpec:
    """Pools that shrink at once: what has waited since they began with too few is not held against them."""
    return replace(
        fleet,
        pools=tuple(
            replace(pool, autoscaler=replace(pool.autoscaler, down_window_s=0.0)) if pool.autoscaler else pool
            for pool in fleet.pools
        ),
    )


def _with_replicas(fleet: FleetSpec, replicas: Sequence[int]) -> FleetSpec:
    pools = zip(fleet.pools, replicas, strict=True)
    return replace(fleet, pools=tuple(replace(pool, replicas=n) if pool.autoscaler else pool for pool, n in pools))


def _rising_s(policy: Autoscaler) -> float:
    return policy.up_window_s + PERIODS_TO_RISE * policy.period_s


def _forget(_: NDArray[Any]) -> None:
    """Whatever ended before a run is no part of it."""
