"""Topologies that events of the study change: the scenario as it is from a month on."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from simulator.errors import unknown_name
from simulator.scenario.document import join
from simulator.scenario.explain import explain, has, own_errors
from simulator.schema.pool import Pool
from simulator.schema.provider import Provider
from simulator.schema.scenario import Scenario
from simulator.schema.study import Event, StudySettings
from simulator.schema.topology import Topology

Found = tuple[str, str, Any]
_NAMED = {"pools": "pool", "providers": "provider", "servers": "servers"}
_STEP = re.compile(r"\.?(?P<name>[^.\[\]]+)|\[(?P<number>\d+)\]")
_ITEM = re.compile(rf"(?P<section>{'|'.join(_NAMED)})\[(?P<number>\d+)\]")


def at_event(scenario: Scenario, k: int) -> Scenario:
    """The scenario with the topology of event `k` as this and the earlier events of the topology leave it.

    Raises
    ------
    ValidationError : the change makes no topology of it
    """
    event = scenario.study.events[k]
    changed = Topology.model_validate(laid_over(before_event(scenario, event), event.change))
    return scenario.model_copy(update={"topologies": {**scenario.topologies, event.topology: changed}})


def before_event(scenario: Scenario, event: Event) -> dict[str, Any]:
    """What is given of an event's topology, with what the earlier ones change."""
    data: dict[str, Any] = _given(scenario.topologies[event.topology])
    for one in _in_order(scenario.study.events):
        if one.topology == event.topology and one.from_month < event.from_month:
            data = laid_over(data, one.change)
    return data


def _in_order(events: Sequence[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event.from_month)


def _given(value: Any) -> Any:
    """What is given of a model, as plain data; the kind of what has several always is."""
    if isinstance(value, BaseModel):
        names = value.model_fields_set | ({"kind"} & set(type(value).model_fields))
        return {name: _given(getattr(value, name)) for name in type(value).model_fields if name in names}
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items()}
    return [_given(item) for item in value] if isinstance(value, tuple | list) else value


def with_whole_changes(
    study: StudySettings,
    topology: str,
    whole: Topology,
    gone: Sequence[Pool] | Sequence[Provider],
    section: Literal["pools", "providers"],
) -> StudySettings:
    """The study of a topology that some targets are left out of: the first event that changes one of them brings them.

    Parameters
    ----------
    whole : the topology with these targets, whose routing knows them
    section : where they stand in it
    """
    names = {one.name for one in gone}
    mine = [k for k, one in enumerate(study.events) if one.topology == topology and names & {*_changed(one, section)}]
    if not mine:
        return study
    events = list(study.events)
    k = min(mine, key=lambda k: events[k].from_month)
    change = events[k].change
    brought = laid_over([_given(one) for one in gone], change[section])
    routing = laid_over(_given(whole.routing), change.get("routing", {}))
    events[k] = events[k].model_copy(update={"change": {**change, section: brought, "routing": routing}})
    return study.model_copy(update={"events": tuple(events)})


def _changed(event: Event, section: str) -> list[str]:
    found = event.change.get(section) or []
    return [item["name"] for item in found] if is_named(found) else []


def at_month(scenario: Scenario, month: int) -> Scenario:
    """The scenario with every topology as the events up to a month of the study leave it."""
    found = dict(scenario.topologies)
    for k, event in _last_by_then(scenario.study.events, month).values():
        found[event.topology] = at_event(scenario, k).topologies[event.topology]
    return scenario.model_copy(update={"topologies": found})


def _last_by_then(events: Sequence[Event], month: int) -> dict[str, tuple[int, Event]]:
    by_then = [(k, event) for k, event in enumerate(events) if event.from_month <= month]
    return {event.topology: (k, event) for k, event in sorted(by_then, key=lambda one: one[1].from_month)}


def over_time(scenario: Scenario, name: str) -> list[Topology]:
    """A topology as it is, and as each event leaves it."""
    events = [k for k, event in enumerate(scenario.study.events) if event.topology == name]
    return [scenario.topologies[name], *(at_event(scenario, k).topologies[name] for k in events)]


