"""What of a topology's size is left open, and the scenario with it filled in."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from simulator.errors import InputError, Problem
from simulator.resolve.demand import jobs_per_month
from simulator.resolve.located import located, pool_path
from simulator.resolve.open_thresholds import with_threshold
from simulator.resolve.open_windows import WHOLE_WEEK, open_windows, with_hours
from simulator.resolve.routed import goes_on_without, routed, without
from simulator.resolve.without_units import sells_nothing, sells_tokens, spared
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import with_whole_changes
from simulator.schema.clock import ReplicaWindow
from simulator.schema.pool import Pool, QueueAutoscaler
from simulator.schema.provider import Provider
from simulator.schema.routing import WeightedRouting
from simulator.schema.topology import Topology

AUTO: Literal["auto"] = "auto"
Named = TypeVar("Named", Pool, Provider)
_MOST_STEPS = 4096
"""Of units of a token API."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """So many replicas, always.

    Attributes
    ----------
    instance : on which they meet the SLO where they miss it on the one that holds them for least; empty for that one
    by_token : no units of a token API that then serves by its prices and limits: not the least of a row of numbers
    """

    replicas: int
    instance: str = ""
    by_token: bool = False

    @property
    def least(self) -> int:
        """Fewest replicas."""
        return self.replicas

    @property
    def most(self) -> int:
        """Most replicas."""
        return self.replicas

    def __str__(self) -> str:
        return f"{self.replicas}{_on(self.instance)}"


BY_TOKEN = Fixed(0, by_token=True)


@dataclass(frozen=True, slots=True)
class Scaled:
    """From `least` to `most` replicas, at `target` requests for each that is ready.

    Attributes
    ----------
    instance : that holds them for least by the time for which each number was there; empty for the one that is taken
        before anybody knows
    """

    least: int
    most: int
    target: float
    instance: str = ""

    def __str__(self) -> str:
        return f"{self.least} to {self.most} at {self.target:g}{_on(self.instance)}"


def _on(instance: str) -> str:
    return f" on {instance}" if instance else ""


Size = Fixed | Scaled


@dataclass(frozen=True, slots=True)
class OpenPool:
    """A pool whose size is searched, or a token API of which the units of throughput are.

    Attributes
    ----------
    index : place among the topology's pools, after which come the token APIs with units that are searched
    low : fewest replicas, in steps: those that are written of an autoscaler, 0 where another target can stand in, else
        one; a topology that owns keeps owning
    stays : one of several owned pools, of which any may get none, but not all
    closed : gets no replica
    by_token : a token API that serves without units, too, by its prices: that is looked at beside all numbers from
        `low` on
    unsold : groups above none that are not to be had, where none is among the numbers
    step : replicas, or units, come in groups of so many
    owned : paid for whether used or not; not where a job pays for its share of the time
    scaler : None where the number is fixed; else what the autoscaler has of min, max and target, None for what is open
    """

    index: int
    name: str
    low: int
    step: int
    owned: bool
    scaler: tuple[int | None, int | None, float | None] | None = None
    stays: bool = False
    is_units: bool = False
    closed: bool = False
    by_token: bool = False
    unsold: int = 0

    def size(self, n: int) -> Fixed:
        """The n-th number from none on; of a closed one none."""
        if self.closed:
            return BY_TOKEN if self.by_token else Fixed(0)
        return Fixed((n + self.unsold) * self.step if n else 0)

    @property
    def fewest(self) -> Fixed:
        """At which least is paid whatever happens."""
        return BY_TOKEN if self.by_token else self.size(self.low)

    def steps(self, max_replicas: int) -> int:
        """Groups of which no search looks at more."""
        return max(_MOST_STEPS, self.low) if self.is_units else max(max_replicas // self.step, 1)


def refinable(pool: OpenPool) -> bool:
    """Whether it has an autoscaler of which more than the most replicas is open."""
    return pool.scaler is not None and (pool.scaler[0] is None or pool.scaler[2] is None)


def has_open_sizes(topology: Topology) -> bool:
    """Whether a size, or the hours of a window, is `auto` somewhere."""
    return (
        any(map(is_open, topology.pools))
        or any(map(units_are_open, topology.providers))
        or bool(open_windows(topology))
    )


def open_pools(loaded: LoadedScenario, name: str) -> tuple[OpenPool, ...]:
    """Pools of a topology with a size that is `auto`, then token APIs with units that are.

    Raises
    ------
    InputError : at the replicas of a pool that leaves those outside the windows of its schedule open, too
    """
    topology = loaded.scenario.topologies[name]
    check_outside(loaded, name)
    pools = [open_pool(loaded, topology, k, stated(pool)) for k, pool in enumerate(topology.pools) if is_open(pool)]
    return (*pools, *open_units(topology))


def check_outside(loaded: LoadedScenario, name: str) -> None:
    """Refuse `auto` both in a window of a schedule and outside: one number for both would leave no schedule.

    Raises
    ------
    InputError : at the replicas of the pool
    """
    for k, pool in enumerate(loaded.scenario.topologies[name].pools):
        if pool.replicas == AUTO and any(window.replicas == AUTO for window in pool.schedule):
            text = "are those outside the windows, and a window's are auto: give a number, 0 where it may be off then"
            with located(loaded, pool_path(loaded, name, k)):
                raise InputError(Problem(text, path="replicas", got=AUTO))


def open_units(topology: Topology) -> tuple[OpenPool, ...]:
    """Token APIs of a topology whose units of throughput are `auto`.

    None is a number of them, too, where it has prices by the token, or where an overflow goes on without it.
    """
    found = [api for api in topology.providers if units_are_open(api)]
    return tuple(_units(topology, api, len(topology.pools) + k) for k, api in enumerate(found))


def _units(topology: Topology, api: Provider, index: int) -> OpenPool:
    least, by_token = _least_steps(api), sells_tokens(api)
    may_go = not by_token and spared(topology, api)
    found = OpenPool(index, api.name, 0 if may_go else least, api.unit_step or 1, owned=False, is_units=True)
    return replace(found, by_token=by_token, unsold=least - 1 if may_go else 0)


def _least_steps(api: Provider) -> int:
    return max((api.unit_minimum or 1) // (api.unit_step or 1), 1)


def units_are_open(api: Provider) -> bool:
    """Whether the units of throughput of a token API are `auto`."""
    return api.provisioned_units == AUTO


def with_standing(pools: Iterable[OpenPool], standing: Collection[str]) -> tuple[OpenPool, ...]:
    """Open pools of which those that stand already keep a replica, so that others may have none.

    What is left out of the fleet would be sold, which no size is charged with.
    """
    found = tuple(replace(pool, low=max(pool.low, 1)) if pool.name in standing else pool for pool in pools)
    return tuple(replace(pool, stays=False) for pool in found) if standing else found


def with_paid(pools: Iterable[OpenPool], units: Mapping[str, float]) -> tuple[OpenPool, ...]:
    """Open pools of which token APIs have the units at least that are paid for already, in whole steps."""
    return tuple(_from_paid(pool, units[pool.name]) if pool.is_units and pool.name in units else pool for pool in pools)


def _from_paid(pool: OpenPool, units: float) -> OpenPool:
    return replace(pool, low=max(pool.low, 1, int(units) // pool.step - pool.unsold), by_token=False)


def open_pool(
    loaded: LoadedScenario, topology: Topology, k: int, scaler: tuple[int | None, int | None, float | None] | None
) -> OpenPool:
    """Pool `k` of a topology with its size to be searched; arguments are those of `OpenPool`."""
    pool = topology.pools[k]
    engine = pool.engine or loaded.scenario.engine
    given = "data_parallel_size" in engine.model_fields_set
    shared_by = engine.data_parallel_size if given else loaded.scenario.engine.data_parallel_size
    owned = pool.billing == "owned" and not jobs_per_month(loaded.scenario)
    others = [one for j, one in enumerate(topology.pools) if j != k and one.billing == "owned"]
    low = 0 if replaceable(loaded, topology, pool) and (others or not owned) else 1
    if scaler is not None and scaler[0] is not None:
        low = max(low, math.ceil(scaler[0] / shared_by))
    stays = owned and not low and all(is_open(one) for one in others)
    return OpenPool(k, pool.name, low, shared_by, owned, scaler, stays)


def is_open(pool: Pool) -> bool:
    """Whether some part of the pool's size is `auto`."""
    scaler = pool.autoscaler
    if any(window.replicas == AUTO for window in pool.schedule):
        return True
    if isinstance(scaler, QueueAutoscaler):
        return AUTO in (scaler.min, scaler.max, scaler.target_per_replica)
    return scaler == AUTO or pool.replicas == AUTO


