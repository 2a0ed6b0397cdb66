"""What the command line hands to the application, through environment variables: Streamlit runs it as a script."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_VARIABLE = "SERVECAST_DASHBOARD"


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

    Folders that a run is still writing (hidden) and what interrupted runs left (`.partial`) are left out.
    """
    return [place for place in _folders(runs) if not _is_sweep(place)]


def sweep_folders(runs: tuple[str, ...]) -> list[Path]:
    """Folders with the results of sweeps, as `bundle_folders` finds those of runs."""
    return [place for place in _folders(runs) if _is_sweep(place)]


def _is_sweep(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == "sweep"


def _folders(runs: tuple[str, ...]) -> list[Path]:
    found: dict[Path, float] = {}
    for name in runs:
        folder = Path(name)
        inside = [folder] if (folder / "manifest.json").is_file() else sorted(folder.glob("[!.]*/manifest.json"))
        for path in inside:
            place = path if path.is_dir() else path.parent
            if place.suffix != ".partial":
                found[place] = (place / "manifest.json").stat().st_mtime
    return sorted(found, key=lambda place: (-found[place], place.name))
