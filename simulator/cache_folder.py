"""A folder for what is kept between commands, where the user's own cannot be written."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

import platformdirs

from simulator.errors import InputError, Problem

_VARIABLE = "XDG_CACHE_HOME"


def ensure_cache() -> None:
    """Keep compiled kernels and simulations in the temporary folder where the user's cache folder cannot be written.

    Raises
    ------
    InputError : neither can be written
    """
    usual = Path(platformdirs.user_cache_dir("servecast"))
    if _is_writable(usual):
        return
    instead = Path(tempfile.gettempdir()) / f"servecast-{os.getuid()}"
    if not _is_writable(instead) or not _is_own(instead):
        text = f"cannot be written: give a folder that can be in {_VARIABLE}"
        raise InputError(Problem(text, str(usual)))
    os.environ[_VARIABLE] = str(instead)
    print(f"servecast: {usual} cannot be written: compiled kernels are kept in {instead}", file=sys.stderr)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _is_own(folder: Path) -> bool:
    """Whether nobody else can put a compiled kernel there."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
