"""Files from outside: regular ones of a bounded size, read as text."""

from __future__ import annotations

import gzip
import json
import stat
import zlib
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem

MOST_BYTES = 64 * 1024**2
"""Of a file that is held in memory as a whole."""


def input_file(file: str | Path, most_bytes: int | None = MOST_BYTES) -> Path:
    """The path of a regular file of at most so many bytes.

    Raises
    ------
    InputError : no such file, a folder, pipe or device, or larger
    """
    path = Path(file)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        several = "; several files have to be written into one" if set(str(file)) & set("*?[") else ""
        raise InputError(Problem(f"cannot be read: {reason}{several}", file=str(file))) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise InputError(Problem(f"cannot be read: it is {kind}", file=str(file)))
    if most_bytes is not None and status.st_size > most_bytes:
        text = f"is larger than {most_bytes:,} bytes"
        raise InputError(Problem(text, file=str(file), got=f"{status.st_size:,}"))
    return path


def input_text(file: str | Path, most_bytes: int | None = MOST_BYTES) -> str:
    """The text (UTF-8) of a regular file of at most so many bytes, unpacked where its name ends in `.gz`.

    Raises
    ------
    InputError : as `input_file`, cannot be read or unpacked, or is no such text
    """
    path = input_file(file, most_bytes)
    try:
        return _unpacked(path, most_bytes) if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(f"cannot be read: {reason}", file=str(file))) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem("is not UTF-8 text", file=str(file))) from error


def _unpacked(path: Path, most_bytes: int | None) -> str:
    with gzip.open(path, "rb") as stream:
        content = stream.read() if most_bytes is None else stream.read(most_bytes + 1)
    if most_bytes is not None and len(content) > most_bytes:
        raise InputError(Problem(f"is larger than {most_bytes:,} bytes when unpacked", file=str(path)))
    return content.decode("utf-8")


def input_json(file: str | Path, most_bytes: int | None = MOST_BYTES) -> Any:
    """The value of a JSON file.

    Raises
    ------
    InputError : as `input_text`, or it is no JSON, at its line and column
    """
    text = input_text(file, most_bytes)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"is not JSON: {error.msg}", str(file), error.lineno, error.colno)) from error
    except (RecursionError, ValueError) as error:
        raise InputError(
            Problem("is not JSON: nested too deeply, or a number of too many digits", str(file))
        ) from error


def input_format(file: str | Path, format_name: str, most_bytes: int | None = MOST_BYTES) -> dict[str, Any]:
    """The object of a JSON file whose `format` must be the one named.

    Raises
    ------
    InputError : as `input_json`, or no object, or another format
    """
    value = input_json(file, most_bytes)
    if not isinstance(value, dict) or value.get("format") != format_name:
        got = str(value.get("format"))[:60] if isinstance(value, dict) else type(value).__name__
        raise InputError(Problem(f"format must be {format_name!r}", str(file), path="format", got=got))
    return value