def laid_over(old: Any, new: Any) -> Any:
    """As overlays: maps merge, lists of named things by name, all else is replaced, and so is a map of another kind."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("kind") == new.get("kind", old.get("kind")):
        return {**old, **{key: laid_over(old.get(key), value) for key, value in new.items()}}
    if is_named(old) and is_named(new):
        found = {item["name"]: item for item in old}
        for item in new:
            found[item["name"]] = laid_over(found.get(item["name"]), item)
        return list(found.values())
    return new


def is_named(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in value)
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
        if not event.change:
            yield f"{path}.change", "say what changes, as pools: [{name: base, gpu: b200}]", None
        if _threshold_of(event.change) == "auto":
            where = f"{path}.change.routing.when.outstanding_per_replica"
            yield where, "is found for the whole study: auto stands in the topology itself, a number here", "auto"
    yield from _shape_problems(scenario)


def _threshold_of(change: Any) -> Any:
    for key in ("routing", "when", "outstanding_per_replica"):
        change = change.get(key) if isinstance(change, Mapping) else None
    return change


def _shape_problems(scenario: Scenario) -> Iterator[Found]:
    """Of each topology the first change that makes no topology of it."""
    broken: set[str] = set()
    for event in _in_order(scenario.study.events):
        if event.topology in broken or event.topology not in scenario.topologies:
            continue
        k, data = scenario.study.events.index(event), laid_over(before_event(scenario, event), event.change)
        try:
            Topology.model_validate(data)
            yield from _nowhere(scenario, k, data)
        except ValidationError as error:
            broken.add(event.topology)
            for detail in own_errors(data, error):
                yield in_change(scenario, k, *explain(data, detail, Topology))


def _nowhere(scenario: Scenario, k: int, after: Any) -> Iterator[Found]:
    """Pools that event `k` adds without a word on where: a name that is misspelled, or a site that is forgotten."""
    known = {one["name"] for one in before_event(scenario, scenario.study.events[k]).get("pools", ())}
    for number, pool in enumerate(after.get("pools", ())):
        if pool["name"] not in known and "site" not in pool:
            yield in_change(scenario, k, f"pools[{number}]", "'site' is missing", None)


def in_change(scenario: Scenario, k: int, where: str, message: str, got: Any) -> Found:
    """A problem of a topology as event `k` leaves it, at the key of the change; what is incomplete may be misspelled.

    Parameters
    ----------
    where : below the topology
    """
    event = scenario.study.events[k]
    before = before_event(scenario, event)
    after = laid_over(before, event.change)
    item = _ITEM.fullmatch(where)
    if item is not None:
        section, number = item["section"], int(item["number"])
        known = [one["name"] for one in before.get(section, ())]
        if known and is_named(after[section]) and after[section][number]["name"] not in known:
            unknown = unknown_name(_NAMED[section], str(after[section][number]["name"]), known)
            message = f"{unknown} (in a new one {message})"
    path, rest = _own_key(after, event.change, where)
    here = f"study.events[{k}].change"
    return join(here, path) if path else here, f"{rest}: {message}" if rest else message, got


def _own_key(changed: Any, change: Any, where: str) -> tuple[str, str]:
    """Path in a change of what stands at `where` in the topology that it leaves, and the rest that it does not give.

    In a list of named things the change has them at places of their own.
    """
    path = ""
    for step in _STEP.finditer(where):
        key: int | str = int(step["number"]) if step["number"] else step["name"]
        at = key
        if isinstance(key, int) and is_named(changed) and is_named(change):
            names = [item["name"] for item in change]
            at = names.index(changed[key]["name"]) if changed[key]["name"] in names else len(names)
        if not has(change, at):
            return path, where[step.start() :].lstrip(".")
        path, change, changed = join(path, at), change[at], changed[key]
    return path, ""
