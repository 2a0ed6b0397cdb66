"""YAML with positions: plain data beside the place of every value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from simulator.errors import InputError, Problem
from simulator.results.inputs import input_text

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
"""Values in a file with its aliases written out; keeps a file of aliases from exhausting memory."""
MAX_PATH = 2_000
"""Characters of a dotted path; keeps long keys around many values from exhausting memory."""
MAX_SHOWN = 60
"""Characters of an unreadable value that an error repeats."""
_MERGE = "<<"
"""A plain key whose value, or values, are mappings that its own mapping takes the keys of that it does not have."""
_CLOSE_COLON = re.compile(r"(?:- )?\w+:[^\s:]+")
"""A line that was meant as a key with its value."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: a file with line and column from 1, or an option of the command."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(slots=True)
class Document:
    """Data of a YAML file and the origin of every value, by dotted path (`a.b[0].c`; the root is ``)."""

    data: Any
    origins: dict[str, Origin]


def join(path: str, key: str | int) -> str:
    """Path of a child: a name after a dot, an index in brackets."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def read_document(file: Path) -> Document:
    """Read one YAML file with the safe loader.

    Raises
    ------
    InputError : missing, too large, not YAML, a key twice, or aliases that grow without bound
    """
    return parse_document(input_text(file, MAX_BYTES), str(file))


def parse_document(text: str, file: str) -> Document:
    """As `read_document`, from text; `file` is what errors name."""
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(text)
        if root is None:
            raise InputError(Problem("is empty", file))
        reader = _Reader(file, yaml)
        return Document(reader.read(root, ""), reader.origins)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        told = f"{error.problem or error.context}{_close_colon(text, mark.index) if mark else ''}"
        raise InputError(Problem(f"not valid YAML: {told}", file, *place)) from error
    except ReaderError as error:
        before = text[: error.position]
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise InputError(Problem(f"not valid YAML: {error.reason}", file, *place)) from error
    except RecursionError as error:
        raise InputError(Problem("is nested too deeply", file)) from error


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _close_colon(text: str, at: int) -> str:
    """What else to say of an error at this character, where a value follows a colon without a space."""
    if text[max(at - 1, 0) : at] == ":" and text[at : at + 1] in ("{", "["):
        return "; a space must follow a colon"
    above = text[: text.rfind("\n", 0, at) + 1].rstrip().rpartition("\n")[2].strip()
    return f"; a space must follow the colon of {_short(above)!r} above" if _CLOSE_COLON.fullmatch(above) else ""


def _is_left_out(node: Node) -> bool:
    """Whether a key has no value, which is not the same as a written null."""
    return isinstance(node, ScalarNode) and node.style is None and node.value == ""


class _Reader:
    def __init__(self, file: str, yaml: YAML) -> None:
        self.file = file
        self.yaml = yaml
        self.origins: dict[str, Origin] = {}
        self._open: set[int] = set()
        self._nodes = 0

    def _place(self, node: Node) -> tuple[str, int, int]:
        return self.file, node.start_mark.line + 1, node.start_mark.column + 1

    def read(self, node: Node, path: str) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or id(node) in self._open:
            raise InputError(Problem("aliases grow without bound", *self._place(node), path=path))
        if len(path) > MAX_PATH:
            raise InputError(Problem("is nested too deeply, or below too long a name", *self._place(node)))
        self.origins[path] = Origin(*self._place(node))
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.read(child, join(path, k)) for k, child in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: ScalarNode, path: str) -> Any:
        try:
            return self.yaml.constructor.construct_object(node)
        except (ValueError, LookupError, OverflowError) as error:
            kind = str(node.tag).rpartition(":")[2]
            raise InputError(Problem(f"is no {kind}", *self._place(node), path=path, got=_short(node.value))) from error

    def _mapping(self, node: Node, path: str) -> dict[str, Any]:
        """A mapping; keys are the text that was written, so `null` or `1e3` can name a topology.

        What `<<` merges into it comes after its own keys, and gives none of theirs; each value keeps its place.
        """
        found: dict[str, Any] = {}
        for key_node, value_node in self._pairs(node, path):
            key = key_node.value
            if ":" in key and _is_left_out(value_node):
                meant = f"write '{_short(key.replace(':', ': ', 1))}'"
                problem = f"{_short(key)!r} is a key without a value, as no space follows its colon: {meant}"
                raise InputError(Problem(problem, *self._place(key_node), path=join(path, key)))
            found[key] = self.read(value_node, join(path, key))
            if not isinstance(value_node, ScalarNode):
                self.origins[join(path, key)] = Origin(*self._place(key_node))
        return found

    def _pairs(self, node: Node, path: str) -> Iterator[tuple[ScalarNode, Node]]:
        """Keys and values of a mapping, then of those that it merges, the first of equal keys."""
        bases: list[Node] = []
        own: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise InputError(Problem("a key must be a name", *self._place(key_node), path=path or None))
            if key_node.value in own:
                raise InputError(Problem("is given twice", *self._place(key_node), path=join(path, key_node.value)))
            own.add(key_node.value)
            if key_node.value != _MERGE or key_node.style is not None:
                yield key_node, value_node
                continue
            bases = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            if not bases or not all(isinstance(base, MappingNode) for base in bases):
                problem = "merges mappings: write an alias of one, as *base, or a list of them"
                raise InputError(Problem(problem, *self._place(value_node), path=join(path, _MERGE)))
        for base in bases:
            self._nodes += len(base.value)
            if self._nodes > MAX_NODES or id(base) in self._open:
                raise InputError(Problem("aliases grow without bound", *self._place(base), path=path))
            self._open.add(id(base))
            try:
                for key_node, value_node in self._pairs(base, path):
                    if key_node.value not in own:
                        own.add(key_node.value)
                        yield key_node, value_node
            finally:
                self._open.discard(id(base))
