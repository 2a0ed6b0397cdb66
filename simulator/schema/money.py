"""What is paid and how: servers of one's own, staff, fees, and price lists of token APIs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import (
    IS_NUMBER,
    ByHour,
    Count,
    Day,
    Name,
    NotNegative,
    Positive,
    Settings,
    Share,
    Switch,
)
from simulator.schema.clock import Hours, TimeZone
from simulator.units import MONTHS_PER_YEAR


class CurrencySettings(Settings):
    """What amounts are shown in. Prices of the scenario and files for programs stay in USD, as their keys say."""

    code: str
    """Of ISO 4217, as EUR."""
    usd_per_unit: Positive
    """USD that one unit of it is worth."""
    date: Day
    """Day of the rate, as 2026-11-26."""
    source: Annotated[str, Field(min_length=1)]
    """Where the rate comes from."""


class PeakSettings(Settings):
    """Hours of the day in which a token API is dearer; a call pays by the hour in which it is made."""

    hours: Annotated[tuple[Hours, ...], Field(min_length=1)]
    """As `[1-4, 6-10]`; whole hours of UTC."""
    factor: NotNegative
    """On all prices in these hours."""
    time_zone: TimeZone = "UTC"
    """In which they count, summer and winter. Another than UTC needs a run that begins on a date."""


class ResaleSettings(Settings):
    """What a server brings that is sold at an age."""

    age_years: NotNegative
    """Years from its purchase on."""
    share: Share
    """Of its price."""


class Servers(Settings):
    """Servers of one kind on one site, shared by all owned pools with that GPU there.

    What is not given comes from the scenario's `servers` for the same site, then from the catalog. Tariff, carbon, time
    zone and network are of the site: said once for all GPUs there.
    """

    name: Name
    """Name of the entry."""
    site: str
    """Site of the catalog."""
    gpu: str | None = None
    """GPU of the catalog; all on the site unless given."""
    server: str | None = None
    """Kind of server of the catalog, as 4xl40s; the one with `gpus_per_server`, else the usual one, unless given."""
    gpus_per_server: Annotated[int, Field(ge=1, le=72), IS_NUMBER] | None = None
    """GPUs in one server; those of the catalog's kind unless given."""
    capex_usd: NotNegative | None = None
    """Price of one server with its GPUs."""
    network_storage_share: NotNegative | None = None
    """Network and storage, as a share of the servers' price."""
    host_kw: NotNegative | None = None
    """Mean draw of a server that is on, without its GPUs."""
    gpu_idle_w: NotNegative | None = None
    """Draw of a GPU that no replica holds; the catalog's without a model loaded unless given."""
    off_when_empty: Switch | None = None
    """Servers on which no replica is up are switched off, spares among them; they stay on unless given."""
    reserved_kw: NotNegative | None = None
    """Power that space and connection are paid by: that of its GPUs at their limit and of the host, unless given."""
    maintenance_share_per_year: NotNegative | None = None
    """Maintenance per year, as a share of the price with network and storage."""
    life_years: Annotated[float, Field(ge=1 / MONTHS_PER_YEAR, le=30), IS_NUMBER] | None = None
    """Years after which a server is replaced."""
    residual_share: Share | None = None
    """What a server brings after its life, as a share of its price; sold earlier it brings as much more or less than
    usual, so 0 means that nothing is ever sold. Beside `resale_by_age` it is that of the end of its life alone."""
    resale_by_age: Annotated[tuple[ResaleSettings, ...], Field(min_length=1)] | None = None
    """What it brings when it is sold sooner, by rising age: linear between two, the last one from there on; its price
    at age 0 unless given."""
    spares: Count | None = None
    """Servers that stand by; bought, maintained and racked, and on unless `off_when_empty`."""
    swap_h: NotNegative | None = None
    """Hours until a spare has taken the place of a failed server; half an hour unless given."""
    install_usd: NotNegative = 0.0
    """One-time cost of putting one server into service."""
    lead_weeks: NotNegative | None = None
    """Weeks from order to service."""
    space_usd_per_kw_month: NotNegative | None = None
    """Space, cooling and connection for each kW reserved, rented or of one's own building."""
    network_usd_per_month: NotNegative | None = None
    """Connection of the site at a fixed price, as an uplink and cross connects: once, whatever stands there. What lies
    between the servers is in `network_storage_share`."""
    pue: Annotated[float, Field(ge=1), IS_NUMBER] | None = None
    """Ratio of facility to IT power, instead of the site's."""
    electricity_usd_per_kwh: NotNegative | None = None
    """Instead of the site's."""
    electricity_by_hour_usd_per_kwh: ByHour | None = None
    """24 prices from 00:00 on, instead of one, by the clocks of the site."""
    co2_kg_per_kwh: NotNegative | None = None
    """Carbon intensity of its electricity, instead of that of the site's grid by the hour."""
    co2_usd_per_tonne: NotNegative | None = None
    """Price of what its electricity emits, as a tax on carbon or an internal price; none unless given."""
    time_zone: TimeZone | None = None
    """Of the site, as `Europe/Berlin`; that of its grid unless given. Needs a run that begins on a date."""


