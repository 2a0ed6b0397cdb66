"""Overlays and `--set`: deep merging in which every value remembers where it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from simulator.errors import InputError, Problem, unknown_name
from simulator.scenario.document import Document, Origin, join, parse_document

_STEP = re.compile(r"\.?([^.\[\]]+)|\[([^\[\]]+)\]")
_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[[^\[\]]+\])*")
_Item = tuple[str, list[Any], int]
"""Of a list that stands at a path one item."""
_TOPOLOGIES, _EVENTS = "topologies", "study.events"


class Claims:
    """Who gives which value, so that two overlays, or an overlay and a `--set`, never give the same one."""

    def __init__(self) -> None:
        self._leaves: dict[str, Origin] = {}
        self._around: dict[str, Origin] = {}

    def conflicts(self, given: dict[str, Origin]) -> list[Problem]:
        """One problem per value of `given` (origin by path) that is claimed already, or lies in or around such."""
        found: list[Problem] = []
        for path, origin in given.items():
            above = (self._leaves[part] for part in (path, *_parents(path)) if part in self._leaves)
            other = next(above, self._around.get(path))
            if other is not None:
                found.append(
                    Problem(f"is also given by {other}: keep one", origin.file, origin.line, origin.column, path)
                )
        return found

    def add(self, given: dict[str, Origin]) -> None:
        """Claim the values of `given`."""
        self._leaves.update(given)
        for path, origin in given.items():
            for part in _parents(path):
                self._around.setdefault(part, origin)


def _parents(path: str) -> Iterator[str]:
    """Every prefix of a dotted path that is a path, longest first, without the root."""
    for end in range(len(path) - 1, 0, -1):
        if path[end] in ".[":
            yield path[:end]


def _leaves(value: Any, path: str) -> Iterator[str]:
    """Paths of the values that merging treats as one; the names that identify list items are none of them."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, join(path, key))
    elif _named(value):
        for k, item in enumerate(value):
            yield from (leaf for leaf in _leaves(item, join(path, k)) if leaf != join(join(path, k), "name"))
    else:
        yield path


def merge_overlays(base: Document, overlays: Sequence[Document]) -> Claims:
    """Lay overlays over `base`, in order; returns what they gave.

    Maps merge, lists of named things merge by name, other lists are replaced, and so is a map of another `kind`. A
    topology that is null is taken away, with its events.

    Raises
    ------
    InputError : two overlays give the same value
    """
    claims = Claims()
    problems: list[Problem] = []
    for overlay in overlays:
        given: dict[str, Origin] = {}
        base.data = _merge(base, overlay, base.data, overlay.data, "", "", given)
        problems += claims.conflicts(given)
        claims.add(given)
    if problems:
        raise InputError(*problems)
    return claims


def _merge(
    base: Document, overlay: Document, old: Any, new: Any, path: str, source: str, given: dict[str, Origin]
) -> Any:
    if isinstance(old, dict) and isinstance(new, dict) and not _other_kind(old, new):
        for key, value in new.items():
            if path == _TOPOLOGIES and value is None and key in old:
                given[join(path, key)] = overlay.origins[join(source, key)]
                without_topology(base, key)
            else:
                old[key] = _merge(base, overlay, old.get(key), value, join(path, key), join(source, key), given)
        return old
    if _named(old) and _named(new):
        places = {item["name"]: k for k, item in enumerate(old)}
        for k, item in enumerate(new):
            at = places.setdefault(item["name"], len(old))
            if at == len(old):
                old.append(None)
            merged = _merge(base, overlay, old[at], item, join(path, at), join(source, k), given)
            given.pop(join(join(path, at), "name"), None)
            old[at] = merged
        return old
    _forget(base, path)
    for known, origin in overlay.origins.items():
        if _inside(known, source):
            base.origins[path + known[len(source) :]] = origin
    for leaf in _leaves(new, path):
        given[leaf] = overlay.origins[source + leaf[len(path) :]]
    return new


def _other_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return "kind" in old and "kind" in new and old["kind"] != new["kind"]


def _named(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in value)
    )


def _inside(path: str, root: str) -> bool:
    return path == root or (path.startswith(root) and (not root or path[len(root)] in ".["))


def _forget(base: Document, path: str) -> None:
    for known in [known for known in base.origins if _inside(known, path)]:
        del base.origins[known]


def without_topology(base: Document, name: str) -> None:
    """Take a topology away, and the events that would change it."""
    del base.data[_TOPOLOGIES][name]
    _forget(base, join(_TOPOLOGIES, name))
    study = base.data.get("study")
    events = study.get("events") if isinstance(study, dict) else None
    if not isinstance(events, list):
        return
    for k in reversed(range(len(events))):
        if isinstance(events[k], dict) and events[k].get("topology") == name:
            _without_item(base, _EVENTS, events, k)


