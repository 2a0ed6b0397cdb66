"""What the arrays of a memory of the CPU take themselves."""

from __future__ import annotations

from simulator.engine.modes.offload.arrays import CHUNK, JOB, OFFER
from simulator.engine.modes.offload.spec import Offload

MOST_CHUNKS = 2**26
"""Of one replica: 128 TiB in chunks of 2 MiB."""
_BUCKET_BYTES = 16
"""Of an entry, at most: up to four buckets of 32 bits."""


def room_bytes(memory: Offload) -> int:
    """At most, of one replica: its chunks, those that it remembers, offers that it counts, and copies under way."""
    entries = (3 if memory.adaptive else 1) * memory.chunks + 1
    tracked = memory.tracked + 1 if memory.store_threshold > 1 else 1
    chunks = entries * (CHUNK.itemsize + _BUCKET_BYTES) + (memory.chunks + 1) * JOB.itemsize
    return chunks + tracked * (OFFER.itemsize + _BUCKET_BYTES)
