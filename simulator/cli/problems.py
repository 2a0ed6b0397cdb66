"""What is said of an error: the first problems and the number of the rest, short, and without control characters."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace

from simulator.errors import InputError, Problem, ServecastError

MOST_PROBLEMS = 10
MOST_MESSAGE = 600
MOST_PLACE = 200
MOST_GOT = 60


def in_words(error: ServecastError) -> str:
    """An error as it is printed."""
    if not isinstance(error, InputError):
        return _plain(str(error), MOST_MESSAGE * MOST_PROBLEMS)
    first, rest = first_of(error.problems)
    return "\n".join([*map(str, first), *([rest] if rest else [])])


def first_of(problems: Sequence[Problem]) -> tuple[list[Problem], str]:
    """The first problems as they are shown, and the number of the rest in words; empty without any."""
    more = len(problems) - MOST_PROBLEMS
    least = "at least " if any(problem.is_last for problem in problems) else ""
    return [told(problem) for problem in problems[:MOST_PROBLEMS]], f"and {least}{more:,} more" if more > 0 else ""


def of_system(error: OSError) -> str:
    """What the system refused, and of which file."""
    reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
    files = [_plain(str(name), MOST_PLACE) for name in (error.filename, error.filename2) if name is not None]
    return f"{' and '.join(files)}: {reason}" if files else reason


def told(problem: Problem) -> Problem:
    """A problem as it is printed."""
    return replace(
        problem,
        message=_plain(problem.message, MOST_MESSAGE),
        file=None if problem.file is None else _plain(problem.file, MOST_PLACE),
        path=None if problem.path is None else _plain(problem.path, MOST_PLACE),
        got=None if problem.got is None else _plain(problem.got, MOST_GOT),
    )


def _plain(text: str, most: int) -> str:
    """Text without what a terminal would obey, cut."""
    clean = "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text[: most + 1]
    )
    return clean if len(text) <= most else f"{clean[:most]}…"
