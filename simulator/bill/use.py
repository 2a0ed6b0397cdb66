"""What a month uses, added up over its periods: the one place where simulated time becomes a month.

Use is a weighted sum over the periods, each by the hours that it stands for / hours simulated; what is fixed takes the
largest of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.bill.between import between
from simulator.bill.clock import at_factors, by_hour_of_day, weight
from simulator.bill.credits import Up, up_of
from simulator.bill.stays import level_hours
from simulator.bill.unseen import unseen
from simulator.bill.volume import mean_factor
from simulator.errors import InputError, InvariantError, Problem
from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.terms import ApiTerms, Facility, OwnedSite, RentedTerms, Terms
from simulator.study.usage import PoolUsage, ProviderUsage, Usage
from simulator.units import HOURS_PER_DAY, HOURS_PER_MONTH, JOULES_PER_KWH, SECONDS_PER_HOUR

STATES = ("busy", "idle", "starting", "down")
_SLACK_HOURS = 1e-6
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class PoolUse:
    """A month of one pool.

    Attributes
    ----------
    gpu_hours : billed, by `STATES`
    gpu_kwh : by time zone in which hours of the site count, then by hour of day, (24,); without PUE
    work : shape (classes, 6), as `PoolUsage.work`
    steps : in which it was done
    gpus_per_replica : of each of them
    instance_hours : billed with at least 1, 2, ... instances, by hour of day, shape (most, 24); rented pools alone
    up : availability of its zone
    """

    gpu_hours: dict[str, float]
    gpu_kwh: dict[str, NDArray[np.float64]]
    output_tokens: float
    peak_replicas: int
    work: NDArray[np.float64]
    instance_hours: NDArray[np.float64]
    steps: float = 0.0
    gpus_per_replica: int = 0
    up: Up = ()


@dataclass(frozen=True, slots=True)
class ServerHours:
    """Hours of a month by hour of day, (24,), of the owned servers of one site.

    Attributes
    ----------
    on : in which those that work are on
    down : of all machines under repair
    running : of servers with a replica that is up
    held_gpus : of GPUs in replicas that are up
    """

    on: NDArray[np.float64]
    down: NDArray[np.float64]
    running: NDArray[np.float64]
    held_gpus: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SiteUse:
    """A month of the owned servers of one site: most in use at once, and their hours, by zone as `PoolUse.gpu_kwh`."""

    used: int
    hours: dict[str, ServerHours]


@dataclass(frozen=True, slots=True)
class ProviderUse:
    """A month of one provider.

    Attributes
    ----------
    tokens, failed_tokens : of answered and of failed calls, shape (classes, bands, 4)
    priced, priced_failed : the same, each token as often as its hour and the volume of the month make the listed price
    counted_tokens : that fill the steps of volume prices: all that are billed
    """

    tokens: NDArray[np.float64]
    failed_tokens: NDArray[np.float64]
    priced: NDArray[np.float64]
    priced_failed: NDArray[np.float64]
    counted_tokens: float
    up: Up = ()


@dataclass(frozen=True, slots=True)
class Use:
    """A month of a topology: pools and providers by name, sites in the order of the terms.

    Attributes
    ----------
    is_job : what is used is that of a month's jobs
    share : of the time for which owned servers are paid; 1 but for a job
    requests : that came, by class
    """

    pools: dict[str, PoolUse]
    sites: tuple[SiteUse, ...]
    providers: dict[str, ProviderUse]
    is_job: bool = False
    share: float = 1.0
    requests: tuple[float, ...] = ()

    @property
    def peak_replicas(self) -> int:
        return sum(pool.peak_replicas for pool in self.pools.values())

    @property
    def peak_gpus(self) -> int:
        return sum(pool.peak_replicas * pool.gpus_per_replica for pool in self.pools.values())


def study_uses(terms: Terms, months: Sequence[MonthUse]) -> list[Use]:
    """Use of each month of a study; months of the same use and terms share one object. Errors are `month_use`'s."""
    spans = terms.spans
    known: dict[tuple[int, tuple[bool, ...]], Use] = {}
    found: list[Use] = []
    for number, month in enumerate(months, start=1):
        key = id(month), tuple(number in span for span in spans)
        if key not in known:
            known[key] = month_use(terms, month, number)
        found.append(known[key])
    return found


