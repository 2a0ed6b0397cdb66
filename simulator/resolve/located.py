"""Places in the scenario: errors from below get one, and so do figures that the scenario gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from simulator.errors import InputError, Problem
from simulator.scenario.load import LoadedScenario


@contextmanager
def located(loaded: LoadedScenario, path: str) -> Iterator[None]:
    """Give an InputError from below the place in the scenario that it comes from."""
    try:
        yield
    except InputError as error:
        raise InputError(*(_placed(loaded, path, problem) for problem in error.problems)) from error


def _placed(loaded: LoadedScenario, path: str, problem: Problem) -> Problem:
    if problem.file:
        return problem
    whole = _where_given(loaded, f"{path}.{problem.path}" if problem.path else path)
    file, line, column = loaded.place(whole)
    return replace(problem, file=file, line=line, column=column, path=whole)


def _where_given(loaded: LoadedScenario, path: str) -> str:
    """The path itself, or that of the engine of all pools where a pool's value comes from there."""
    shared = f"engine.{path.partition('.engine.')[2]}"
    given = loaded.document.origins
    return shared if path not in given and shared in given else path


def written_at(loaded: LoadedScenario, path: str, *keys: str) -> str:
    """Where the first of `keys` that anybody wrote stands, or that whose path `path` is, as `place_of`."""
    wholes = (_where_given(loaded, f"{path}.{key}") for key in keys)
    return place_of(loaded, next((whole for whole in wholes if whole in loaded.document.origins), path))


def pool_path(loaded: LoadedScenario, topology: str, k: int) -> str:
    """Path of pool `k` of a topology where it is written: pools without a replica were left out before it.

    A topology that a program added is written nowhere: its pools count as they are.
    """
    path, pools = f"topologies.{topology}.pools", loaded.scenario.topologies[topology].pools
    topologies = loaded.document.data["topologies"]
    written = [pool["name"] for pool in topologies.get(topology, {}).get("pools", ())]
    added = [pool.name for pool in pools if pool.name not in written]
    return f"{path}[{[*written, *added].index(pools[k].name)}]"


def place_of(loaded: LoadedScenario, path: str) -> str:
    """Where the value at `path` was written, as `file:line:column` or the option that gave it."""
    return ":".join(str(part) for part in loaded.place(path) if part is not None)
