"""How requests choose among pools and token APIs, and which of them are open when."""

from __future__ import annotations

import math
from dataclasses import replace

from simulator.errors import InputError, Problem
from simulator.resolve.clock import Clock
from simulator.schema.routing import Routing, WindowsRouting
from simulator.study.choices import TargetRouting
from simulator.study.fleet import CascadeSpec, Opening, RoutingSpec

EVERY_WEEK = Clock()


def routing_spec(routing: Routing, names: list[str], everything: list[int], clock: Clock = EVERY_WEEK) -> RoutingSpec:
    """The rule over the targets at which a request can begin, and their hours.

    Parameters
    ----------
    names : of all targets, pools first
    everything : targets at which a request can begin

    Raises
    ------
    InputError : at its place: hours that are none
    """
    return replace(_rule(routing, names, everything), openings=_openings(routing, names, clock), cycle_s=clock.cycle_s)


def _openings(routing: Routing, names: list[str], clock: Clock) -> tuple[Opening, ...]:
    """By start on the clock, which targets are open; the first window that holds counts."""
    spans: list[tuple[float, float, tuple[str, ...]]] = []
    for k, window in enumerate(routing.windows):
        try:
            spans += [(start_s, end_s, window.use) for start_s, end_s in clock.spans(window)]
        except InputError as error:
            path = f"routing.windows[{k}]"
            raise InputError(*(replace(each, path=f"{path}.{each.path}") for each in error.problems)) from error
    if not spans:
        return ()
    rest = tuple(names) if routing.otherwise is None else routing.otherwise
    within = (edge for start_s, end_s, _ in spans for edge in (start_s, end_s) if clock.begin_s <= edge < clock.cycle_s)
    edges = sorted({clock.begin_s, *within})
    found: list[Opening] = []
    for edge in edges:
        use = next((use for start_s, end_s, use in spans if start_s <= edge < end_s), rest)
        row = Opening(edge, tuple(name in use for name in names))
        if not found or found[-1].targets != row.targets:
            found.append(row)
    return tuple(found)


def _found(value: float | str | None) -> float | None:
    if isinstance(value, str):
        path = "routing.when.outstanding_per_replica"
        raise InputError(Problem("is open: run, plan and sweep find it, elsewhere give a number", path=path, got=value))
    return value


def _limit(value: float | None) -> float:
    return math.inf if value is None else value


def _rule(routing: Routing, names: list[str], everything: list[int]) -> RoutingSpec:
    """The rule over the targets at which a request can begin."""
    if routing.kind == "overflow":
        order = [names.index(name) for name in routing.order] if routing.order else everything
        when, n = routing.when, len(order)
        return RoutingSpec(
            TargetRouting.OVERFLOW,
            tuple(order),
            overflow_waiting=(_limit(when.waiting_per_replica),) * n,
            overflow_kv=(_limit(when.kv_usage),) * n,
            overflow_outstanding=(_limit(_found(when.outstanding_per_replica)),) * n,
        )
    if isinstance(routing, WindowsRouting):
        listed = [name for window in routing.windows for name in window.use] + list(routing.otherwise or names)
        first = dict.fromkeys(names.index(name) for name in listed)
        return RoutingSpec(TargetRouting.OVERFLOW, tuple(k for k in first if k in everything))
    if routing.kind == "complexity":
        order = sorted(everything, key=lambda k: routing.limits.get(names[k], math.inf))
        limits = tuple(routing.limits.get(names[k], math.inf) for k in order)
        return RoutingSpec(TargetRouting.COMPLEXITY, tuple(order), max_complexity=limits, classify_s=routing.classify_s)
    if routing.kind == "cascade":
        on = routing.escalate
        rule = CascadeSpec(on.share, _limit(on.above_complexity), routing.check_s, routing.stream_first)
        return RoutingSpec(
            TargetRouting.CASCADE, (names.index(routing.first), names.index(routing.second)), cascade=rule
        )
    chosen = [names[k] for k in everything]
    weights = tuple(1.0 if routing.weights is None else routing.weights.get(name, 0.0) for name in chosen)
    return RoutingSpec(TargetRouting.WEIGHTED, tuple(everything), weights)
