"""Cost figures by id: prices, power, failures, cold starts, financing, each as it was read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, unknown_name

_OF_PLACES = {
    "host": "power beside the GPUs",
    "nameplate": "power reserved",
    "capex": "price",
    "space": "rent of space",
    "pue": "PUE",
    "electricity": "price of electricity",
    "egress": "price of traffic",
    "storage": "price of storage",
    "billing_minimum": "least time that is billed",
    "billing_granularity": "steps of time that are billed",
    "board_power": "power limit",
    "bare": "power without a model",
    "input": "price of input tokens",
    "cached_input": "price of cached input tokens",
    "cache_write": "price of input tokens written to the cache",
    "output": "price of output tokens",
}
"""Figures of a kind of server, a GPU, a site and a token API, by their names there."""
_TIERS = {
    "on_demand": "on demand",
    "reserved_1y": "reserved for 1 year",
    "reserved_3y": "reserved for 3 years",
    "reserved_5y": "reserved for 5 years",
    "spot": "spot",
    "capacity_block": "in blocks of capacity",
}
"""Ways to rent a GPU, as `simulator.catalog.offers` calls them."""
FILES = ("cost_defaults.yaml", "cost_more.yaml")


class CostEntry(Entry):
    """One cost figure; `value` is a number, a list or a mapping of them, in `unit`; `words` stand for its id."""

    id: str
    words: str = ""
    value: Any
    unit: str
    low: float | None = None
    high: float | None = None
    kind: Literal["sourced", "derived", "estimate"]
    confidence: Literal["A", "B", "C"]
    source: str
    url: str | None = None
    date: str
    note: str = ""

    def number(self, key: str | None = None) -> float:
        """The value, or its part `key`; lists of two are a range, whose middle is taken.

        Raises
        ------
        InputError : the value has no such part
        """
        value = self.value
        if isinstance(value, dict):
            if key not in value:
                raise InputError(unknown_name(f"part of {self.id}", str(key), value))
            value = value[key]
        return float(sum(value) / len(value)) if isinstance(value, list) else float(value)

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """(low, value, high) of a figure that is one number with a range; None for all others."""
        if self.low is None or self.high is None or not isinstance(self.value, int | float):
            return None
        return min(self.low, self.value), float(self.value), max(self.high, self.value)


@lru_cache
def cost_entries() -> dict[str, CostEntry]:
    """All cost figures by id."""
    return {raw["id"]: CostEntry(**raw) for name in FILES for raw in read_yaml(name)["entries"]}


def cost_entry(identifier: str) -> CostEntry:
    """Cost figure called `identifier`, as `onprem.server_capex.8xH100`.

    Raises
    ------
    InputError : no such figure
    """
    entries = cost_entries()
    if identifier not in entries:
        raise InputError(unknown_name("cost figure", identifier, entries))
    return entries[identifier]


def cost_words(identifier: str) -> str:
    """A figure of a bill in words: of the cost catalog with its part, of servers, sites, offers; others as they are."""
    entries = cost_entries()
    name = next((name for name in (identifier, identifier.rpartition(".")[0]) if name in entries), identifier)
    if name not in entries:
        place, _, tier = identifier.rpartition("/")
        if tier in _TIERS:
            site, _, gpu = place.partition("/")
            return f"price of {gpu} at {site}, {_TIERS[tier]}"
        owner, _, part = identifier.rpartition(".")
        return f"{_OF_PLACES[part]} of {owner}" if part in _OF_PLACES else identifier
    if not entries[name].words:
        return identifier
    part = identifier[len(name) + 1 :]
    return entries[name].words + (f" ({part.replace('_', ' ')})" if part else "")


def from_cost_entry(entry: str, part: str | None = None, plus: str | None = None) -> Quantity:
    """The cost figure `entry` (or its `part`) as a quantity; `plus` adds another figure of the same unit."""
    found = cost_entry(entry)
    added = cost_entry(plus).number() if plus else 0.0
    return Quantity(
        value=found.number(part) + added,
        unit=found.unit,
        kind=found.kind,
        source=found.source,
        url=found.url,
        date=found.date,
        low=found.low,
        high=found.high,
        note=f"{entry} + {plus}" if plus else found.note,
        entry=None if plus or part else entry,
    )


def quantities(raw: dict[str, Any]) -> dict[str, Any]:
    """Fields with every `{entry: ID}` replaced by the cost figure of that id."""
    return {
        key: from_cost_entry(**value)
        if isinstance(value, dict) and "entry" in value
        else Quantity(**value)
        if isinstance(value, dict)
        else value
        for key, value in raw.items()
    }
