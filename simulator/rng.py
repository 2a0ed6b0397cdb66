"""Named, seeded random streams: the same name and seed give the same numbers on every machine.

A stream is addressed by words (`stream(7, "arrivals", "chat", 0)`), so adding one stream never shifts another
and two topologies that ask for the same stream see the same requests (common random numbers).
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream_seed(seed: int, *name: str | int) -> int:
    """64-bit seed of the stream called `name` under the run's `seed` (SHA-256, so no two names meet)."""
    text = "\x1f".join([str(seed), *(str(part) for part in name)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """NumPy generator (PCG64) of the stream called `name` under the run's `seed`."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, *name)))
