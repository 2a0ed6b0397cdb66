"""Outcomes as one file of arrays and JSON, and back; nothing in it is ever run."""

from __future__ import annotations

import importlib
import io
import json
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

_TREE = "tree"
_PACKAGE = "simulator."


def encode(value: object) -> bytes:
    """A tree of this package's objects, arrays and plain values as an npz; equal trees give equal bytes.

    Raises
    ------
    TypeError : a value of another kind
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = json.dumps(_written(value, arrays), separators=(",", ":"))
    file = io.BytesIO()
    everything: dict[str, Any] = {_TREE: np.frombuffer(tree.encode(), np.uint8), **arrays}
    np.savez_compressed(file, **everything)
    return file.getvalue()


def decode(content: bytes) -> object:
    """The tree that `encode` wrote.

    Raises
    ------
    ValueError, KeyError, OSError, … : anything else; whoever reads a file that may be damaged catches them all
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        tree = json.loads(file[_TREE].tobytes())
        return _read(tree, file)


def _written(value: object, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return {"f": float(value).hex()}
    if isinstance(value, np.ndarray) and value.dtype.names:  # by column: what stands between fields is of no moment
        return {
            "records": [[name, _written(np.ascontiguousarray(value[name]), arrays)] for name in value.dtype.names],
            "aligned": value.dtype.isalignedstruct,
        }
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"a": name}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_written(each, arrays) for each in value]}
    if isinstance(value, dict):
        return {"map": [[key, _written(each, arrays)] for key, each in value.items()]}
    kind = type(value)
    if not kind.__module__.startswith(_PACKAGE):
        raise TypeError(f"cannot be stored: {kind.__module__}.{kind.__qualname__}")
    state = {name: _written(each, arrays) for name, each in _state(value).items()}
    return {"object": f"{kind.__module__}:{kind.__qualname__}", "state": state}


def _state(value: object) -> dict[str, object]:
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return dict(vars(value))


def _read(tree: Any, file: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    (kind, content), *_ = tree.items()
    match kind:
        case "f":
            return float.fromhex(content)
        case "a":
            return file[content]
        case "records":
            return _records([(name, _read(each, file)) for name, each in content], tree["aligned"])
        case "tuple":
            return tuple(_read(each, file) for each in content)
        case "list":
            return [_read(each, file) for each in content]
        case "map":
            return {key: _read(each, file) for key, each in content}
        case "object":
            return _object(content, {name: _read(each, file) for name, each in tree["state"].items()})
    raise ValueError(f"unknown kind {kind!r}")


def _records(columns: list[tuple[str, Any]], aligned: bool) -> np.ndarray[Any, Any]:
    dtype = np.dtype([(name, values.dtype) for name, values in columns], align=aligned)
    found = np.zeros(columns[0][1].shape, dtype)
    for name, values in columns:
        found[name] = values
    return found


def _object(path: str, state: dict[str, object]) -> object:
    module, _, name = path.partition(":")
    if not module.startswith(_PACKAGE) or "." in name:
        raise ValueError(f"not a class of this package: {path}")
    kind = getattr(importlib.import_module(module), name)
    if not isinstance(kind, type):
        raise ValueError(f"not a class: {path}")
    made: object = object.__new__(kind)
    for key, value in state.items():
        object.__setattr__(made, key, value)
    return made
