"""Names of chunks, and where they are looked up, in compiled code."""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.offload.arrays import NONE
from simulator.engine.modes.tables.prefix import group_key
from simulator.engine.state import Engines
from simulator.jit import kernel


@kernel
def chunk_key(engines: Engines, rep: Any, row: int, g: int, index: int) -> Any:
    """Name of a request's chunk: its content from the beginning of the sequence, and its group."""
    offload = engines.offload
    return group_key(offload.contents[row, (index + 1) * offload.groups[rep.pool, g].hashes - 1], g)


@kernel
def find_named(rows: Any, buckets: Any, key: Any) -> int:
    """The row of a table of names that has this one, or `NONE`; rows of a bucket are linked by `same`."""
    n = buckets[_bucket_of(key, len(buckets))]
    while n != NONE and rows[n].key != key:
        n = rows[n].same
    return int(n)


@kernel
def give_name(rows: Any, buckets: Any, n: int, key: Any) -> None:
    """Let a row have a name that none has."""
    bucket = _bucket_of(key, len(buckets))
    rows[n].key = key
    rows[n].same = buckets[bucket]
    buckets[bucket] = n


@kernel
def take_name(rows: Any, buckets: Any, n: int) -> None:
    """Let a row that has a name have none."""
    bucket = _bucket_of(rows[n].key, len(buckets))
    if buckets[bucket] == n:
        buckets[bucket] = rows[n].same
        return
    other = buckets[bucket]
    while rows[other].same != n:
        other = rows[other].same
    rows[other].same = rows[n].same


@kernel
def _bucket_of(key: Any, n: int) -> int:
    return int(key ^ (key >> 32)) & (n - 1)
