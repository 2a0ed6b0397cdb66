"""From a topology of the scenario to a fleet: every name replaced by figures of the catalog."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.catalog.gpus import gpu
from simulator.catalog.grids import grid
from simulator.catalog.models import model
from simulator.catalog.servers import server_kind
from simulator.catalog.sites import site
from simulator.catalog.tokens import TokenOffer, token_offer
from simulator.errors import InputError, Problem, collect
from simulator.resolve.admissible import check_admissible, check_taken
from simulator.resolve.apis import catalog_api, data_classes, planned_provider
from simulator.resolve.batches import with_policy
from simulator.resolve.brought import brings
from simulator.resolve.cache_modes import cache_resets, store_link
from simulator.resolve.changes import placed
from simulator.resolve.clock import Clock, clock_of
from simulator.resolve.committable import on_committable_instances
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.figures import check_overrides
from simulator.resolve.links import linked_pools
from simulator.resolve.located import located, pool_path
from simulator.resolve.offers import gpus_per_instance
from simulator.resolve.offloading import host_link
from simulator.resolve.places import cold_start, outages, place_of, prefix_score, reliability
from simulator.resolve.routing import routing_spec
from simulator.resolve.schedules import pool_reliability, pool_schedule
from simulator.resolve.servers import Spares, check_servers_used, gpus_per_server, spares
from simulator.resolve.sizes import check_replicas
from simulator.resolve.without_units import check_units
from simulator.scenario.load import LoadedScenario
from simulator.scenario.names import check_names
from simulator.schema.engine import EngineSettings
from simulator.schema.pool import ColdStartSettings, Pool, QueueAutoscaler
from simulator.schema.topology import Topology
from simulator.study.choices import ReplicaRouting
from simulator.study.fleet import (
    Autoscaler,
    ClassSpec,
    ColdStart,
    FleetSpec,
    KvTransfer,
    PoolSpec,
    ProviderSpec,
)


@dataclass(frozen=True, slots=True)
class PlannedTopology:
    """A fleet ready to simulate, and what it was planned from; `offers` has None for a price list of one's own."""

    name: str
    fleet: FleetSpec
    engines: tuple[PlannedEngine, ...]
    offers: tuple[TokenOffer | None, ...]
    settings: Topology
    loaded: LoadedScenario


def check_catalog_names(loaded: LoadedScenario) -> None:
    """Look up every name of the scenario in the catalog.

    Raises
    ------
    InputError : every name that the catalog does not have, else servers on which nothing stands, at their place
    """
    check_names_alone(loaded)
    check_servers_used(loaded)


def check_names_alone(loaded: LoadedScenario) -> None:
    """Look up every name of the scenario in the catalog, and nothing else; errors are of `check_catalog_names`."""
    check_names(loaded, model, gpu, site, token_offer, server_kind, grid)


def plan_topologies(loaded: LoadedScenario) -> list[PlannedTopology]:
    """Plan every topology of the scenario; servers may be left over, of pools that get no replica.

    Raises
    ------
    InputError : every name that the catalog does not have; else what keeps each topology from being planned; else
        classes that no topology takes all of
    """
    check_names_alone(loaded)
    planned = collect(lambda name: plan_topology(loaded, name), loaded.scenario.topologies)
    check_taken(loaded, [one.fleet for one in planned])
    return planned