def stated(pool: Pool) -> tuple[int | None, int | None, float | None] | None:
    """What is stated of an autoscaler, as in `OpenPool`."""
    scaler = pool.autoscaler
    if scaler is None:
        return None
    if not isinstance(scaler, QueueAutoscaler):
        return None, None, None
    return (
        None if scaler.min == AUTO else scaler.min,
        None if scaler.max == AUTO else scaler.max,
        None if scaler.target_per_replica == AUTO else scaler.target_per_replica,
    )


def replaceable(loaded: LoadedScenario, topology: Topology, pool: Pool) -> bool:
    """Whether the topology still serves without the pool, at all hours.

    Weights between models say which share each of them answers: there a pool stays unless another one, or a token API,
    has its model. What routing never sends a request to stands in for nobody.
    """
    routing, others = topology.routing, routed(topology) - {pool.name}
    if pool.role != "both" or not goes_on_without(topology, pool.name):
        return False
    apis = {provider.name for provider in topology.providers}
    if not isinstance(routing, WeightedRouting) or routing.weights is None or others & apis:
        return routing.kind in ("weighted", "overflow")
    model = loaded.scenario.model
    return any((one.model or model) == (pool.model or model) for one in topology.pools if one.name in others)


def with_sizes(loaded: LoadedScenario, name: str, sizes: Mapping[int, Size]) -> LoadedScenario:
    """The scenario with sizes for pools, and units for token APIs, of a topology, by index.

    A pool that never gets a replica is left out of it, whether that was found or is written: a fleet is the same
    whoever says it. One that is written so stays where nothing stands in for it. An event that changes it later brings
    it then.
    """
    scenario = loaded.scenario
    written = scenario.topologies[name]
    pools = tuple(
        pool.model_copy(update=_fields(pool, sizes[k])) if k in sizes else pool for k, pool in enumerate(written.pools)
    )
    topology = written.model_copy(update={"pools": pools, "providers": _with_units(written, sizes)})
    for k, pool in enumerate(pools):
        if never_runs(pool) and (k in sizes or replaceable(loaded, topology, pool)):
            topology = without(topology, pool.name)
    for api in topology.providers:
        if sells_nothing(api) and spared(topology, api):
            topology = without(topology, api.name)
    topologies = {other: topology if other == name else each for other, each in scenario.topologies.items()}
    study = with_whole_changes(scenario.study, name, written, _gone(pools, topology.pools), "pools")
    apis = _gone(_with_units(written, sizes), topology.providers)
    study = with_whole_changes(study, name, written, apis, "providers")
    return replace(loaded, scenario=scenario.model_copy(update={"topologies": topologies, "study": study}))


