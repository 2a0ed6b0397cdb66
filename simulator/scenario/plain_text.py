"""Text of a scenario is shown on terminals and pages: nothing in it may command them or turn its reading round."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from simulator.scenario.document import join

_COMMANDS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for tabs and ends of lines, and those that turn the direction of what follows."""
WORDS = "must have no control characters"


def text_problems(node: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Path, message and offending text of each text below a node that has such a character, and of keys that have."""
    if isinstance(node, str):
        if _COMMANDS.search(node):
            yield path, WORDS, node
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if isinstance(key, str) and _COMMANDS.search(key):
            yield path, f"keys {WORDS}", key
        yield from text_problems(value, join(path, key))