def _without_item(base: Document, where: str, items: list[Any], k: int) -> None:
    """What comes after it in the list at `where` keeps its place in the file."""
    for at in range(k, len(items)):
        path, behind = join(where, at), join(where, at + 1)
        _forget(base, path)
        moved = {path + known[len(behind) :]: base.origins[known] for known in base.origins if _inside(known, behind)}
        base.origins.update(moved)
    del items[k]


def apply_sets(base: Document, sets: Sequence[str], claims: Claims) -> None:
    """Apply `path=value` assignments; `claims` is what overlays gave.

    A list item is named by index or by its name, as `pools[base].replicas`; a key with dots in it goes in brackets, as
    `cost.overrides[power.pue]`. A topology that is null is taken away, with its events, and so is a list item, once
    all else is assigned: numbers are those of the list as it was.

    Raises
    ------
    InputError : not an assignment, a list item or a topology to take away that does not exist, or a value given twice
    """
    problems: list[Problem] = []
    gone: list[_Item] = []
    for text in sets:
        if not isinstance(text, str):
            raise TypeError(f"an assignment is a text, as 'run.seed=3', and each stands by itself: got {text!r}")
        where, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not _PATH.fullmatch(where):
            raise InputError(Problem("must have the form path=value", "--set", got=text))
        origin = Origin(f"--set {text}")
        try:
            parsed = parse_document(value or '""', origin.file).data
        except InputError as error:
            raise InputError(*(replace(one, line=None, column=None, path=where) for one in error.problems)) from error
        given = _assign(base, where, parsed, origin, gone, claims)
        problems += claims.conflicts(given)
        claims.add(given)
    if problems:
        raise InputError(*problems)
    for path, items, k in sorted(gone, key=lambda item: item[2], reverse=True):
        _without_item(base, path, items, k)


def _assign(
    base: Document, where: str, value: Any, origin: Origin, gone: list[_Item], claims: Claims
) -> dict[str, Origin]:
    """Assign a value; a list item that is null is added to those that are `gone`."""
    steps = [name or f"[{item}]" for name, item in _STEP.findall(where)]
    node, path = base.data, ""
    for k, step in enumerate(steps):
        key = _bracket_key(node, step[1:-1], path, origin) if step.startswith("[") else step
        if not isinstance(node, dict) and not isinstance(key, int):
            raise InputError(Problem("is a list: choose an item, as [0] or [name]", origin.file, path=path))
        if value is None and path == _TOPOLOGIES and k == len(steps) - 1:
            if key not in node:
                raise InputError(Problem(unknown_name("topology", str(key), node), origin.file, path=path))
            without_topology(base, str(key))
            return {join(path, key): origin}
        if value is None and isinstance(node, list) and isinstance(key, int) and k == len(steps) - 1:
            gone.append((path, node, key))
            return {join(path, key): origin}
        path = join(path, key)
        if k == len(steps) - 1:
            node[key] = value
        elif isinstance(node, dict):
            if value is None and key not in node and steps[k + 1].startswith("["):
                raise InputError(Problem("is not given: there is nothing to take away", origin.file, path=path))
            is_new = key not in node and path == join(_TOPOLOGIES, key) and not claims.conflicts({path: origin})
            if is_new and any(one.startswith("[") for one in steps[k + 1 :]):
                raise InputError(Problem(unknown_name("topology", str(key), node), origin.file, path=_TOPOLOGIES))
            base.origins.setdefault(path, origin)
            node = node.setdefault(key, {})
        else:
            node = node[key]
        if k < len(steps) - 1 and not isinstance(node, dict | list):
            raise InputError(Problem("is a value, nothing can be set below it", origin.file, path=path))
    _forget(base, path)
    base.origins.update(dict.fromkeys(_everything(value, path), origin))
    return dict.fromkeys(_leaves(value, path), origin)


def _everything(value: Any, path: str) -> Iterator[str]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _everything(item, join(path, key))


def _bracket_key(node: Any, wanted: str, path: str, origin: Origin) -> int | str:
    if isinstance(node, dict):
        return wanted
    if wanted.isdecimal() and int(wanted) < len(node):
        return int(wanted)
    names = {item.get("name"): k for k, item in enumerate(node) if isinstance(item, dict)}
    if wanted in names:
        return names[wanted]
    choices = [str(name) for name in names if name is not None] or [str(k) for k in range(len(node))]
    raise InputError(Problem(unknown_name("item", wanted, choices), origin.file, path=path))
