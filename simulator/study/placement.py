"""Which replicas stand on which servers: a replica stays within one; one that is larger takes whole servers."""

from __future__ import annotations

import math
from collections.abc import Sequence


def servers_of(gpus: int, gpus_per_server: int) -> int:
    """Servers that one replica touches: 1 if it fits into one, else as many whole ones as it needs."""
    return math.ceil(gpus / gpus_per_server)


def first_fit_decreasing(gpus: Sequence[int], gpus_per_server: int) -> list[tuple[int, ...]]:
    """Servers of each replica: the largest first, each on the first server with room; equal ones in order.

    Parameters
    ----------
    gpus : of each replica

    Returns
    -------
    Numbers of the servers of each replica, from 0 on without a gap.
    """
    free: list[int] = []
    found: list[tuple[int, ...]] = [()] * len(gpus)
    for k in sorted(range(len(gpus)), key=lambda k: -gpus[k]):
        n = servers_of(gpus[k], gpus_per_server)
        room = next((s for s, left in enumerate(free) if left >= gpus[k]), None) if n == 1 else None
        if room is None:
            found[k] = tuple(range(len(free), len(free) + n))
            free += [gpus_per_server - gpus[k] if n == 1 else 0] * n
        else:
            found[k] = (room,)
            free[room] -= gpus[k]
    return found


def servers_needed(gpus: Sequence[int], gpus_per_server: int) -> int:
    """Servers that hold all these replicas at once, placed by `first_fit_decreasing`."""
    return max((server + 1 for servers in first_fit_decreasing(gpus, gpus_per_server) for server in servers), default=0)
