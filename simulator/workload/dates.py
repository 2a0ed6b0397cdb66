"""Dates as logs and spreadsheets write them, as ISO 8601."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.workload.tables import Table, problems_at

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
EXAMPLE = "2026-03-01T10:00:00Z"
"""A date as it can always be read."""
_LOOKED_AT = 20
"""Values of the first piece by which the way is told, since the first of them may be broken."""
_UTC = ("UTC", "GMT")
"""Names of the zone that dates may end in."""
_TIME = (
    r"(?P<hour>\d{1,2})(?P<rest>:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*"
    r"(?P<zone>Z|[+-]\d\d:?\d\d|UTC|GMT)?"
)
_WAYS = {
    "points": rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}})[ T,]+{_TIME}",
    "common log": rf"\[?(?P<day>\d{{1,2}})/(?P<month>[A-Za-z]{{3}})/(?P<year>\d{{4}}):{_TIME}\]?",
    "day and word": (
        rf"(?:[A-Za-z]{{3}}, )?(?P<day>\d{{1,2}})\.?[ -](?P<month>[A-Za-z]{{3,9}})[ -](?P<year>\d{{4}}),? {_TIME}"
    ),
    "words": rf"(?P<month>[A-Za-z]{{3,9}})\.? (?P<day>\d{{1,2}}), (?P<year>\d{{4}})(?: @|,| at)? {_TIME}",
    "year first": rf"(?P<year>\d{{4}})[-/](?P<month>\d\d?)[-/](?P<day>\d\d?)[ T](?=.*(?:,\d|[AaPp]\.?[Mm])){_TIME}",
    "strokes": rf"(?P<first>\d{{1,2}})(?P<stroke>[/-])(?P<second>\d{{1,2}})(?P=stroke)(?P<year>\d{{4}}),? {_TIME}",
}
"""Day before month with points (29.11.2026 10:00:00), as web servers log (29/Nov/2026:10:00:00 +0100), as mails have
them (Sun, 29 Nov 2026 10:00:00 GMT), as in English (Nov 29, 2026 @ 10:00:00.000), year first with a comma or halves of
the day (2026-11-29 10:00:00,123), and with strokes, where the file has to tell which comes first."""

_HINTS = (
    (
        re.compile(r"\[?\d\d?([./ -])(?:\d\d?|[A-Za-z]{3,9})\1'?\d\d[ T,:]+\d{1,2}:.*"),
        "write its year with four digits: ",
    ),
    (
        re.compile(r"[\d.,]+\s*(?:ns|us|µs|ms|s|sec|secs|seconds?|min|h)\.?", re.IGNORECASE),
        "write the number alone, and its unit as time_unit (--time-unit): ",
    ),
)
"""What times look like that are none, and what to do."""


@dataclass
class Dates:
    """How the dates of a file are written, which its first piece tells.

    Attributes
    ----------
    way : of `_WAYS`; empty where dates are ISO 8601 or times are numbers, None before the first piece
    day_first : of strokes
    """

    way: str | None = None
    day_first: bool | None = None

    @property
    def order(self) -> str:
        """What dates with strokes begin with in this file, in words; empty for others."""
        if self.day_first is None:
            return ""
        return f" whose {'day' if self.day_first else 'month'} comes first, as in other rows"

    def iso(self, table: Table, name: str) -> Table:
        """A table, of a row at least, whose column has ISO 8601 in place of what is a date; all else stays.

        Raises
        ------
        InputError : days and months cannot be told apart
        """
        raw = table.frame[name]
        some = [str(value).strip() for value in raw.iloc[:_LOOKED_AT]]
        if self.way is None:
            self.way = next((way for text in some for way in _WAYS if re.fullmatch(_WAYS[way], text)), "")
        if self.way:
            written = [str(value).strip() for value in raw]
            if self.way == "strokes" and self.day_first is None:
                self.day_first = _day_first(table, name, written)
            return table.having(table.frame.assign(**{name: [self._one(text) for text in written]}))
        if any(text.endswith(_UTC) for text in some):
            raw = raw.replace(rf"\s*(?:{'|'.join(_UTC)})\s*$", "Z", regex=True)
            return table.having(table.frame.assign(**{name: raw}))
        return table

    def _one(self, text: str) -> str:
        found = re.fullmatch(_WAYS[self.way or ""], text)
        if found is None:
            return text
        part = found.groupdict()
        day, month = part.get("day"), part.get("month")
        if "first" in part:
            day, month = (part["first"], part["second"]) if self.day_first else (part["second"], part["first"])
        assert day is not None
        assert month is not None
        if not month.isdigit():
            short = month[:3].lower()
            if short not in _MONTHS:
                return text
            month = str(_MONTHS.index(short) + 1)
        hour = int(part["hour"])
        if part["half"]:
            if hour > 12 and part["half"][0] in "Aa":
                return text
            hour = hour % 12 + 12 * (part["half"][0] in "Pp")
        zone = {None: "", "UTC": "Z", "GMT": "Z"}.get(part["zone"], part["zone"])
        return f"{part['year']}-{int(month):02d}-{int(day):02d}T{hour:02d}{part['rest'].replace(',', '.')}{zone}"


def hinted(problem: Problem) -> Problem:
    """What is wrong with a time, with what to do first where it is seen: years of two digits, units beside numbers."""
    found = next((words for form, words in _HINTS if form.fullmatch(str(problem.got).strip())), "")
    return replace(problem, message=f"{found}{problem.message}")


def in_digits_alone(table: Table, name: str, values: NDArray[np.float64], unit: str | None) -> list[Problem]:
    """A problem where every time is a date as 20261129100000, which as a number of seconds or ms is of no year."""
    known = values[np.isfinite(values)]
    if unit not in (None, "s", "ms") or not len(known) or not np.all((known > 19e12) & (known < 21e12)):
        return []
    numbers = known.astype(np.int64)
    month, day, hour, minute, second = (numbers // 100**k % 100 for k in (4, 3, 2, 1, 0))
    if np.any((month < 1) | (month > 12) | (day < 1) | (day > 31) | (hour > 23) | (minute > 59) | (second > 60)):
        return []
    text = f"{name} looks like a date in digits alone: write it as {EXAMPLE}"
    return problems_at(table, table.frame[name], np.arange(len(values)) == 0, text)


def _day_first(table: Table, name: str, written: list[str]) -> bool:
    """Whether dates with strokes begin with the day: it can be seen where the first piece has a day above 12.

    Halves of the day say nothing of it: they go with either, by the country.

    Raises
    ------
    InputError : it cannot be seen
    """
    found = [match for match in (re.fullmatch(_WAYS["strokes"], text) for text in written) if match]
    if any(int(match["first"]) > 12 for match in found):
        return True
    if any(int(match["second"]) > 12 for match in found):
        return False
    text = f"{name} may begin with the day or with the month: write dates as {EXAMPLE}"
    raise InputError(Problem(text, file=str(table.file), line=int(table.line[0]), got=written[0]))
