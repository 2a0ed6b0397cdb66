"""One topology over all replications: metrics, usage and money, with the laws checked on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.cost.prices import OwnedPrices, RentedPrices
from simulator.cost.report import CostReport, cost_report
from simulator.cost.tokens import TokenPrice, empty_bill
from simulator.fleet.answers import provider_answers
from simulator.fleet.records import Status
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.demand import Demand
from simulator.metrics.laws import check_causality, check_counts, check_gpu_seconds, check_little, check_roofline
from simulator.metrics.sketch import Sketch
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.resolve.demand import replication_seed, request_source
from simulator.resolve.figures import Figures
from simulator.resolve.terms import (
    bill_records,
    discount_rate,
    owned_prices,
    rented_prices,
    token_price,
    unknown_prices,
)
from simulator.resolve.topology import PlannedTopology, located
from simulator.scenario.load import LoadedScenario
from simulator.study.usage import Usage

KeepRequests = Callable[[pd.DataFrame], None]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Replication:
    """One simulation of one topology, priced."""

    metrics: MetricAccumulator
    usage: Usage
    cost: CostReport
    run: FleetRun
    demand: Demand


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a topology's pools by name, of its providers in order, and the cost of capital.

    Attributes
    ----------
    estimates : ids of the estimates among the cost figures
    ranges : (low, value, high) of the cost figures that have a range, by id
    used_overrides : ids of the scenario's overrides that had a say
    unknown : what is not charged for because no price is known, as `egress at lambda`
    """

    pools: dict[str, OwnedPrices | RentedPrices]
    providers: tuple[TokenPrice, ...]
    discount_rate: float
    estimates: tuple[str, ...]
    ranges: dict[str, tuple[float, float, float]]
    used_overrides: frozenset[str]
    unknown: tuple[str, ...]


def class_slos(loaded: LoadedScenario) -> list[ClassSlo]:
    """SLOs of the scenario's classes."""
    return [
        ClassSlo(
            cls.name,
            tuple(
                SloTerm(metric, float(name[1:]) / 100, limit_s)
                for metric in ("ttft_s", "tpot_s", "e2e_s")
                for name, limit_s in getattr(cls.slo, metric).items()
            ),
        )
        for cls in loaded.scenario.workload.classes
    ]


def topology_prices(loaded: LoadedScenario, planned: PlannedTopology) -> Prices:
    """Look up every price of a topology; one that is missing is an error at the pool that needs it."""
    settings = loaded.scenario.cost
    with located(loaded, "cost.overrides"):
        figures = Figures(settings.overrides)
    owned = [pool for pool in planned.settings.pools if pool.billing == "owned"]
    prices: dict[str, OwnedPrices | RentedPrices] = {}
    for k, (pool, engine) in enumerate(zip(planned.settings.pools, planned.engines, strict=True)):
        with located(loaded, f"topologies.{planned.name}.pools[{k}]"):
            if pool.billing == "owned":
                prices[pool.name] = owned_prices(pool, engine, settings, figures, 1 / len(owned))
            else:
                prices[pool.name] = rented_prices(pool, engine, figures)
    providers: list[TokenPrice] = []
    for k, (provider, offer) in enumerate(zip(planned.settings.providers, planned.offers, strict=True)):
        with located(loaded, f"topologies.{planned.name}.providers[{k}]"):
            providers.append(token_price(offer, provider.residency, provider.price_scale))
    rate = discount_rate(settings, figures)
    unknown = [name for pool in planned.settings.pools if pool.billing != "owned" for name in unknown_prices(pool)]
    return Prices(
        prices,
        tuple(providers),
        rate,
        tuple(sorted(figures.estimates)),
        figures.ranges,
        frozenset(figures.used_overrides),
        tuple(dict.fromkeys(unknown)),
    )


