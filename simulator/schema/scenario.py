"""The scenario file, schema version 1."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from simulator.schema.base import (
    IS_NUMBER,
    AtLeastOne,
    ByHour,
    Count,
    Name,
    NotNegative,
    Number,
    Positive,
    Settings,
    Switch,
)
from simulator.schema.clock import Holidays, Moment, TimeZone
from simulator.schema.engine import EngineSettings
from simulator.schema.money import CurrencySettings, Servers, StaffSettings, TaxSettings
from simulator.schema.study import StudySettings
from simulator.schema.topology import Topology
from simulator.schema.workload import Workload


def _dotted(value: Any) -> Any:
    """Figures by whole ids: `power: {host_kw: 1}` says the same as `power.host_kw: 1`."""
    if not isinstance(value, dict):
        return value
    flat: dict[str, Any] = {}
    for key, item in value.items():
        inner = _dotted(item)
        flat |= {f"{key}.{below}": each for below, each in inner.items()} if isinstance(inner, dict) else {key: inner}
    return flat


class CostSettings(Settings):
    """Money: what differs from the catalog's figures."""

    discount_rate: Annotated[float, Field(ge=0, lt=1), IS_NUMBER] | None = None
    """Cost of capital per year."""
    electricity_usd_per_kwh: NotNegative | None = None
    """Instead of the sites'."""
    electricity_by_hour_usd_per_kwh: ByHour | None = None
    """24 prices from 00:00 on, instead of one, by the clocks of each site."""
    co2_usd_per_tonne: NotNegative | None = None
    """Price of what the electricity of owned servers emits, where they say nothing else; none unless given."""
    pue: Annotated[float, Field(ge=1), IS_NUMBER] | None = None
    """Ratio of facility to IT power, instead of the sites'."""
    staff: StaffSettings | None = None
    """Staff of each topology that owns hardware and says nothing else; the catalog's unless given."""
    taxes: tuple[TaxSettings, ...] = ()
    """Taxes that cannot be deducted, of each topology that says nothing else; none unless given."""
    overrides: Annotated[dict[str, Number], BeforeValidator(_dotted)] = {}
    """Figures of the cost catalog by id, or id and part, as `onprem.residual_fraction.48m`; they count as certain."""
    draws: Annotated[int, Field(ge=0, le=100_000), IS_NUMBER] = 2000
    """Draws of uncertain prices and figures for the intervals of the costs; 0 leaves the intervals out."""


class RunSettings(Settings):
    """How long and how often to simulate."""

    horizon_s: Annotated[float, Field(gt=0, le=315_360_000), IS_NUMBER]
    """Simulated time in which requests arrive; ten years at most."""
    warmup_s: NotNegative = 0.0
    """Requests that arrive earlier are left out of the metrics."""
    drain_s: NotNegative = 300.0
    """Longest time after the horizon for requests in flight to end."""
    start: Moment = "mon 00:00"
    """Time at simulated time 0, of the week as `tue 8:00` or of the calendar as `2026-03-02 8:00`. Load by the hour,
    windows, schedules and prices by the hour go by it."""
    time_zone: TimeZone | None = None
    """Of all times of the scenario, as `Europe/Berlin`; UTC unless given. Needs a start on a date."""
    holidays: Holidays = ()
    """Days that are Sundays to load and windows: those of a country or a part of it, as `DE-BE`, or a list of days.
    Needs a start on a date."""
    replications: AtLeastOne = 1
    """Independent repetitions; intervals need at least two."""
    seed: Count = 0
    """Start of all random numbers; the same seed gives the same bytes."""
    sample_s: Positive | None = None
    """Seconds between samples of the fleet; a 360th of the horizon unless given, at least a 10,000th."""
    max_replicas: AtLeastOne = 1024
    """Largest size of a pool that is taken as meant, written or searched."""
    max_requests: AtLeastOne = 100_000_000
    """Most requests of a class and replication, or users in a closed loop, that are taken as meant."""
    keep_requests: Switch = True
    """Keep a row per request in the run bundle."""


class Scenario(Settings):
    """Traffic, service levels and the topologies to compare."""

    schema_version: Literal[1]
    """Version of this format."""
    name: Name
    """Short name, used for the folder of the run."""
    description: str = ""
    """What the scenario asks, in a sentence."""
    model: str
    """Model of the catalog, or the path of a Hugging Face config.json."""
    engine: EngineSettings = EngineSettings()
    """Serving engine of every pool that gives no other."""
    workload: Workload
    """The traffic; the same for every topology."""
    topologies: Annotated[dict[Name, Topology], Field(min_length=1)]
    """Ways to serve it, by name."""
    servers: tuple[Servers, ...] = ()
    """Servers that owned pools of every topology stand on, where they differ from the catalog's."""
    cost: CostSettings = CostSettings()
    """Money: what differs from the catalog."""
    currency: CurrencySettings | None = None
    """What amounts are shown in, with a dated rate; USD unless given."""
    study: StudySettings = StudySettings()
    """Months over which topologies are compared, and how the load changes in them."""
    run: RunSettings
    """Length, repetitions and seed."""
