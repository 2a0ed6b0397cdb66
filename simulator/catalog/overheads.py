"""Overheads of the engine by its version."""

from __future__ import annotations

import re
from functools import lru_cache

from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, Problem
from simulator.perf.overheads import EngineOverheads

FIGURES = ("exposed_s", "exposed_seq_s", "host_s", "host_seq_s", "launch_layer_s", "layer_s", "collective_wait_s", "request_s")


class OverheadRow(Entry):
    """Overheads from one engine version on."""

    since: str
    async_scheduling: bool
    exposed_s: Quantity
    exposed_seq_s: Quantity
    host_s: Quantity
    host_seq_s: Quantity
    launch_layer_s: Quantity
    layer_s: Quantity
    collective_wait_s: Quantity
    request_s: Quantity
    max_graph_tokens: Quantity


@lru_cache
def overhead_rows() -> tuple[OverheadRow, ...]:
    """All rows, oldest first."""
    rows = (OverheadRow(**fields) for fields in read_yaml("engine_overheads.yaml")["vllm"])
    return tuple(sorted(rows, key=lambda row: version_key(row.since)))


def engine_overheads(version: str | None = None) -> EngineOverheads:
    """Overheads of vLLM `version`, as `0.11` or `0.8.5`: the newest row not newer than it; None is the newest.

    A version older than the oldest row takes the oldest.

    Raises
    ------
    InputError : not a version number
    """
    rows = overhead_rows()
    known = rows if version is None else [row for row in rows if version_key(row.since) <= version_key(version)]
    row = known[-1] if known else rows[0]
    figures = {name: getattr(row, name).value for name in FIGURES}
    return EngineOverheads(
        version=f"vLLM {row.since}",
        async_scheduling=row.async_scheduling,
        max_graph_tokens=int(row.max_graph_tokens.value),
        **figures,
    )


def version_key(version: str) -> tuple[int, ...]:
    """Numbers of a version, for comparison."""
    numbers = re.findall(r"\d+", version.split("+")[0])
    if not numbers:
        raise InputError(Problem("engine version must be a number as 0.11 or 0.8.5", got=version))
    return tuple(int(number) for number in numbers[:3])
