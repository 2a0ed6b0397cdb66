"""What a file from outside says, by its shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from simulator.errors import InputError, Problem

Shape = TypeVar("Shape", bound=BaseModel)


def checked(shape: type[Shape], value: Any, file: Path | str) -> Shape:
    """The value as it must be.

    Raises
    ------
    InputError : an entry that is missing or makes no sense, by its path
    """
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
    raise InputError(*(Problem(_words(each), str(file), path=_path(each["loc"])) for each in wrong))


def _path(place: tuple[int | str, ...]) -> str | None:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or None


def _words(error: Any) -> str:
    if error["type"] == "missing":
        return "is missing"
    return str(error["msg"]).replace("Input should", "must").replace("Value error, ", "")
