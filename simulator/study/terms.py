"""What is paid, and how: the terms that turn a ledger of use into a bill. No figure has a default from outside.

Every price is `Money`: one number, or one for each draw of uncertain prices, shape (draws,). Prices by hour of day are
tuples of 1 or 24 of them from 00:00 on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from simulator.study.contract import AS_LISTED, Credit, Volume
from simulator.study.schedule import Following, Launches
from simulator.units import MONTHS_PER_YEAR

Money = float | NDArray[np.float64]


def _constant() -> NDArray[np.float64]:
    return np.ones(1)


@dataclass(frozen=True, slots=True)
class Span:
    """Months of a study in which something is agreed, the first and the last included.

    Attributes
    ----------
    first : from 1 on
    last : None: to the end of the study
    """

    first: int = 1
    last: int | None = None

    def __contains__(self, month: int) -> bool:
        return self.first <= month and (self.last is None or month <= self.last)

    def ends(self, months: float) -> float:
        """Months after which it ends, in a study of so many."""
        return months if self.last is None else min(float(self.last), months)


@dataclass(frozen=True, slots=True)
class Facility:
    """Where owned servers stand.

    Attributes
    ----------
    usd_per_kw_month : space, cooling and connection by reserved power: rent of a colocation, or the own building
    network_usd_per_month : connection of the whole site, as an uplink and cross connects, whatever stands there
    pue : facility power per IT power
    electricity_usd_per_kwh : 1 price, or 24 by hour of day
    co2_kg_per_kwh : carbon intensity of the grid: 1, 24 by hour of day, or 288 by month and hour; empty if not known
    co2_usd_per_tonne : price of what its electricity emits
    time_zone, grid_zone : in which hours of electricity prices and of the grid count; empty for that of the run
    """

    usd_per_kw_month: Money
    pue: Money
    electricity_usd_per_kwh: tuple[Money, ...]
    co2_kg_per_kwh: tuple[float, ...] = ()
    time_zone: str = ""
    grid_zone: str = ""
    co2_usd_per_tonne: Money = 0.0
    network_usd_per_month: Money = 0.0


@dataclass(frozen=True, slots=True)
class ServerKind:
    """A server as it is bought.

    Attributes
    ----------
    gpus : GPUs in one server, 1 to 72
    capex_usd : one server with its GPUs
    network_storage_share : network and storage, as a share of capex
    reserved_kw : nameplate power, which space and connection are paid by
    host_kw : mean draw of a server that is on, without its GPUs
    gpu_idle_kw : draw of a GPU of a server that is on, in no replica that is up
    maintenance_share_per_year : of capex
    life_years, residual_share : after so long it is sold for this share of its price
    resale_share_by_age : (age in years, share of the price) when sold earlier, by rising age; 1 at age 0 unless given
    lead_months : from order to service
    install_usd : one-time cost of putting one server into service
    """

    name: str
    gpu: str
    gpus: int
    capex_usd: Money
    network_storage_share: Money
    reserved_kw: Money
    host_kw: Money
    maintenance_share_per_year: Money
    life_years: Money
    residual_share: Money
    resale_share_by_age: tuple[tuple[float, Money], ...] = ()
    lead_months: float = 0.0
    install_usd: Money = 0.0
    gpu_idle_kw: Money = 0.0


@dataclass(frozen=True, slots=True)
class OwnedSite:
    """Servers of one kind on one site, shared by all pools that stand there.

    Attributes
    ----------
    pools : names of the pools on these servers
    spares : servers bought beside those in use; None: `spare_share` of them, rounded up
    off_when_empty : servers on which no replica is up are switched off, spares among them
    span : bought as they are needed in its first month or later; sold at the end of its last
    sold_share : of its price, that a server brings when its span ends before the study; None: what its age gives
    later : the same servers where an event changes what is paid for them, as electricity, space, spares or the price
        of further ones, from the first month of its span on
    """

    site: str
    server: ServerKind
    facility: Facility
    pools: tuple[str, ...]
    spares: int | None = None
    spare_share: float = 0.0
    span: Span = Span()
    sold_share: Money | None = None
    off_when_empty: bool = False
    later: tuple[OwnedSite, ...] = ()

    def at(self, month: int) -> OwnedSite:
        """The site with what holds in a month, from 1 on."""
        found = next((one for one in reversed(self.later) if one.span.first <= month), self)
        if found is self:
            return self
        names = ("server", "facility", "spares", "spare_share", "off_when_empty")
        now = {name: getattr(found, name) for name in names}
        return replace(self, **now)


@dataclass(frozen=True, slots=True)
class Commitment:
    """Instances that are paid for a whole term whether used or not.

    Attributes
    ----------
    usd_per_instance_hour : all in, upfront part included
    instances : from the start on, renewed as long as the study lasts; None: as many, and when, as costs least over the
        study, read off the use
    upfront_share : of a term's price, paid at its start; this and the price are those of terms that begin then
    begins : (month after which a term begins, its instances) of each term; None until that is settled
    sold : whether terms begin under it then; one that an event brings, or takes away, runs in other months alone
    """

    usd_per_instance_hour: Money
    term_months: int
    instances: int | None = None
    upfront_share: float = 0.0
    begins: tuple[tuple[int, int], ...] | None = None
    sold: bool = True


@dataclass(frozen=True, slots=True)
class RentedTerms:
    """Instances as a provider of GPUs sells them, for one pool.

    Attributes
    ----------
    tier : as `on_demand`, `spot`, `reserved_1y`, `capacity_block`
    gpus_per_instance : what one pays for is whole instances
    usd_per_instance_hour : above the commitments; 1 price, or 24 by hour of day
    minimum_s, granularity_s : each stay of an instance is billed for at least the one, in steps of the other; 0 is none
    free : states in which nothing is paid for a replica; what is left of its time is paid to the second
    egress_usd_per_gb, egress_bytes_per_output_token : traffic that leaves the site, per 1e9 bytes
    storage_usd_per_gb_month, storage_gb : volumes of the pool, paid whatever runs
    pue, co2_kg_per_kwh, grid_zone : of the site, as those of a `Facility`; they price nothing
    launches : of a pool with windows that come again, for what of it falls between the simulated times; else None
    following : of an autoscaled pool, for the same; else None
    span : a commitment is renewed as long as it lasts, and paid to the end of its term
    gpu : of the instances; another one is another offer
    minimum_usd_per_month : that a month costs at least, all else of the pool's bill taken together
    volume : what the GPU-hours of a month above commitments make of their price
    credits : for a zone that was down, by falling availability
    later : the same offer with what an event makes of its prices and of all else, from the first month of its span on;
        terms that run are paid as they began, and which begin is said by `commitments` of the first
    """

    pool: str
    site: str
    tier: str
    gpus_per_instance: int
    usd_per_instance_hour: tuple[Money, ...]
    minimum_s: float = 0.0
    granularity_s: float = 0.0
    commitments: tuple[Commitment, ...] = ()
    egress_usd_per_gb: Money = 0.0
    egress_bytes_per_output_token: Money = 0.0
    storage_usd_per_gb_month: Money = 0.0
    storage_gb: Money = 0.0
    pue: Money = 1.0
    co2_kg_per_kwh: tuple[float, ...] = ()
    grid_zone: str = ""
    launches: Launches | None = None
    following: Following | None = None
    span: Span = Span()
    gpu: str = ""
    minimum_usd_per_month: Money = 0.0
    volume: Volume = AS_LISTED
    credits: tuple[Credit, ...] = ()
    later: tuple[RentedTerms, ...] = ()
    free: tuple[str, ...] = ()

    def at(self, month: int) -> RentedTerms:
        """The offer with the prices of a month, from 1 on."""
        return next((one for one in reversed(self.later) if one.span.first <= month), self)


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD per million tokens of requests whose prompt is longer than `above_tokens`."""

    above_tokens: int
    input: Money
    cached_input: Money
    cache_write: Money
    output: Money

    @property
    def by_kind(self) -> tuple[Money, Money, Money, Money]:
        """Input, cached input, cache write, output."""
        return self.input, self.cached_input, self.cache_write, self.output


