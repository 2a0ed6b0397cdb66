"""Folders in which a user's scenario is checked and run: it may name files there and nowhere else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import scenarios
from dashboard.limits import check_size, refuse_long_text, refuse_many_uploads
from simulator.errors import InputError, Problem
from simulator.results.inputs import input_text
from simulator.scenario.document import read_document
from simulator.scenario.load import LoadedScenario, check_mappings, load_scenario, place
from simulator.scenario.merge import apply_sets, merge_overlays
from simulator.scenario.named_files import texts_of_files
from simulator.scenario.references import FOLDERS

_UPLOAD = re.compile(r"[^/\\\x00-\x1f]*[^/\\\x00-\x1f.][^/\\\x00-\x1f]*")
_MAX_ID = 64
_MAX_NAME = 200
SCENARIO_FILE = "scenario.resolved.yaml"


def shipped() -> Path:
    """Folder of the shipped scenarios."""
    return Path(next(iter(scenarios.__path__)))


def text_of_run(folder: Path) -> str:
    """Text of a run's scenario.

    Raises
    ------
    InputError : it is gone or no text
    """
    return input_text(folder / SCENARIO_FILE)


def gallery() -> list[str]:
    """Shipped scenarios, by path from their folder; the quickstart first."""
    found = [path.relative_to(shipped()).as_posix() for path in sorted(shipped().rglob("*.yaml"))]
    kept = [name for name in found if name.split("/")[0] not in ("overlays", "sweeps", "schema")]
    return sorted(kept, key=lambda name: (name != "quickstart.yaml", name))


def lay_out(
    root: Path, place: str, text: str, uploads: Mapping[str, bytes] | None = None, base: Path | None = None
) -> Path:
    """Write a scenario below `root`, beside the files that it may name; returns its file.

    Parameters
    ----------
    place : path below the folder of scenarios, as `hybrid/failover.yaml`
    uploads : content by name; they lie beside the scenario
    base : run bundle whose files it may name, instead of the shipped traffic

    Raises
    ------
    InputError : a place or a name that leads out of `root`, or a text that is too long
    """
    refuse_long_text(text, place)
    refuse_many_uploads(uploads or {})
    file = _inside(root, root / place)
    file.parent.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS.values():
        source = (base or shipped()) / name
        if source.is_dir():
            shutil.copytree(source, root / name, dirs_exist_ok=True)
    for name, content in (uploads or {}).items():
        if not _UPLOAD.fullmatch(name) or len(name.encode()) > _MAX_NAME:
            raise InputError(Problem("an upload needs a plain file name of at most 200 letters", name[:60]))
        (file.parent / name).write_bytes(content)
    file.write_text(text, encoding="utf-8")
    return file


def is_id(text: str) -> bool:
    """Whether a text of an address could name a folder that the dashboard made for a draft or a job."""
    return text.isascii() and text.isalnum() and len(text) <= _MAX_ID


def _inside(root: Path, file: Path) -> Path:
    if not file.resolve().is_relative_to(root.resolve()):
        raise InputError(Problem("leads out of the scenario's folder", str(file.name)))
    return file


def load_confined(file: Path, root: Path, sets: Sequence[str] = ()) -> tuple[LoadedScenario, float]:
    """Load a scenario that may name files below `root` alone and may not ask for more than a server can give.

    Parameters
    ----------
    sets : assignments as `load_scenario` takes them

    Returns
    -------
    the scenario, and how many requests it simulates

    Raises
    ------
    InputError : every problem, at its line
    """
    document = read_document(file)
    if sets:
        check_mappings(document)
        apply_sets(document, sets, merge_overlays(document, ()))
    problems = [
        Problem("no such file in the scenario's folder: upload it", *place(document, path), path=path, got=name[:100])
        for path, _, name in texts_of_files(document.data)
        if not _is_below(file.parent, name, root)
    ]
    if problems:
        raise InputError(*problems)
    loaded = load_scenario(file, sets=sets)
    return loaded, check_size(loaded)


def _is_below(folder: Path, name: str, root: Path) -> bool:
    try:
        return (folder / name).resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):
        return False


def within(root: Path, problem: Problem) -> Problem:
    """The problem, with places that begin at `root`: nobody needs to know where a server keeps its files."""
    inside = f"{root.resolve()}/"

    def short(text: str | None) -> str | None:
        return text and text.replace(inside, "")

    return replace(problem, message=short(problem.message) or "", file=short(problem.file), got=short(problem.got))
