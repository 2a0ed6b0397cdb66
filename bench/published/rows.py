"""A row of a table of serving results: columns as `servecast verify gpu` reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.errors import InputError, Problem

Row = dict[str, str]


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """A file of a checkout, of which a part may be missing or broken.

    Raises
    ------
    InputError : it is not there, is not what the source writes, or has not what a row needs
    """
    try:
        yield path
    except FileNotFoundError as error:
        problem = "not in the checkout: a whole work tree of the source is needed, with its large files"
        raise InputError(Problem(problem, path=str(error.filename or path))) from error
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {error.strerror}", path=str(path))) from error
    except KeyError as error:
        raise InputError(Problem(f"has no {error} where the source has one", path=str(path))) from error
    except (ValueError, TypeError, ZeroDivisionError) as error:
        problem = f"is not as the source writes it ({error}): is its large file fetched, and whole?"
        raise InputError(Problem(problem, path=str(path))) from error
