"""Prints a scenario with everything filled in and the origin of each value beside it."""

from __future__ import annotations

import json
import re
from typing import Any

from simulator.scenario.document import join
from simulator.scenario.load import LoadedScenario

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*")


def resolved_yaml(loaded: LoadedScenario) -> str:
    """The merged scenario as YAML; each value carries a comment: where it was written, or that it is a default."""
    lines = _lines(loaded, loaded.scenario.model_dump(mode="json"), "", 0)
    return "\n".join(lines) + "\n"


def _lines(loaded: LoadedScenario, node: Any, path: str, depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    items = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
    for key, value in items:
        where = join(path, key)
        if isinstance(value, dict | list) and value:
            inner = _lines(loaded, value, where, depth + 1)
            if isinstance(key, int):
                first = inner[0].removeprefix("  " * (depth + 1))
                lines += [f"{pad}- {first}", *inner[1:]]
            else:
                lines += [f"{pad}{_key(key)}:", *inner]
        else:
            head = f"{pad}-" if isinstance(key, int) else f"{pad}{_key(key)}:"
            lines.append(f"{head} {json.dumps(value, ensure_ascii=False)}  # {_comment(loaded, where)}")
    return lines


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _comment(loaded: LoadedScenario, path: str) -> str:
    """Origin of a value, on one line."""
    return " ".join(str(loaded.origin(path) or "default").split())
