"""Finished tasks on disk: what an interrupted sweep need not simulate again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem
from simulator.results.files import clear_scratch, write_text


class Store:
    """A folder with one file for each finished task, named by its key; each stands whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finished(self) -> dict[str, dict[str, Any]]:
        """Results by key; files that cannot be read count as not finished, what killed processes left is removed."""
        clear_scratch(self.folder)
        found: dict[str, dict[str, Any]] = {}
        for file in sorted(self.folder.glob("*.json")):
            try:
                found[file.stem] = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
        return found

    def keep(self, key: str, result: dict[str, Any]) -> None:
        """Write a result.

        Raises
        ------
        InputError : the folder cannot be written
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(Problem(f"cannot be written: {error.strerror}", str(self.folder))) from error
        write_text(self.folder / f"{key}.json", json.dumps(result), among_many=True)

    def clear(self) -> None:
        """Remove everything; the results are in the bundle by now."""
        shutil.rmtree(self.folder, ignore_errors=True)
