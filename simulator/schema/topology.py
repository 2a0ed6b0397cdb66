"""A topology: pools of replicas on sites, token APIs, and the way requests choose among them."""

from __future__ import annotations

from simulator.schema.base import Settings
from simulator.schema.money import FeeSettings, Servers, StaffSettings, TaxSettings
from simulator.schema.pool import Pool
from simulator.schema.provider import Provider
from simulator.schema.routing import Routing, WeightedRouting


class Topology(Settings):
    """One way to serve the workload."""

    servers: tuple[Servers, ...] = ()
    """Servers that owned pools stand on, where they differ from the scenario's and the catalog's."""
    staff: StaffSettings | None = None
    """Who runs it; for owned hardware the cost section's unless given, for all else nobody."""
    fees: tuple[FeeSettings, ...] = ()
    """Licences, support, integration."""
    taxes: tuple[TaxSettings, ...] | None = None
    """Taxes that cannot be deducted; those of the cost section unless given."""

    pools: tuple[Pool, ...] = ()
    """Replicas of one's own, owned or rented."""
    providers: tuple[Provider, ...] = ()
    """Token APIs."""
    routing: Routing = WeightedRouting()
    """Choice of a pool or provider for each request; weighted, all alike, unless given."""
