"""Thresholds of an overflow that are left open: which they are, and the scenario with one filled in."""

from __future__ import annotations

from dataclasses import replace

from simulator.scenario.load import LoadedScenario
from simulator.schema.routing import OverflowRouting
from simulator.schema.topology import Topology


def has_open_threshold(topology: Topology) -> bool:
    """Whether the requests in flight from which on a pool is passed over are `auto`."""
    routing = topology.routing
    return isinstance(routing, OverflowRouting) and isinstance(routing.when.outstanding_per_replica, str)


def with_threshold(loaded: LoadedScenario, name: str, outstanding_per_replica: float) -> LoadedScenario:
    """The scenario with the threshold of a topology that leaves it open; any other one as it is."""
    topology = loaded.scenario.topologies[name]
    if not isinstance(topology.routing, OverflowRouting) or not has_open_threshold(topology):
        return loaded
    when = topology.routing.when.model_copy(update={"outstanding_per_replica": outstanding_per_replica})
    routing = topology.routing.model_copy(update={"when": when})
    topologies = {**loaded.scenario.topologies, name: topology.model_copy(update={"routing": routing})}
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"topologies": topologies}))
