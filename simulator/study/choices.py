"""Rules by which a request's target and replica are chosen, as kernels number them."""

from __future__ import annotations

from enum import IntEnum

LIMITS = ("requests", "tokens", "input tokens", "output tokens")
"""What a token API limits a minute; kernels number them from 0."""


class ReplicaRouting(IntEnum):
    """Choice of a replica within a pool."""

    ROUND_ROBIN = 0
    RANDOM = 1
    LEAST_OUTSTANDING = 2
    LEAST_KV = 3
    POWER_OF_TWO = 4
    PREFIX_AFFINITY = 5
    SESSION_STICKY = 6
    LONGEST_PREFIX = 7


class TargetRouting(IntEnum):
    """Choice of a pool or provider, among those a request's data class allows."""

    WEIGHTED = 0
    """At random by weight; a single target is the common case."""
    OVERFLOW = 1
    """The first target in order that is not over its threshold; if all are, the first allowed pool
    that has a ready replica, else the first allowed target."""
    COMPLEXITY = 2
    """The first target in order whose complexity limit is at least the request's."""
    CASCADE = 3
    """The first of two targets; the second takes over where a check of the first answer says so."""