def _with_units(topology: Topology, sizes: Mapping[int, Size]) -> tuple[Provider, ...]:
    units = {one.name: float(sizes[one.index].most) for one in open_units(topology) if one.index in sizes}
    return tuple(
        api.model_copy(update={"provisioned_units": units[api.name]}) if api.name in units else api
        for api in topology.providers
    )


def _gone(all_: Iterable[Named], kept: Iterable[Named]) -> list[Named]:
    names = {one.name for one in kept}
    return [one for one in all_ if one.name not in names]


def never_runs(pool: Pool) -> bool:
    """Whether the pool has no replica at any time, and nothing is paid for it whatever runs."""
    return has_no_replica(pool) and pool.commitments in (None, 0, AUTO)


def has_no_replica(pool: Pool) -> bool:
    """Whether the pool has no replica at any time, whatever is paid for it."""
    scheduled = any(window.replicas != 0 for window in pool.schedule)
    return pool.replicas == 0 and pool.autoscaler is None and not scheduled


def check_replicas(loaded: LoadedScenario, topology: Topology, pool: Pool) -> None:
    """Refuse a pool that gets requests and has no replica at any time: they would wait for ever.

    One that something stands in for is left out of the fleet before (`with_sizes`); one that is paid for stays, and
    overflow passes it by.

    Raises
    ------
    InputError : at its replicas
    """
    if not has_no_replica(pool):
        return
    if not replaceable(loaded, topology, pool):
        text = "no replica at any time, and nothing stands in for it: its requests would wait for ever"
        raise InputError(Problem(f"{pool.name} has {text}", path="replicas", got="0"))
    if not never_runs(pool) and topology.routing.kind == "weighted":
        text = "is paid without a replica, and would get its share of the requests: route by overflow, or give it some"
        raise InputError(Problem(f"{pool.name} {text}", path="replicas", got="0"))