def unused_overrides(settings: Any, prices: Sequence[Prices]) -> list[str]:
    """A warning when figures that the scenario sets had no say in any topology."""
    used = frozenset().union(*(price.used_overrides for price in prices))
    if settings.draws:
        used |= {"price.monthly_log_vol", "price.token_monthly_log_vol"}
    unused = [name for name in settings.overrides if name not in used]
    return [f"overrides without effect on costs: {', '.join(unused)}"] if unused else []


def replicate(
    loaded: LoadedScenario,
    planned: PlannedTopology,
    prices: Prices,
    number: int,
    keep: KeepRequests | None = None,
    progress: Progress | None = None,
) -> Replication:
    """Simulate replication `number`; all topologies see the same requests in it."""
    scenario = loaded.scenario
    run = scenario.run
    targets = target_names(planned)
    metrics = MetricAccumulator(class_slos(loaded), run.warmup_s, run.horizon_s, targets)
    demand = Demand(run.horizon_s, len(targets))
    bills = [empty_bill() for _ in prices.providers]
    batch = np.array([cls.batch for cls in scenario.workload.classes], np.bool_)
    n_pools = len(planned.fleet.pools)

    def sink(records: NDArray[Any]) -> None:
        check_causality(records)
        metrics.add(records)
        demand.add(records)
        billed = provider_answers(records, planned.fleet, run.horizon_s)
        for k, price in enumerate(prices.providers):
            bills[k] += bill_records(billed[billed["target"] == n_pools + k], price, batch)
        if keep:
            keep(request_frame(records, planned, number))

    result = simulate_fleet(
        planned.fleet,
        request_source(loaded, number),
        horizon_s=run.horizon_s,
        drain_s=run.drain_s,
        warmup_s=run.warmup_s,
        seed=replication_seed(scenario, number),
        sink=sink,
        sample_s=run.sample_s,
        progress=progress,
    )
    check_counts(metrics)
    for balance in result.balances:
        check_little(balance)
    for pool, engine in zip(result.usage.pools, planned.engines, strict=True):
        check_gpu_seconds(pool)
        check_roofline(pool, engine.bound.computed_tokens_per_gpu_s, engine.bound.output_tokens_per_gpu_s)
    cost = cost_report(
        result.usage,
        prices.pools,
        scenario.cost.horizon_months,
        prices.discount_rate,
        growth_per_year=scenario.cost.demand_growth_per_year,
        bills={provider.name: bill for provider, bill in zip(result.usage.providers, bills, strict=True)},
    )
    return Replication(metrics, result.usage, cost, result, demand)


def target_names(planned: PlannedTopology) -> list[str]:
    """Names of pools, then providers: the order of target indices."""
    return [pool.name for pool in planned.fleet.pools] + [provider.name for provider in planned.fleet.providers]


def request_frame(records: NDArray[Any], planned: PlannedTopology, number: int) -> pd.DataFrame:
    """Rows of `requests.parquet`: the records with names instead of indices."""
    frame = pd.DataFrame({name: records[name] for name in records.dtype.names or ()})
    for column, labels in (
        ("class_id", [cls.name for cls in planned.fleet.classes]),
        ("status", [status.name.lower() for status in Status]),
        ("target", target_names(planned)),
        ("prefill_target", target_names(planned)),
    ):
        frame[column] = np.array([*labels, ""], object)[records[column]]
    frame.insert(0, "replication", number)
    frame.insert(0, "topology", planned.name)
    return frame.rename(columns={"class_id": "class"})


def fleet_frame(run: FleetRun, planned: PlannedTopology, number: int) -> pd.DataFrame:
    """Rows of `fleet.parquet`: the samples of all pools."""
    frame = pd.DataFrame(run.samples)
    frame["pool"] = [planned.fleet.pools[k].name for k in frame["pool"]]
    frame.insert(0, "replication", number)
    frame.insert(0, "topology", planned.name)
    return frame


def itl(runs: list[FleetRun]) -> Sketch:
    """Gaps between tokens over all classes and replications, of pools (token APIs show only their mean gap)."""
    total = Sketch()
    for run in runs:
        total.merge(Sketch.from_counts(run.itl_counts.sum(axis=0)))
    return total
