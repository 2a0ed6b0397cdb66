"""Spans of simulated time, (start, end) in s."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter


def union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that touch or overlap, joined."""
    found: list[tuple[float, float]] = []
    for start_s, end_s in sorted(spans):
        if found and start_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(end_s, found[-1][1]))
        else:
            found.append((start_s, end_s))
    return found


def covers(joined: Sequence[tuple[float, float]], moment_s: float) -> bool:
    """Whether a moment lies in one of the spans of a union, the end of each left out."""
    before = bisect_right(joined, moment_s, key=itemgetter(0))
    return before > 0 and moment_s < joined[before - 1][1]
