"""Terms of a contract that bend a bill: prices by the volume of a month."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VolumeStep:
    """Factor on all token prices from so many tokens of a month on."""

    above_tokens: float
    factor: float


@dataclass(frozen=True, slots=True)
class Volume:
    """What the number of tokens of a month makes of their prices; all kinds and classes are counted together.

    Attributes
    ----------
    steps : by rising `above_tokens`; below the first the prices are as they are listed
    for_all_tokens : the step that a month reaches holds for all its tokens; else each for the tokens within it
    free_tokens : of a month, the first of those counted
    """

    steps: tuple[VolumeStep, ...] = ()
    for_all_tokens: bool = False
    free_tokens: float = 0.0


AS_LISTED = Volume()
"""Prices that hold for any number of tokens."""
