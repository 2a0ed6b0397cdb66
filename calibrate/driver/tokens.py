"""Prompts as token ids."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

_POSITIONS = 2**24


def distinct_tokens(prompt: Sequence[Sequence[int]]) -> list[int]:
    """A token of its own for each (segment, position); for a scheduler without a model, so without a vocabulary."""
    return [segment * _POSITIONS + position for segment, length in prompt for position in range(length)]


def vocabulary_tokens(prompt: Sequence[Sequence[int]], vocabulary: int) -> list[int]:
    """Random tokens of a vocabulary that depend on segment and position; a full KV block repeats by chance only."""
    return [token for segment, length in prompt for token in _segment(segment, length, vocabulary)]


@lru_cache(maxsize=256)
def _segment(segment: int, length: int, vocabulary: int) -> tuple[int, ...]:
    draw = random.Random(segment).randrange
    return tuple(draw(3, vocabulary) for _ in range(length))
