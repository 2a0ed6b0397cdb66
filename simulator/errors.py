"""Errors a user can cause, apart from errors that are ours.

Exit codes (design section 8): 2 for bad input, 3 for a bug of ours, 130 for an interruption.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class ServecastError(Exception):
    """Base of every error servecast raises on purpose; `exit_code` is what the command returns."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place of the input.

    Attributes
    ----------
    message : what is wrong and how to put it right
    file, line, column : the place, 1-based; None where the input has none (an option, an API call)
    path : dotted path of the value, as `workload.classes[0].arrivals.rate_rps`
    got : the offending value as the user wrote it
    is_last : the input was looked through no further than this one, so that there may be others behind it
    """

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    path: str | None = None
    got: str | None = None
    is_last: bool = False

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        head = ": ".join(part for part in (place, self.path) if part)
        tail = f" (got {self.got})" if self.got is not None else ""
        return f"{head}: {self.message}{tail}" if head else f"{self.message}{tail}"


class InputError(ServecastError):
    """Bad input: every problem found, one a line."""

    exit_code = 2

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            Problem(problem) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InvariantError(ServecastError):
    """A law that every run must obey was broken: our bug, never the user's."""

    exit_code = 3


def collect(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`function` of every item.

    Raises
    ------
    InputError : the problems of all items together
    """
    results: list[Result] = []
    problems: list[Problem] = []
    for item in items:
        try:
            results.append(function(item))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*dict.fromkeys(problems))
    return results


MOST_MEANT = 5
"""Names that a message offers of those that begin alike."""
MOST_LISTED = 40
"""Names that a message lists."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Message for a name that is in no list: those that begin so, the closest, or all (their number, where many).

    A figure counts for more than a letter: `h200-sxm` is meant to be `h200`, not `h100-sxm`.
    """
    choices: Sequence[str] = sorted(known)
    if not choices:
        return f"unknown {kind} {name!r}: none is known"
    begin = sorted((each for each in choices if name and each.lower().startswith(name.lower())), key=len)
    if begin:
        meant = [repr(choice) for choice in begin[:MOST_MEANT]]
        more = f" or {len(begin) - MOST_MEANT} others" if len(begin) > MOST_MEANT else ""
        listed = f"{', '.join(meant[:-1])} or {meant[-1]}" if len(meant) > 1 and not more else ", ".join(meant)
        return f"unknown {kind} {name!r}: did you mean {listed}{more}?"
    alike = [choice for choice in choices if _figures(choice) == _figures(name) != []]
    if close := _closest(name, alike) or _closest(name, choices):
        return f"unknown {kind} {name!r}: did you mean {close!r}?"
    if len(choices) > MOST_LISTED:
        return f"unknown {kind} {name!r}: none of the {len(choices)} known names is close"
    return f"unknown {kind} {name!r}: known are {', '.join(choices)}"


def _closest(name: str, choices: Sequence[str]) -> str | None:
    lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.5)
    return lower[close[0]] if close else None


def _figures(name: str) -> list[str]:
    return re.findall(r"\d+", name)
