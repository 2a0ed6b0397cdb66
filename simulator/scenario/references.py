"""Files that a scenario names: what its results depend on besides the scenario itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError, Problem
from simulator.scenario.load import LoadedScenario
from simulator.scenario.named_files import named_files

MAX_COPIED_BYTES = 64 * 2**20
"""Larger files are not copied into a run bundle: what looks into a run again, as `steps` does, cannot read them."""
FOLDERS = {"file": "traffic", "profile": "profiles", "hardware": "hardware", "model": "models"}
"""Folder of the copy, by the key that names the file."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One value of a scenario that names a file.

    Attributes
    ----------
    path : of the value, as `workload.classes[0].arrivals.file`
    written : the value
    file : where it is
    sha256 : of its content
    copy : name of the copy in a run bundle; None for a file too large to copy
    """

    path: str
    written: str
    file: Path
    size_bytes: int
    sha256: str
    copy: str | None


def references(loaded: LoadedScenario) -> list[Reference]:
    """Every file that the scenario names, in the order of the scenario.

    Copies are called as the files are; of two different files of one name the second gets a part of its hash.

    Raises
    ------
    InputError : a file that cannot be read, at the place that names it
    """
    taken: dict[str, str] = {}
    found: list[Reference] = []
    for path, key, written in named_files(loaded.scenario.model_dump(mode="json"), loaded.path.parent):
        file = loaded.path.parent / written
        file = file / "config.json" if file.is_dir() else file
        try:
            status = file.stat()
            stamp = status.st_mtime_ns, status.st_ctime_ns, status.st_ino
            size, digest = status.st_size, _digest(file, status.st_size, stamp)
        except OSError as error:
            problem = Problem(f"cannot be read: {error.strerror}", *loaded.place(path), path=path, got=written)
            raise InputError(problem) from error
        copy = _copy_name(key, file, digest, taken) if size <= MAX_COPIED_BYTES else None
        found.append(Reference(path, written, file, size, digest, copy))
    return found


@lru_cache(maxsize=1000)
def _digest(file: Path, size_bytes: int, stamp: tuple[int, ...]) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _copy_name(key: str, file: Path, digest: str, taken: dict[str, str]) -> str:
    """Name of the copy below the bundle; a model keeps its folder, which may name it."""
    folder = Path(FOLDERS[key])
    if key == "model":
        folder /= file.resolve().parent.name
    name = (folder / file.name).as_posix()
    if taken.setdefault(name, digest) != digest:
        name = (folder / f"{file.stem}-{digest[:8]}{file.suffix}").as_posix()
        taken[name] = digest
    return name
