"""Files that stand whole or not at all, and JSON files of a named format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem


def write_text(file: Path, text: str) -> None:
    """Write a text file (UTF-8) under a scratch name beside it, then give it its own.

    Raises
    ------
    InputError : the file cannot be written; an older one of that name stays as it was
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(file)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise InputError(Problem(f"cannot be written: {error.strerror}", str(file))) from error


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


def read_json(file: str | Path) -> Any:
    """The value of a JSON file.

    Raises
    ------
    InputError : it cannot be read, or is not JSON, at its line and column
    """
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {error.strerror}", str(file))) from error
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"is not JSON: {error.msg}", str(file), error.lineno, error.colno)) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem("is not UTF-8 text", str(file))) from error


def read_format(file: str | Path, format_name: str) -> dict[str, Any]:
    """The object of a JSON file whose `format` must be the one named.

    Raises
    ------
    InputError : as `read_json`, or no object, or another format
    """
    value = read_json(file)
    if not isinstance(value, dict) or value.get("format") != format_name:
        got = str(value.get("format")) if isinstance(value, dict) else type(value).__name__
        raise InputError(Problem(f"format must be {format_name!r}", str(file), path="format", got=got))
    return value