@dataclass(frozen=True, slots=True)
class TierPrices:
    """Prices of a service tier, as `batch`, for the same prompt lengths as the standard ones."""

    name: str
    prices: tuple[TokenPrices, ...]


@dataclass(frozen=True, slots=True)
class ApiTerms:
    """Price list of a token API.

    Attributes
    ----------
    site : of the catalog, where it answers; empty for an offer of one's own
    prices : by rising `above_tokens`, the first at 0; a request pays one of them for all its tokens
    tier_by_class : the service tier of each class, as `batch`; empty for the standard prices
    tiers : prices of the tiers that classes name
    factor_by_hour : on all of them by the hour of day, UTC, in which a call is made, shape (24,); empty: 1 in all
    time_zone, ahead_h : by whose clocks these hours are, and how far these are ahead of UTC where the hours are as
        above; as much earlier in UTC as they are further ahead. Empty for UTC
    residency_premium : surcharge for processing in a region, as a share of the price
    bills_failed : whether calls that end in an error are paid for
    fixed_usd_per_month : a flat fee, whatever is used
    minimum_usd_per_month : that a month costs at least, all else of the provider's bill taken together
    provisioned_units, usd_per_unit_hour : throughput that is bought by the hour, or for a term, whatever is used
    unit_tokens_per_minute : that each unit lets through; 0 where it is not known
    unit_token_weights : what a token of each kind counts for in that: uncached and cached input, cache writes, output
    unit_term_months, unit_upfront_share : for which units are bought at a time, 0 for by the hour, and the share of a
        term's price that is paid at its start
    volume : what the number of a month's tokens makes of their prices
    credits : for what was down, by falling availability
    """

    provider: str
    prices: tuple[TokenPrices, ...]
    tier_by_class: tuple[str, ...]
    tiers: tuple[TierPrices, ...] = ()
    factor_by_hour: tuple[float, ...] = ()
    residency_premium: Money = 0.0
    bills_failed: bool = False
    fixed_usd_per_month: Money = 0.0
    minimum_usd_per_month: Money = 0.0
    provisioned_units: float = 0.0
    usd_per_unit_hour: Money = 0.0
    span: Span = Span()
    site: str = ""
    time_zone: str = ""
    ahead_h: float = 0.0
    unit_tokens_per_minute: float = 0.0
    unit_token_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    unit_term_months: int = 0
    unit_upfront_share: float = 0.0
    volume: Volume = AS_LISTED
    credits: tuple[Credit, ...] = ()


