"""Resets of prefix caches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheResets:
    """Each replica of a pool forgets its prefix cache every `every_s` seconds, as after new weights.

    Attributes
    ----------
    running : those who run are preempted first; else it is refused while a replica holds a block
    """

    every_s: float
    running: bool = False
