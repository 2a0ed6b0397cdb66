"""What gives a topology the sizes that were found, as keys of the scenario."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.resolve.sizes import AUTO, Fixed, Size, open_units
from simulator.scenario.load import LoadedScenario
from simulator.scenario.set_lines import Given, item
from simulator.schema.pool import QueueAutoscaler


def size_values(loaded: LoadedScenario, name: str, sizes: Mapping[int, Size]) -> list[Given]:
    """What gives a topology these sizes: paths below it, and what stands there."""
    found: list[Given] = []
    topology = loaded.scenario.topologies[name]
    pools, apis = topology.pools, {one.index: one.name for one in open_units(topology)}
    for k, size in sizes.items():
        if k in apis:
            place = [api.name for api in topology.providers].index(apis[k])
            found.append((f"providers{item(topology.providers, place)}.provisioned_units", size.most))
            continue
        pool, root = pools[k], f"pools{item(pools, k)}"
        found += [(f"{root}.instance", size.instance)] * bool(size.instance)
        if isinstance(size, Fixed) and any(window.replicas == AUTO for window in pool.schedule):
            found += [
                (f"{root}.schedule[{j}].replicas", size.replicas)
                for j, window in enumerate(pool.schedule)
                if window.replicas == AUTO
            ]
        elif isinstance(size, Fixed):
            found += [(f"{root}.autoscaler", None)] * (pool.autoscaler is not None)
            found.append((f"{root}.replicas", size.replicas))
        else:
            numbers = {"min": size.least, "max": size.most, "target_per_replica": size.target}
            if not isinstance(pool.autoscaler, QueueAutoscaler):
                found.append((f"{root}.autoscaler", numbers))
                continue
            found += [
                (f"{root}.autoscaler.{key}", value)
                for key, value in numbers.items()
                if key == "max" or getattr(pool.autoscaler, key) != value
            ]
    return found
