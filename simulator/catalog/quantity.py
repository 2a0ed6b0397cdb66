"""A figure from outside with its unit, source and date, and the reader of the files that hold them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict

from simulator.errors import InputError
from simulator.results.files import write_text

DATA = Path(__file__).parent / "data"
UNDATED = date.min
"""Day of a figure whose source has no date."""
_WRITTEN = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")


class Entry(BaseModel):
    """Base of every catalog record: frozen, and nothing in a data file goes unread."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Entry):
    """Where a figure was read, and when."""

    source: str
    url: str | None = None
    date: str


class Quantity(Entry):
    """One figure.

    Attributes
    ----------
    value : the number in `unit`
    kind : `sourced` was read in the source, `derived` computed from figures read, `estimate` is judgement
    low, high : range where the source gives one
    entry : id of the cost figure that it was taken from, if any
    """

    value: float
    unit: str
    kind: Literal["sourced", "derived", "estimate"]
    source: str
    url: str | None = None
    date: str
    low: float | None = None
    high: float | None = None
    note: str = ""
    entry: str | None = None


@lru_cache
def read_yaml(name: str) -> Any:
    """Content of a catalog data file, with every `from: KEY` replaced by the fields of `sources.KEY`."""
    data = _parsed(DATA / name)
    return _fill_sources(data, data.pop("sources", {})) if isinstance(data, dict) else data


def _parsed(file: Path) -> Any:
    """The file's tree, kept as JSON by content: parsing YAML takes longer than most runs wait for all else."""
    content = file.read_bytes()
    kept = Path(platformdirs.user_cache_dir("servecast")) / "catalog" / f"{hashlib.sha256(content).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(kept.read_text("utf-8"))
    from ruamel.yaml import YAML

    data = YAML(typ="safe").load(content)
    text = json.dumps(data, default=str)
    if json.loads(text) == data:
        with contextlib.suppress(OSError, InputError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_text(kept, text)
    return data


def _fill_sources(node: Any, sources: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_fill_sources(item, sources) for item in node]
    if not isinstance(node, dict):
        return node
    filled = {key: _fill_sources(value, sources) for key, value in node.items() if key != "from"}
    return filled | sources[node["from"]] if "from" in node else filled


def day_of(written: str) -> date:
    """Day of a date as sources write it: `2026-11-26`, else the first of `2026-11` or `2026`; UNDATED without any."""
    match = _WRITTEN.match(written)
    return date(int(match[1]), int(match[2] or 1), int(match[3] or 1)) if match else UNDATED
