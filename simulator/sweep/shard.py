"""One of several equal shares of a sweep, for a machine of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.errors import InputError, Problem
from simulator.sweep.tasks import Task

_WRITTEN = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Share `number` of `of`, from 1 on."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def share(self, tasks: Sequence[Task]) -> list[Task]:
        """Its tasks, in their order; each task is in one share, and shares differ by at most one task.

        Shares are dealt out in the order of the keys. Keys are hashes, so whatever is slow along an axis of the grid
        is in all shares alike, and no task is in two of them because two points need it.
        """
        own = {*sorted(task.key for task in tasks)[self.number - 1 :: self.of]}
        return [task for task in tasks if task.key in own]


def read_shard(text: str) -> Shard:
    """A shard as the command line gives it, as `3/8`.

    Raises
    ------
    InputError : another form, or a number above that of all
    """
    found = _WRITTEN.fullmatch(text.strip())
    if not found or int(found[1]) > int(found[2]):
        raise InputError(Problem("must be a share of several, from 1/8 to 8/8 for eight", "--shard", got=text))
    return Shard(int(found[1]), int(found[2]))
