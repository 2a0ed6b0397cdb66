"""What a sweep has to simulate: each topology of each point, what is the same only once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError
from simulator.resolve.sizes import alone
from simulator.run.evaluate import evaluate
from simulator.run.fingerprint import fingerprint, program_digest
from simulator.scenario.load import LoadedScenario
from simulator.scenario.references import references
from simulator.sweep.grid import Sweep, Values
from simulator.sweep.row import figures


@dataclass(frozen=True, slots=True)
class Task:
    """One topology of one point.

    Attributes
    ----------
    key : hash of everything that the result depends on
    loaded : the scenario with this topology alone
    """

    key: str
    topology: str
    loaded: LoadedScenario


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of values, and the key of each topology's task; or why it is no scenario."""

    values: Values
    keys: dict[str, str]
    error: str | None = None


def points_and_tasks(sweep: Sweep) -> tuple[list[Point], list[Task]]:
    """All points of a sweep, and the tasks that they need.

    A point whose values make no valid scenario is a point with an error.

    Raises
    ------
    InputError : the scenario is invalid before any value is set, or not one point is valid (the first one's problems)
    """
    sweep.load()
    points: list[Point] = []
    tasks: dict[str, Task] = {}
    first: InputError | None = None
    for values in sweep.points():
        try:
            needed = _tasks(sweep.load(values))
        except InputError as error:
            first = first or error
            points.append(Point(values, {}, _words(error)))
            continue
        tasks |= {task.key: task for task in needed}
        points.append(Point(values, {task.topology: task.key for task in needed}))
    if first is not None and not tasks:
        raise first
    return points, list(tasks.values())


def _tasks(loaded: LoadedScenario) -> list[Task]:
    found: list[Task] = []
    for name in loaded.scenario.topologies:
        one = alone(loaded, name)
        content = fingerprint(one, references(one)) + program_digest().encode()
        found.append(Task(hashlib.sha256(content).hexdigest(), name, one))
    return found


def perform(_: None, task: Task) -> dict[str, Any]:
    """Simulate a task: `status` ok with figures, failed with the user's error, or bug with ours."""
    try:
        outcome = evaluate(task.loaded, task.topology)
    except InputError as error:
        return {"status": "failed", "error": _words(error)}
    except Exception as error:
        return {"status": "bug", "error": f"{type(error).__name__}: {error}"}
    return {"status": "ok", "error": None, **figures(outcome)}


def _words(error: InputError) -> str:
    return "; ".join(str(problem) for problem in error.problems)
