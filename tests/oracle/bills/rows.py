"""Lines of a bill, and their whole cents."""

from __future__ import annotations

import math
from typing import Any

Row = dict[str, Any]


def row(owner: str, category: str, part: str, usd: float, kind: str) -> Row:
    return {"owner": owner, "category": category, "part": part, "usd": usd, "kind": kind, "site": ""}


def at(place: Row, rows: list[Row]) -> list[Row]:
    """The lines as they stand at the site of what was agreed."""
    return [line | {"site": place["site"]} for line in rows]


def shared(owner: str, category: str, usd: float, hours: dict[str, float], kind: str) -> list[Row]:
    whole = math.fsum(hours.values())
    if not whole:
        return []
    return [row(owner, category, part, usd * h / whole, kind) for part, h in hours.items() if h > 0]


def cents(rows: list[Row]) -> list[int]:
    """Largest remainder, the earlier line first."""
    exact = [line["usd"] * 100 for line in rows]
    found = [math.floor(value) for value in exact]
    missing = round(round(math.fsum(line["usd"] for line in rows) * 100, 6)) - sum(found)
    for number in sorted(range(len(rows)), key=lambda k: round(found[k] - exact[k], 6))[:missing]:
        found[number] += 1
    return found
