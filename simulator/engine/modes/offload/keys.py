"""Names of chunks, and where they are looked up, in compiled code."""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.tables.prefix import group_key
from simulator.engine.state import Engines
from simulator.jit import kernel


@kernel
def chunk_key(engines: Engines, rep: Any, row: int, g: int, index: int) -> Any:
    """Name of a request's chunk: its content from the beginning of the sequence, and its group."""
    offload = engines.offload
    return group_key(offload.contents[row, (index + 1) * offload.groups[rep.pool, g].hashes - 1], g)


@kernel
def bucket_of(key: Any, n: int) -> int:
    return int(key ^ (key >> 32)) & (n - 1)
