"""What the command line hands to the application, through environment variables: Streamlit runs it as a script."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain, count
from pathlib import Path

from simulator.results.seal import MANIFEST

_VARIABLE = "SERVECAST_DASHBOARD"
_MAX_MANIFEST_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one server.

    Attributes
    ----------
    runs : bundles, and folders that hold bundles, which every user of the server sees
    out : folder for the bundles of runs that users start
    live : folder that `servecast calibrate live` writes, None for none
    """

    runs: tuple[str, ...] = ("runs",)
    out: str = "runs"
    live: str | None = None

    def to_environment(self) -> dict[str, str]:
        """The variable that `settings` reads."""
        return {_VARIABLE: json.dumps(asdict(self))}


def settings() -> Settings:
    """Settings of this server; the defaults when it was started without the command."""
    text = os.environ.get(_VARIABLE)
    if text is None:
        return Settings()
    data = json.loads(text)
    return Settings(tuple(data["runs"]), data["out"], data.get("live"))


def bundle_folders(runs: tuple[str, ...]) -> list[Path]:
    """Folders of run bundles among `runs` and one level below them, newest first; broken ones included.

    Folders that a run is still writing (hidden) and what interrupted runs left (`.partial`) are left out, as is
    whatever has no manifest that is a plain file.
    """
    return [place for place, written in _folders(runs) if not _is_sweep(place, written)]


def named_folders(runs: tuple[str, ...]) -> dict[str, Path]:
    """`bundle_folders` by name; of equal names the older ones are told apart by the folder that they lie in."""
    found: dict[str, Path] = {}
    for place in bundle_folders(runs):
        names = chain(
            (place.name, f"{place.name} ({place.parent.name})"), (f"{place.name} ({number})" for number in count(2))
        )
        found[next(name for name in names if name not in found)] = place
    return found


def sweep_folders(runs: tuple[str, ...]) -> list[Path]:
    """Folders with the results of sweeps, as `bundle_folders` finds those of runs."""
    return [place for place, written in _folders(runs) if _is_sweep(place, written)]


@lru_cache(maxsize=10_000)
def _is_sweep(folder: Path, written: int) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == "sweep"


def _folders(runs: tuple[str, ...]) -> list[tuple[Path, int]]:
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
