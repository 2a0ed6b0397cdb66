"""What the scenario says of the servers of a site and GPU, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.catalog.gpus import gpu
from simulator.catalog.sites import site
from simulator.scenario.load import LoadedScenario
from simulator.schema.money import Servers


@dataclass(frozen=True, slots=True)
class Given:
    """What the scenario says of the servers of one site and GPU, first choice first; each with its path."""

    loaded: LoadedScenario
    layers: tuple[tuple[str, Servers], ...]

    def find(self, *keys: str) -> tuple[str, Any] | None:
        """Path and value of what the first layer that says any of these keys says; None if nothing is said."""
        for path, servers in self.layers:
            for key in keys:
                value = getattr(servers, key)
                if value is not None and key in servers.model_fields_set:
                    return f"{path}.{key}", value
        return None

    def off_when_empty(self) -> bool:
        """Whether servers without a replica are switched off."""
        found = self.find("off_when_empty")
        return found is not None and bool(found[1])

    def tariff(self) -> tuple[str, tuple[float, ...]] | None:
        """Path and prices of electricity: one, or 24; of the servers, else of all."""
        cost, keys = self.loaded.scenario.cost, ("electricity_by_hour_usd_per_kwh", "electricity_usd_per_kwh")
        found = self.find(*keys) or next(
            ((f"cost.{key}", value) for key in keys if (value := getattr(cost, key)) is not None), None
        )
        if found is None:
            return None
        path, prices = found
        return path, prices if isinstance(prices, tuple) else (prices,)

    def carbon_price(self) -> tuple[str, float] | None:
        """Path and price of what electricity emits, of the servers, else of all."""
        usd = self.loaded.scenario.cost.co2_usd_per_tonne
        return self.find("co2_usd_per_tonne") or (None if usd is None else ("cost.co2_usd_per_tonne", usd))

    def time_zone(self) -> tuple[str, str] | None:
        """Path and name of the zone in which the site's clocks are."""
        return self.find("time_zone")


def given_servers(loaded: LoadedScenario, topology: str, site_name: str, gpu_name: str) -> Given:
    """What is said of servers at a site: the topology's words before the scenario's, of one GPU before those of all."""
    sections = (
        (f"topologies.{topology}.servers", loaded.scenario.topologies[topology].servers),
        ("servers", loaded.scenario.servers),
    )
    here = [
        (f"{path}[{k}]", servers)
        for path, section in sections
        for named in (True, False)
        for k, servers in enumerate(section)
        if site(servers.site).name == site_name and (servers.gpu is not None) == named
        if servers.gpu is None or gpu(servers.gpu).name == gpu_name
    ]
    return Given(loaded, tuple(here))
