"""Times of two units in one column that no clock of a year gives away: seconds in some rows, milliseconds in others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Problem
from simulator.workload.tables import Table, problems_at

_TIMES = (1e3, 1e6, 1e9)
"""Of a unit in a smaller one."""
_NEAR = 0.1
"""How far a quotient of times may be from one of these, as a share."""
_OFTEN = 0.05
"""Share of the steps from row to row, of which in times of one unit and in any order one of ten thousand is as near."""
_LEAST = 3
"""Steps that tell anything."""
_STEPS = 10.0
"""Times that steps may differ on both sides of a change of unit, and steps until the first time in the other unit."""
_BURST = 0.1
"""Steps below which times begin with a burst, which a pause like those after it may end."""


@np.errstate(over="ignore")
def of_two_units(table: Table, column: str, values: NDArray[np.float64]) -> list[Problem]:
    """The first row whose time is a thousand, a million or a billion times as large as the row's above, or as small.

    That a single row is, tells nothing. Either it is so again and again, or all steps from there on are as much larger
    and the time is the next one in the smaller unit.
    """
    known = np.flatnonzero(np.isfinite(values) & (values > 0))
    times = values[known]
    if len(times) <= 2 * _LEAST:
        return []
    quotients = np.maximum(times[1:] / times[:-1], times[:-1] / times[1:])
    for factor in _TIMES:
        near = np.abs(quotients / factor - 1.0) < _NEAR
        if near.sum() < max(_LEAST, _OFTEN * len(quotients)):
            near = _once(times, factor)
        if near.any():
            changed = np.zeros(len(values), np.bool_)
            changed[known[int(np.argmax(near)) + 1]] = True
            text = (
                f"{column} is {factor:,.0f} times as much as in the row above, or as little, as of another unit: give "
                "all rows one, or say its time_unit (--time-unit) where they have one"
            )
            return problems_at(table, table.frame[column], changed, text)
    return []


def _once(times: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
    """Where times in order go on in a smaller unit.

    A burst whose requests are as close as rows in another unit would be is none, where the pause after it is as long as
    those that follow, and they have fractions, as the burst's times do.
    """
    steps = np.diff(times)
    found = np.zeros(len(steps), np.bool_)
    if np.any(steps < 0):
        return found
    place = int(np.argmax(times[1:] / times[:-1]))
    before, after = steps[:place], steps[place + 1 :]
    if min(len(before), len(after)) < _LEAST:
        return found
    usual, later = float(np.median(before)), float(np.median(after))
    pause = float(steps[place])
    if usual < _BURST and pause < _STEPS * later and np.any(times[place + 1 :] % 1):
        return found
    ahead = times[place + 1] / factor - times[place]
    found[place] = usual > 0 and factor / _STEPS < later / usual < factor * _STEPS and 0 <= ahead < _STEPS * usual
    return found
