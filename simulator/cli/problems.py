"""What is said of an error: the first problems and the number of the rest, short, and without control characters."""

from __future__ import annotations

import errno
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
    lines = [str(told(problem)) for problem in error.problems[:MOST_PROBLEMS]]
    more = len(error.problems) - MOST_PROBLEMS
    least = "at least " if any(problem.is_last for problem in error.problems) else ""
    return "\n".join([*lines, *([f"and {least}{more:,} more"] if more > 0 else [])])


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
