"""Values of a scenario that name files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.scenario.document import join

KEYS = ("file", "profile", "hardware", "model")
"""Keys whose text names a file; a model's may be a name of the catalog instead."""


def texts_of_files(node: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Path, key and value of everything in plain data that may name a file, wherever it stands."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(value, str) and key in KEYS:
            yield join(path, key), str(key), value
        else:
            yield from texts_of_files(value, join(path, key))


def named_files(data: Any, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Path, key and value of everything in a scenario's data that names a file, and no model of the catalog."""
    return (found for found in texts_of_files(data) if found[1] != "model" or is_config(folder, found[2]))


def missing_files(data: Any, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Path, message and value of everything that names a file that is not there."""
    for path, key, written in named_files(data, folder):
        file = folder / written
        if not os.path.isfile(file / "config.json" if key == "model" and os.path.isdir(file) else file):
            yield path, f"no such file in {folder}", written


def is_config(folder: Path, name: str) -> bool:
    """Whether a model is named by its `config.json`, or the folder that holds it, and not by the catalog."""
    return name.endswith(".json") or os.path.isdir(folder / name)
