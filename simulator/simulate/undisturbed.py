"""A fleet that nothing befalls: no failure, reclaim, outage or stock-out, and no storm of 429."""

from __future__ import annotations

from dataclasses import replace

from simulator.study.fleet import FleetSpec, Outages, Reliability


def undisturbed(fleet: FleetSpec) -> FleetSpec:
    """The fleet without its faults, at random or at known times."""
    pools = (replace(pool, reliability=Reliability(), outages=Outages()) for pool in fleet.pools)
    providers = (replace(provider, outages=Outages(), throttling=()) for provider in fleet.providers)
    return replace(fleet, pools=tuple(pools), providers=tuple(providers))
