"""A warm process that checks scenarios as `servecast validate` does, within limits of memory.

It reads a request a line and writes an answer a line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dashboard.limits import MAX_POINTS, MAX_REQUESTS, limit_memory
from dashboard.processes import answer_lines
from dashboard.workspace import load_confined
from simulator.errors import InputError, Problem, collect
from simulator.questions.answers import Answers
from simulator.questions.fit import model_words
from simulator.questions.log import log_words, read_log
from simulator.questions.write import scenario_text
from simulator.resolve.sizes import at_start
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.named_files import is_config
from simulator.sweep.grid import assignments, read_sweep

_MAX_BYTES = 2**31
"""Of memory: what is uploaded may be a thousand times as large once it is unpacked."""
_MAX_WORDS = 300
_UNREADABLE = (MemoryError, ArithmeticError, RecursionError, ValueError, OSError)
_NICE = 5
"""Pages go before, whose visitors wait as well; runs and What-ifs after."""


def main() -> None:
    """Answer until the other side is gone."""
    os.nice(_NICE)
    limit_memory(_MAX_BYTES)
    answer_lines(_answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    file, root = Path(request["file"]), Path(request["root"])
    if "answers" in request:
        return _compose(file, root, request["answers"])
    return _check(file, root, request["grid"])


def _compose(file: Path, root: Path, answers: dict[str, Any]) -> dict[str, Any]:
    """The scenario that answers make, written to `file`, what is wrong with it, and what their files are."""
    try:
        text = scenario_text(answers, root)
        told = _told(answers, root)
    except InputError as error:
        return {"problems": [asdict(problem) for problem in error.problems]}
    except _UNREADABLE as error:
        return {"problems": [asdict(_unreadable(error, "the answers"))]}
    file.write_text(text, encoding="utf-8")
    return {"text": text, "told": told, **_check(file, root)}


def _told(answers: dict[str, Any], root: Path) -> dict[str, str]:
    """What the files of the answers are, in words, by the question that asks for one."""
    found = {}
    if "model" in answers and is_config(root, answers["model"]):
        found["model"] = model_words(answers["model"], root)
    if (log := read_log(Answers(**answers), root)) is not None:
        found["trace"] = log_words(log)
    return found


def _check(file: Path, root: Path, grid: Sequence[str] = ()) -> dict[str, Any]:
    try:
        loaded, requests = load_confined(file, root)
        collect(resolve_terms, plan_topologies(at_start(loaded)))
        return {"requests": _of_points(file, root, grid) if grid else requests}
    except InputError as error:
        problems = error.problems
    except _UNREADABLE as error:
        problems = (_unreadable(error, file.name),)
    return {"problems": [asdict(problem) for problem in problems]}


def _unreadable(error: BaseException, file: str) -> Problem:
    words = f"cannot be read here: {error}" if str(error) else f"cannot be read here ({type(error).__name__})"
    return Problem(words[:_MAX_WORDS], file)


def _of_points(file: Path, root: Path, grid: Sequence[str]) -> float:
    """Requests of all points of a sweep, each of which is as confined as the scenario itself.

    Raises
    ------
    InputError : too many points, or requests of all together; a point that is no scenario
    """
    sweep = read_sweep(file, grid)
    count = math.prod(map(len, sweep.axes.values()))
    if count > MAX_POINTS:
        raise InputError(Problem(f"has {count:,} points, of at most {MAX_POINTS} here", "the sweep"))
    total = 0.0
    for values in sweep.points():
        total += load_confined(file, root, assignments(values))[1]
        if total > MAX_REQUESTS:
            words = f"its points simulate more than the {MAX_REQUESTS:,} requests allowed here: lower run.horizon_s"
            raise InputError(Problem(words, "the sweep"))
    return total


if __name__ == "__main__":
    main()
