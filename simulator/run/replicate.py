"""One topology over all replications: metrics, usage and money, with the laws checked on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.cost.prices import OwnedPrices, RentedPrices, TokenPrice
from simulator.cost.report import CostReport, cost_report
from simulator.fleet.records import Status
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.usage import Usage
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.laws import check_causality, check_counts, check_gpu_seconds, check_little, check_roofline
from simulator.metrics.sketch import Sketch
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.rng import stream_seed
from simulator.run.money import Figures, discount_rate, owned_prices, price_records, rented_prices, token_price
from simulator.run.topology import PlannedTopology, located
from simulator.run.workload import request_source
from simulator.scenario.load import LoadedScenario

KeepRequests = Callable[[pd.DataFrame], None]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Replication:
    """One simulation of one topology, priced."""

    metrics: MetricAccumulator
    usage: Usage
    cost: CostReport
    run: FleetRun


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a topology's pools by name, of its vendors in order, and the cost of capital."""

    pools: dict[str, OwnedPrices | RentedPrices]
    vendors: tuple[TokenPrice, ...]
    discount_rate: float
    estimates: tuple[str, ...]


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
                prices[pool.name] = rented_prices(pool, engine.layout.gpus)
    rate = discount_rate(settings, figures)
    return Prices(prices, tuple(map(token_price, planned.offers)), rate, tuple(sorted(figures.estimates)))


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
    seed = stream_seed(run.seed, "replication", number)
    targets = target_names(planned)
    metrics = MetricAccumulator(class_slos(loaded), run.warmup_s, run.horizon_s, targets)
    vendor_usd = np.zeros(len(prices.vendors))
    n_pools = len(planned.fleet.pools)

    def sink(records: NDArray[Any]) -> None:
        check_causality(records)
        metrics.add(records)
        billed = records[(records["status"] == Status.COMPLETED) & (records["finish_s"] <= run.horizon_s)]
        for k, price in enumerate(prices.vendors):
            vendor_usd[k] += price_records(billed[billed["target"] == n_pools + k], price)
        if keep:
            keep(request_frame(records, planned, number))

    result = simulate_fleet(
        planned.fleet,
        request_source(scenario, loaded.path.parent, seed),
        horizon_s=run.horizon_s,
        drain_s=run.drain_s,
        warmup_s=run.warmup_s,
        seed=seed,
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
    vendors = tuple(
        replace(vendor, cost_usd=float(usd)) for vendor, usd in zip(result.usage.vendors, vendor_usd, strict=True)
    )
    usage = replace(result.usage, vendors=vendors)
    cost = cost_report(
        usage,
        prices.pools,
        scenario.cost.horizon_months,
        prices.discount_rate,
        growth_per_year=scenario.cost.demand_growth_per_year,
    )
    return Replication(metrics, usage, cost, result)


def target_names(planned: PlannedTopology) -> list[str]:
    """Names of pools, then vendors: the order of target indices."""
    return [pool.name for pool in planned.fleet.pools] + [vendor.name for vendor in planned.fleet.vendors]


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
