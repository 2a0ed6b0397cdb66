"""What runs are called where one is chosen: by name, time, model, topologies and note, no two alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from textwrap import shorten

from simulator.errors import InputError
from simulator.results.inputs import input_file, input_json
from simulator.results.notes import read_note
from simulator.results.seal import MANIFEST

_MOST_NOTE = 60
"""Letters of a note in a label."""
_HASHED = re.compile(r"(.+)-[0-9a-f]{8}")
_MODEL = re.compile(r"^model: *[\"']?([^\"'#\n]+)", re.MULTILINE)
_MOST_BYTES = 4_000_000
"""Of a summary that is read for a name."""
_HEAD_BYTES = 20_000
"""Of a scenario's text, in which its model stands."""


def labels(folders: Mapping[str, Path]) -> dict[str, str]:
    """A label for each folder of a run; where two begin alike, both say the folder too."""
    parts = {name: _parts(str(folder), _written_ns(folder)) for name, folder in folders.items()}
    heads = Counter(head for head, _ in parts.values())
    found: dict[str, str] = {}
    for name, (head, rest) in parts.items():
        note = shorten(read_note(folders[name]), _MOST_NOTE, placeholder=" …")
        told = head if heads[head] == 1 else f"{head} ({name})"
        found[name] = ", ".join(part for part in (told, rest, f"“{note}”" if note else "") if part)
    return found


@lru_cache(maxsize=10_000)
def _parts(folder: str, written_ns: int) -> tuple[str, str]:
    """Name and time; model and topologies. A run that cannot be read is called what its folder is."""
    path = Path(folder)
    hashed = _HASHED.fullmatch(path.name)
    when = datetime.fromtimestamp(written_ns / 1e9)
    head = f"{hashed[1] if hashed else path.name}, {when:%d %b %Y %H:%M}"
    try:
        order = input_json(path / "summary.json", _MOST_BYTES)["order"]
        with input_file(path / "scenario.resolved.yaml").open(encoding="utf-8") as file:
            model = _MODEL.search(file.read(_HEAD_BYTES))
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return head, ""
    named = model[1].strip().rpartition("/")[2].removesuffix(".json") if model else ""
    return head, ", ".join(part for part in (named, " / ".join(map(str, order))) if part)


def _written_ns(folder: Path) -> int:
    try:
        return (folder / MANIFEST).lstat().st_mtime_ns
    except OSError:
        return 0
