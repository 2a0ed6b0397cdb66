"""What `--set` needs to give a scenario a value: paths and values as text, below an event where that changes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from simulator.errors import InputError
from simulator.scenario.document import parse_document
from simulator.scenario.phases import before_event, is_named, laid_over
from simulator.schema.scenario import Scenario

Given = tuple[str, Any]
"""A path below a topology, as `pools[base].replicas`, and what stands there."""
_Keys = tuple[str | int, ...]
_STEP = re.compile(r"\.?(?P<name>[^.\[\]]+)|\[(?P<item>[^\[\]]+)\]")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*")


def set_text(path: str, value: Any) -> str:
    """As `--set` takes it."""
    return f"{path}={flow(value)}"


def flow(value: Any) -> str:
    """A value as YAML on one line, that is read as what it is."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value) and _read(value) == value:
        return value
    return json.dumps(value, default=str)


def _read(text: str) -> Any:
    try:
        return parse_document(text, "").data
    except InputError:
        return None


def path_text(tree: Any, keys: Sequence[str | int]) -> str:
    """Where keys lead in a scenario, as `--set` takes it: items by name, names with dots in them in brackets."""
    return "".join(_steps(tree, keys)).removeprefix(".")


def item(items: Sequence[Any], k: int) -> str:
    """Item `k` of a list of named things, by its name where that is no number and nobody else's."""
    names = [one["name"] if isinstance(one, Mapping) else one.name for one in items]
    return f"[{names[k]}]" if not names[k].isdecimal() and names.count(names[k]) == 1 else f"[{k}]"


def set_lines(scenario: Scenario, month: int, topology: str, given: Sequence[Given]) -> list[str]:
    """What `--set` needs to give a topology these values in a month: in the last event that has changed it by then."""
    events = scenario.study.events
    by_then = [k for k, event in enumerate(events) if event.topology == topology and event.from_month <= month]
    if by_then:
        return set_in_event(scenario, max(by_then, key=lambda k: events[k].from_month), given)
    return [set_text(f"{path_text(None, ('topologies', topology))}.{path}", value) for path, value in given]


def set_in_event(scenario: Scenario, k: int, given: Sequence[Given]) -> list[str]:
    """What `--set` needs to give a topology these values from event `k` on, of whose change they become a part.

    What the change does not touch is added to it; a list without names, which a change replaces as a whole, with all
    that it holds by then.
    """
    event = scenario.study.events[k]
    change = deepcopy(event.change)
    after = laid_over(before_event(scenario, event), event.change)
    roots: list[_Keys] = []
    for path, value in given:
        steps = [step["name"] or f"[{step['item']}]" for step in _STEP.finditer(path)]
        roots.append(_put(change, after, steps, value))
    where = f"study.events{item(scenario.study.events, k)}.change"
    outer = [root for root in dict.fromkeys(roots) if not any(root[:n] in roots for n in range(len(root)))]
    return [set_text(where + "".join(_steps(change, root)), _at(change, root)) for root in outer]


def _put(change: Any, after: Any, steps: Sequence[str], value: Any) -> _Keys:
    """Lay a value into a change; the keys of the outermost thing that is not as it was."""
    keys: list[str | int] = []
    for n, step in enumerate(steps):
        rest = steps[n + 1 :]
        key = _key(after, step)
        there = after[key] if _has(after, key) else None
        if isinstance(change, list) and is_named(after):
            name = after[key]["name"]
            own = [one["name"] for one in change]
            if name not in own:
                change.append({"name": name, **_built(there, rest, value)})
                return tuple(keys)
            key = own.index(name)
        if not rest:
            change[key] = value
            return (*keys, key)
        if not _has(change, key) or not isinstance(change[key], dict | list):
            change[key] = _built(there, rest, value)
            return (*keys, key)
        keys.append(key)
        change, after = change[key], there
    raise AssertionError("a path has a step")


def _built(there: Any, steps: Sequence[str], value: Any) -> Any:
    """What a change has to hold, that says nothing of it so far, to put a value below what stands there."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if not step.startswith("["):
        below = there.get(step) if isinstance(there, Mapping) else None
        return {step: _built(below, rest, value)}
    k = _key(there, step)
    assert isinstance(k, int)
    if is_named(there):
        return [{"name": there[k]["name"], **_built(there[k], rest, value)}]
    whole = deepcopy(there)
    whole[k] = laid_over(whole[k], _built(whole[k], rest, value))
    return whole


def _key(there: Any, step: str) -> str | int:
    """The key of a step, an item by its name or number."""
    if not step.startswith("["):
        return step
    wanted = step[1:-1]
    if wanted.isdecimal() and int(wanted) < len(there):
        return int(wanted)
    return [one["name"] for one in there].index(wanted)


def _has(there: Any, key: str | int) -> bool:
    if isinstance(key, int):
        return isinstance(there, list) and key < len(there)
    return isinstance(there, Mapping) and key in there


def _at(change: Any, keys: _Keys) -> Any:
    for key in keys:
        change = change[key]
    return change


def _steps(tree: Any, keys: Sequence[str | int]) -> Iterator[str]:
    for key in keys:
        if isinstance(key, str):
            yield f"[{key}]" if "." in key else f".{key}"
        else:
            yield item(tree, key) if is_named(tree) else f"[{key}]"
        tree = tree[key] if _has(tree, key) else None
