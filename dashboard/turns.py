"""Whose turn it is where several visitors wait for the same few processes.

What waits has a round, and lower rounds are served first: the first that a visitor asks for joins the round that is
served, each further one the round after their last. That is fair queueing by start times, each request of one length
(Goyal, Vin and Cheng, "Start-time fair queueing", SIGCOMM 1996).
"""

from __future__ import annotations

from collections.abc import Iterable


def next_round(visitor: str, waiting: Iterable[tuple[str, int]], served: Iterable[tuple[str, int]]) -> int:
    """Round of what a visitor asks for now.

    Parameters
    ----------
    waiting, served : whose, and its round
    """
    waiting, served = [*waiting], [*served]
    now = max((turn for _, turn in served), default=min((turn for _, turn in waiting), default=0))
    return max([now, *(turn + 1 for whose, turn in waiting + served if whose == visitor)])