def month_use(terms: Terms, month: MonthUse, number: int = 1) -> Use:
    """Add up month `number` of a study; a rented pool that has no part in it used nothing.

    Raises
    ------
    InputError : periods that do not make a month of 730 hours, or without simulated time; a pool or provider that the
        terms do not price
    """
    hours = math.fsum(period.hours for period in month.periods)
    if abs(hours - HOURS_PER_MONTH) > _SLACK_HOURS:
        raise InputError(Problem("periods must add up to a month of 730 hours", path="month.periods", got=f"{hours:g}"))
    if any(not period.usage.span_s > 0 for period in month.periods):
        raise InputError(Problem("no time was simulated", path="month.periods.end_s", got="0"))
    apis = {api.provider: api for api in terms.apis if number in api.span}
    first = month.periods[0].usage
    _check_priced(terms, first, number)
    share, is_job = 1.0, terms.jobs_per_month > 0
    if is_job:
        month = MonthUse(tuple(_of_jobs(period, terms.jobs_per_month) for period in month.periods))
        share = math.fsum(period.hours for period in month.periods) / HOURS_PER_MONTH
    rented = {offer.pool: offer.at(number) for offer in terms.rented if number in offer.span}
    zones = _zones(terms)
    none = {zone: np.zeros(HOURS_PER_DAY) for zone in zones}
    unused = PoolUse(dict.fromkeys(STATES, 0.0), none, 0.0, 0, np.zeros((0, 6)), np.zeros((0, HOURS_PER_DAY)))
    return Use(
        dict.fromkeys(rented, unused)
        | {pool.name: _pool(pool.name, rented.get(pool.name), month.periods, zones) for pool in first.pools},
        tuple(_site(site.at(number), month.periods if number in site.span else ()) for site in terms.owned),
        {provider.name: _provider(provider.name, apis[provider.name], month.periods) for provider in first.providers},
        is_job,
        share,
        tuple(
            math.fsum(weight(period) * count for period, count in zip(month.periods, counts, strict=True))
            for counts in zip(*(period.usage.requests for period in month.periods), strict=True)
        ),
    )


def _zones(terms: Terms) -> tuple[str, ...]:
    """Time zones in which hours of energy count."""
    found = [zone for site in terms.owned for one in (site, *site.later) for zone in _of(one.facility)]
    return tuple(dict.fromkeys([*found, *(one.grid_zone for offer in terms.rented for one in (offer, *offer.later))]))


def _of(place: Facility) -> tuple[str, str]:
    return place.time_zone, place.grid_zone


def _of_jobs(period: PeriodUse, jobs: float) -> PeriodUse:
    """Hours that the period's part of the jobs of a month take."""
    hours = period.hours / HOURS_PER_MONTH * jobs * period.usage.span_s / SECONDS_PER_HOUR
    return replace(period, hours=hours, is_job=True)


def _check_priced(terms: Terms, usage: Usage, number: int) -> None:
    pools = {offer.pool for offer in terms.rented if number in offer.span}
    pools |= {name for site in terms.owned if number in site.span for name in site.pools}
    apis = {api.provider for api in terms.apis if number in api.span}
    missing = [f"pool {pool.name}" for pool in usage.pools if pool.name not in pools]
    missing += [f"provider {provider.name}" for provider in usage.providers if provider.name not in apis]
    if missing:
        raise InputError(*(Problem(f"no price of {name}", path="terms") for name in missing))


def _find_pool(name: str, usage: Usage) -> PoolUsage:
    return next(pool for pool in usage.pools if pool.name == name)


def _find_provider(name: str, usage: Usage) -> ProviderUsage:
    return next(provider for provider in usage.providers if provider.name == name)


