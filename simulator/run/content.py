"""What the prompts of a run's requests shared: drawn once more, and matched with the rows that the bundle kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.run.loads import loads_of
from simulator.scenario.load import LoadedScenario
from simulator.workload.requests import ClosedLoop, Requests

Place = tuple[Requests, int]
"""A chunk of requests, and a row in it."""


class _Row(NamedTuple):
    """A kept row."""

    request: int
    isl: int
    osl: int
    class_id: int
    finish_s: float


def shared_content(loaded: LoadedScenario, rows: pd.DataFrame, numbers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Columns of `make_requests` that say what the prompts of some requests of the first replication share.

    The workload is drawn again with its seed. A request that came by the clock is known by its time of arrival, a later
    turn by the end of the one before and the pause after it, a closed loop's by its place among its class.

    Parameters
    ----------
    rows : requests of one topology from the start on: `request`, `class`, `isl`, `osl`, `arrival_s`, `finish_s`
    numbers : the requests asked for, among these rows

    Raises
    ------
    InputError : a request that the scenario does not draw
    """
    source = loads_of(loaded).shown.demand.source(0)
    classes = {cls.name: k for k, cls in enumerate(loaded.scenario.workload.classes)}
    waiting: dict[float, list[_Row]] = {}
    for number, name, isl, osl, arrival_s, finish_s in rows[
        ["request", "class", "isl", "osl", "arrival_s", "finish_s"]
    ].itertuples(index=False):
        waiting.setdefault(arrival_s, []).append(_Row(number, isl, osl, classes[name], finish_s))
    wanted = set(numbers.tolist())
    found: dict[int, Place] = {}
    last_s = float(rows["arrival_s"].max())
    for chunk in source.chunks():
        if chunk.n_open and chunk.arrival_s[0] > last_s:
            break
        found.update((number, place) for number, place in _by_clock(chunk, waiting) if number in wanted)
    for loop in source.closed_loops:
        found.update((number, place) for number, place in _by_place(loop, rows, list(classes)) if number in wanted)
    strange = next((number for number in numbers.tolist() if number not in found), None)
    if strange is not None:
        raise InputError(
            Problem(
                f"request {strange} is not among those that the scenario draws: was the scenario, or a file that it "
                "names, changed after the run?",
                str(loaded.path),
            )
        )
    return _columns([found[number] for number in numbers.tolist()])


def _by_clock(chunk: Requests, waiting: dict[float, list[_Row]]) -> Iterator[tuple[int, Place]]:
    for first in range(chunk.n_open):
        row, arrival_s = first, float(chunk.arrival_s[first])
        while row >= 0:
            lengths = chunk.isl[row], chunk.osl[row], chunk.class_id[row]
            match = next((kept for kept in waiting.get(arrival_s, ()) if kept[1:4] == lengths), None)
            if match is None:
                break
            waiting[arrival_s].remove(match)
            yield match.request, (chunk, row)
            row = int(chunk.next_turn[row])
            arrival_s = match.finish_s + float(chunk.think_s[row])


def _by_place(loop: ClosedLoop, rows: pd.DataFrame, names: list[str]) -> Iterator[tuple[int, Place]]:
    own = rows[rows["class"] == names[int(loop.rows.class_id[0])]]
    for place, number in enumerate(np.sort(own["request"].to_numpy()).tolist()):
        yield number, (loop.rows, place % len(loop.rows))


def _columns(found: list[Place]) -> dict[str, NDArray[Any]]:
    bounds = [(chunk, slice(chunk.segment_start[row], chunk.segment_start[row + 1])) for chunk, row in found]
    counts = [part.stop - part.start for _, part in bounds]
    return {
        "segment_start": np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        "segment_id": np.concatenate([np.zeros(0, np.int64), *(chunk.segment_id[part] for chunk, part in bounds)]),
        "segment_tokens": np.concatenate(
            [np.zeros(0, np.int32), *(chunk.segment_tokens[part] for chunk, part in bounds)]
        ),
        "output_continues": np.array([chunk.output_continues[row] for chunk, row in found], np.bool_),
    }
