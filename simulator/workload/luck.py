"""What the random draws of requests go by: the same for a request in every fleet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Requests

LUCK_PER_CLASS = 1 << 40
_NEXT_TURN = np.int64(0x5D_58_8B_65_6C_07_89_65)


def draw_luck(requests: Requests, sent: dict[int, int]) -> NDArray[np.int64]:
    """What the random draws of each request go by: its class and its number in it, or that of its session and its turn.

    Parameters
    ----------
    sent : open rows of each class before these; moved on
    """
    luck = np.zeros(len(requests), np.int64)
    opens = requests.class_id[: requests.n_open]
    counts = np.bincount(opens)
    for k in np.flatnonzero(counts).tolist():
        first, n = LUCK_PER_CLASS * k + sent.get(k, 0), int(counts[k])
        mine = slice(0, n) if n == len(opens) else np.flatnonzero(opens == k)
        luck[mine] = np.arange(first, first + n)
        sent[k] = sent.get(k, 0) + n
    if requests.n_open == len(requests):
        return luck
    level = np.flatnonzero(requests.next_turn[: requests.n_open] >= 0)
    while len(level):
        following = requests.next_turn[level]
        luck[following] = luck[level] + _NEXT_TURN
        level = following[requests.next_turn[following] >= 0]
    return luck
