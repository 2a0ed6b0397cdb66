"""What a sweep has to simulate: each topology of each point, what is the same only once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError, Problem
from simulator.resolve.sizes import alone
from simulator.run.evaluate import evaluate
from simulator.run.fingerprint import fingerprint, program_digest
from simulator.scenario.load import LoadedScenario
from simulator.scenario.references import references
from simulator.sweep.grid import Sweep, Values
from simulator.sweep.row import figures, where


@dataclass(frozen=True, slots=True)
class Task:
    """One topology of one point, as little as it takes to load it where it is simulated.

    Attributes
    ----------
    key : hash of everything that the result depends on
    values : of the point
    """

    key: str
    topology: str
    values: Values


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
            loaded = sweep.load(values)
            keys = {name: _key(alone(loaded, name)) for name in loaded.scenario.topologies}
        except InputError as error:
            first = first or error
            points.append(Point(values, {}, _words(error)))
            continue
        for name, key in keys.items():
            tasks.setdefault(key, Task(key, name, values))
        points.append(Point(values, keys))
    if first is not None and not tasks:
        raise first
    return points, list(tasks.values())


def _key(one: LoadedScenario) -> str:
    content = fingerprint(one, references(one)) + program_digest().encode()
    return hashlib.sha256(content).hexdigest()


def perform(sweep: Sweep, task: Task) -> dict[str, Any]:
    """Simulate a task: `status` ok with figures, failed with the user's error, or bug with ours.

    Raises
    ------
    InputError : a file that the scenario names is not what it was when the task was made, or where
    """
    try:
        one = alone(sweep.load(task.values), task.topology)
        same = _key(one) == task.key
    except InputError as error:
        text = f"is a point no longer, or not on this machine: {_words(error)}"
        raise InputError(Problem(text, str(sweep.scenario), got=where(task.values))) from error
    if not same:
        text = "names files that are others by now, or on this machine: give the sweep again when they stay as they are"
        raise InputError(Problem(text, str(sweep.scenario), got=where(task.values)))
    try:
        outcome = evaluate(one, task.topology)
    except InputError as error:
        return {"status": "failed", "error": _words(error)}
    except Exception as error:
        return {"status": "bug", "error": f"{type(error).__name__}: {error}"}
    return {"status": "ok", "error": None, **figures(outcome)}


def _words(error: InputError) -> str:
    return "; ".join(str(problem) for problem in error.problems)
