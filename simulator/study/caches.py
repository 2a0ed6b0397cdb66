"""Prefix caches of a pool: when they are forgotten, and what they count where a replica is chosen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheResets:
    """Each replica of a pool forgets its prefix cache every `every_s` seconds, as after new weights.

    Attributes
    ----------
    running : those who run are preempted first; else it is refused while a replica holds a block
    elsewhere : the memory of the CPU is emptied as well
    """

    every_s: float
    running: bool = False
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class PrefixScore:
    """Weights of a replica's score where a pool routes by LONGEST_PREFIX.

    Attributes
    ----------
    cached : of the share of the prompt that is in its prefix cache
    free : of the share of its KV blocks that is free
    queue : of a short waiting queue
    """

    cached: float = 0.0
    free: float = 0.0
    queue: float = 0.0
