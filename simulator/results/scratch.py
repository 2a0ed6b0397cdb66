"""Scratch folders for as long as a process needs them; what processes that were killed left is removed by the next."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_SCRATCH = "servecast"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for as long as it is needed, whose name tells whose it is."""
    _sweep()
    return tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}-{os.getpid()}-", ignore_cleanup_errors=True)


def _sweep() -> None:
    """Remove what processes that were killed left in the temporary folder."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