def plan_topology(loaded: LoadedScenario, name: str) -> PlannedTopology:
    """Plan one topology of the scenario.

    Raises
    ------
    InputError : at its place in the scenario: a model that does not fit
    """
    loaded = on_committable_instances(loaded, name)
    scenario = loaded.scenario
    topology = scenario.topologies[name]
    root, clock = f"topologies.{name}", clock_of(scenario)
    with located(loaded, "cost.overrides"):
        check_overrides(scenario.cost.overrides)
    pools: list[PoolSpec] = []
    engines: list[PlannedEngine] = []
    allowed: list[tuple[str, ...]] = []
    for k, pool in enumerate(topology.pools):
        with located(loaded, pool_path(loaded, name, k)):
            check_sized(pool)
            check_replicas(loaded, topology, pool)
            engine = _plan_pool_engine(loaded, pool)
            engines.append(engine)
            pools.append(_pool(pool, engine, loaded, name, clock))
            allowed.append(place_of(pool).data_classes)
    providers: list[ProviderSpec] = []
    offers: list[TokenOffer | None] = []
    for k, provider in enumerate(topology.providers):
        with located(loaded, f"{root}.providers[{k}]"):
            check_units(topology, provider)
            offers.append(catalog_api(provider))
            providers.append(planned_provider(provider, offers[-1], scenario.workload.classes))
    names = [pool.name for pool in topology.pools] + [provider.name for provider in topology.providers]
    allowed += [data_classes(provider, offer) for provider, offer in zip(topology.providers, offers, strict=True)]
    classes = tuple(
        ClassSpec(cls.name, tuple(cls.data_class in classes for classes in allowed), cls.timeout_s, cls.max_retries)
        for cls in scenario.workload.classes
    )
    with located(loaded, root):
        linked = linked_pools(loaded, topology, pools, engines)
        first = [k for k in range(len(names)) if k >= len(linked) or topology.pools[k].role != "decode"]
        routing = routing_spec(topology.routing, names, first, clock)
    fleet = FleetSpec(
        name,
        linked,
        tuple(providers),
        routing,
        classes,
        clock.at(scenario.run.start),
    )
    check_admissible(loaded, fleet)
    return PlannedTopology(name, fleet, tuple(engines), tuple(offers), topology, loaded)


def changes_placed(planned: PlannedTopology) -> list[str]:
    """What vLLM makes otherwise of its engines than the scenario asks, each with its place in the scenario."""
    pools = [pool_path(planned.loaded, planned.name, k) for k in range(len(planned.engines))]
    return [
        text
        for pool, engine in zip(pools, planned.engines, strict=True)
        for text in placed(planned.loaded, pool, engine.changes)
    ]


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


def engine_settings(loaded: LoadedScenario, pool: Pool) -> EngineSettings:
    """The scenario's engine with what the pool says else."""
    scenario = loaded.scenario
    settings = scenario.engine
    if pool.engine is not None:
        settings = settings.model_copy(update={k: getattr(pool.engine, k) for k in pool.engine.model_fields_set})
    given = scenario.engine.model_fields_set | (pool.engine.model_fields_set if pool.engine else set())
    return with_policy(scenario, settings, "scheduling_policy" in given)


def _plan_pool_engine(loaded: LoadedScenario, pool: Pool) -> PlannedEngine:
    scenario, settings = loaded.scenario, engine_settings(loaded, pool)
    _check_shared_experts(pool, settings.data_parallel_size)
    widths = pool.tensor_parallel_size, pool.pipeline_parallel_size
    folder = loaded.path.parent
    own, brought = pool.hardware, brings(scenario.workload.classes, folder)
    return plan_engine(pool.model or scenario.model, pool.gpu, *widths, settings, folder, pool.role, own, brought)


def _check_shared_experts(pool: Pool, shared_by: int) -> None:
    """Replicas that share experts start and stop together: whole groups of them, at all times."""
    if shared_by > 1 and (pool.autoscaler is not None or pool.schedule):
        raise InputError(
            Problem("data_parallel_size replicas share experts: no autoscaler, no schedule", got=f"{shared_by}")
        )
    if isinstance(pool.replicas, int) and pool.replicas % shared_by:
        problem = f"replicas must be a multiple of data_parallel_size ({shared_by}), which share one set of experts"
        raise InputError(Problem(problem, got=f"{pool.replicas}"))