class StaffSettings(Settings):
    """People who run a topology, in full-time equivalents; what is not given is 0, the salary the catalog's."""

    base_fte: NotNegative = 0.0
    """Whatever runs."""
    fte_per_server: NotNegative = 0.0
    """More for each owned server."""
    fte_per_replica: NotNegative = 0.0
    """More for each replica at the peak."""
    usd_per_fte_year: NotNegative | None = None
    """Salary with all that comes with it."""


class FeeSettings(Settings):
    """What else is paid: licences, support, integration."""

    name: Name
    """What it is for; a line of the bill."""
    usd_once: NotNegative = 0.0
    """Paid once, at the start, or when an event brings it."""
    usd_per_month: NotNegative = 0.0
    """Paid by the month."""
    usd_per_replica_month: NotNegative = 0.0
    """Paid by the month for each replica at the peak."""
    usd_per_gpu_month: NotNegative = 0.0
    """Paid by the month for each GPU of the replicas at the peak, as licences are."""
    usd_per_million_requests: NotNegative = 0.0
    """Paid for requests that come, as for a gateway, guardrails, or the classifier of a routing by complexity."""
    classes: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Classes of the workload whose requests these are, as of a guardrail on one of them; all unless given."""
    share_of_bill: Annotated[float, Field(ge=0, lt=10), IS_NUMBER] = 0.0
    """Share of all other lines, as for support."""


class TaxSettings(Settings):
    """A tax that cannot be deducted, as VAT or sales tax."""

    name: Name
    """What it is called; a line of the bill."""
    share: Share
    """Of what it is on, before any tax."""
    categories: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Lines of the bill that it is on, as `hardware` (with its network, storage and installation), `on demand`,
    `committed`, `tokens`, `staff` or the name of a fee; all unless given."""


class TokenPriceSettings(Settings):
    """USD per million tokens of requests whose prompt is longer than `above_tokens`."""

    above_tokens: Count = 0
    """Longest prompt that does not pay these prices."""
    input: NotNegative
    """Prompt tokens."""
    output: NotNegative
    """Output tokens."""
    cached_input: NotNegative | None = None
    """Prompt tokens that the provider's cache holds; the price of input unless given."""
    cache_write: NotNegative | None = None
    """Prompt tokens that are put into its cache; the price of input unless given."""


class PromptCacheSettings(Settings):
    """What a token API remembers of prompts."""

    life_s: NotNegative
    """A beginning is forgotten so long after the last call that had it; 0 is no cache."""
    least_tokens: Count = 0
    """Shorter beginnings are neither kept nor found."""
    step_tokens: Annotated[int, Field(ge=1), IS_NUMBER] = 1
    """Beginnings count in whole steps of so many tokens."""


class PriceFactors(Settings):
    """What a service tier costs of the standard prices, by kind of token."""

    input: NotNegative = 1.0
    """Prompt tokens."""
    cached_input: NotNegative = 1.0
    """Prompt tokens that the provider's cache holds."""
    cache_write: NotNegative = 1.0
    """Prompt tokens that are put into its cache."""
    output: NotNegative = 1.0
    """Output tokens."""


class ServiceTierSettings(Settings):
    """A service tier against the standard one."""

    price_factor: NotNegative | PriceFactors | None = None
    """On the token prices, one for all of them or by kind of token; the offer's prices of the tier unless given."""
    latency_factor: Positive = 1.0
    """On TTFT and TPOT."""
    window_s: NotNegative = 0.0
    """Answers come as a whole within this time, as those of a batch API; 0 is at once."""


class ServiceCreditSettings(Settings):
    """What a provider gives back of a month in which it was up for less than it has promised."""

    below_availability: Annotated[float, Field(gt=0, le=1), IS_NUMBER]
    """Share of the month; 0.999 for a credit where it was up for less than 99.9 % of it."""
    share_of_bill: Share
    """Of what is paid for the month, minimum spend and upfront parts apart."""


class GpuVolumeStepSettings(Settings):
    """Price of GPU-hours from so many of them in a month on."""

    above_gpu_hours_per_month: Positive
    """GPU-hours of a month above commitments, idle and unused ones among them, from which on it holds."""
    price_factor: NotNegative
    """On the price of a GPU-hour."""


class GpuVolumePriceSettings(Settings):
    """Price of GPU-hours above commitments by the volume of a month; below the first step it is as it is listed."""

    mode: Literal["graduated", "all_hours"] = "graduated"
    """Each step for the hours within it alone, or the one that a month reaches for all its hours."""
    steps: Annotated[tuple[GpuVolumeStepSettings, ...], Field(min_length=1)]
    """By rising number of hours."""


class VolumeStepSettings(Settings):
    """Token prices from so many tokens of a month on."""

    above_tokens_per_month: Positive
    """Tokens of a month, of all kinds and classes together, from which on they hold."""
    price_factor: NotNegative
    """On all token prices."""


class VolumePriceSettings(Settings):
    """Token prices by the volume of a month; below the first step they are as they are listed."""

    mode: Literal["graduated", "all_tokens"] = "graduated"
    """Each step for the tokens within it alone, or the one that a month reaches for all its tokens."""
    steps: Annotated[tuple[VolumeStepSettings, ...], Field(min_length=1)]
    """By rising number of tokens."""


Tier = Literal["standard", "batch", "flex", "priority"]
