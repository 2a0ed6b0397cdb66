"""A scenario as a mapping of Python: plain data, each value with the path of its keys as its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError, Problem
from simulator.scenario.document import MAX_NODES, MAX_PATH, Document, Origin, join

MAPPING = Origin("mapping")
"""Where a value was written that no file holds."""
_PLAIN = (str, bool, int, float, date, type(None))


def mapping_document(data: Mapping[str, Any]) -> Document:
    """A mapping as a document; tuples become lists, paths text and numbers of numpy those of Python.

    The mapping itself stays as it is, and what is done to the document does not reach it.

    Raises
    ------
    InputError : keys that are no text, values that no scenario can hold, or a mapping within itself, each at its path
    """
    reader = _Reader()
    document = Document(reader.read(data, ""), reader.origins)
    if reader.problems:
        raise InputError(*reader.problems)
    return document


class _Reader:
    def __init__(self) -> None:
        self.origins: dict[str, Origin] = {}
        self.problems: list[Problem] = []
        self._open: set[int] = set()

    def read(self, value: Any, path: str) -> Any:
        if len(self.origins) >= MAX_NODES or len(path) > MAX_PATH or id(value) in self._open:
            raise InputError(
                Problem("has too many values, or holds itself", MAPPING.file, path=path[:MAX_PATH] or None)
            )
        self.origins[path] = MAPPING
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, Path):
            return str(value)
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                return {key: self.read(item, join(path, key)) for key, item in self._named(value, path)}
            if isinstance(value, Sequence | np.ndarray) and not isinstance(value, bytes | bytearray):
                return [self.read(item, join(path, k)) for k, item in enumerate(value)]
        finally:
            self._open.discard(id(value))
        self._wrong("must be text, a number, a switch, a list or a mapping", path, type(value).__name__)
        return None

    def _named(self, value: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Any]]:
        for key, item in value.items():
            if isinstance(key, str):
                yield key, item
            else:
                self._wrong("a key must be text", path, repr(key))

    def _wrong(self, message: str, path: str, got: str) -> None:
        self.problems.append(Problem(message, MAPPING.file, path=path or None, got=got))
