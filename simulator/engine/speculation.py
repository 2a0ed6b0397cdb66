"""How many drafted tokens the target model accepts."""

from __future__ import annotations

import numpy as np

from simulator.engine.content import mix
from simulator.jit import kernel

_REQUEST = np.int64(-7046029254386353131)
_TOKEN = np.int64(-4417276706812531889)


@kernel
def uniform(a: int, b: int) -> float:
    """Number in [0, 1) that belongs to the pair (a, b): the same in every topology and at every repetition."""
    return (
        (mix(mix(np.int64(a) * _REQUEST) ^ (np.int64(b) * _TOKEN)) >> np.int64(11)) & np.int64((1 << 53) - 1)
    ) / 2.0**53


@kernel
def accepted_drafts(request: int, generated: int, drafted: int, acceptance: float) -> int:
    """Leading drafts accepted, each with probability `acceptance` given that all before it were.

    The draw belongs to the request and the position of the token, so it does not depend on scheduling.
    """
    accepted = 0
    while accepted < drafted and uniform(request, generated + accepted) < acceptance:
        accepted += 1
    return accepted