def _pool(name: str, rented: RentedTerms | None, periods: Sequence[PeriodUse], zones: Sequence[str]) -> PoolUse:
    found = [(weight(period), _find_pool(name, period.usage), period) for period in periods]
    gpu_hours = {
        state: math.fsum(
            w * getattr(pool, f"{state}_s") * pool.gpus_per_replica / SECONDS_PER_HOUR for w, pool, _ in found
        )
        for state in STATES
    }
    instance_hours = np.zeros((0, HOURS_PER_DAY))
    if rented is not None:
        gpu_hours["down"] -= math.fsum(w * _lost_hours(pool, rented.gpus_per_instance) for w, pool, _ in found)
        beside = unseen(rented, periods) if rented.following is None else between(rented, periods)
        gpu_hours["starting"] += beside.starting_hours * found[0][1].gpus_per_replica
        gpu_hours["idle"] += beside.idle_hours * found[0][1].gpus_per_replica
        levels = [w * level_hours(pool, rented, period) for w, pool, period in found]
        instance_hours = _stack([*levels, beside.instance_hours])
        sold, held = instance_hours.sum() * rented.gpus_per_instance, math.fsum(gpu_hours.values())
        if held > sold * (1.0 + _ROUNDING):
            raise InvariantError(f"pool {name}: replicas held {held:g} GPU-hours, its instances have {sold:g}")
        if rented.free and sold > 0:
            gpu_hours |= dict.fromkeys(rented.free, 0.0)
            instance_hours *= math.fsum(gpu_hours.values()) / sold
    return PoolUse(
        gpu_hours=gpu_hours,
        gpu_kwh={
            zone: _sum(
                [w * by_hour_of_day(pool.energy_by_hour_j / JOULES_PER_KWH, period, zone) for w, pool, period in found]
            )
            for zone in zones
        },
        output_tokens=math.fsum(w * pool.delivered_tokens[1] for w, pool, _ in found),
        peak_replicas=max(pool.peak_replicas for _, pool, _ in found),
        work=np.asarray(sum(w * pool.work for w, pool, _ in found), dtype=np.float64),
        instance_hours=instance_hours,
        steps=math.fsum(w * pool.steps * pool.work_share for w, pool, _ in found),
        gpus_per_replica=found[0][1].gpus_per_replica,
        up=up_of(periods, lambda period: _find_pool(name, period.usage).zone_down_s),
    )


def _lost_hours(pool: PoolUsage, gpus_per_instance: int) -> float:
    """GPU-hours of replicas on rented machines that had failed: nobody is billed for them."""
    gpus = min(pool.gpus_per_replica, gpus_per_instance)
    return math.fsum(stay.end_s - stay.start_s for stay in pool.stays if stay.lost) * gpus / SECONDS_PER_HOUR


def _site(site: OwnedSite, periods: Sequence[PeriodUse]) -> SiteUse:
    found = [
        (weight(period) / SECONDS_PER_HOUR, servers, period)
        for period in periods
        for servers in period.usage.servers
        if (servers.site, servers.gpu) == (site.site, site.server.gpu)
    ]

    def hours(zone: str) -> ServerHours:
        by_kind = (
            [w * by_hour_of_day(getattr(servers, f"{kind}_by_hour"), period, zone) for w, servers, period in found]
            for kind in ("on_s", "down_s", "running_s", "held_gpu_s")
        )
        return ServerHours(*(_sum([np.zeros(HOURS_PER_DAY), *parts]) for parts in by_kind))

    used = max((servers.used for _, servers, _ in found), default=0)
    return SiteUse(used, {zone: hours(zone) for zone in dict.fromkeys(_of(site.facility))})


def _provider(name: str, api: ApiTerms, periods: Sequence[PeriodUse]) -> ProviderUse:
    found = [(weight(period), _find_provider(name, period.usage), period) for period in periods]

    def total(key: str) -> NDArray[np.float64]:
        return np.asarray(sum(w * getattr(provider, key) for w, provider, _ in found), dtype=np.float64)

    def priced(key: str) -> NDArray[np.float64]:
        if not api.factor_by_hour:
            return total(key)
        hourly = (w * at_factors(getattr(used, f"{key}_by_hour"), api, period) for w, used, period in found)
        return np.asarray(sum(hourly), dtype=np.float64)

    tokens, failed = total("tokens"), total("failed_tokens")
    counted = float(tokens.sum()) + (float(failed.sum()) if api.bills_failed else 0.0)
    factor = mean_factor(api.volume, counted)
    up = up_of(periods, lambda period: _find_provider(name, period.usage).down_s)
    return ProviderUse(tokens, failed, factor * priced("tokens"), factor * priced("failed_tokens"), counted, up)


def _sum(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray([math.fsum(column) for column in zip(*arrays, strict=True)])


def _stack(levels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Sum of tables of different heights."""
    found = np.zeros((max(len(table) for table in levels), HOURS_PER_DAY))
    for table in levels:
        found[: len(table)] += table
    return found
