"""Checks across sections that a schema cannot express."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.errors import unknown_name
from simulator.scenario.disaggregation import disaggregation_problems
from simulator.schema.scenario import Scenario
from simulator.schema.topology import ComplexityRouting, OverflowRouting, Topology, WeightedRouting
from simulator.schema.workload import Empirical, Lognormal, RequestClass, Uniform

Found = tuple[str, str, Any]
"""Path, message, offending value."""

LENGTH_KEYS = {"lengths": ("isl", "osl"), "arrivals": ("turns", "user_tokens"), "prefixes": ("tokens",)}
"""Where a class has length distributions."""


def cross_problems(scenario: Scenario, folder: Path) -> list[Found]:
    """Everything that contradicts something else in the scenario, or names a file that is not there."""
    found: list[Found] = []
    run = scenario.run
    if run.warmup_s >= run.horizon_s:
        found.append(("run.warmup_s", f"must be less than horizon_s ({run.horizon_s:g})", run.warmup_s))
    found += _twice("workload.classes", [cls.name for cls in scenario.workload.classes])
    for k, cls in enumerate(scenario.workload.classes):
        found += _class_problems(f"workload.classes[{k}]", cls, folder)
    for name, topology in scenario.topologies.items():
        found += _topology_problems(f"topologies.{name}", topology)
        found += disaggregation_problems(f"topologies.{name}", topology, scenario)
    return found


def _twice(path: str, names: list[str]) -> list[Found]:
    return [(path, f"the name {name!r} is used {n} times", None) for name, n in Counter(names).items() if n > 1]


def _class_problems(path: str, cls: RequestClass, folder: Path) -> Iterator[Found]:
    if cls.lengths is None and cls.arrivals.kind not in ("profile", "trace"):
        yield path, f"'lengths' is missing: {cls.arrivals.kind} arrivals come without lengths", None
    if cls.prefixes is not None and cls.arrivals.kind == "sessions":
        yield f"{path}.prefixes", "conversations share 'system_tokens': remove prefixes", None
    file = getattr(cls.arrivals, "file", None)
    if file and not (folder / file).is_file():
        yield f"{path}.arrivals.file", f"no such file in {folder}", file
    for section, keys in LENGTH_KEYS.items():
        for key in keys:
            length = getattr(getattr(cls, section), key, None)
            yield from _length_problems(f"{path}.{section}.{key}", length, folder)
    yield from _complexity_problems(f"{path}.complexity", cls.complexity)


def _complexity_problems(path: str, complexity: Any) -> Iterator[Found]:
    yield from _order_problems(path, complexity)
    key = "high" if isinstance(complexity, Uniform) else "value"
    largest = getattr(complexity, key, 0.0)
    if largest > 1:
        yield f"{path}.{key}", "must be at most 1", largest


def _order_problems(path: str, length: Any) -> Iterator[Found]:
    if isinstance(length, Uniform) and length.low > length.high:
        yield f"{path}.low", f"must be at most high ({length.high:g})", length.low
    if isinstance(length, Lognormal) and length.min > length.max:
        yield f"{path}.min", f"must be at most max ({length.max})", length.min


def _length_problems(path: str, length: Any, folder: Path) -> Iterator[Found]:
    yield from _order_problems(path, length)
    if isinstance(length, Empirical) and not (folder / length.file).is_file():
        yield f"{path}.file", f"no such file in {folder}", length.file


def _topology_problems(path: str, topology: Topology) -> Iterator[Found]:
    names = [pool.name for pool in topology.pools] + [vendor.name for vendor in topology.vendors]
    if not names:
        yield path, "needs at least one pool or vendor", None
        return
    yield from _twice(path, names)
    for k, pool in enumerate(topology.pools):
        scaler = pool.autoscaler
        if scaler and scaler.min > scaler.max:
            yield f"{path}.pools[{k}].autoscaler.min", f"must be at most max ({scaler.max})", scaler.min
        if pool.reserved_replicas is not None and not pool.billing.startswith("reserved"):
            yield (
                f"{path}.pools[{k}].reserved_replicas",
                f"needs billing reserved_1y or reserved_3y, not {pool.billing}",
                pool.reserved_replicas,
            )
        if scaler and pool.billing == "owned":
            yield f"{path}.pools[{k}].autoscaler", "owned servers are paid for whether on or off: drop it or rent", None
    yield from _routing_problems(f"{path}.routing", topology.routing, names)


def _routing_problems(path: str, routing: Any, names: list[str]) -> Iterator[Found]:
    named: list[tuple[str, str]] = []
    if isinstance(routing, WeightedRouting) and routing.weights is not None:
        named = [(f"{path}.weights.{name}", name) for name in routing.weights]
        if not sum(routing.weights.values()):
            yield f"{path}.weights", "at least one weight must be above 0", None
    if isinstance(routing, OverflowRouting):
        if len(names) < 2:
            yield path, "overflow needs at least two pools or vendors", None
        named = [(f"{path}.order[{k}]", name) for k, name in enumerate(routing.order or ())]
        twice = [name for name, n in Counter(routing.order or ()).items() if n > 1]
        if twice:
            yield f"{path}.order", f"names {', '.join(twice)} more than once", None
    if isinstance(routing, ComplexityRouting):
        named = [(f"{path}.limits.{name}", name) for name in routing.limits]
    for place, name in named:
        if name not in names:
            yield place, unknown_name("pool or vendor", name, names), None
