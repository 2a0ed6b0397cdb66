"""Changes single values in the text of a scenario; comments and layout stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Step = str | int
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}


def assign(text: str, steps: Sequence[Step], value: Any) -> str:
    """The text with the value at `steps` set: replaced where it is written, else put into the section around it.

    Parameters
    ----------
    text : a valid scenario
    steps : names of keys and places in lists, as `("topologies", "own", "pools", 0, "replicas")`
    value : number, text or truth value

    Raises
    ------
    ValueError : a list on the way has no such item, or a section or nothing stands where the value belongs
    """
    reader = YAML(typ="safe", pure=True)
    reader.composer.warn_double_anchors = False
    node: Node = reader.compose(text)
    for depth, step in enumerate(steps):
        child = _child(node, step)
        if child is None:
            return _insert(text, node, steps[depth:], value)
        node = child
    start, end = node.start_mark.index, node.end_mark.index
    if not isinstance(node, ScalarNode) or start == end:
        raise ValueError("a section stands where the value belongs, or nothing")
    return text[:start] + _written(value) + text[end:]


def _child(node: Node, step: Step) -> Node | None:
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: Node = node.value[step]
        return found
    return None


def _insert(text: str, node: Node, steps: Sequence[Step], value: Any) -> str:
    """Before the first entry of a section, in its own style."""
    if not isinstance(node, MappingNode) or not node.value or not all(isinstance(step, str) for step in steps):
        raise ValueError("there is no place for the value")
    inner = _written(value)
    for step in reversed(steps[1:]):
        inner = f"{{{step}: {inner}}}"
    entry = f"{steps[0]}: {inner}"
    first = node.value[0][0].start_mark
    between = ", " if node.flow_style else "\n" + " " * first.column
    return text[: first.index] + entry + between + text[first.index :]


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else json.dumps(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value)
