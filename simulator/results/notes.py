"""What people say of a run or sweep: a note beside its files, which its seal does not cover."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import InputError, Problem
from simulator.results.files import write_text
from simulator.results.seal import NOTE
from simulator.results.shelf import check_bundle

MOST_CHARACTERS = 10_000


def read_note(folder: Path) -> str:
    """The note of a run or sweep; empty where nobody wrote one, or what lies there is none."""
    file = folder / NOTE
    try:
        if file.is_symlink() or not file.is_file():
            return ""
        with file.open(encoding="utf-8") as text:
            return text.read(MOST_CHARACTERS)
    except (OSError, ValueError):
        return ""


def write_note(folder: Path, text: str) -> None:
    """Put a note in place of the one before; an empty one takes it away.

    Raises
    ------
    InputError : no run or sweep, a text too long, or it cannot be written
    """
    folder = check_bundle(folder)
    text = text.strip()
    if len(text) > MOST_CHARACTERS:
        words = f"may have at most {MOST_CHARACTERS:,} characters"
        raise InputError(Problem(words, "the note", got=f"{len(text):,} characters"))
    if text:
        write_text(folder / NOTE, text + "\n")
        return
    try:
        (folder / NOTE).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(Problem(f"cannot be taken away: {error.strerror}", str(folder / NOTE))) from error