def _pool(pool: Pool, engine: PlannedEngine, loaded: LoadedScenario, topology: str, clock: Clock) -> PoolSpec:
    settings, place = engine_settings(loaded, pool), site(pool.site)
    owned = pool.billing == "owned"
    gpus = engine.layout.gpus
    if place.kind == "api":
        raise InputError(Problem(f"{place.name} is a token API: name it under providers", path="site", got=pool.site))
    if owned and place.kind == "cloud":
        problem = f"{place.name} rents out GPUs, it houses no servers of others"
        raise InputError(Problem(problem, path="billing", got=pool.billing))
    tier = "on_demand" if owned else pool.billing
    per_server = gpus_per_server(loaded, topology, pool) if owned else gpus_per_instance(pool)
    if owned:
        _check_server_holds_tp(pool, engine, per_server)
    stand_in = spares(loaded, topology, pool) if owned else Spares()
    cold = cold_start(place, engine.weight_bytes_total)
    network_s = place.network_one_way.value if pool.network_s is None else pool.network_s
    return PoolSpec(
        name=pool.name,
        site=place.name,
        gpus_per_replica=gpus,
        replicas=_initial(pool),
        engine=engine.config,
        step_time=engine.step_time,
        power_w_by_seqs=engine.power_w_by_seqs,
        routing=ReplicaRouting[pool.routing.upper()],
        kv_transfer=_link(settings, engine, gpus),
        cold_start=_overridden(cold, pool.cold_start),
        autoscaler=_autoscaler(pool.autoscaler) if isinstance(pool.autoscaler, QueueAutoscaler) else None,
        reliability=pool_reliability(pool, reliability(place, per_server, tier)),
        schedule=pool_schedule(pool, clock),
        max_waiting_per_replica=pool.max_waiting_per_replica,
        network_s=network_s,
        outages=outages(pool.outages),
        gpu=gpu(pool.gpu).name,
        model=engine.model,
        role=pool.role,
        zone=pool.zone or "",
        gpus_per_server=per_server,
        owned=owned,
        spares=stand_in.number,
        swap_s=stand_in.swap_s,
        cache_resets=cache_resets(settings),
        prefix_score=prefix_score(),
        shared_by=settings.data_parallel_size,
    )


def _link(settings: EngineSettings, engine: PlannedEngine, gpus: int) -> KvTransfer:
    """To the memory of the host, or to a store."""
    if settings.kv_offloading_size is not None:
        return host_link(engine.machine, engine.memory.block_bytes, gpus)
    return store_link(settings, engine.memory.block_bytes, gpus)


def _check_server_holds_tp(pool: Pool, engine: PlannedEngine, gpus_per_server: int) -> None:
    """Links of the step time are those within `gpus_per_node` GPUs: no smaller server gives them to a TP group."""
    if gpus_per_server < min(pool.tensor_parallel_size, engine.gpu.device.gpus_per_node):
        text = f"a server with {gpus_per_server} GPUs cannot hold tensor_parallel_size {pool.tensor_parallel_size}"
        raise InputError(Problem(text, path="tensor_parallel_size", got=f"{pool.tensor_parallel_size}"))


def _initial(pool: Pool) -> int:
    """Replicas at the start, of a pool that is sized."""
    size = pool.autoscaler.min if isinstance(pool.autoscaler, QueueAutoscaler) else pool.replicas
    return size if isinstance(size, int) else 0


def _overridden(cold: ColdStart, settings: ColdStartSettings | None) -> ColdStart:
    if settings is None:
        return cold
    stages = {name: getattr(settings, name) for name in ("provision_s", "image_s", "weights_s", "engine_s")}
    return replace(cold, **{name: value for name, value in stages.items() if value is not None})


def _autoscaler(settings: QueueAutoscaler) -> Autoscaler:
    return Autoscaler(
        min_replicas=int(settings.min),
        max_replicas=int(settings.max),
        target_per_replica=float(settings.target_per_replica),
        metric=settings.metric,
        period_s=settings.period_s,
        tolerance=settings.tolerance,
        up_window_s=settings.up_window_s,
        down_window_s=settings.down_window_s,
    )
