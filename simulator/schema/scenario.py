"""The scenario file, schema version 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import AtLeastOne, Count, Name, NotNegative, Positive, Settings
from simulator.schema.engine import EngineSettings
from simulator.schema.topology import Topology
from simulator.schema.workload import Workload


class CostSettings(Settings):
    """Money: what differs from the catalog's figures."""

    horizon_months: AtLeastOne = 36
    discount_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Cost of capital per year."""
    electricity_usd_per_kwh: NotNegative | None = None
    pue: Annotated[float, Field(ge=1)] | None = None
    fte: NotNegative | None = None
    """Staff for the owned hardware of a topology, in full-time equivalents."""
    overrides: dict[str, float] = {}
    """Figures of the cost catalog by id."""


class RunSettings(Settings):
    """How long and how often to simulate."""

    horizon_s: Positive
    warmup_s: NotNegative = 0.0
    """Requests that arrive earlier are left out of the metrics."""
    drain_s: NotNegative = 300.0
    """Longest time after the horizon for requests in flight to end."""
    replications: AtLeastOne = 1
    seed: Count = 0
    sample_s: Positive | None = None
    """Seconds between samples of the fleet; a 360th of the horizon unless given."""
    keep_requests: bool = True
    """Keep a row per request in the run bundle."""


class Scenario(Settings):
    """Traffic, service levels and the topologies to compare."""

    schema_version: Literal[1]
    name: Name
    description: str = ""
    model: str
    """Model of the catalog, or the path of a Hugging Face config.json."""
    engine: EngineSettings = EngineSettings()
    workload: Workload
    topologies: Annotated[dict[Name, Topology], Field(min_length=1)]
    cost: CostSettings = CostSettings()
    run: RunSettings
