"""Checks across sections that a schema cannot express."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.errors import unknown_name
from simulator.scenario.disaggregation import disaggregation_problems
from simulator.scenario.drafts import draft_problems
from simulator.scenario.jobs import job_problems
from simulator.scenario.money_checks import money_problems, topology_money_problems, twice
from simulator.scenario.months import study_problems
from simulator.scenario.named_files import missing_files
from simulator.scenario.parallel_samples import sampling_problems
from simulator.scenario.phases import at_event, event_problems, in_change
from simulator.scenario.times import time_problems, topology_time_problems
from simulator.scenario.units import class_unit_problems, topology_unit_problems
from simulator.schema.engine import EngineSettings
from simulator.schema.faults import Outages
from simulator.schema.pool import Pool, QueueAutoscaler
from simulator.schema.routing import (
    CascadeRouting,
    ComplexityRouting,
    EscalateWhen,
    OverflowRouting,
    WeightedRouting,
    WindowsRouting,
)
from simulator.schema.scenario import Scenario
from simulator.schema.topology import Topology
from simulator.schema.workload import Constant, Lognormal, RequestClass, Uniform

Found = tuple[str, str, Any]
"""Path, message, offending value."""

MAX_TOKENS = 2**31 - 1
"""Largest length in tokens; they are kept in 32 bits."""

LENGTH_KEYS = {
    "lengths": ("isl", "osl"),
    "arrivals": ("turns", "user_tokens"),
    "prefixes": ("tokens",),
    "images": ("tokens",),
}
"""Where a class has length distributions."""


def cross_problems(scenario: Scenario, folder: Path) -> list[Found]:
    """Everything that contradicts something else in the scenario, or names a file that is not there."""
    found: list[Found] = []
    run = scenario.run
    if run.warmup_s >= run.horizon_s:
        found.append(("run.warmup_s", f"must be less than horizon_s ({run.horizon_s:g})", run.warmup_s))
    found += money_problems(scenario)
    found += missing_files(scenario.model_dump(mode="json"), folder)
    found += twice((f"workload.classes[{k}]", cls.name) for k, cls in enumerate(scenario.workload.classes))
    for k, cls in enumerate(scenario.workload.classes):
        found += _class_problems(f"workload.classes[{k}]", cls)
    timed = list(time_problems(scenario))
    found += job_problems(scenario)
    found += sampling_problems(scenario)
    found += timed or study_problems(scenario)
    events = list(event_problems(scenario))
    found += events
    for k, event in enumerate(() if events else scenario.study.events):
        changed = at_event(scenario, k).topologies[event.topology]
        problems = _topology_problems("", changed, scenario)
        found += [in_change(scenario, k, where.lstrip("."), text, got) for where, text, got in problems]
    found += _engine_problems("engine", scenario.engine, scenario)
    for name, topology in scenario.topologies.items():
        found += _topology_problems(f"topologies.{name}", topology, scenario)
    return found


def _topology_problems(path: str, topology: Topology, scenario: Scenario) -> Iterator[Found]:
    """What contradicts within a topology, or between it and the rest of the scenario."""
    yield from _target_problems(path, topology, scenario)
    yield from topology_money_problems(path, topology, [cls.name for cls in scenario.workload.classes])
    yield from topology_time_problems(path, topology, scenario.run)
    yield from topology_unit_problems(path, topology)
    yield from disaggregation_problems(path, topology, scenario)


def _class_problems(path: str, cls: RequestClass) -> Iterator[Found]:
    if cls.lengths is None and cls.arrivals.kind not in ("profile", "trace"):
        yield path, f"'lengths' is missing: {cls.arrivals.kind} arrivals come without lengths", None
    if cls.prefixes is not None and cls.arrivals.kind == "sessions":
        yield f"{path}.prefixes", "conversations share 'system_tokens': remove prefixes", None
    if cls.images is not None and cls.arrivals.kind == "sessions":
        yield (
            f"{path}.images",
            "pictures within conversations are not simulated: all of their prompts is repeated",
            None,
        )
    if cls.arrivals.kind == "trace" and (cls.arrivals.wait_for_answers or cls.arrivals.prompts_grow):
        whose = "turns that wait for answers" if cls.arrivals.wait_for_answers else "prompts that grow"
        for key in ("lengths", "prefixes", "images"):
            if getattr(cls, key) is not None:
                text = f"{whose} have the lengths and the content of their trace: leave it out"
                yield f"{path}.{key}", text, None
        if cls.n > 1:
            yield f"{path}.n", f"{whose} go on from one answer: leave it out", str(cls.n)
    for section, keys in LENGTH_KEYS.items():
        for key in keys:
            length = getattr(getattr(cls, section), key, None)
            yield from _length_problems(f"{path}.{section}.{key}", length)
    yield from _complexity_problems(f"{path}.complexity", cls.complexity)
    yield from class_unit_problems(path, cls)
    if cls.service_tier == "batch" and (cls.timeout_s or cls.slo.ttft_s or cls.slo.tpot_s):
        text = "answers may take a day: drop the timeout and all of the SLO but a deadline (e2e_s)"
        yield f"{path}.service_tier", text, cls.service_tier


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


def _length_problems(path: str, length: Any) -> Iterator[Found]:
    yield from _order_problems(path, length)
    yield from _whole_problems(path, length)


def _whole_problems(path: str, length: Any) -> Iterator[Found]:
    """Lengths are whole tokens: a number must be one, a range must hold one."""
    if isinstance(length, Constant):
        path, length = f"{path}.value", length.value
    if isinstance(length, int | float) and not (1 <= length <= MAX_TOKENS and length == int(length)):
        yield path, f"must be a whole number from 1 to {MAX_TOKENS}", f"{length:g}"
    for kind, key in ((Uniform, "high"), (Lognormal, "max")):
        if isinstance(length, kind) and getattr(length, key) > MAX_TOKENS:
            yield f"{path}.{key}", f"must be at most {MAX_TOKENS}", f"{getattr(length, key):g}"
    if isinstance(length, Uniform) and length.low <= length.high:
        low, high = math.ceil(length.low), math.floor(length.high)
        if low < 1:
            yield f"{path}.low", "must be at least 1", f"{length.low:g}"
        elif low > high:
            yield path, f"holds no whole number between {length.low:g} and {length.high:g}", None


def _target_problems(path: str, topology: Topology, scenario: Scenario) -> Iterator[Found]:
    names = [pool.name for pool in topology.pools] + [provider.name for provider in topology.providers]
    if not names:
        yield (
            path,
            "needs at least one pool or provider; a flat price, as of seats, is one with 'fixed_usd_per_month'",
            None,
        )
        return
    targets = [(f"{path}.pools[{k}]", pool.name) for k, pool in enumerate(topology.pools)]
    targets += [(f"{path}.providers[{k}]", provider.name) for k, provider in enumerate(topology.providers)]
    yield from twice(targets)
    for k, pool in enumerate(topology.pools):
        scaler = pool.autoscaler
        yield from _size_problems(f"{path}.pools[{k}]", pool, scenario.run.max_replicas)
        if scaler and pool.billing == "owned":
            yield f"{path}.pools[{k}].autoscaler", "owned servers are paid for whether on or off: drop it or rent", None
        yield from _engine_problems(f"{path}.pools[{k}].engine", pool.engine, scenario)
        if pool.stock_outs and pool.billing == "owned":
            yield (
                f"{path}.pools[{k}].stock_outs",
                "owned servers are there already: only rented ones are launched",
                None,
            )
        yield from _outage_problems(f"{path}.pools[{k}].outages", pool.outages)
    for k, provider in enumerate(topology.providers):
        yield from _outage_problems(f"{path}.providers[{k}].outages", provider.outages)
    yield from _routing_problems(f"{path}.routing", topology.routing, names)


def _size_problems(path: str, pool: Pool, max_replicas: int) -> Iterator[Found]:
    scaler = pool.autoscaler
    sizes = [(f"{path}.replicas", pool.replicas)]
    if isinstance(scaler, QueueAutoscaler):
        sizes += [(f"{path}.autoscaler.min", scaler.min), (f"{path}.autoscaler.max", scaler.max)]
        low, high = scaler.min, scaler.max
        if isinstance(low, int) and isinstance(high, int) and low > high:
            yield f"{path}.autoscaler.min", f"must be at most max ({high})", low
    sizes += [(f"{path}.schedule[{k}].replicas", window.replicas) for k, window in enumerate(pool.schedule)]
    for place, size in sizes:
        if isinstance(size, int) and size > max_replicas:
            yield place, f"is above run.max_replicas ({max_replicas}): set that higher if so many are meant", size


def _engine_problems(path: str, engine: EngineSettings | None, scenario: Scenario) -> Iterator[Found]:
    if engine and engine.throughput is not None and engine.profile is not None:
        yield f"{path}.throughput", "give a throughput or a profile, not both", None
    yield from draft_problems(path, engine, [cls.name for cls in scenario.workload.classes])


def _outage_problems(path: str, outages: Outages | None) -> Iterator[Found]:
    if outages is not None and (outages.mtbf_h is None) != (outages.mttr_h is None):
        missing = "mttr_h" if outages.mttr_h is None else "mtbf_h"
        yield path, f"{missing!r} is missing: outages at random need both mtbf_h and mttr_h", None


def _routing_problems(path: str, routing: Any, names: list[str]) -> Iterator[Found]:
    named: list[tuple[str, str]] = []
    if isinstance(routing, WeightedRouting) and routing.weights is not None:
        named = [(f"{path}.weights.{name}", name) for name in routing.weights]
        if not sum(routing.weights.values()):
            yield f"{path}.weights", "at least one weight must be above 0", None
    if isinstance(routing, OverflowRouting):
        if len(names) < 2:
            yield path, "overflow needs at least two pools or providers", None
        named = [(f"{path}.order[{k}]", name) for k, name in enumerate(routing.order or ())]
        twice = [name for name, n in Counter(routing.order or ()).items() if n > 1]
        if twice:
            yield f"{path}.order", f"names {', '.join(twice)} more than once", None
    if isinstance(routing, ComplexityRouting):
        named = [(f"{path}.limits.{name}", name) for name in routing.limits]
    if isinstance(routing, CascadeRouting):
        named = [(f"{path}.first", routing.first), (f"{path}.second", routing.second)]
        if routing.first == routing.second:
            yield f"{path}.second", "must be another target than first", routing.second
        if routing.escalate == EscalateWhen():
            yield f"{path}.escalate", "say what goes on: share, above_complexity or both", None
    if isinstance(routing, WindowsRouting) and not routing.windows:
        yield f"{path}.windows", "say which targets are open when", None
    if routing.otherwise is not None and not routing.windows:
        yield f"{path}.otherwise", "is the rest of the week: give windows", None
    named += [
        (f"{path}.windows[{k}].use[{j}]", name) for k, w in enumerate(routing.windows) for j, name in enumerate(w.use)
    ]
    named += [(f"{path}.otherwise[{k}]", name) for k, name in enumerate(routing.otherwise or ())]
    for place, name in named:
        if name not in names:
            yield place, unknown_name("pool or provider", name, names), None
