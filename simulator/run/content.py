"""The requests of a run: drawn once more, and matched with the rows that the bundle kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.run.loads import loads_of
from simulator.scenario.load import LoadedScenario
from simulator.workload.extras import joined, selected
from simulator.workload.luck import LUCK_PER_CLASS, draw_luck
from simulator.workload.requests import ClosedLoop, Extras, Requests, make_requests


class _Place(NamedTuple):
    """A row of a chunk of requests, and what its random draws went by."""

    chunk: Requests
    row: int
    luck: int


class _Row(NamedTuple):
    """A kept row."""

    request: int
    isl: int
    osl: int
    class_id: int
    finish_s: float


def drawn_again(
    loaded: LoadedScenario, rows: pd.DataFrame, numbers: NDArray[np.int64]
) -> tuple[Requests, NDArray[np.int64]]:
    """Some requests of the first replication with all that they share and bring, and what their random draws went by.

    The workload is drawn again with its seed. A request that came by the clock is known by its time of arrival, a later
    turn by the end of the one before and the pause after it, a closed loop's by its place among its class. All of them
    come by the clock then, at their times in the run.

    Parameters
    ----------
    rows : requests of one topology from the start on: `request`, `class`, `isl`, `osl`, `arrival_s`, `finish_s`
    numbers : the requests asked for, among these rows, in order of arrival

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
    found: dict[int, _Place] = {}
    sent: dict[int, int] = {}
    last_s = float(rows["arrival_s"].max())
    for chunk in source.chunks():
        if chunk.n_open and chunk.arrival_s[0] > last_s:
            break
        luck = draw_luck(chunk, sent)
        found.update((number, place) for number, place in _by_clock(chunk, luck, waiting) if number in wanted)
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
    at = rows.set_index("request").loc[numbers, "arrival_s"].to_numpy(np.float64)
    places = [found[number] for number in numbers.tolist()]
    return _served_alone(places, at), np.array([place.luck for place in places], np.int64)


def _by_clock(
    chunk: Requests, luck: NDArray[np.int64], waiting: dict[float, list[_Row]]
) -> Iterator[tuple[int, _Place]]:
    for first in range(chunk.n_open):
        row, arrival_s = first, float(chunk.arrival_s[first])
        while row >= 0:
            lengths = chunk.isl[row], chunk.osl[row], chunk.class_id[row]
            match = next((kept for kept in waiting.get(arrival_s, ()) if kept[1:4] == lengths), None)
            if match is None:
                break
            waiting[arrival_s].remove(match)
            yield match.request, _Place(chunk, row, int(luck[row]))
            row = int(chunk.next_turn[row])
            arrival_s = match.finish_s + float(chunk.think_s[row])


def _by_place(loop: ClosedLoop, rows: pd.DataFrame, names: list[str]) -> Iterator[tuple[int, _Place]]:
    class_id = int(loop.rows.class_id[0])
    own = rows[rows["class"] == names[class_id]]
    for place, number in enumerate(np.sort(own["request"].to_numpy()).tolist()):
        yield number, _Place(loop.rows, place % len(loop.rows), LUCK_PER_CLASS * class_id + place)


def _served_alone(found: Sequence[_Place], arrival_s: NDArray[np.float64]) -> Requests:
    bounds = [(chunk, slice(chunk.segment_start[row], chunk.segment_start[row + 1])) for chunk, row, _ in found]
    counts = [part.stop - part.start for _, part in bounds]
    columns = {
        name: np.array([getattr(chunk, name)[row] for chunk, row, _ in found])
        for name in ("isl", "osl", "class_id", "priority", "output_continues", "stops")
    }
    requests = make_requests(
        arrival_s,
        **columns,
        segment_start=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        segment_id=np.concatenate([np.zeros(0, np.int64), *(chunk.segment_id[part] for chunk, part in bounds)]),
        segment_tokens=np.concatenate([np.zeros(0, np.int32), *(chunk.segment_tokens[part] for chunk, part in bounds)]),
    )
    return replace(requests, extras=_brought(found))


def _brought(found: Sequence[_Place]) -> Extras | None:
    """What the requests bring, chunk by chunk, then in their order."""
    chunks = {id(place.chunk): place.chunk for place in found}
    places: dict[int, list[int]] = {key: [] for key in chunks}
    for k, place in enumerate(found):
        places[id(place.chunk)].append(k)
    pieces = [
        (selected(chunk.extras, np.array([found[k].row for k in places[key]], np.int64)), len(places[key]))
        for key, chunk in chunks.items()
    ]
    order = np.argsort(np.concatenate([np.zeros(0, np.int64), *(np.array(ks, np.int64) for ks in places.values())]))
    return selected(joined(pieces), order)
