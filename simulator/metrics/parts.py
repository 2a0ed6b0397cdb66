"""Where the time of requests goes, and why some were not completed, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.metrics.slo import begin_s

PARTS = ("cascade", "queue", "cold start", "prefill", "transfer", "decode")
"""Where the time of a completed request goes; the parts add up to its E2E."""


def parts_s(completed: NDArray[Any]) -> NDArray[np.float64]:
    """Seconds of completed requests by part, shape (6, n), in the order of `PARTS`.

    Cascade: until a first answer that nobody saw had been checked. Queue: from then, or from arrival, until a step (or
    a token API) first took it up. Cold start: what of that it waited before a pool without a ready replica. Prefill:
    from then to the first token, less the transfer, and with what a lost replica had done before. Transfer: of the KV
    cache from a prefill to a decode pool. Decode: from the first token to the last.
    """
    moved = np.isfinite(completed["transferred_s"])
    transfer_s = np.where(moved, completed["transferred_s"] - completed["prefilled_s"], 0.0)
    came_s = begin_s(completed)
    scheduled_s = np.fmax(came_s, completed["scheduled_s"])
    cold_s = np.minimum(completed["no_replica_s"], scheduled_s - came_s)
    return np.stack(
        [
            came_s - completed["arrival_s"],
            scheduled_s - came_s - cold_s,
            cold_s,
            completed["first_token_s"] - scheduled_s - transfer_s,
            transfer_s,
            completed["finish_s"] - completed["first_token_s"],
        ]
    )


def reason_words(reasons: Mapping[str, int], ended: int) -> str:
    """How many of those that ended in one way did so for which reason, in brackets; empty where nothing is known.

    Parameters
    ----------
    ended : how many did; where all of them had one reason, it is told without a number
    """
    parts = [
        words if count == ended else f"{count:,} {words}"
        for reason, count in reasons.items()
        for words in [reason.replace("_", " ")]
    ]
    return f" ({', '.join(parts)})" if parts else ""
