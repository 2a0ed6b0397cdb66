"""Folders in which a user's scenario is checked and run: it may name files there and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import scenarios
from simulator.errors import InputError, Problem
from simulator.run.capacity import offered_load
from simulator.scenario.document import Document, join, read_document
from simulator.scenario.load import LoadedScenario, load_scenario

MAX_REQUESTS = 20_000_000
"""Simulated requests of one run, over all topologies and replications."""
MAX_KEPT_REQUESTS = 5_000_000
"""Of these, rows that a run may keep."""
MAX_HORIZON_S = 366 * 86_400.0
_NAMING = ("file", "profile", "model")
"""Keys whose values may name files."""


def shipped() -> Path:
    """Folder of the shipped scenarios."""
    return Path(next(iter(scenarios.__path__)))


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
    InputError : a place or a name that leads out of `root`
    """
    file = _inside(root, root / place)
    file.parent.mkdir(parents=True, exist_ok=True)
    for name in ("traffic", "profiles", "models"):
        source = (base or shipped()) / name
        if source.is_dir():
            shutil.copytree(source, root / name, dirs_exist_ok=True)
    file.write_text(text, encoding="utf-8")
    for name, content in (uploads or {}).items():
        _inside(file.parent, file.parent / Path(name).name).write_bytes(content)
    return file


def _inside(root: Path, file: Path) -> Path:
    if not file.resolve().is_relative_to(root.resolve()):
        raise InputError(Problem("leads out of the scenario's folder", str(file.name)))
    return file


def load_confined(file: Path, root: Path) -> LoadedScenario:
    """Load a scenario that may name files below `root` alone and may not ask for more than a server can give.

    Raises
    ------
    InputError : every problem, at its line
    """
    document = read_document(file)
    problems = [
        Problem("no such file in the scenario's folder: upload it", *_place(document, path), path=path, got=name)
        for path, name in _file_names(document.data, "")
        if not (file.parent / name).resolve().is_relative_to(root.resolve())
    ]
    if problems:
        raise InputError(*problems)
    loaded = load_scenario(file)
    check_size(loaded)
    return loaded


def _place(document: Document, path: str) -> tuple[str, int | None, int | None]:
    origin = document.origins[path]
    return origin.file, origin.line, origin.column


def _file_names(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Values that may name a file: they hold a slash, a backslash or two dots, or end as a file does."""
    if not isinstance(node, dict | list):
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        where = join(path, key)
        if isinstance(value, str) and key in _NAMING:
            yield where, value
        else:
            yield from _file_names(value, where)


def check_size(loaded: LoadedScenario) -> None:
    """Refuse a run that is too large for a shared server.

    Raises
    ------
    InputError : names the value to lower
    """
    run = loaded.scenario.run
    if run.horizon_s > MAX_HORIZON_S:
        raise _too_large(loaded, "run.horizon_s", f"at most {MAX_HORIZON_S:g} s here", run.horizon_s)
    requests = expected_requests(loaded)
    if requests > MAX_REQUESTS:
        words = f"about {requests:,.0f} simulated requests are more than the {MAX_REQUESTS:,} allowed here: lower it"
        raise _too_large(loaded, "run.horizon_s", f"{words}, or run.replications", run.horizon_s)
    if run.keep_requests and requests > MAX_KEPT_REQUESTS:
        words = f"about {requests:,.0f} rows are more than the {MAX_KEPT_REQUESTS:,} allowed here: set it to false"
        raise _too_large(loaded, "run.keep_requests", words, "true")


def expected_requests(loaded: LoadedScenario) -> float:
    """About how many requests a run simulates, over topologies and replications; closed loops count as one a second."""
    run = loaded.scenario.run
    load = offered_load(loaded)
    rate_rps = load.rate_rps if load else 1.0
    return rate_rps * run.horizon_s * run.replications * len(loaded.scenario.topologies)


def _too_large(loaded: LoadedScenario, path: str, words: str, got: object) -> InputError:
    return InputError(Problem(words, *loaded.place(path), path=path, got=str(got)))
