"""Checks of what a visitor wrote or uploaded, outside the server's own process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dashboard import processes
from dashboard.page_turns import TURNS
from dashboard.workspace import within
from simulator.errors import InputError, Problem

_WAIT_S = 20.0


def check(file: Path, root: Path, grid: Sequence[str] = (), visitor: str = "") -> float:
    """Number of requests that a scenario simulates; it may name files below `root` alone.

    Parameters
    ----------
    grid : axes of a sweep, as `servecast sweep --grid` takes them; then the requests of all its points
    visitor : who asks; visitors take turns

    Raises
    ------
    InputError : every problem, at its line; or reading it takes too long or too much memory
    """
    pool = processes.pool("dashboard.check_worker", processes.spare_cores(2))
    with TURNS.aside():
        found = pool.ask({"file": str(file), "root": str(root), "grid": [*grid]}, _WAIT_S, visitor)
    if found is None:
        raise InputError(
            Problem(f"takes more than {_WAIT_S:g} s or too much memory to read: run it with `servecast run`", file.name)
        )
    if "problems" in found:
        raise InputError(*(within(root, Problem(**problem)) for problem in found["problems"]))
    return float(found["requests"])
