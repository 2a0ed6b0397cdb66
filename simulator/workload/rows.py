"""Selecting, joining and cutting chunks of `Requests`, with their segments and follow-up turns."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.workload.extras import joined, selected
from simulator.workload.requests import Requests

_PER_ROW = (
    "arrival_s",
    "isl",
    "osl",
    "class_id",
    "priority",
    "complexity",
    "session_id",
    "think_s",
    "output_continues",
    "stops",
)


def select(requests: Requests, opens: NDArray[np.int64]) -> Requests:
    """The rows `opens` in this order, then all turns that follow them, first turns first."""
    order, next_turn = _follow(requests, opens)
    segment_start, segment_index = _segments_of(requests, order)
    return Requests(
        **{name: getattr(requests, name)[order] for name in _PER_ROW},
        next_turn=next_turn,
        segment_start=segment_start,
        segment_id=requests.segment_id[segment_index],
        segment_tokens=requests.segment_tokens[segment_index],
        n_open=len(opens),
        extras=selected(requests.extras, order),
    )


def _follow(requests: Requests, opens: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows reached from `opens`, level by level, and where each row's next turn stands among them."""
    if requests.n_open == len(requests):
        return opens, np.full(len(opens), -1, np.int64)
    rows, positions = [], []
    level, filled = opens, 0
    while len(level):
        filled += len(level)
        following = requests.next_turn[level]
        has_next = following >= 0
        position = np.full(len(level), -1, np.int64)
        position[has_next] = filled + np.arange(np.count_nonzero(has_next))
        rows.append(level)
        positions.append(position)
        level = following[has_next]
    return np.concatenate([opens[:0], *rows]), np.concatenate([opens[:0], *positions])


def _segments_of(requests: Requests, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    starts = requests.segment_start[rows]
    counts = requests.segment_start[rows + 1] - starts
    segment_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    index = np.repeat(starts - segment_start[:-1], counts) + np.arange(segment_start[-1])
    return segment_start, index


def cut(requests: Requests, first: int, last: int) -> Requests:
    """Open rows `first:last` with the turns that follow them; views where no turn follows."""
    if requests.n_open != len(requests):
        return select(requests, np.arange(first, last))
    low, high = requests.segment_start[first], requests.segment_start[last]
    return Requests(
        **{name: getattr(requests, name)[first:last] for name in _PER_ROW},
        next_turn=requests.next_turn[first:last],
        segment_start=requests.segment_start[first : last + 1] - low,
        segment_id=requests.segment_id[low:high],
        segment_tokens=requests.segment_tokens[low:high],
        n_open=last - first,
        extras=selected(requests.extras, np.arange(first, last)),
    )


def join(pieces: Sequence[Requests]) -> Requests:
    """All pieces in one, open rows sorted by arrival (ties in the order of the pieces)."""
    if len(pieces) == 1:
        return pieces[0]
    sizes = np.array([len(piece) for piece in pieces])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    segment_offsets = np.concatenate([[0], np.cumsum([len(piece.segment_id) for piece in pieces])])
    stacked = Requests(
        **{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in _PER_ROW},
        next_turn=np.concatenate(
            [
                np.where(piece.next_turn >= 0, piece.next_turn + offset, -1)
                for piece, offset in zip(pieces, offsets, strict=False)
            ]
        ),
        segment_start=np.concatenate(
            [[0]] + [piece.segment_start[1:] + offset for piece, offset in zip(pieces, segment_offsets, strict=False)]
        ).astype(np.int64),
        segment_id=np.concatenate([piece.segment_id for piece in pieces]),
        segment_tokens=np.concatenate([piece.segment_tokens for piece in pieces]),
        n_open=sum(piece.n_open for piece in pieces),
        extras=joined([(piece.extras, len(piece)) for piece in pieces]),
    )
    opens = np.concatenate(
        [np.arange(offset, offset + piece.n_open) for piece, offset in zip(pieces, offsets, strict=False)]
    )
    return select(stacked, opens[np.argsort(stacked.arrival_s[opens], kind="stable")])


def merge(streams: Sequence[Iterable[Requests]]) -> Iterator[Requests]:
    """Streams in time order merged into one; holds one block of each stream.

    Each round yields all rows up to the end of the block that ends first, and looks at no stream that has none of them.
    """
    iterators = [iter(stream) for stream in streams]
    if len(iterators) == 1:
        yield from iterators[0]
        return
    heads: dict[int, tuple[Requests, int]] = {}
    begins: list[tuple[float, int]] = []
    ends: list[tuple[float, int]] = []

    def hold(k: int, head: Requests | None, done: int) -> None:
        if head is None:
            return
        if done == 0:
            heapq.heappush(ends, (head.arrival_s[head.n_open - 1], k))
        heads[k] = head, done
        heapq.heappush(begins, (head.arrival_s[done], k))

    for k, iterator in enumerate(iterators):
        hold(k, next(iterator, None), 0)
    while ends:
        until_s = ends[0][0]
        some = []
        while begins and begins[0][0] <= until_s:
            some.append(heapq.heappop(begins)[1])
        while ends and ends[0][0] == until_s:
            heapq.heappop(ends)
        pieces = []
        for k in sorted(some):
            head, done = heads[k]
            end = int(np.searchsorted(head.arrival_s[: head.n_open], until_s, side="right"))
            pieces.append(cut(head, done, end))
            if end == head.n_open:
                hold(k, next(iterators[k], None), 0)
            else:
                hold(k, head, end)
        yield join(pieces)


def rechunk(pieces: Iterable[Requests], size: int) -> Iterator[Requests]:
    """The same requests in chunks of exactly `size` open rows, the last one smaller, each with its follow-up turns."""
    held: list[Requests] = []
    room = size
    for piece in pieces:
        first = 0
        while first < piece.n_open:
            last = min(first + room, piece.n_open)
            held.append(piece if last - first == piece.n_open else cut(piece, first, last))
            room -= last - first
            first = last
            if room == 0:
                yield join(held)
                held, room = [], size
    if held:
        yield join(held)


def fit_segments(
    segment_start: NDArray[np.int64],
    segment_id: NDArray[np.int64],
    segment_tokens: NDArray[np.int32],
    isl: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Segments cut off at the end of each prompt, so that a request's tokens add up to at most its `isl`."""
    counts = np.diff(segment_start)
    ends = np.cumsum(segment_tokens, dtype=np.int64)
    before = np.concatenate([[0], ends])[segment_start[:-1]]
    begins = ends - segment_tokens - np.repeat(before, counts)
    tokens = np.clip(np.repeat(isl, counts) - begins, 0, segment_tokens).astype(np.int32)
    kept = tokens > 0
    start = np.concatenate([[0], np.cumsum(kept)])[segment_start]
    return start.astype(np.int64), segment_id[kept], tokens[kept]
