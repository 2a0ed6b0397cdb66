"""What is said of a topology: metrics with intervals, money, warnings; and of all together: the verdict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from simulator.catalog.costs import cost_words
from simulator.catalog.sites import site
from simulator.decide.months import first_missed, lasts_until, unmeasured
from simulator.decide.standing import contenders
from simulator.decide.why import sentence
from simulator.fleet.records import Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.intervals import quantile_interval, share_interval, t_interval
from simulator.metrics.parts import reason_words
from simulator.metrics.rates import time_in_steps
from simulator.metrics.slo import METRICS
from simulator.metrics.tally import SHARES
from simulator.resolve.apis import retired_words, sells_tier
from simulator.resolve.demand import jobs_per_month, workload_spec
from simulator.resolve.kv_groups import told
from simulator.resolve.terms import ResolvedTerms
from simulator.resolve.topology import PlannedTopology
from simulator.run.cost_summary import cost_summary
from simulator.run.drivers import driver_words, drivers
from simulator.run.estimates import api_estimates, grid_estimates, old_words, place_estimates, power_estimates
from simulator.run.left_waiting import left_waiting_words
from simulator.run.near_limits import near_limits, other_units
from simulator.run.other_hours import other_hours, part_of_the_day
from simulator.run.prompt_caches import cache_words
from simulator.run.rare_failures import rare_failures
from simulator.run.rejected import limits_of_rejected
from simulator.run.remarks import (
    beyond_the_clock,
    beyond_the_trace,
    held_before_the_next,
    jobs_at_standard_prices,
    other_tokens,
    part_of_the_week,
    remarks,
    replaced_lengths,
    unsent_turns,
    waited_for_windows,
)
from simulator.run.topology_summary import TopologySummary
from simulator.run.trust import doubts, expected_errors, sources
from simulator.run.untold_changes import untold_changes
from simulator.scenario.load import LoadedScenario
from simulator.simulate.capacity import replica_capacity_rps
from simulator.simulate.one import itl
from simulator.simulate.priced import Priced, Replication
from simulator.study.demand import When
from simulator.units import SECONDS_PER_HOUR, SECONDS_PER_WEEK, span_words

_MOST_CLASSES = 8
"""Classes whose lost requests are told one by one."""


def summarise(
    loaded: LoadedScenario,
    planned: PlannedTopology,
    priced: Priced,
    prices: ResolvedTerms,
    shown: str = "",
    absent: Collection[int] = (),
    sized: Collection[str] = (),
    kept_tokens: Collection[float] = (),
) -> TopologySummary:
    """What is said of one topology by itself.

    Parameters
    ----------
    shown : name of the period whose requests the replications served
    absent : classes of which nobody comes in it
    sized : names of pools and token APIs whose size was searched
    kept_tokens : as of `Horizon`
    """
    replications = priced.replications
    whole, usages = merged_metrics(replications), [found.usage for found in replications]
    metrics = whole.summary([found.metrics for found in replications], absent)
    dispersion = float(
        np.mean([one.demand.dispersion(one.metrics.warmup_s, one.metrics.end_s) for one in replications])
    )
    metrics["itl_s"] = itl([replication.run for replication in replications]).quantiles(SHARES)
    metrics |= _intervals([replication.metrics for replication in replications])
    pools = [_pool(planned, replications, k) for k in range(len(planned.fleet.pools))]
    cost = cost_summary(priced, planned)
    behind = drivers(planned, prices, priced)
    fewer_units, more_units = other_units(planned.fleet, planned.settings.providers, usages, sized)
    return TopologySummary(
        metrics=metrics,
        replications=tuple(_figures(replication) for replication in replications),
        pools=tuple(pools),
        providers=tuple(_provider(planned, replications, k) for k in range(len(planned.fleet.providers))),
        time_in_steps=time_in_steps([pool for found in replications for pool in found.usage.pools]),
        replicas=_replica_range(replications),
        cost=cost,
        drivers=tuple(behind),
        warnings=(
            *_warnings(loaded, planned, metrics, prices, priced, behind),
            *remarks("basis", [_span_words(loaded, priced, shown)]),
            *remarks("basis", other_tokens(loaded.scenario.workload.classes, kept_tokens)),
            *remarks("basis", rare_failures(planned.fleet, usages)),
            *remarks("basis", left_waiting_words(planned.fleet, whole)),
            *remarks("basis", near_limits(planned.fleet, usages, dispersion, _comes_by_chance(loaded))),
            *remarks("load", fewer_units),
            *remarks("size", more_units),
            *remarks(
                "size", held_before_the_next(planned.fleet, loaded.scenario.workload.classes, metrics, usages, sized)
            ),
            *remarks("basis", untold_changes(prices.terms, priced.walked[:1])),
        ),
        period=shown,
        clock_s=_clock_s(replications[0].usage.when),
        periods=tuple(periods_of(priced)),
        step_time=tuple(sorted({engine.step_time.origin for engine in planned.engines})),
        calibrated=all(engine.step_time.calibrated for engine in planned.engines),
        expected_error=expected_errors(planned.engines),
        lasts_until=lasts_until(priced.walked),
        unmeasured=tuple({"class": name, "period": period} for name, period in unmeasured(priced.walked)),
        cause=missed.cause if (missed := first_missed(priced.walked)) else "",
    )


def _comes_by_chance(loaded: LoadedScenario) -> list[bool]:
    """By class, whether chance decides how many requests come: not of a job, nor of users who wait for answers."""
    return [cls.arrivals.kind not in ("job", "closed_loop") for cls in loaded.scenario.workload.classes]


def _intervals(found: list[MetricAccumulator]) -> dict[str, Any]:
    """95 % intervals: of the attainment and the percentiles over requests and replications, of goodput over these."""
    totals, felt = [metrics.total for metrics in found], [metrics.felt for metrics in found]
    attainment = share_interval([tally.good for tally in totals], [tally.arrived for tally in totals])
    goodput = [
        tally.window.good / (metrics.end_s - metrics.warmup_s) for tally, metrics in zip(totals, found, strict=True)
    ]
    return {
        "slo_attainment_low": attainment.low,
        "slo_attainment_high": attainment.high,
        "goodput_rps_half_width": t_interval(goodput)[1],
        "intervals": {
            name: {
                f"p{share * 100:g}": quantile_interval([sketches[name] for sketches in felt], share)._asdict()
                for share in SHARES
            }
            for name in METRICS
        },
    }


def merged_metrics(replications: Sequence[Replication]) -> MetricAccumulator:
    """Metrics of all replications together."""
    return MetricAccumulator.of([replication.metrics for replication in replications])


def _figures(replication: Replication) -> dict[str, float]:
    """What paired differences are taken of, of one replication."""
    metrics = replication.metrics.summary()
    return {
        **{name: metrics[name] for name in ("slo_attainment", "goodput_rps")},
        **{
            f"{name}_{share}_s": metrics[f"{name}_s"][share]
            for name in ("ttft", "tpot", "e2e")
            for share in ("p50", "p99")
        },
        "usd_per_month": replication.usd_per_month,
    }


def _pool(planned: PlannedTopology, replications: Sequence[Replication], k: int) -> dict[str, Any]:
    spec, engine = planned.fleet.pools[k], planned.engines[k]
    usage = [replication.usage.pools[k] for replication in replications]

    def mean(name: str) -> float:
        return float(np.mean([getattr(item, name) for item in usage]))

    return {
        "name": spec.name,
        "site": spec.site,
        "gpu": engine.gpu.name,
        "gpus_per_replica": spec.gpus_per_replica,
        "step_time": engine.step_time.origin,
        "expected_error": None if engine.step_time.expected_error is None else asdict(engine.step_time.expected_error),
        "num_blocks": spec.engine.num_blocks,
        "kv_cache_groups": told(spec.engine.modes.groups),
        "max_model_len": spec.engine.max_model_len,
        "max_num_seqs": spec.engine.max_num_seqs,
        "max_num_batched_tokens": spec.engine.max_num_batched_tokens,
        "cold_start_s": spec.cold_start.total_s,
        "replica_capacity_rps": _replica_capacity_rps(planned, replications, k),
        "availability_sla": sla.value if (sla := site(spec.site).availability_sla) else None,
        **{name: mean(name) for name in ("billed_s", "starting_s", "busy_s", "idle_s", "down_s", "zone_down_s")},
        **{name: mean(name) for name in ("launches", "failures", "reclaims", "stockouts", "outages")},
        "loaded_tokens": mean("loaded_tokens"),
        "launches_per_hour": mean("launches")
        / float(np.mean([r.usage.span_s for r in replications]))
        * SECONDS_PER_HOUR,
        "peak_replicas": max(item.peak_replicas for item in usage),
    }


def _replica_capacity_rps(planned: PlannedTopology, replications: Sequence[Replication], k: int) -> float | None:
    """What a replica of the pool can serve of requests as long as those of this run; None if none was completed."""
    total = [replication.metrics.total for replication in replications]
    completed = sum(int(tally.statuses[Status.COMPLETED]) for tally in total)
    if not completed:
        return None
    isl, osl = (sum(getattr(tally, f"{name}_tokens") for tally in total) / completed for name in ("input", "output"))
    pools = planned.fleet.pools
    answers = any(pool.hands_to == k for pool in pools)
    cached = sum(tally.cached_tokens for tally in total) / max(isl * completed, 1.0)
    return replica_capacity_rps(
        pools[k], isl, osl, prefill=not answers, decode=pools[k].hands_to is None, cached_share=cached
    )


def _provider(planned: PlannedTopology, replications: Sequence[Replication], k: int) -> dict[str, Any]:
    offer = planned.offers[k]
    usage = [replication.usage.providers[k] for replication in replications]
    simulated_s = sum(replication.usage.span_s for replication in replications)
    return {
        "name": usage[0].name,
        "offer": offer.id if offer else "",
        "availability": 1.0 - sum(item.down_s for item in usage) / simulated_s,
        "availability_sla": offer.availability_sla.value if offer and offer.availability_sla else None,
        "outages": sum(item.outages for item in usage),
        "failed_in_outages": sum(item.failed for item in usage),
    }


def _replica_range(replications: Sequence[Replication]) -> tuple[int, int] | None:
    totals = [
        pd.DataFrame(replication.run.samples).groupby("time_s")["ready"].sum()
        for replication in replications
        if len(replication.run.samples["time_s"])
    ]
    if not totals:
        return None
    return int(min(total.min() for total in totals)), int(max(total.max() for total in totals))


def _warnings(
    loaded: LoadedScenario,
    planned: PlannedTopology,
    metrics: Mapping[str, Any],
    prices: ResolvedTerms,
    priced: Priced,
    behind: list[dict[str, Any]],
) -> list[dict[str, str]]:
    basis = [
        *sources(planned.engines),
        *_unserved(metrics, "rejected", "failed", "timed_out"),
        *limits_of_rejected(planned.fleet, metrics, [found.usage for found in priced.replications]),
        *unsent_turns(metrics),
        *_other_warnings(loaded, planned, metrics),
        *cache_words(planned, prices, workload_spec(loaded.scenario, loaded.path.parent)),
        *driver_words(behind),
        *_cost_warnings(loaded, planned, prices, {row["figure"]: row["share"] for row in behind}),
        *power_estimates(planned, priced),
        *grid_estimates(planned, priced),
        *place_estimates(planned),
    ]
    return [
        *remarks("trust", doubts(planned.engines)),
        *remarks("load", [*_unserved(metrics, "unfinished"), *waited_for_windows(planned.fleet, metrics)]),
        *remarks("basis", basis),
    ]


def _unserved(metrics: Mapping[str, Any], *statuses: str) -> list[str]:
    """How many requests ended so, and why; of several classes by class, too."""
    classes: Mapping[str, Mapping[str, Any]] = metrics.get("classes", {})
    found = []
    for name in statuses:
        if count := metrics["statuses"][name]:
            ended = name.replace("_", " ")
            text = f"{count:,} of {metrics['arrived']:,} requests {ended}{_why(metrics, name)}"
            parts = [
                f"{cls} {each['statuses'][name]:,} of {each['arrived']:,}{_why(each, name)}"
                for cls, each in classes.items()
                if each["statuses"][name]
            ]
            more = [f"{len(parts) - _MOST_CLASSES} more classes"] if len(parts) > _MOST_CLASSES else []
            found.append(f"{text}: {', '.join(parts[:_MOST_CLASSES] + more)}" if len(classes) > 1 else text)
    return found


def _why(metrics: Mapping[str, Any], status: str) -> str:
    return reason_words(metrics["reasons"].get(status, {}), metrics["statuses"][status])


def _other_warnings(loaded: LoadedScenario, planned: PlannedTopology, metrics: Mapping[str, Any]) -> list[str]:
    study = loaded.scenario.study
    whole_month = not (study.periods or study.cut)
    found = beyond_the_clock(planned.settings, loaded.scenario.run.horizon_s) if whole_month else []
    workload = workload_spec(loaded.scenario, loaded.path.parent)
    found += replaced_lengths(workload)
    if whole_month:
        found += part_of_the_week(workload, loaded.scenario.run)
        found += beyond_the_trace(workload, loaded.scenario.run.horizon_s)
    found += other_hours(loaded.scenario, planned.settings)
    found += jobs_at_standard_prices(planned.settings, loaded.scenario.workload.classes)
    found += api_estimates(planned)
    if metrics["escalations_denied"]:
        found.append(
            f"{metrics['escalations_denied']:,} of {metrics['arrived']:,} requests kept their first answer: the second "
            "target of the cascade may not or cannot take them"
        )
    return found


def _span_words(loaded: LoadedScenario, priced: Priced, shown: str) -> str:
    """What a month is made of, and which part of it the figures are of."""
    jobs = jobs_per_month(loaded.scenario)
    if jobs:
        return f"jobs in a month: {jobs:g}; owned servers and their staff are paid for the hours of these alone"
    cut = loaded.scenario.study.cut
    span_s = cut.window_h * SECONDS_PER_HOUR if cut else loaded.scenario.run.horizon_s
    n = len(periods_of(priced))
    if n < 2:
        return f"a month is scaled from {span_words(span_s)} simulated"
    return f"a month is scaled from {n} periods of {span_words(span_s)} simulated; figures are of {shown}, costs of all"


def _clock_s(when: When) -> float:
    """Local time at simulated second 0, in s since Monday 00:00."""
    return (when.clock_s + when.ahead_h * SECONDS_PER_HOUR) % SECONDS_PER_WEEK


def periods_of(priced: Priced) -> list[dict[str, Any]]:
    """How the periods of the first month were served, each judged by itself."""
    shares = priced.walked[0].shares if priced.walked else ()
    return [
        {
            "name": share.period.name,
            "hours": share.hours,
            "meets": share.served.meets,
            "attainment": share.served.attainment,
            "binding": share.served.binding,
        }
        for share in shares
    ]


def _cost_warnings(
    loaded: LoadedScenario, planned: PlannedTopology, prices: ResolvedTerms, shares: Mapping[str, float]
) -> list[str]:
    """What the bill rests on beside the defaults behind it, of which `shares` says how much of it moves with each."""
    found: list[str] = []
    others = [name for name in prices.estimates if name not in shares]
    if others:
        found.append(f"prices that are estimates: {', '.join(map(cost_words, others))}")
    found += old_words(prices.stale, shares)
    found += retired_words(loaded.scenario, planned.name)
    if prices.unknown:
        found.append(f"not charged, as no price is known: {', '.join(prices.unknown)}")
    by_hour = [one.facility.electricity_usd_per_kwh for site in prices.terms.owned for one in (site, *site.later)]
    by_hour += [one.usd_per_instance_hour for offer in prices.terms.rented for one in (offer, *offer.later)]
    by_hour += [api.factor_by_hour for api in prices.terms.apis]
    if any(len(hourly) > 1 for hourly in by_hour) and part_of_the_day(loaded.scenario):
        found.append("prices go by the hour of day, but the simulated time is no whole number of days")
    found += _zone_words(loaded, prices)
    for tier in dict.fromkeys(cls.service_tier for cls in loaded.scenario.workload.classes):
        names = [
            provider.name
            for provider in planned.settings.providers
            if tier != "standard" and not sells_tier(provider, tier)
        ]
        if names:
            found.append(f"no {tier} price: {tier} requests pay the usual one at {', '.join(names)}")
    return found


def _zone_words(loaded: LoadedScenario, prices: ResolvedTerms) -> list[str]:
    """By whose clocks electricity is paid, where they are not the run's."""
    own = loaded.scenario.run.time_zone or "UTC"
    places = [(site.site, one.facility) for site in prices.terms.owned for one in (site, *site.later)]
    found = [
        f"electricity by the hour goes by {place.time_zone} at {name}, the run by {own}: servers may say time_zone"
        for name, place in places
        if len(place.electricity_usd_per_kwh) > 1 and place.time_zone not in ("", own)
    ]
    return list(dict.fromkeys(found))


def verdict(topologies: Mapping[str, Mapping[str, Any]]) -> str:
    """The cheapest topology that meets every SLO term, or the one that comes closest."""
    return sentence(contenders(topologies))
