"""Prices by the volume of a month, whose tokens fill its steps in the mix of kinds that the month has."""

from __future__ import annotations

import math

from simulator.study.contract import AS_LISTED, Volume, VolumeStep
from simulator.study.terms import Terms

_ROUNDING = 1e-9


def has_volume(terms: Terms) -> bool:
    """Whether prices change with the volume in any month, so that twice the use may cost other than twice as much."""
    return any(offer.volume != AS_LISTED for offer in terms.offers)


def mean_factor(volume: Volume, tokens: float) -> float:
    """What the `tokens` of a month, or its GPU-hours, cost / what they cost at the prices as listed."""
    if tokens <= 0:
        return 1.0
    free = min(volume.free, tokens)
    if volume.for_all:
        return _reached(volume, tokens) * (1.0 - free / tokens)
    begins, factors = _steps(volume)
    ends = [*begins[1:], math.inf]
    parts = (
        factor * max(min(end, tokens) - max(begin, free), 0.0)
        for begin, end, factor in zip(begins, ends, factors, strict=True)
    )
    return math.fsum(parts) / tokens


def next_factor(volume: Volume, tokens: float) -> float:
    """Factor on the prices as listed for the next tokens beyond the `tokens` of a month."""
    return 0.0 if tokens < volume.free else _reached(volume, tokens)


def at_least(volume: Volume) -> Volume:
    """A volume that never makes more use cheaper, and no use dearer: where one step holds for all its lowest factor."""
    if not volume.for_all:
        return volume
    return Volume((VolumeStep(0.0, min(_steps(volume)[1])),), free=volume.free)


def _steps(volume: Volume) -> tuple[list[float], list[float]]:
    """Where each step begins, from the first token on, and its factor."""
    return [0.0, *(step.above for step in volume.steps)], [1.0, *(step.factor for step in volume.steps)]


def _reached(volume: Volume, tokens: float) -> float:
    """Factor of the last step that is exceeded; what is not a thousand millionth above a step is on it."""
    begins, factors = _steps(volume)
    return factors[max(sum(tokens > begin * (1.0 + _ROUNDING) for begin in begins) - 1, 0)]
