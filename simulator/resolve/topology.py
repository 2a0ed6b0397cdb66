"""From a topology of the scenario to a fleet: every name replaced by figures of the catalog."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from simulator.catalog.gpus import gpu
from simulator.catalog.models import model
from simulator.catalog.sites import site
from simulator.catalog.tokens import TokenOffer, token_offer
from simulator.errors import InputError, Problem, collect
from simulator.resolve.clock import week_time_s
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.links import linked_pools
from simulator.resolve.places import cold_start, provider_spec, reliability
from simulator.resolve.schedules import pool_reliability, pool_schedule
from simulator.scenario.load import LoadedScenario
from simulator.scenario.names import check_names
from simulator.schema.topology import Pool, QueueAutoscaler
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.fleet import (
    Autoscaler,
    CascadeSpec,
    ClassSpec,
    ColdStart,
    FleetSpec,
    Outages,
    PoolSpec,
    ProviderSpec,
    RoutingSpec,
)
from simulator.units import SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class PlannedTopology:
    """A fleet ready to simulate, and what it was planned from."""

    name: str
    fleet: FleetSpec
    engines: tuple[PlannedEngine, ...]
    offers: tuple[TokenOffer, ...]
    settings: Any


@contextmanager
def located(loaded: LoadedScenario, path: str) -> Iterator[None]:
    """Give an InputError from below the place in the scenario that it comes from."""
    try:
        yield
    except InputError as error:
        raise InputError(*(_placed(loaded, path, problem) for problem in error.problems)) from error


def _placed(loaded: LoadedScenario, path: str, problem: Problem) -> Problem:
    if problem.file:
        return problem
    whole = f"{path}.{problem.path}" if problem.path else path
    file, line, column = loaded.place(whole)
    return replace(problem, file=file, line=line, column=column, path=whole)


def check_catalog_names(loaded: LoadedScenario) -> None:
    """Look up every name of the scenario in the catalog.

    Raises
    ------
    InputError : every name that the catalog does not have, at its place
    """
    check_names(loaded, model, gpu, site, token_offer)


def plan_topologies(loaded: LoadedScenario) -> list[PlannedTopology]:
    """Plan every topology of the scenario.

    Raises
    ------
    InputError : every name that the catalog does not have; else what keeps each topology from being planned
    """
    check_catalog_names(loaded)
    return collect(lambda name: plan_topology(loaded, name), loaded.scenario.topologies)


def plan_topology(loaded: LoadedScenario, name: str) -> PlannedTopology:
    """Plan one topology of the scenario.

    Raises
    ------
    InputError : at its place in the scenario: a model that does not fit, no target for a class
    """
    scenario = loaded.scenario
    topology = scenario.topologies[name]
    root = f"topologies.{name}"
    pools: list[PoolSpec] = []
    engines: list[PlannedEngine] = []
    for k, pool in enumerate(topology.pools):
        with located(loaded, f"{root}.pools[{k}]"):
            check_sized(pool)
            engine = _plan_pool_engine(loaded, pool)
            engines.append(engine)
            pools.append(_pool(pool, engine, pool.model or scenario.model))
    providers: list[ProviderSpec] = []
    offers: list[TokenOffer] = []
    for k, provider in enumerate(topology.providers):
        with located(loaded, f"{root}.providers[{k}]"):
            offers.append(token_offer(provider.offer))
            providers.append(_provider(provider, offers[-1]))
    names = [pool.name for pool in topology.pools] + [provider.name for provider in topology.providers]
    sites = [site(pool.site) for pool in topology.pools] + [site(offer.site) for offer in offers]
    classes = tuple(
        ClassSpec(
            cls.name, tuple(cls.data_class in place.data_classes for place in sites), cls.timeout_s, cls.max_retries
        )
        for cls in scenario.workload.classes
    )
    with located(loaded, root):
        linked = linked_pools(loaded, topology, pools, engines)
    first = [k for k in range(len(names)) if k >= len(linked) or topology.pools[k].role != "decode"]
    fleet = FleetSpec(
        name,
        linked,
        tuple(providers),
        _routing(topology.routing, names, first),
        classes,
        week_time_s(scenario.run.start),
    )
    return PlannedTopology(name, fleet, tuple(engines), tuple(offers), topology)


def check_sized(pool: Pool) -> None:
    """Refuse a pool whose size is still open: the size search gives it one before it is planned.

    Raises
    ------
    InputError : every part of the size that is `auto`
    """
    scaler = pool.autoscaler
    sizes = {"replicas": pool.replicas if scaler is None else 0, "autoscaler": scaler}
    if isinstance(scaler, QueueAutoscaler):
        sizes |= {f"autoscaler.{key}": getattr(scaler, key) for key in ("min", "max", "target_per_replica")}
    opened = [key for key, value in sizes.items() if value == "auto"]
    if opened:
        raise InputError(*(Problem("is open: give a number here", path=key, got="auto") for key in opened))


def _plan_pool_engine(loaded: LoadedScenario, pool: Any) -> PlannedEngine:
    scenario = loaded.scenario
    settings = scenario.engine
    if pool.engine is not None:
        settings = settings.model_copy(update={k: getattr(pool.engine, k) for k in pool.engine.model_fields_set})
    _check_shared_experts(pool, settings.data_parallel_size)
    widths = pool.tensor_parallel_size, pool.pipeline_parallel_size
    return plan_engine(pool.model or scenario.model, pool.gpu, *widths, settings, loaded.path.parent)


def _check_shared_experts(pool: Any, shared_by: int) -> None:
    """Replicas that share experts start and stop together: whole groups of them, at all times."""
    if shared_by > 1 and (pool.autoscaler is not None or pool.schedule):
        raise InputError(
            Problem("data_parallel_size replicas share experts: no autoscaler, no schedule", got=f"{shared_by}")
        )
    if pool.replicas % shared_by:
        problem = f"replicas must be a multiple of data_parallel_size ({shared_by}), which share one set of experts"
        raise InputError(Problem(problem, got=f"{pool.replicas}"))


def _pool(pool: Any, engine: PlannedEngine, model_name: str) -> PoolSpec:
    place = site(pool.site)
    owned = pool.billing == "owned"
    gpus = engine.layout.gpus
    if place.kind == "api":
        raise InputError(Problem(f"{place.name} is a token API: name it under providers", path="site", got=pool.site))
    tier = "on_demand" if owned else pool.billing
    per_server = engine.gpu.device.gpus_per_node if owned else gpus
    cold = cold_start(place, engine.weight_bytes_total)
    network_s = place.network_one_way.value if pool.network_s is None else pool.network_s
    return PoolSpec(
        name=pool.name,
        site=place.name,
        gpus_per_replica=gpus,
        replicas=pool.autoscaler.min if pool.autoscaler else pool.replicas,
        engine=engine.config,
        step_time=engine.step_time,
        power_w_by_seqs=engine.power_w_by_seqs,
        routing=ReplicaRouting[pool.routing.upper()],
        cold_start=_overridden(cold, pool.cold_start),
        autoscaler=_autoscaler(pool.autoscaler) if pool.autoscaler else None,
        reliability=pool_reliability(pool, reliability(place, per_server, tier)),
        schedule=pool_schedule(pool),
        max_waiting_per_replica=pool.max_waiting_per_replica,
        network_s=network_s,
        outages=_outages(pool.outages),
        gpu=engine.gpu.name,
        model=model_name.lower(),
        role=pool.role,
        zone=pool.zone or "",
        gpus_per_server=per_server,
        owned=owned,
    )


def _overridden(cold: ColdStart, settings: Any) -> ColdStart:
    if settings is None:
        return cold
    stages = {name: getattr(settings, name) for name in ("provision_s", "image_s", "weights_s", "engine_s")}
    return replace(cold, **{name: value for name, value in stages.items() if value is not None})


def _autoscaler(settings: Any) -> Autoscaler:
    return Autoscaler(
        min_replicas=settings.min,
        max_replicas=settings.max,
        target_per_replica=settings.target_per_replica,
        metric=settings.metric,
        period_s=settings.period_s,
        tolerance=settings.tolerance,
        up_window_s=settings.up_window_s,
        down_window_s=settings.down_window_s,
    )


def _hours(value: float | None) -> float | None:
    return None if value is None else value * SECONDS_PER_HOUR


def _provider(settings: Any, offer: TokenOffer) -> ProviderSpec:
    provider = provider_spec(offer, settings.name, settings.max_wait_s)
    for metric in ("ttft", "tpot"):
        own = getattr(settings, f"{metric}_s")
        if own is not None:
            provider = replace(provider, **{f"{metric}_median_s": own.median, f"{metric}_sigma": own.sigma})
            if metric == "ttft":
                provider = replace(provider, ttft_s_per_input_token=0.0)
    for limit in ("requests_per_minute", "tokens_per_minute"):
        own = getattr(settings, limit)
        if own is not None:
            provider = replace(provider, **{limit: own})
    return replace(provider, outages=_outages(settings.outages))


def _outages(settings: Any) -> Outages:
    if settings is None:
        return Outages()
    windows = tuple((window.start_s, window.start_s + window.duration_s) for window in settings.windows)
    return Outages(_hours(settings.mtbf_h) or 0.0, _hours(settings.mttr_h) or 0.0, windows)


def _limit(value: float | None) -> float:
    return math.inf if value is None else value


def _routing(routing: Any, names: list[str], everything: list[int]) -> RoutingSpec:
    """The rule over the targets at which a request can begin."""
    if routing.kind == "overflow":
        order = [names.index(name) for name in routing.order] if routing.order else everything
        when, n = routing.when, len(order)
        return RoutingSpec(
            TargetRouting.OVERFLOW,
            tuple(order),
            overflow_waiting=(_limit(when.waiting_per_replica),) * n,
            overflow_kv=(_limit(when.kv_usage),) * n,
            overflow_outstanding=(_limit(when.outstanding_per_replica),) * n,
        )
    if routing.kind == "complexity":
        order = sorted(everything, key=lambda k: routing.limits.get(names[k], math.inf))
        limits = tuple(routing.limits.get(names[k], math.inf) for k in order)
        return RoutingSpec(TargetRouting.COMPLEXITY, tuple(order), max_complexity=limits)
    if routing.kind == "cascade":
        when = routing.escalate
        rule = CascadeSpec(when.share, _limit(when.above_complexity), routing.check_s, routing.stream_first)
        return RoutingSpec(
            TargetRouting.CASCADE, (names.index(routing.first), names.index(routing.second)), cascade=rule
        )
    chosen = [names[k] for k in everything]
    weights = tuple(1.0 if routing.weights is None else routing.weights.get(name, 0.0) for name in chosen)
    return RoutingSpec(TargetRouting.WEIGHTED, tuple(everything), weights)
