"""Which functions of ours run in a process, noted while they are called, and written down where it ends."""

from __future__ import annotations

import atexit
import inspect
import multiprocessing.util
import os
import sys
import tempfile
import threading
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("simulator", "calibrate", "dashboard")
SEEN: set[CodeType] = set()


def parts_of(folder: Path, test: str) -> Path:
    """Where processes write that a file of tests starts."""
    return folder / f"{test.replace('/', '.')}.parts"


def begin() -> None:
    """Note every function that is called from now on in this process, and write them down where it ends."""
    trace()
    os.register_at_fork(after_in_child=_forked)
    atexit.register(_write)


def trace() -> None:
    noted = SEEN.add

    def note(frame: Any, event: str, arg: Any) -> None:
        noted(frame.f_code)

    threading.settrace(note)
    sys.settrace(note)


def functions() -> list[str]:
    """`path:qualified name` of what ran, without the bodies of modules and classes: each is run by whoever is first."""
    found = set()
    for code in list(SEEN):
        path = Path(code.co_filename)
        is_ours = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES
        if is_ours and code.co_flags & inspect.CO_OPTIMIZED:
            name = code.co_qualname.replace(".<locals>", "")
            found.add(f"{path.relative_to(ROOT).as_posix()}:{name.partition('.<')[0]}")
    return sorted(found)


def _forked() -> None:
    SEEN.clear()
    multiprocessing.util.Finalize(None, _write, exitpriority=1)


def _write() -> None:
    parts = parts_of(Path(os.environ["MUTANTS_REACH"]), os.environ["MUTANTS_TEST"])
    parts.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=parts, suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write("\n".join(functions()))
