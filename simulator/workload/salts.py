"""Tenants that share no prefix cache: each prompt has the salt of one of them (vLLM's `cache_salt`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Requests

_ODD = np.uint64(0x9E3779B97F4A7C15)


def salted(block: Requests, salts: int, generator: np.random.Generator, seed: int) -> Requests:
    """The block with content that is equal only where prompts have the same salt.

    Each request draws one of `salts` evenly; a conversation has one for all its turns.
    """
    if salts == 1:
        return block
    salt = np.where(block.session_id < 0, generator.integers(salts, size=len(block)), _of_session(block, salts, seed))
    return replace(block, segment_id=block.segment_id * salts + np.repeat(salt, np.diff(block.segment_start)))


def _of_session(block: Requests, salts: int, seed: int) -> NDArray[np.int64]:
    """The same whatever block a turn comes in."""
    mixed = (block.session_id.astype(np.uint64) ^ np.uint64(seed)) * _ODD
    mixed ^= mixed >> np.uint64(32)
    return ((mixed * _ODD) >> np.uint64(33)).astype(np.int64) % salts
