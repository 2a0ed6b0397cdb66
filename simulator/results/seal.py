"""Checksums of a bundle: what was cut, altered, added or taken away since it was written is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem
from simulator.results.inputs import input_file

MANIFEST = "manifest.json"
_UNSEALED = (MANIFEST, "timing.json")
NOTE = "note.txt"
"""What people say of it."""
ADDED = ("report.html", "memo.md", "memo.html", "memo.pdf", "memo.docx", "bill.xlsx")
"""What commands write of a run beside its files."""
_ALTERED = "was altered since it was written: take it from its source again, or run its scenario again"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a bundle that equal runs have alike, by its place in it."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return {name: _digest(folder / name) for name in names if name not in _UNSEALED}


def sealed(manifest: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The manifest with the checksums of the folder's files, and its own."""
    whole = {**manifest, "sha256": checksums(folder)}
    return {**whole, "seal": _seal(whole)}


def check_manifest(manifest: Mapping[str, Any], folder: Path) -> None:
    """Refuse a manifest that is not what was written.

    Raises
    ------
    InputError : no seal, or another's
    """
    if manifest.get("seal") != _seal(manifest) or not isinstance(manifest.get("sha256"), dict):
        raise InputError(Problem(_ALTERED, str(folder / MANIFEST)))


def checked_file(manifest: Mapping[str, Any], folder: Path, name: str) -> Path:
    """A file of a bundle as it was written.

    Raises
    ------
    InputError : it is missing, no regular file, or altered
    """
    digest = manifest["sha256"].get(name)
    file = input_file(folder / name, None)
    if digest is None:
        raise InputError(Problem("is no file that its run wrote", str(file)))
    if _digest(file) != digest:
        raise InputError(Problem(_ALTERED, str(file)))
    return file


def differences(manifest: Mapping[str, Any], folder: Path) -> Iterator[Problem]:
    """Everything in which a bundle's folder is not as its run left it."""
    for name in manifest["sha256"]:
        try:
            checked_file(manifest, folder, name)
        except InputError as error:
            yield from error.problems
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        known = name in manifest["sha256"] or name in (*_UNSEALED, *ADDED, NOTE)
        if not known and not (file.is_dir() and not file.is_symlink()):
            yield Problem("is no file that its run wrote", str(file))


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _seal(manifest: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()
