"""What is said of a topology: metrics with intervals, money, warnings; and of all together: the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from simulator.cost.breakeven import break_even_volume, payback_month
from simulator.cost.report import CostReport
from simulator.metrics.accumulate import SHARES, MetricAccumulator
from simulator.metrics.intervals import t_interval
from simulator.run.replicate import Replication, itl, target_names
from simulator.run.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.units import SECONDS_PER_HOUR


def summarise(
    loaded: LoadedScenario, planned: PlannedTopology, replications: list[Replication], estimates: tuple[str, ...]
) -> dict[str, Any]:
    """Summary of one topology, JSON-ready."""
    merged = MetricAccumulator(
        replications[0].metrics.classes,
        replications[0].metrics.warmup_s,
        replications[0].metrics.end_s,
        target_names(planned),
    )
    for replication in replications:
        merged.merge(replication.metrics)
    metrics = merged.summary(len(replications))
    metrics["itl_s"] = itl([replication.run for replication in replications]).quantiles(SHARES)
    for name in ("slo_attainment", "goodput_rps"):
        values = [replication.metrics.summary()[name] for replication in replications]
        metrics[f"{name}_half_width"] = t_interval(values)[1]
    pools = [_pool(planned, replications, k) for k in range(len(planned.fleet.pools))]
    cost = _cost([replication.cost for replication in replications])
    return {
        "metrics": metrics,
        "pools": pools,
        "utilisation": _utilisation(replications),
        "replicas": _replica_range(replications),
        "cost": cost,
        "warnings": _warnings(loaded, planned, metrics, estimates),
        "step_time": sorted({engine.step_time.origin for engine in planned.engines}),
        "calibrated": all(engine.step_time.calibrated for engine in planned.engines),
    }


def _pool(planned: PlannedTopology, replications: list[Replication], k: int) -> dict[str, Any]:
    spec, engine = planned.fleet.pools[k], planned.engines[k]
    usage = [replication.usage.pools[k] for replication in replications]

    def mean(name: str) -> float:
        return float(np.mean([getattr(item, name) for item in usage]))

    return {
        "name": spec.name,
        "site": spec.site,
        "gpu": engine.gpu.name,
        "gpus_per_replica": spec.gpus_per_replica,
        "num_blocks": spec.engine.num_blocks,
        "max_model_len": spec.engine.max_model_len,
        "max_num_seqs": spec.engine.max_num_seqs,
        "max_num_batched_tokens": spec.engine.max_num_batched_tokens,
        "cold_start_s": spec.cold_start.total_s,
        **{
            name: mean(name)
            for name in ("billed_s", "starting_s", "busy_s", "idle_s", "down_s", "launches", "failures", "reclaims")
        },
        "peak_replicas": max(item.peak_replicas for item in usage),
    }


def _utilisation(replications: list[Replication]) -> float:
    pools = [pool for replication in replications for pool in replication.usage.pools]
    billed = sum(pool.billed_s * pool.gpus_per_replica for pool in pools)
    return sum(pool.busy_s * pool.gpus_per_replica for pool in pools) / billed if billed else math.nan


def _replica_range(replications: list[Replication]) -> list[int] | None:
    totals = [
        pd.DataFrame(replication.run.samples).groupby("time_s")["ready"].sum()
        for replication in replications
        if len(replication.run.samples["time_s"])
    ]
    if not totals:
        return None
    return [int(min(total.min() for total in totals)), int(max(total.max() for total in totals))]


def _cost(reports: list[CostReport]) -> dict[str, Any]:
    mean, half_width = t_interval([report.usd_per_month for report in reports])
    return {
        "usd_per_month": mean,
        "usd_per_month_half_width": half_width,
        **{
            name: float(np.mean([getattr(report, name) for report in reports]))
            for name in (
                "tokens_per_month",
                "usd_per_million_tokens",
                "usd_per_million_output_tokens",
                "capex_usd",
                "npv_usd",
            )
        },
        "cash_flow_usd": np.mean([report.cash_flow_usd for report in reports], axis=0).tolist(),
    }


def cost_frame(name: str, reports: list[CostReport]) -> pd.DataFrame:
    """Rows of `costs.parquet`: line items of a topology, means over the replications."""
    frames = [pd.DataFrame([_line(line) for line in report.lines]) for report in reports]
    keys = ["pool", "category", "name", "unit", "kind"]
    frame = pd.concat(frames).groupby(keys, sort=False, as_index=False)[["quantity", "usd_per_month"]].sum()
    frame[["quantity", "usd_per_month"]] /= len(reports)
    frame.insert(0, "topology", name)
    return frame


def _line(line: Any) -> dict[str, Any]:
    return {
        name: getattr(line, name) for name in ("pool", "category", "name", "unit", "kind", "quantity", "usd_per_month")
    }


def _warnings(
    loaded: LoadedScenario, planned: PlannedTopology, metrics: Mapping[str, Any], estimates: tuple[str, ...]
) -> list[str]:
    found: list[str] = []
    if planned.engines and not all(engine.step_time.calibrated for engine in planned.engines):
        found.append("uncalibrated: step times are a roofline from published peaks, not measured")
    found.extend(sorted({note for engine in planned.engines for note in engine.notes}))
    if planned.offers:
        found.append("vendor latency and rate limits are catalog estimates")
    statuses = metrics["statuses"]
    for name in ("unfinished", "rejected", "failed", "timed_out"):
        if statuses[name]:
            found.append(f"{statuses[name]} of {metrics['arrived']} requests {name.replace('_', ' ')}")
    hours = loaded.scenario.run.horizon_s / SECONDS_PER_HOUR
    found.append(f"a month is scaled from {hours:g} h simulated")
    if estimates:
        found.append(f"costs rest on estimates: {', '.join(estimates)}")
    return found


def compare(topologies: dict[str, dict[str, Any]], reports: dict[str, CostReport]) -> str:
    """Add each topology's break-even against the cheapest other, and say which one to choose."""
    for name, summary in topologies.items():
        others = [other for other in topologies if other != name]
        summary["break_even"] = None
        if not others or summary["cost"]["capex_usd"] <= 0:
            continue
        rival = min(others, key=lambda other: topologies[other]["cost"]["usd_per_month"])
        summary["break_even"] = {
            "against": rival,
            "month": payback_month(reports[name], reports[rival]),
            "tokens_per_month": break_even_volume(reports[name], reports[rival]),
        }
    return verdict(topologies)


def verdict(topologies: Mapping[str, Mapping[str, Any]]) -> str:
    """The cheapest topology that meets every SLO term, or the one that comes closest."""
    meeting = [name for name, summary in topologies.items() if summary["metrics"]["slo_met"]]

    def usd(name: str) -> float:
        return float(topologies[name]["cost"]["usd_per_month"])

    if not meeting:
        best = max(topologies, key=lambda name: topologies[name]["metrics"]["slo_attainment"])
        share = topologies[best]["metrics"]["slo_attainment"]
        return f"No topology meets the SLO; {best} comes closest with {share:.1%} of the requests."
    best = min(meeting, key=usd)
    text = f"{best}: the cheapest topology that meets the SLO, ${usd(best):,.0f} per month"
    rest = sorted((name for name in meeting if name != best), key=usd)
    if rest:
        text += f"; next is {rest[0]} at ${usd(rest[0]):,.0f} ({usd(rest[0]) / usd(best) - 1:+.0%})"
    failing = [name for name in topologies if name not in meeting]
    if failing:
        text += f"; {', '.join(failing)} {'misses' if len(failing) == 1 else 'miss'} the SLO"
    return text + "."
