"""Cost figures by id: prices, power, failures, cold starts, financing, each as it was read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from simulator.catalog.quantity import Entry, read_yaml
from simulator.errors import InputError, unknown_name


class CostEntry(Entry):
    """One cost figure; `value` is a number, a list or a mapping of them, in `unit`."""

    id: str
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


@lru_cache
def cost_entries() -> dict[str, CostEntry]:
    """All cost figures by id."""
    return {raw["id"]: CostEntry(**raw) for raw in read_yaml("cost_defaults.yaml")["entries"]}


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
