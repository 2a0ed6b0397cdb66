"""What differs between resolved scenarios: paths and the values of each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from simulator.schema.money import Servers
from simulator.schema.pool import Pool
from simulator.schema.provider import Provider

_SECTIONS: dict[str, type[BaseModel]] = {"pools": Pool, "providers": Provider, "servers": Servers}
_ITEM = re.compile(rf"\b({'|'.join(_SECTIONS)})\[[^\[\]]*\]$")
ABSENT = object()
"""Stands for a value that one of the scenarios does not have."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One path and its values, in the order of the scenarios; `ABSENT` where a scenario lacks it."""

    path: str
    values: tuple[Any, ...]


def differences(scenarios: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Paths at which not all scenarios say the same, in the order of the first scenario that has them.

    Lists of named things are matched by name, as `topologies.cloud.pools[rented].gpu`, other lists by position. Where a
    part is missing in one scenario, the part is one difference, not everything in it. Where parts say the same but in
    another order or as another kind, the whole is the difference: scenarios that are not equal always differ somewhere.
    """
    return _compare("", tuple(scenarios))


def leaves(found: Sequence[Difference]) -> list[Difference]:
    """The same differences with parts that a scenario lacks taken apart, for tables in which a part would be too wide.

    Settings of such a part that say nothing (null, empty) or what holds unless it is given are left out.
    """
    apart: list[Difference] = []
    for entry in found:
        if not all(value is ABSENT or isinstance(value, Mapping) for value in entry.values):
            apart.append(entry)
            continue
        unless_given = _unless_given(entry.path)
        parts = [
            {key: item for key, item in value.items() if key not in unless_given or item != unless_given[key]}
            if isinstance(value, Mapping)
            else {}
            for value in entry.values
        ]
        inside = [
            Difference(f"{entry.path}.{key}", tuple(part.get(key, ABSENT) for part in parts))
            for key in dict.fromkeys(key for part in parts for key in part if key != "name")
        ]
        apart += leaves([one for one in inside if any(_says(value) for value in one.values)])
    return apart


def _unless_given(path: str) -> dict[str, Any]:
    """What holds in a part unless it is given, as plain data; nothing of parts that are of no kind of section."""
    found = _ITEM.search(path)
    return _defaults(found[1]) if found else {}


@cache
def _defaults(section: str) -> dict[str, Any]:
    fields = _SECTIONS[section].model_fields
    values = {name: one.get_default(call_default_factory=True) for name, one in fields.items() if not one.is_required()}
    return {name: to_jsonable_python(value) for name, value in values.items()}


def _says(value: Any) -> bool:
    return value is not ABSENT and value not in (None, [], {})


def in_words(value: Any) -> str:
    """A value of a difference as text: of a part the settings that say something, `-` where it is absent."""
    if value is ABSENT:
        return "-"
    if isinstance(value, Mapping):
        said = {key: item for key, item in value.items() if key != "name" and _says(item)}
        return ", ".join(f"{key}: {_nested(item)}" for key, item in said.items())
    if isinstance(value, list):
        return ", ".join(_nested(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _nested(value: Any) -> str:
    text = in_words(value)
    return f"({text})" if isinstance(value, Mapping | list) else text


def _compare(path: str, nodes: tuple[Any, ...]) -> list[Difference]:
    if all(node == nodes[0] for node in nodes[1:]):
        return []
    parts = [_parts(node) for node in nodes]
    if any(part is None for part in parts):
        return [Difference(path, nodes)]
    found: list[Difference] = []
    maps = [part for part in parts if part is not None]
    for key in dict.fromkeys(key for part in maps for key in part):
        where = f"{path}.{key}" if path and not key.startswith("[") else f"{path}{key}"
        found += _compare(where, tuple(part.get(key, ABSENT) for part in maps))
    return found or [Difference(path, nodes)]


def _parts(node: Any) -> dict[str, Any] | None:
    """Children by what they are called in a path; None for a value."""
    if isinstance(node, Mapping):
        return {str(key): value for key, value in node.items()}
    if isinstance(node, list):
        return {
            f"[{item['name'] if isinstance(item, Mapping) and 'name' in item else k}]": item
            for k, item in enumerate(node)
        }
    return None
