"""What a log tells of one step of an engine, be it the reference's or the kernels'."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step: when, and what was planned for it.

    Attributes
    ----------
    scheduled : (request number, tokens, computed before), in scheduling order
    preempted : request numbers in order of preemption
    free_blocks : right after scheduling
    end_s : NaN where the log does not tell
    loads : (request number, blocks) to be fetched, -1 for a request that has left before its KV was
    copies : to and from the memory of the CPU: (request number, chunks, 0) to be stored, (-1, stores, loads) done
    """

    start_s: float
    scheduled: tuple[tuple[int, int, int], ...]
    preempted: tuple[int, ...]
    free_blocks: int
    replica: int = 0
    end_s: float = math.nan
    loads: tuple[tuple[int, int], ...] = ()
    copies: tuple[tuple[int, int, int], ...] = ()
