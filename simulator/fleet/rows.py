"""From `Requests` to the rows that the data plane takes in, and the arena that holds their segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.engine.modes.rooms.arrays import MOST_PICTURES, PICTURE, NoRooms
from simulator.engine.state import FREE, Engines
from simulator.fleet.state import ROW
from simulator.workload.extras import PER_ROW
from simulator.workload.luck import LUCK_PER_CLASS, draw_luck
from simulator.workload.requests import ClosedLoop, Requests


def to_rows(requests: Requests, segment_base: int, picture_base: int = 0) -> NDArray[np.void]:
    """Rows of a chunk whose segments and pictures will stand in their arenas from these places on."""
    rows = np.zeros(len(requests), ROW)
    for name in ("arrival_s", "think_s", "session_id", "next_turn", "isl", "osl", "class_id", "priority"):
        rows[name] = getattr(requests, name)
    rows["complexity"] = requests.complexity
    rows["output_continues"] = requests.output_continues
    rows["stops"] = requests.stops
    rows["segment_start"] = requests.segment_start[:-1] + segment_base
    rows["n_segments"] = np.diff(requests.segment_start)
    total = np.concatenate([[0], np.cumsum(requests.segment_tokens, dtype=np.int64)])
    rows["listed_tokens"] = total[requests.segment_start[1:]] - total[requests.segment_start[:-1]]
    rows["grammar_s"] = rows["acceptance"] = -1.0
    extras = requests.extras
    if extras is not None:
        for name in PER_ROW:
            rows[name] = getattr(extras, name)
        rows["first_picture"] = extras.picture_start[:-1] + picture_base
        rows["n_pictures"] = np.diff(extras.picture_start)
    return rows


def to_pictures(requests: Requests) -> NDArray[np.void]:
    """Pictures of a chunk, in the order of its rows.

    Raises
    ------
    ValueError : a request with more pictures than an engine tells apart
    """
    extras = requests.extras
    if extras is None:
        return np.zeros(0, PICTURE)
    if np.diff(extras.picture_start).max(initial=0) > MOST_PICTURES:
        raise ValueError(f"a request has at most {MOST_PICTURES} pictures")
    pictures = np.zeros(len(extras.picture_offset), PICTURE)
    for name in ("offset", "tokens", "content"):
        pictures[name] = getattr(extras, f"picture_{name}")
    return pictures


class RowLoader:
    """Keeps the segment arena: closed-loop rows at its front, then those of requests in flight, then the new chunk.

    Parameters
    ----------
    luck : of the rows of the only chunk, instead of that of their place
    """

    def __init__(self, closed_loops: Sequence[ClosedLoop], luck: NDArray[np.int64] | None = None) -> None:
        rows, ids, tokens = [np.zeros(0, ROW)], [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        base = 0
        pictures = [np.zeros(0, PICTURE)]
        for loop in closed_loops:
            loaded = to_rows(loop.rows, base, sum(map(len, pictures)))
            loaded["next_turn"] = -1
            loaded["luck"] = loaded["class_id"].astype(np.int64) * LUCK_PER_CLASS
            rows.append(loaded)
            ids.append(loop.rows.segment_id)
            tokens.append(loop.rows.segment_tokens)
            base += len(loop.rows.segment_id)
            pictures.append(to_pictures(loop.rows))
        self.closed_rows: NDArray[np.void] = np.concatenate(rows)
        self._sent: dict[int, int] = {}
        self._luck = luck
        self._closed_id = np.concatenate(ids)
        self._closed_tokens = np.concatenate(tokens)
        self._closed_pictures = np.concatenate(pictures)
        self.segment_id = np.append(self._closed_id, np.int64(0))
        self.segment_tokens = np.append(self._closed_tokens, np.int32(0))

    @property
    def closed_pictures(self) -> NDArray[np.void]:
        """Pictures of closed loops, which stand at the front of theirs."""
        return self._closed_pictures

    @property
    def longest_closed_tokens(self) -> int:
        rows = self.closed_rows
        return int((rows["isl"].astype(np.int64) + rows["osl"]).max()) if len(rows) else 0

    def load(
        self, requests: Requests, engines: Engines
    ) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.int32]]:
        """Rows of a chunk and the new arena; slots in flight are pointed to their segments' new places."""
        front = len(self._closed_id)
        slots = engines.slots
        moving = np.flatnonzero(
            (slots["state"] != FREE) & (slots["n_segments"] > 0) & (slots["segment_start"] >= front)
        )
        counts = slots["n_segments"][moving].astype(np.int64)
        starts = slots["segment_start"][moving]
        ends = np.cumsum(counts)
        kept = np.arange(int(ends[-1]) if len(ends) else 0)
        kept += np.repeat(starts - (ends - counts), counts)
        ids = np.concatenate([self._closed_id, engines.segment_id[kept], requests.segment_id, [0]])
        tokens = np.concatenate([self._closed_tokens, engines.segment_tokens[kept], requests.segment_tokens, [0]])
        slots["segment_start"][moving] = front + ends - counts
        rows = to_rows(requests, front + len(kept))
        rows["luck"] = draw_luck(requests, self._sent) if self._luck is None else self._luck
        return rows, ids.astype(np.int64), tokens.astype(np.int32)

    def load_pictures(self, requests: Requests, rows: NDArray[np.void], engines: Engines) -> Engines:
        """Put the pictures of a chunk behind those of closed loops and of requests in flight, which move up."""
        rooms, slots = engines.rooms, engines.slots
        if isinstance(rooms, NoRooms):
            return engines
        front = len(self._closed_pictures)
        mine = rooms.slots
        moving = np.flatnonzero((slots["state"] != FREE) & (mine["n_pictures"] > 0) & (mine["first_picture"] >= front))
        counts = mine["n_pictures"][moving].astype(np.int64)
        starts, ends = mine["first_picture"][moving], np.cumsum(counts)
        kept = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
        mine["first_picture"][moving] = front + ends - counts
        rows["first_picture"] += front + len(kept)
        last = np.zeros(1, PICTURE)
        pictures = np.concatenate([self._closed_pictures, rooms.pictures[kept], to_pictures(requests), last])
        return engines._replace(rooms=rooms._replace(pictures=pictures))
