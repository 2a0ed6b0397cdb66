"""Variants of a topology: other hardware in the pools that are sized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulator.resolve.open_thresholds import has_open_threshold, with_threshold
from simulator.resolve.open_windows import open_windows, window_values, with_hours
from simulator.resolve.size_values import size_values
from simulator.resolve.sizes import OpenPool, Size, check_outside, is_open, open_pool, open_units, replaceable, stated
from simulator.scenario.load import LoadedScenario
from simulator.scenario.set_lines import Given, item


@dataclass(frozen=True, slots=True)
class Candidate:
    """One topology on one kind of hardware.

    Attributes
    ----------
    loaded : the scenario with this topology alone, the hardware filled in
    scaled : indices of the pools whose replicas are searched
    hardware : what was changed in each of them, as `gpu` and `tp`
    hours : found for the windows that leave them open; empty where none does
    windows : places of these below the topology, and the keys that are open there with their values
    overflow_at : outstanding requests per replica from which on its overflow passes a pool by, where that is open
    """

    loaded: LoadedScenario
    topology: str
    scaled: tuple[int, ...]
    hardware: Mapping[str, Any]
    hours: str = ""
    windows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    overflow_at: float | None = None

    def at_hours(self, hours: str) -> Candidate:
        """The candidate with the same hours in every window that leaves them open."""
        open_ = tuple((path, tuple(window_values(one, hours).items())) for path, one in open_windows(self.settings))
        return replace(self, loaded=with_hours(self.loaded, self.topology, hours), hours=hours, windows=open_)

    def at_threshold(self, outstanding_per_replica: float) -> Candidate:
        """The candidate with the threshold of its overflow, where that is open; else as it is."""
        if not has_open_threshold(self.settings):
            return self
        loaded = with_threshold(self.loaded, self.topology, outstanding_per_replica)
        return replace(self, loaded=loaded, overflow_at=outstanding_per_replica)

    @property
    def settings(self) -> Any:
        """The topology's section of the scenario."""
        return self.loaded.scenario.topologies[self.topology]

    def pools(self) -> tuple[OpenPool, ...]:
        """The pools to size, owned ones down to none, as those with windows that have none outside of them; of an
        autoscaler that has settings its most is searched.
        """
        check_outside(self.loaded, self.topology)
        return (*(self._open(k) for k in self.scaled), *open_units(self.settings))

    def _open(self, k: int) -> OpenPool:
        pool = self.settings.pools[k]
        found = open_pool(self.loaded, self.settings, k, _open_part(pool))
        if is_open(pool) or not (_is_off(pool) or replaceable(self.loaded, self.settings, pool)):
            return found
        return replace(found, low=0, stays=False)

    def values(self, sizes: Mapping[int, Size]) -> list[Given]:
        """What makes the topology this fleet: paths below it, and what stands there."""
        found: list[Given] = [(f"{path}.{key}", value) for path, open_ in self.windows for key, value in open_]
        found += [] if self.overflow_at is None else [("routing.when.outstanding_per_replica", self.overflow_at)]
        for k, size in sizes.items():
            if k < len(self.settings.pools):
                root = f"pools{item(self.settings.pools, k)}"
                found += [(f"{root}.{key}", value) for key, value in self.hardware.items()]
            found += size_values(self.loaded, self.topology, {k: size})
        return found


def _is_off(pool: Any) -> bool:
    """Whether it has no replica outside of the windows of its schedule."""
    return bool(pool.schedule) and pool.replicas == 0


def _open_part(pool: Any) -> tuple[int | None, int | None, float | None] | None:
    found = stated(pool)
    return found if found is None or is_open(pool) else (found[0], None, found[2])


def _with_pools(loaded: LoadedScenario, topology: str, changes: Mapping[int, dict[str, Any]]) -> LoadedScenario:
    scenario = loaded.scenario
    settings = scenario.topologies[topology]
    pools = tuple(pool.model_copy(update=changes.get(k, {})) for k, pool in enumerate(settings.pools))
    alone = {topology: settings.model_copy(update={"pools": pools})}
    return replace(loaded, scenario=scenario.model_copy(update={"topologies": alone}))


def candidates(
    loaded: LoadedScenario, topology: str, pools: Sequence[str], gpus: Sequence[str], tps: Sequence[int]
) -> list[Candidate]:
    """The topology on every combination of GPU and TP degree, or as it is where none is given.

    Parameters
    ----------
    pools : names of the pools to size; all of the topology's unless given

    A pool's own price stands for the GPU that it names: on another GPU the catalog's price counts.
    """
    every = loaded.scenario.topologies[topology].pools
    scaled = tuple(k for k, pool in enumerate(every) if not pools or pool.name in pools)
    found: list[Candidate] = []
    for gpu in gpus or (None,):
        for tp in tps or (None,):
            chosen = {
                key: value
                for key, value in (("gpu", gpu), ("tensor_parallel_size", tp))
                if value is not None and scaled
            }
            changes = {k: {**chosen, **_prices(every[k], gpu)} for k in scaled}
            cleared = {key: value for change in changes.values() for key, value in change.items() if value is None}
            one = Candidate(_with_pools(loaded, topology, changes), topology, scaled, {**chosen, **cleared})
            if all(one.hardware != other.hardware for other in found):
                found.append(one)
    return found


def _prices(pool: Any, gpu: str | None) -> dict[str, Any]:
    if gpu is None or gpu == pool.gpu:
        return {}
    own = ("price_usd_per_gpu_hour",)
    return {name: None for name in own if getattr(pool, name) is not None}
