"""Topologies that events of the study change: the scenario as it is from a month on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from simulator.errors import unknown_name
from simulator.scenario.explain import explain, own_errors
from simulator.schema.scenario import Scenario
from simulator.schema.topology import Topology

Found = tuple[str, str, Any]


def at_event(scenario: Scenario, k: int) -> Scenario:
    """The scenario with the topology of event `k` as this and the earlier events of the topology leave it.

    Raises
    ------
    ValidationError : the change makes no topology of it
    """
    event = scenario.study.events[k]
    before = [one for one in scenario.study.events if one.topology == event.topology]
    data = _given(scenario.topologies[event.topology])
    for one in sorted(before, key=lambda one: one.from_month):
        if one.from_month <= event.from_month:
            data = _laid_over(data, one.change)
    topologies = {**scenario.topologies, event.topology: Topology.model_validate(data)}
    return scenario.model_copy(update={"topologies": topologies})


def _given(value: Any) -> Any:
    """What is given of a model, as plain data; the kind of what has several always is."""
    if isinstance(value, BaseModel):
        names = value.model_fields_set | ({"kind"} & set(type(value).model_fields))
        return {name: _given(getattr(value, name)) for name in type(value).model_fields if name in names}
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items()}
    return [_given(item) for item in value] if isinstance(value, tuple | list) else value


def over_time(scenario: Scenario, name: str) -> list[Topology]:
    """A topology as it is, and as each event leaves it."""
    events = [k for k, event in enumerate(scenario.study.events) if event.topology == name]
    return [scenario.topologies[name], *(at_event(scenario, k).topologies[name] for k in events)]


def _laid_over(old: Any, new: Any) -> Any:
    """As overlays: maps merge, lists of named things by name, all else is replaced, and so is a map of another kind."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("kind") == new.get("kind", old.get("kind")):
        return {**old, **{key: _laid_over(old.get(key), value) for key, value in new.items()}}
    if _is_named(old) and _is_named(new):
        found = {item["name"]: item for item in old}
        for item in new:
            found[item["name"]] = _laid_over(found.get(item["name"]), item)
        return list(found.values())
    return new


def _is_named(value: Any) -> bool:
    return (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(x, Mapping) and "name" in x for x in value)
    )


def event_problems(scenario: Scenario) -> Iterator[Found]:
    """Events of unknown topologies, out of the study, twice in a month, or that change nothing or too much."""
    study = scenario.study
    times = Counter((event.topology, event.from_month) for event in study.events)
    for k, event in enumerate(study.events):
        path = f"study.events[{k}]"
        if event.topology not in scenario.topologies:
            yield f"{path}.topology", unknown_name("topology", event.topology, scenario.topologies), None
            continue
        if event.from_month > math.ceil(study.months):
            yield f"{path}.from_month", f"the study ends with month {math.ceil(study.months)}", event.from_month
        if times[event.topology, event.from_month] > 1:
            yield f"{path}.from_month", "another event changes this topology in the same month: make one of them", None
        kept = [key for key in ("staff", "fees") if key in event.change]
        if kept:
            words = f"{' and '.join(kept)} stay: what an event costs once is usd_once"
            yield f"{path}.change", words, None
        elif not event.change:
            yield f"{path}.change", "say what changes, as pools: [{name: base, gpu: b200}]", None
        else:
            yield from _shape_problems(scenario, k)


def _shape_problems(scenario: Scenario, k: int) -> Iterator[Found]:
    try:
        at_event(scenario, k)
    except ValidationError as error:
        for detail in own_errors({}, error):
            where, message, got = explain({}, detail, Topology)
            yield f"study.events[{k}].change", f"{where}: {message}" if where else message, got
