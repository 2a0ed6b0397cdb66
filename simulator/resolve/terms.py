"""What a topology is paid by: every price and term of the scenario and the catalog, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.bill.category import SERVICE_CREDIT
from simulator.bill.possible import credited_categories
from simulator.catalog.freshness import catalog_day, freshness
from simulator.errors import InputError, Problem
from simulator.resolve.agreed import Spell, agreed
from simulator.resolve.apis import api_terms
from simulator.resolve.carbon import grid_zone
from simulator.resolve.clock import Clock, clock_of
from simulator.resolve.commitments import commitments
from simulator.resolve.demand import jobs_per_month
from simulator.resolve.figures import Figures
from simulator.resolve.located import located, pool_path
from simulator.resolve.offers import rented_terms, unknown_prices
from simulator.resolve.places import place_of
from simulator.resolve.schedules import pool_schedule, weekly
from simulator.resolve.servers import owned_sites
from simulator.resolve.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.scenario.week import first_calendar_month, period_window
from simulator.schema.money import FeeSettings, StaffSettings, TaxSettings
from simulator.schema.pool import Pool
from simulator.schema.scenario import Scenario
from simulator.study.figure import Figure
from simulator.study.fleet import PoolSpec
from simulator.study.schedule import Following, Launches
from simulator.study.terms import Fee, Money, Staff, Tax, Terms


@dataclass(frozen=True, slots=True)
class ResolvedTerms:
    """Terms of a topology and what they rest on.

    Attributes
    ----------
    figures : every figure that was used, by id; an offer that was paid at several prices with each, the lowest first
    ranges : (low, value, high) of the cost figures with a range that were used, by id
    used_overrides : ids of the scenario's overrides that had a say
    unknown : what is not charged for because no price is known, as `egress at lambda`
    spells : what they were resolved from, by the months in which it holds
    offers : ids of the prices of offers among the figures
    """

    terms: Terms
    figures: tuple[Figure, ...]
    ranges: dict[str, tuple[float, float, float]]
    used_overrides: frozenset[str]
    unknown: tuple[str, ...]
    spells: tuple[Spell, ...] = ()
    offers: frozenset[str] = frozenset()

    @property
    def estimates(self) -> tuple[str, ...]:
        """Ids of the estimates among the figures."""
        return tuple(dict.fromkeys(figure.id for figure in self.figures if figure.kind == "estimate"))

    @property
    def stale(self) -> tuple[Figure, ...]:
        """Figures that were old when the catalog was last gone through; of the scenario those that it dates."""
        old = freshness(self.figures, catalog_day()).stale
        return tuple({figure.id: figure for figure in self.figures if figure.id in old}.values())


def resolve_terms(planned: PlannedTopology, spells: Sequence[Spell] = ()) -> ResolvedTerms:
    """Terms of a topology with all figures at their values.

    Parameters
    ----------
    spells : the months in which it is planned in one way or another; as `planned` in all of them unless given

    Raises
    ------
    InputError : each price that is missing and each term that cannot be, at its place
    """
    with located(planned.loaded, "cost.overrides"):
        figures = Figures(planned.loaded.scenario.cost.overrides, loaded=planned.loaded)
    spells = tuple(spells) or (Spell(1, planned),)
    terms = spelled_terms(spells, figures)
    rented = [
        pool
        for spell in spells
        for pool in spell.planned.loaded.scenario.topologies[planned.name].pools
        if pool.billing != "owned"
    ]
    return ResolvedTerms(
        terms,
        tuple(sorted(figures.used.values(), key=lambda figure: (figure.id, figure.value))),
        figures.ranges,
        frozenset(figures.used_overrides),
        tuple(dict.fromkeys(name for pool in rented for name in unknown_prices(pool))),
        spells,
        frozenset(figures.offers),
    )


def spelled_terms(spells: Sequence[Spell], figures: Figures) -> Terms:
    """Terms of a topology over its spells; arguments and errors are those of `topology_terms`."""
    return agreed(spells, [topology_terms(spell.planned, figures) for spell in spells])


def topology_terms(planned: PlannedTopology, figures: Figures) -> Terms:
    """Terms of a topology; figures that are drawn give arrays. Arguments and errors are those of `resolve_terms`."""
    loaded, name = planned.loaded, planned.name
    scenario, topology = loaded.scenario, loaded.scenario.topologies[planned.name]
    root, clock = f"topologies.{name}", clock_of(scenario)
    start_s = clock.at(scenario.run.start)
    owned = owned_sites(loaded, name, planned.engines, figures)
    by_week = any(period_window(period) for period in scenario.study.periods)
    rented = []
    for k, (pool, engine) in enumerate(zip(topology.pools, planned.engines, strict=True)):
        if pool.billing != "owned":
            path = pool_path(loaded, name, k)
            with located(loaded, path):
                offer = rented_terms(pool, path, engine, figures, grid_zone(place_of(pool), clock))
                agreed_to = commitments(pool, path, figures)
                spec = planned.fleet.pools[k]
                launches = _launches(pool, spec, clock) if not clock.has_dates or by_week else None
                offer = replace(offer, launches=launches, following=_following(spec))
                rented.append(replace(offer, commitments=agreed_to))
    apis = []
    for k, provider in enumerate(topology.providers):
        path = f"{root}.providers[{k}]"
        with located(loaded, path):
            apis.append(api_terms(provider, path, scenario.workload.classes, figures, clock, start_s))
    found = Terms(
        topology=name,
        owned=owned,
        rented=tuple(rented),
        apis=tuple(apis),
        staff=_staff(planned, bool(owned), figures),
        fees=tuple(_fee(fee, f"{root}.fees[{k}]", scenario, figures) for k, fee in enumerate(topology.fees)),
        taxes=_taxes(scenario, name, figures),
        discount_rate_per_year=_discount_rate(planned, figures),
        months=float(scenario.study.months),
        jobs_per_month=jobs_per_month(scenario),
        first_month=first_calendar_month(scenario),
    )
    _check_taxed_credits(loaded, found)
    return found


def _launches(pool: Pool, spec: PoolSpec, clock: Clock) -> Launches | None:
    """Launches by the clock in a week without holidays."""
    usual = replace(clock, holidays=frozenset())
    schedule = pool_schedule(pool, usual)
    if schedule is None or not schedule.windows:
        return None
    return Launches(weekly(schedule, usual), spec.early_s, spec.gpus_per_replica)


def _following(pool: PoolSpec) -> Following | None:
    """Launches of an autoscaler take a cold start; what it no longer wants it remembers for its window."""
    if pool.autoscaler is None:
        return None
    return Following(pool.cold_start.total_s, pool.autoscaler.down_window_s, pool.gpus_per_replica)


def _discount_rate(planned: PlannedTopology, figures: Figures) -> Money:
    """Cost of capital; without hardware it moves the present value alone, and no line."""
    rate = planned.loaded.scenario.cost.discount_rate
    if rate is not None:
        return figures.given("cost.discount_rate", rate, "per year")
    owns = any(pool.billing == "owned" for pool in planned.loaded.scenario.topologies[planned.name].pools)
    return figures("onprem.wacc") if owns else figures.unnoted("onprem.wacc")


def _staff(planned: PlannedTopology, owns: bool, figures: Figures) -> tuple[Staff, ...]:
    """Who runs a topology: its own word; else the cost section's or the catalog's, where it owns hardware."""
    scenario = planned.loaded.scenario
    own = scenario.topologies[planned.name].staff
    if own is not None:
        return (_people(own, f"topologies.{planned.name}.staff", figures),)
    if not owns:
        return ()
    if scenario.cost.staff is not None:
        return (_people(scenario.cost.staff, "cost.staff", figures),)
    return (Staff(usd_per_fte_year=figures("onprem.fte_cost"), base_fte=figures("onprem.fte_per_cluster")),)


def _people(settings: StaffSettings, path: str, figures: Figures) -> Staff:
    def count(key: str) -> float:
        value: float = getattr(settings, key)
        return figures.given(f"{path}.{key}", value, "FTE") if value else 0.0

    salary: Money = (
        figures("onprem.fte_cost")
        if settings.usd_per_fte_year is None
        else figures.given(f"{path}.usd_per_fte_year", settings.usd_per_fte_year, "USD per FTE-year")
    )
    return Staff(salary, count("base_fte"), count("fte_per_server"), count("fte_per_replica"))


def _fee(settings: FeeSettings, path: str, scenario: Scenario, figures: Figures) -> Fee:
    units = {
        "usd_once": "USD",
        "usd_per_month": "USD per month",
        "usd_per_replica_month": "USD per replica-month",
        "usd_per_gpu_month": "USD per GPU-month",
        "usd_per_million_requests": "USD per 1M requests",
        "share_of_bill": "of all other lines",
    }
    values = {key: getattr(settings, key) for key in units}
    for key, value in values.items():
        if value:
            figures.given(f"{path}.{key}", value, units[key])
    said = settings.classes or ()
    classes = tuple(k for k, cls in enumerate(scenario.workload.classes) if cls.name in said)
    return Fee(settings.name, **values, classes=classes)


def _taxes(scenario: Scenario, name: str, figures: Figures) -> tuple[Tax, ...]:
    said, path = _taxes_said(scenario, name)
    return tuple(
        Tax(one.name, figures.given(f"{path}[{k}].share", one.share, "of what it is on"), one.categories or ())
        for k, one in enumerate(said)
    )


def _taxes_said(scenario: Scenario, name: str) -> tuple[Sequence[TaxSettings], str]:
    """Taxes of a topology, and where they are written."""
    own = scenario.topologies[name].taxes
    return (scenario.cost.taxes, "cost.taxes") if own is None else (own, f"topologies.{name}.taxes")


def _check_taxed_credits(loaded: LoadedScenario, terms: Terms) -> None:
    """Refuse a tax on credits that is not on all that they are given on: it would fall as those prices rise.

    Raises
    ------
    InputError : it, at the lines that it names
    """
    _, path = _taxes_said(loaded.scenario, terms.topology)
    for k, tax in enumerate(terms.taxes):
        untaxed = sorted(credited_categories(terms) - set(tax.categories))
        if SERVICE_CREDIT in tax.categories and untaxed:
            with located(loaded, f"{path}[{k}].categories"):
                words = f"{tax.name} is on credits of {terms.topology}, so it must be on what they are given on"
                raise InputError(Problem(f"{words}: name {', '.join(untaxed)}, or leave {SERVICE_CREDIT} out"))
