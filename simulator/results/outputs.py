"""Places that a file may be written to."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import InputError, Problem


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
