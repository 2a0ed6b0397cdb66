"""How many trials a search is likely to take: for whoever waits for it, never for what it finds."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.resolve.sizes import OpenPool, refinable

_ONE_NUMBER, _ONE_AUTOSCALER, _TWO_POOLS = 4, 18, 23
"""Of own servers, an autoscaler, and both: about what `python bench/needs.py --searches` counts in the quickstart."""

THRESHOLDS = 6
"""Those of an overflow that a search is likely to try."""


def expected_trials(pools: Sequence[OpenPool]) -> int:
    """Trials that a search of the sizes of these pools takes, about."""
    if len(pools) < 2:
        return (_ONE_AUTOSCALER if refinable(pools[0]) else _ONE_NUMBER) if pools else 1
    return _TWO_POOLS * (len(pools) - 1)


def share_done(trials: float, expected: int) -> float:
    r"""Share of a search that is done after $a$ trials, where $e$ were expected; it rises, and never reaches 1.

    .. math:: a / (a + \max(e - a, 1 + a / 4))

    What is past the expected number is taken to have a quarter of what it has behind it still before it.
    """
    return trials / (trials + max(expected - trials, 1 + trials / 4))