def left_out(written: Topology, planned: Topology) -> list[str]:
    """What is said of pools that are written without a replica, and of token APIs without a unit."""
    pools = [pool.name for pool in _gone(written.pools, planned.pools)]
    apis = [api.name for api in _gone(written.providers, planned.providers)]
    found = [f"no replica, so left out: {', '.join(pools)}"] if pools else []
    return [*found, f"no units, so left out: {', '.join(apis)}"] if apis else found


def at_start(loaded: LoadedScenario) -> LoadedScenario:
    """The scenario with the smallest size wherever one is open: enough to look up and check everything else."""
    for name, topology in loaded.scenario.topologies.items():
        loaded = with_threshold(loaded, name, 0.0)
        if has_open_sizes(topology):
            loaded = with_hours(loaded, name, WHOLE_WEEK)
        loaded = with_sizes(loaded, name, {pool.index: smallest(pool) for pool in open_pools(loaded, name)})
    return loaded


def smallest(pool: OpenPool) -> Size:
    """The pool at its fewest replicas, one at least."""
    return pool.size(max(pool.low, 1))


def alone(loaded: LoadedScenario, name: str) -> LoadedScenario:
    """The scenario with one topology."""
    topologies = {name: loaded.scenario.topologies[name]}
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"topologies": topologies}))


def _fields(pool: Pool, size: Size) -> dict[str, Any]:
    on = {"instance": size.instance} if size.instance else {}
    if isinstance(size, Fixed) and any(window.replicas == AUTO for window in pool.schedule):
        outside = size.replicas if pool.replicas == AUTO else pool.replicas
        windows = tuple(_sized(window, size.replicas) for window in pool.schedule)
        return {"replicas": outside, "schedule": windows, **on}
    if isinstance(size, Fixed):
        return {"replicas": size.replicas, "autoscaler": None, **on}
    own = pool.autoscaler if isinstance(pool.autoscaler, QueueAutoscaler) else None
    scaler = own or QueueAutoscaler(min=AUTO, max=AUTO, target_per_replica=AUTO)
    numbers = {"min": size.least, "max": size.most, "target_per_replica": size.target}
    return {"autoscaler": scaler.model_copy(update=numbers), "replicas": 1, **on}


def _sized(window: ReplicaWindow, replicas: int) -> ReplicaWindow:
    return window.model_copy(update={"replicas": replicas}) if window.replicas == AUTO else window
