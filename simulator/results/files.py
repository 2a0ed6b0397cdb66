"""Files that are written whole or not at all, where nothing else than a plain file stands."""

from __future__ import annotations

import contextlib
import glob
import os
from pathlib import Path

from simulator.errors import InputError, Problem
from simulator.results.scratch import is_alive

_PART = "part"
"""Of the name of a file that is not whole yet, before the number of the process that writes it."""


def write_text(file: Path, text: str, among_many: bool = False) -> None:
    """Write a text file (UTF-8), as `write_bytes`."""
    write_bytes(file, text.encode("utf-8"), among_many)


def write_bytes(file: Path, content: bytes, among_many: bool = False) -> None:
    """Write a file under a scratch name beside it, then give it its own.

    Parameters
    ----------
    among_many : the folder has so many files that it is not looked through for what killed processes left of this one;
        whoever begins to write there calls `clear_scratch`

    Raises
    ------
    InputError : the file cannot be written; an older one of that name stays as it was
    """
    scratch = file.with_name(f".{file.name}.{_PART}{os.getpid()}")
    if not among_many:
        clear_scratch(file.parent, file.name)
    try:
        scratch.write_bytes(content)
        scratch.replace(file)
    except OSError as error:
        raise InputError(Problem(f"cannot be written: {error.strerror}", str(file))) from error
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def clear_scratch(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left of the file of that name, or of any, in a folder."""
    for place in folder.glob(f".{'*' if name is None else glob.escape(name)}.{_PART}*"):
        owner = place.name.rpartition(f".{_PART}")[2]
        if owner.isdecimal() and place.is_file() and not place.is_symlink() and not is_alive(int(owner)):
            with contextlib.suppress(OSError):
                place.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    InputError : it cannot be made
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(f"cannot be made: {error.strerror}", str(folder))) from error


def output_file(file: str | Path) -> Path:
    """A place for a file: nothing stands there yet, or a regular file that may be replaced.

    Raises
    ------
    InputError : a folder, device, pipe or link, which would be replaced by the file; or no folder to write in
    """
    path = Path(file)
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise InputError(Problem("cannot be written: something else than a plain file stands there", str(file)))
        if not path.absolute().parent.is_dir():
            raise InputError(Problem(f"cannot be written: there is no folder {path.parent}", str(file)))
    except (OSError, ValueError) as error:
        raise InputError(Problem(f"cannot be written: {getattr(error, 'strerror', error)}", str(file))) from error
    return path
