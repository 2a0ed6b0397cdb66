"""Which months of a study are simulated: the nodes between which the others lie."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from simulator.study.demand import Level

STEP = 0.19
"""Most that the load of a class grows between two nodes with months between them, as a share."""


def nodes(levels: Sequence[Level], kinds: Sequence[Hashable] = ()) -> tuple[int, ...]:
    """Indices of the months that are simulated; the others lie between two of them.

    The first and the last month, and as few between as it takes: from each node to the farthest month such that no
    class changes by more than 19 % and every month between lies between the two in each class. So a peak and a trough
    are nodes. Months without growth are one node.

    Parameters
    ----------
    levels : of each month in order
    kinds : of each month, as its periods, where those of another may need other sizes: then both sides of a change are
        nodes
    """
    if not levels:
        return ()
    kinds = kinds or ((),) * len(levels)
    if all(level == levels[0] for level in levels) and len(set(kinds)) == 1:
        return (0,)
    found, last = [0], len(levels) - 1
    while found[-1] < last:
        at = found[-1]
        to = at + 1
        while to < last and len(set(kinds[at : to + 2])) == 1 and _straight(levels, at, to + 1):
            to += 1
        found.append(to)
    return tuple(found)


def _straight(levels: Sequence[Level], first: int, last: int) -> bool:
    """Whether the months from `first` to `last` lie within 19 %, between the two, and in order in every class."""
    for k in range(len(levels[first])):
        values = [level[k] for level in levels[first : last + 1]]
        if max(values) > (1 + STEP) * min(values):
            return False
        if values != sorted(values) and values != sorted(values, reverse=True):
            return False
    return True


def share_of_way(level: Level, low: Level, high: Level) -> float:
    """How far a level is from one node to the other, by the sum of its classes' changes; 0 where nothing changes."""
    whole = math.fsum(abs(b - a) for a, b in zip(low, high, strict=True))
    return math.fsum(abs(x - a) for a, x in zip(low, level, strict=True)) / whole if whole else 0.0
