"""Variants of a topology: other hardware and other numbers of replicas in the pools that are sized."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulator.scenario.load import LoadedScenario
from simulator.size.search import Point, Range


@dataclass(frozen=True, slots=True)
class Candidate:
    """One topology on one kind of hardware.

    Attributes
    ----------
    loaded : the scenario with this topology alone, the hardware filled in
    scaled : indices of the pools whose replicas are searched
    hardware : what was changed in each of them, as `gpu` and `tp`
    """

    loaded: LoadedScenario
    topology: str
    scaled: tuple[int, ...]
    hardware: Mapping[str, Any]

    @property
    def settings(self) -> Any:
        """The topology's section of the scenario."""
        return self.loaded.scenario.topologies[self.topology]

    def ranges(self, most: int) -> list[Range]:
        """Numbers of replicas to search for each scaled pool: from 1 where nothing can stand in for it, else from 0."""
        others = len(self.settings.pools) + len(self.settings.providers) > 1
        pools = [self.settings.pools[k] for k in self.scaled]
        return [(0 if others and pool.role == "both" else 1, most) for pool in pools]

    def sized(self, point: Point) -> LoadedScenario:
        """The scenario with `point[k]` replicas in the k-th scaled pool."""
        changes = {k: _replicas(self.settings.pools[k], n) for k, n in zip(self.scaled, point, strict=True)}
        return _with_pools(self.loaded, self.topology, changes)

    def assignments(self, point: Point) -> list[str]:
        """What `--set` needs to make the scenario's topology this fleet."""
        texts: list[str] = []
        for k, n in zip(self.scaled, point, strict=True):
            pool = self.settings.pools[k]
            root = f"topologies.{self.topology}.pools[{pool.name}]"
            values = {**self.hardware, **_assigned(pool, n)}
            texts += [f"{root}.{key}={json.dumps(value).strip(chr(34))}" for key, value in values.items()]
        return texts


def _replicas(pool: Any, n: int) -> dict[str, Any]:
    """Fields of a pool that has `n` replicas; of an autoscaled one `n` is the most."""
    scaler = pool.autoscaler
    if scaler is None or n == 0:
        return {"replicas": n, "autoscaler": None}
    return {"autoscaler": scaler.model_copy(update={"max": n, "min": min(scaler.min, n)})}


def _assigned(pool: Any, n: int) -> dict[str, Any]:
    if pool.autoscaler is None:
        return {"replicas": n}
    if n == 0:
        return {"replicas": 0, "autoscaler": None}
    lower = {"autoscaler.min": n} if n < pool.autoscaler.min else {}
    return {"autoscaler.max": n, **lower}


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
