"""Token APIs that sell units of throughput, where no unit is bought of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from simulator.errors import InputError, Problem
from simulator.resolve.routed import goes_on_without
from simulator.scenario.load import LoadedScenario
from simulator.schema.provider import Provider
from simulator.schema.topology import Topology


def sells_tokens(api: Provider) -> bool:
    """Whether a token API has prices by the token, so that it serves without units."""
    if api.prices is None:
        return api.offer is not None and api.price_scale > 0
    kinds = ("input", "output", "cached_input", "cache_write")
    return api.price_scale > 0 and any(getattr(band, kind) for band in api.prices for kind in kinds)


def spared(topology: Topology, api: Provider) -> bool:
    """Whether an overflow goes on without a token API at all hours."""
    return topology.routing.kind == "overflow" and goes_on_without(topology, api.name)


def sells_nothing(api: Provider) -> bool:
    """Whether a token API that sells units, and no tokens by their number, has none of them by what is written."""
    return (
        api.provisioned_units == 0
        and "provisioned_units" in api.model_fields_set
        and api.usd_per_unit_hour is not None
        and not sells_tokens(api)
    )


def check_units(topology: Topology, api: Provider) -> None:
    """Refuse a token API without units that sells nothing else, and that nothing stands in for.

    Raises
    ------
    InputError : at its units
    """
    if sells_nothing(api):
        text = "no units, and no price by the token: it could take no request, and no overflow goes on without it"
        raise InputError(Problem(f"{api.name} has {text}", path="provisioned_units", got="0"))


def without_units(loaded: LoadedScenario, name: str, apis: Collection[str]) -> LoadedScenario:
    """The scenario with no units of some token APIs of a topology, as if that were written."""
    topology = loaded.scenario.topologies[name]
    none = {"provisioned_units": 0.0}
    providers = tuple(api.model_copy(update=none) if api.name in apis else api for api in topology.providers)
    topologies = {**loaded.scenario.topologies, name: topology.model_copy(update={"providers": providers})}
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"topologies": topologies}))
