"""Terms of a contract that bend a bill: prices by the volume of a month, credits for what was down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VolumeStep:
    """Factor on prices from so many tokens, or GPU-hours, of a month on."""

    above: float
    factor: float


@dataclass(frozen=True, slots=True)
class Volume:
    """What the number of tokens of a month, or of GPU-hours, makes of their prices; all kinds are counted together.

    Attributes
    ----------
    steps : by rising `above`; below the first the prices are as they are listed
    for_all : the step that a month reaches holds for all of it; else each for what lies within it
    free : of a month, the first of those counted
    """

    steps: tuple[VolumeStep, ...] = ()
    for_all: bool = False
    free: float = 0.0


AS_LISTED = Volume()
"""Prices that hold for any number."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What a provider gives back of a month's bill when it was up for less than a share of it."""

    below_availability: float
    share_of_bill: float
