"""Public holidays by country, or as the scenario lists them."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from simulator.errors import unknown_name


@lru_cache
def holiday_dates(given: str | tuple[str, ...], first: date, last: date) -> frozenset[date]:
    """Holidays from `first` to `last`.

    Parameters
    ----------
    given : days as `2026-12-25`, or a country or a part of it as `DE` or `DE-BE`; the library `holidays` knows theirs
    """
    if not isinstance(given, str):
        found = {date.fromisoformat(day) for day in given}
    else:
        from holidays import country_holidays

        country, _, part = given.partition("-")
        found = set(country_holidays(country, subdiv=part or None, years=range(first.year, last.year + 1)))
    return frozenset(day for day in found if first <= day <= last)


def unknown_place(given: str) -> str | None:
    """What is wrong with the name of a country or a part of it; None where its holidays are known."""
    from holidays import list_supported_countries

    country, _, part = given.partition("-")
    countries = {name: parts for name, parts in list_supported_countries().items() if len(name) == len("DE")}
    if country not in countries:
        return unknown_name("country", country, countries)
    if part and part not in countries[country]:
        return unknown_name(f"part of {country}", part, countries[country])
    return None
