"""Drafts of scenarios: every version that anybody wrote, so that a reload loses none and two editors see each other.

A draft is a folder with a file for each version, numbered. A version is written once and never over another: who comes
second is told.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dashboard.limits import refuse_long_text
from dashboard.workspace import is_id
from simulator.errors import InputError, Problem
from simulator.results.files import make_folder, write_bytes

FOLDER = ".drafts"
_BEGUN_BY = "begun_by"
"""File of a draft that names the visitor who began it."""
MOST_VERSIONS = 50
"""Of a draft; the oldest go."""
_MOST_DRAFTS, _KEPT_S = 200, 30 * 86_400.0
"""How many drafts are kept, shared alike by those who began them, and for how long nobody may have touched one."""
MOST_BESIDE = 2**20
"""Bytes of the files that lie beside a draft."""


@dataclass(frozen=True, slots=True)
class Version:
    """What somebody wrote.

    Attributes
    ----------
    number : from 1 on
    saved_s : since 1970
    visitor, name : who wrote it, as `dashboard.visitor` tells them apart; what they are called where they signed in
    """

    number: int
    text: str
    saved_s: float
    visitor: str
    name: str = ""


def begin(out: Path, text: str, beside: Mapping[str, bytes], visitor: str, name: str = "") -> str:
    """Keep a first version; returns the draft's id.

    Parameters
    ----------
    beside : files that the scenario names; kept where they are small

    Raises
    ------
    InputError : a text that is too long, or it cannot be written
    """
    refuse_long_text(text, "the scenario")
    _forget_old(out)
    draft = secrets.token_hex(6)
    folder = out / FOLDER / draft
    make_folder(folder / "beside")
    write_bytes(folder / _BEGUN_BY, visitor.encode())
    if sum(map(len, beside.values())) <= MOST_BESIDE:
        for each, content in beside.items():
            write_bytes(folder / "beside" / Path(each).name, content)
    save(out, draft, 0, text, visitor, name)
    return draft


def save(out: Path, draft: str, after: int, text: str, visitor: str, name: str = "") -> Version | None:
    """Keep the version that follows number `after`; None where somebody else has saved one there.

    Raises
    ------
    InputError : a text that is too long, a draft that is no longer kept, or it cannot be written
    """
    refuse_long_text(text, "the scenario")
    folder, found = out / FOLDER / draft, Version(after + 1, text, time.time(), visitor, name)
    scratch = folder / f".{secrets.token_hex(6)}"
    try:
        scratch.write_text(json.dumps(asdict(found)), encoding="utf-8")
        try:
            os.link(scratch, folder / f"{found.number}.json")
        finally:
            scratch.unlink()
        os.utime(folder)
    except FileExistsError:
        return None
    except OSError as error:
        raise InputError(Problem(f"cannot be kept: {error.strerror}", "the draft")) from error
    for number in sorted(_numbers(folder))[:-MOST_VERSIONS]:
        (folder / f"{number}.json").unlink(missing_ok=True)
    return found


def versions(out: Path, draft: str) -> list[Version]:
    """All that are kept, oldest first; none where there is no such draft."""
    if not is_id(draft):
        return []
    folder = out / FOLDER / draft
    found = (_read(folder / f"{number}.json") for number in sorted(_numbers(folder)))
    return [version for version in found if version is not None]


def latest(out: Path, draft: str) -> int:
    """Number of the last version; 0 without any."""
    return max(_numbers(out / FOLDER / draft), default=0) if is_id(draft) else 0


def beside(out: Path, draft: str) -> dict[str, bytes]:
    """Files that lie beside a draft, by name."""
    folder = out / FOLDER / draft / "beside"
    return {file.name: file.read_bytes() for file in sorted(folder.glob("[!.]*")) if file.is_file()}


def _numbers(folder: Path) -> list[int]:
    return [int(file.stem) for file in folder.glob("*.json") if file.stem.isdecimal()]


def _read(file: Path) -> Version | None:
    try:
        return Version(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _forget_old(out: Path) -> None:
    """Drop what nobody touched for long, and the oldest beyond a share: who begins many pushes out their own."""
    found: list[tuple[int, float, Path]] = []
    begun: Counter[str] = Counter()
    for age_s, folder in sorted(_ages_s(out)):
        whose = _begun_by(folder)
        found.append((begun[whose], age_s, folder))
        begun[whose] += 1
    for place, (_, age_s, folder) in enumerate(sorted(found)):
        if age_s > _KEPT_S or place >= _MOST_DRAFTS:
            shutil.rmtree(folder, ignore_errors=True)


def _ages_s(out: Path) -> Iterator[tuple[float, Path]]:
    for folder in (out / FOLDER).glob("*"):
        with suppress(FileNotFoundError):
            yield time.time() - folder.stat().st_mtime, folder


def _begun_by(folder: Path) -> str:
    try:
        return (folder / _BEGUN_BY).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