@dataclass(frozen=True, slots=True)
class Staff:
    """People who run a topology in some months: a base, and more with servers bought and with replicas; full-time
    equivalents."""

    usd_per_fte_year: Money
    base_fte: Money = 0.0
    fte_per_server: Money = 0.0
    fte_per_replica: Money = 0.0
    span: Span = Span()


@dataclass(frozen=True, slots=True)
class Fee:
    """What else is paid in some months: licences, support, integration, fees of a provider.

    Attributes
    ----------
    usd_once : paid when its span begins, and spread over the study
    classes : whose requests are paid for, by number; empty: of all
    share_of_bill : of all lines but such shares
    """

    name: str
    usd_once: Money = 0.0
    usd_per_month: Money = 0.0
    usd_per_replica_month: Money = 0.0
    usd_per_gpu_month: Money = 0.0
    usd_per_million_requests: Money = 0.0
    classes: tuple[int, ...] = ()
    share_of_bill: Money = 0.0
    span: Span = Span()


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax that cannot be deducted, on what is paid in some months.

    Attributes
    ----------
    share : of what it is on
    categories : of the lines that it is on, hardware with its network, storage and installation; empty: all
    """

    name: str
    share: float
    categories: tuple[str, ...] = ()
    span: Span = Span()


@dataclass(frozen=True, slots=True)
class Terms:
    """All that one topology is paid by.

    Attributes
    ----------
    discount_rate_per_year : of annuities and of the NPV
    months : length of the study; may end within one, as 2.5
    first_month : of the calendar, 1 to 12
    jobs_per_month : 0, or what is used is that of a job, which is done so often in a month: machines are rented for it
        alone, and owned ones and their staff are paid for that share of the time
    rental_index, token_index : price of rented GPUs and of tokens in month k as a multiple of today's, shape
        (months + 1,) or (months + 1, draws), or of one month for prices that stay; commitments keep the index of the
        month in which their term began
    """

    topology: str
    owned: tuple[OwnedSite, ...] = ()
    rented: tuple[RentedTerms, ...] = ()
    apis: tuple[ApiTerms, ...] = ()
    staff: tuple[Staff, ...] = ()
    fees: tuple[Fee, ...] = ()
    taxes: tuple[Tax, ...] = ()
    discount_rate_per_year: Money = 0.0
    months: float = 36.0
    first_month: int = 1
    jobs_per_month: float = 0.0
    rental_index: NDArray[np.float64] = field(default_factory=_constant)
    token_index: NDArray[np.float64] = field(default_factory=_constant)

    def calendar_month(self, month: int) -> int:
        """Of the calendar, 1 to 12, of a month of the study, from 1 on."""
        return (self.first_month + month - 2) % MONTHS_PER_YEAR + 1

    @property
    def offers(self) -> tuple[RentedTerms | ApiTerms, ...]:
        """Of GPUs and of tokens, as they are in any month."""
        return (*(one for offer in self.rented for one in (offer, *offer.later)), *self.apis)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Of everything that is agreed, in order."""
        found = [one.span for site in self.owned for one in (site, *site.later)]
        found += [one.span for offer in self.rented for one in (offer, *offer.later)]
        found += [api.span for api in self.apis] + [one.span for one in self.staff] + [fee.span for fee in self.fees]
        found += [tax.span for tax in self.taxes]
        return tuple(found)
