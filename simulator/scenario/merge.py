"""Overlays and `--set`: deep merging in which every value remembers where it came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from simulator.errors import InputError, Problem, unknown_name
from simulator.scenario.document import Document, Origin, join, parse_document

_STEP = re.compile(r"\.?([^.\[\]]+)|\[([^\[\]]+)\]")


def merge_overlays(base: Document, overlays: Sequence[Document]) -> None:
    """Lay overlays over `base`, in order. Maps merge, lists of named things merge by name, other lists are replaced.

    Raises
    ------
    InputError : two overlays give the same key
    """
    given: dict[str, Origin] = {}
    problems: list[Problem] = []
    for overlay in overlays:
        mine: dict[str, Origin] = {}
        base.data = _merge(base, overlay, base.data, overlay.data, "", "", mine)
        for path, origin in mine.items():
            if path in given:
                problems.append(_conflict(path, origin, given[path]))
        given.update(mine)
    if problems:
        raise InputError(*problems)


def _conflict(path: str, origin: Origin, other: Origin) -> Problem:
    return Problem(f"is also given at {other}: keep one", origin.file, origin.line, origin.column, path)


def _merge(
    base: Document, overlay: Document, old: Any, new: Any, path: str, source: str, given: dict[str, Origin]
) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in new.items():
            old[key] = _merge(base, overlay, old.get(key), value, join(path, key), join(source, key), given)
        return old
    if _named(old) and _named(new):
        places = {item["name"]: k for k, item in enumerate(old)}
        for k, item in enumerate(new):
            at = places.get(item["name"], len(old))
            merged = _merge(
                base, overlay, old[at] if at < len(old) else None, item, join(path, at), join(source, k), given
            )
            if at < len(old):
                old[at] = merged
            else:
                old.append(merged)
        return old
    for known in [known for known in base.origins if _inside(known, path)]:
        del base.origins[known]
    for known, origin in overlay.origins.items():
        if _inside(known, source):
            base.origins[path + known[len(source) :]] = origin
    if not path.endswith(".name"):
        given[path] = overlay.origins[source]
    return new


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def _inside(path: str, root: str) -> bool:
    return path == root or (path.startswith(root) and (not root or path[len(root)] in ".["))


def apply_sets(base: Document, sets: Sequence[str]) -> None:
    """Apply `path=value` assignments; a list item is named by index or by its name, as `pools[base].tp`.

    Raises
    ------
    InputError : not an assignment, a list item that does not exist, or one key twice
    """
    seen: dict[str, str] = {}
    for text in sets:
        where, equals, value = text.partition("=")
        if not equals or not where.strip():
            raise InputError(Problem("must have the form path=value", "--set", got=text))
        origin = Origin(f"--set {text}")
        path = _assign(base, where.strip(), parse_document(value or '""', f"--set {text}").data, origin)
        if path in seen:
            raise InputError(Problem(f"is also given by --set {seen[path]}: keep one", origin.file, path=path))
        seen[path] = text


def _assign(base: Document, where: str, value: Any, origin: Origin) -> str:
    steps = [name or f"[{item}]" for name, item in _STEP.findall(where)]
    node, path = base.data, ""
    for k, step in enumerate(steps):
        key = _list_key(node, step, path, origin) if step.startswith("[") else step
        path = join(path, key)
        if k == len(steps) - 1:
            node[key] = value
        elif isinstance(node, dict):
            node = node.setdefault(key, {})
            base.origins.setdefault(path, origin)
        else:
            node = node[key]
        if k < len(steps) - 1 and not isinstance(node, dict | list):
            raise InputError(Problem("is a value, nothing can be set below it", origin.file, path=path))
    for known in [known for known in base.origins if _inside(known, path)]:
        del base.origins[known]
    base.origins[path] = origin
    return path


def _list_key(node: Any, step: str, path: str, origin: Origin) -> int:
    wanted = step[1:-1]
    if not isinstance(node, list):
        raise InputError(Problem("is not a list", origin.file, path=path))
    if wanted.isdigit() and int(wanted) < len(node):
        return int(wanted)
    names = {item.get("name"): k for k, item in enumerate(node) if isinstance(item, dict)}
    if wanted in names:
        return names[wanted]
    choices = [str(name) for name in names if name is not None] or [str(k) for k in range(len(node))]
    raise InputError(Problem(unknown_name("item", wanted, choices), origin.file, path=path))
