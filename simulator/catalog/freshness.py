"""How old figures are: what a result rests on that is out of date or judgement."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from simulator.catalog.quantity import UNDATED, day_of, read_yaml
from simulator.errors import InputError, Problem
from simulator.units import MONTHS_PER_YEAR

_DAYS_PER_YEAR = 365.25
_DAYS = {"d": 1.0, "w": 7.0, "m": _DAYS_PER_YEAR / MONTHS_PER_YEAR, "y": _DAYS_PER_YEAR}
_AGE = re.compile(r"(\d+)([dwmy])")


class UsedFigure(Protocol):
    """A figure that a result rests on: its name, how it is known, its unit, and the date of its source as written."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def date(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Freshness:
    """What to say of the figures behind a result: names in order, each once.

    Attributes
    ----------
    estimates : judgement, not read in a source
    stale : older than figures of their unit are without a word, or without a date
    """

    estimates: tuple[str, ...]
    stale: tuple[str, ...]


def age_days(text: str) -> float:
    """Days of an age, as `90d`, `12w`, `12m` or `1y`.

    Raises
    ------
    InputError : not a whole number and a unit
    """
    match = _AGE.fullmatch(text)
    if match is None:
        raise InputError(Problem("an age is a number of days, weeks, months or years, as 90d, 12w, 12m, 1y", got=text))
    return int(match[1]) * _DAYS[match[2]]


def is_stale(written: str, today: date, days: float) -> bool:
    """Whether a date lies more than `days` before today; a year or month counts from its first day, none is stale."""
    day = day_of(written)
    return day == UNDATED or today - day > timedelta(days=days)


def old_after_days(unit: str) -> float:
    """Age in days from which on a figure in this unit is old: rents and prices of tokens sooner than what is built."""
    ages = read_yaml("catalog.yaml")["old_after_days"]
    named = (days for begins, days in ages["units"].items() if unit == begins or unit.startswith(f"{begins} "))
    return float(next(named, ages["other"]))


def freshness(used: Iterable[UsedFigure], today: date) -> Freshness:
    """Which of the figures used are estimates, and which are old on the day `today`.

    What a scenario gives without a date is its author's affair and never stale.
    """
    figures = list(used)
    dated = (figure for figure in figures if figure.kind != "given" or figure.date)
    old = {figure.id for figure in dated if is_stale(figure.date, today, old_after_days(figure.unit))}
    return Freshness(
        estimates=tuple(sorted({figure.id for figure in figures if figure.kind == "estimate"})),
        stale=tuple(sorted(old)),
    )


def catalog_day() -> date:
    """Day on which the catalog was last gone through: `today` of results, which must not depend on the clock."""
    return day_of(read_yaml("catalog.yaml")["reviewed"])
