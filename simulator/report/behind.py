"""What a chart draws, as tables: for whoever reads values, or hears them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

_PARTS = ("layer", "vconcat", "hconcat", "concat")
_CHANNELS = ("y", "x", "color", "shape", "text")


def tables_behind(chart: Any) -> list[tuple[str, pd.DataFrame]]:
    """Title and rows of each part of a chart, a column for each value that it shows or tells.

    Parts whose marks tell nothing of their own, as bands and rules beside lines, are left out, and what two marks draw
    alike is there once.
    """
    found: list[tuple[str, pd.DataFrame]] = []
    for title, frame in _frames(chart, None, ""):
        if not any(title == known and frame.equals(other) for known, other in found):
            found.append((title, frame))
    return found


def _frames(chart: Any, data: Any, title: str) -> Iterator[tuple[str, pd.DataFrame]]:
    own = getattr(chart, "data", alt.Undefined)
    data = own if isinstance(own, pd.DataFrame) else data
    title = _title(getattr(chart, "title", alt.Undefined)) or title
    for name in _PARTS:
        parts = getattr(chart, name, alt.Undefined)
        if isinstance(parts, list):
            for part in parts:
                yield from _frames(part, data, title)
            return
    columns = _columns(chart)
    if isinstance(data, pd.DataFrame) and columns:
        shown = {field: words for field, words in columns.items() if field in data}
        yield title, data[list(shown)].rename(columns=shown).drop_duplicates(ignore_index=True)


def _title(title: Any) -> str:
    words = title.text if isinstance(title, alt.TitleParams) else title
    return words if isinstance(words, str) else ""


def _columns(chart: Any) -> dict[str, str]:
    """Words of each field that a mark tells of when it is pointed at, and of its axes; none of a mark that tells none.

    The axis of several charts over time counts minutes, and is called so.
    """
    encoding = chart.encoding
    told = encoding.tooltip
    if not isinstance(told, list) or not told:
        return {}
    channels = [getattr(encoding, name, alt.Undefined) for name in _CHANNELS]
    found: dict[str, str] = {}
    for channel in (*told, *channels):
        field = _field(channel)
        if field and field not in found:
            found[field] = _given(channel, "title") or field.replace("_", " ")
    doubled = [field for field, words in found.items() if list(found.values()).count(words) > 1]
    return found | {field: field.replace("_", " ") for field in doubled}


def _field(channel: Any) -> str:
    if isinstance(channel, str):
        return channel.split(":")[0]
    return (_given(channel, "field") or _given(channel, "shorthand")).split(":")[0]


def _given(channel: Any, name: str) -> str:
    """A text that a channel was given, or nothing; its attributes are what sets them."""
    with contextlib.suppress(KeyError, TypeError):
        value = channel[name]
        return value if isinstance(value, str) else ""
    return ""
