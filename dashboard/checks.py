"""Checks of what a visitor wrote or uploaded, outside the server's own process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard import processes
from dashboard.page_turns import TURNS
from dashboard.workspace import lay_out, within
from simulator.errors import InputError, Problem
from simulator.results.scratch import scratch

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


@dataclass(frozen=True, slots=True)
class Composed:
    """What answers to questions make.

    Attributes
    ----------
    text : of the scenario; empty where the answers make none
    told : what their files are, by the question that asks for one
    problems : of the answers, or of the scenario that they make
    """

    text: str
    told: Mapping[str, str]
    problems: tuple[Problem, ...]


def compose(answers: Mapping[str, Any], files: Mapping[str, bytes], visitor: str = "") -> Composed:
    """The scenario that answers make, checked as `servecast new` checks it.

    Parameters
    ----------
    files : what they name, as a config.json
    visitor : who asks; visitors take turns
    """
    pool = processes.pool("dashboard.check_worker", processes.spare_cores(2))
    with scratch() as folder:
        root = Path(folder).resolve()
        file = lay_out(root, "new.yaml", "", files)
        with TURNS.aside():
            asked = {"file": str(file), "root": str(root), "answers": dict(answers)}
            found = pool.ask(asked, _WAIT_S, visitor)
        if found is None:
            told = Problem(f"takes more than {_WAIT_S:g} s or too much memory to read", next(iter(files), None))
            return Composed("", {}, (told,))
        problems = tuple(within(root, Problem(**problem)) for problem in found.get("problems", ()))
        return Composed(found.get("text", ""), found.get("told", {}), problems)
