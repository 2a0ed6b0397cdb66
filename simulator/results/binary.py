"""Files of bytes that stand whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from simulator.errors import InputError, Problem


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file under a scratch name beside it, then give it its own.

    Raises
    ------
    InputError : the file cannot be written; an older one of that name stays as it was
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(file)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise InputError(Problem(f"cannot be written: {error.strerror}", str(file))) from error
