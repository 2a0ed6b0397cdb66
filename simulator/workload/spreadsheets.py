"""What spreadsheets make of times: numbers rounded to a few digits, and days counted from 1900."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Problem
from simulator.units import SECONDS_PER_DAY
from simulator.workload.dates import EXAMPLE
from simulator.workload.tables import Table, problems_at

_LONG = 1e8
"""Numbers from which on times count from 1970, in whatever unit."""
_POWERS = re.compile(r"\s*\d(?:[.,](\d*))?[eE]\+?\d+\s*")
_TO_SECONDS = 9
"""Decimals of a power of ten that go down to seconds."""
_FIRST_DAY, _LAST_DAY = 36_526.0, 73_051.0
"""Of the years 2000 to 2099."""
_LEAST = 10
"""Times that tell anything."""
_NEAR = 0.05
"""How far from a whole number."""


def rounded(table: Table, name: str, values: NDArray[np.float64]) -> list[Problem]:
    """A problem where all times since 1970 are written as 1.79E+12, of which the last digits are gone."""
    large = np.flatnonzero(values >= _LONG)
    if not len(large) or not table.is_text_in(name):
        return []
    raw = table.frame[name]
    parts = [_POWERS.fullmatch(str(text)) for text in raw.iloc[large[:_LEAST]]]
    if not all(parts) or not all(_is_rounded(_POWERS.fullmatch(str(text))) for text in raw.iloc[large]):
        return []
    text = f"{name} is rounded as spreadsheets show long numbers: write all digits, or dates as {EXAMPLE}"
    return problems_at(table, raw, np.arange(len(values)) == large[0], text)


def _is_rounded(number: re.Match[str] | None) -> bool:
    """Of times since 1970 in any unit the tenth digit is a second."""
    return number is not None and len(number[1] or "") < _TO_SECONDS


def serial_days(table: Table, name: str, values: NDArray[np.float64]) -> list[Problem]:
    """A problem where times are days since 1900 with the time of day as their fraction.

    All are whole seconds, or whole milliseconds, or have the five decimals that a cell has room for, while a clock in
    seconds would have fewer decimals or any.
    """
    known = values[np.isfinite(values)]
    if len(known) < _LEAST or np.any((known < _FIRST_DAY) | (known >= _LAST_DAY)) or _whole(known * 1e4):
        return []
    if not any(_whole(known * times) for times in (SECONDS_PER_DAY, SECONDS_PER_DAY * 1e3, 1e5)):
        return []
    text = f"{name} looks like days since 1900, as spreadsheets count them: write dates as {EXAMPLE}, or say time_unit"
    return problems_at(table, table.frame[name], np.arange(len(values)) == 0, text)


def _whole(values: NDArray[np.float64]) -> bool:
    return bool(np.all(np.abs(values - np.round(values)) < _NEAR))
