"""The runs and sweeps of some folders: which there are, under what name, and no longer."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, count
from pathlib import Path

from simulator.errors import InputError, Problem
from simulator.results.bundle import unfinished
from simulator.results.seal import MANIFEST

_MAX_MANIFEST_BYTES = 4_000_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,98}[A-Za-z0-9_-]|[A-Za-z0-9_]")
_KEPT = (".partial", ".points")
"""Ends of names that say what a folder is."""


def bundle_folders(runs: Sequence[str | Path]) -> list[Path]:
    """Folders of run bundles among `runs` and one level below them, newest first; broken ones included.

    Folders that a run is still writing (hidden) and what interrupted runs left (`.partial`) are left out, as is
    whatever has no manifest that is a plain file.
    """
    return [place for place, written in _folders(runs) if _kind(place, written) not in ("sweep", "shard")]


def named_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders, newest first, by name; of equal names the older ones are told apart by the folder that they lie in."""
    found: dict[str, Path] = {}
    for place in folders:
        names = chain(
            (place.name, f"{place.name} ({place.parent.name})"), (f"{place.name} ({number})" for number in count(2))
        )
        found[next(name for name in names if name not in found)] = place
    return found


def sweep_folders(runs: Sequence[str | Path], kind: str = "sweep") -> list[Path]:
    """Folders with the results of sweeps, or of kind `shard`, as `bundle_folders` finds those of runs."""
    return [place for place, written in _folders(runs) if _kind(place, written) == kind]


@lru_cache(maxsize=10_000)
def _kind(folder: Path, written: int) -> str:
    """What the manifest says that its bundle is; empty where it cannot be read, or says nothing."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(manifest.get("kind", "")) if isinstance(manifest, dict) else ""


def _folders(runs: Sequence[str | Path]) -> list[tuple[Path, int]]:
    """Folders with a manifest, and when that was written."""
    found: dict[Path, int] = {}
    for name in runs:
        folder = Path(name)
        places = [folder] if _written_ns(folder) else sorted(path.parent for path in folder.glob(f"[!.]*/{MANIFEST}"))
        for place in places:
            if place.suffix != ".partial" and (at := _written_ns(place)):
                found[place] = at
    return sorted(found.items(), key=lambda item: (-item[1], item[0].name))


def _written_ns(folder: Path) -> int:
    """When the bundle's manifest was written, since 1970; 0 where it is no plain file of a manifest's size."""
    try:
        found = (folder / MANIFEST).lstat()
    except OSError:
        return 0
    return found.st_mtime_ns if stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_MANIFEST_BYTES else 0


def rename_bundle(folder: Path, name: str) -> Path:
    """Give the folder of a run or sweep another name beside where it lies, at once; returns its new place.

    Raises
    ------
    InputError : no run or sweep, a name that a folder cannot have here, or one that is taken
    """
    folder = check_bundle(folder)
    if not _NAME.fullmatch(name) or name.endswith(_KEPT):
        words = "must be 1 to 100 letters, digits, blanks, '.', '_' or '-', and begin with a letter, a digit or '_'"
        raise InputError(Problem(f"{words}; .partial and .points mean something else", "the name", got=name[:120]))
    target = folder.with_name(name)
    if name != folder.name and os.path.lexists(target):
        raise InputError(Problem("is taken: choose another name", "the name", got=name))
    try:
        folder.rename(target)
    except OSError as error:
        raise InputError(Problem(f"cannot be renamed: {error.strerror}", str(folder))) from error
    return target


def delete_bundle(folder: Path) -> None:
    """Remove the folder of a run or sweep: it is gone at once, its files then go one by one.

    What is left where this is ended in between goes with the next run that is written beside it.

    Raises
    ------
    InputError : no run or sweep, or it cannot be removed
    """
    folder = check_bundle(folder)
    hidden = unfinished(folder)
    try:
        folder.rename(hidden)
    except OSError as error:
        raise InputError(Problem(f"cannot be removed: {error.strerror}", str(folder))) from error
    if hidden.is_symlink():
        hidden.unlink()
    else:
        shutil.rmtree(hidden, ignore_errors=True)


def check_bundle(folder: Path) -> Path:
    """The folder of a run or sweep by the name that it has where it lies: `.` and `..` are none.

    Raises
    ------
    InputError : it is none, or is gone by now
    """
    if not _written_ns(folder):
        raise InputError(Problem("is neither a run nor a sweep, or is gone by now", str(folder)))
    return folder if folder.name not in ("", "..") else folder.resolve()
