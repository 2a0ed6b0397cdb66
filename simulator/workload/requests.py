"""Requests as a struct of arrays: what every topology of a run is served.

Prompt content is a list of shared segments followed by a private remainder: two prompt tokens are equal exactly when
their segment id and their position in the segment are equal. Only content that other requests may share is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Extras:
    """What requests bring for an engine's modes beyond plain serving, a row a request.

    Attributes
    ----------
    leaves_s : float64 (n,), seconds after its arrival at which its client leaves, whatever has come; 0: it stays
    acceptance : float64 (n,), probability that a draft of it is accepted, given that all before it in the step were;
        negative: as for its class
    adapter : int32 (n,), LoRA adapter; 0 is the model itself
    grammar_s : float64 (n,), seconds from its arrival until its grammar is compiled; negative: it has none
    stored_tokens : int32 (n,), tokens that a store of KV caches has of its beginning
    stored_apart : bool (n,), they load apart from the step, else with it
    load_s : float64 (n,), seconds that such a load takes
    remote : bool (n,), an engine outside the fleet has computed its prompt
    send_s : float64 (n,), seconds after its end until an engine outside the fleet has fetched its KV; 0: nobody does
    picture_start : int64 (n + 1,), row i's pictures are `picture_start[i]:picture_start[i + 1]`
    picture_offset, picture_tokens, picture_content : int32, int32, int64 (m,), in order of their offsets in the prompt;
        equal contents are the same picture. Their tokens are part of the prompt, and of its segments where they are
        shared
    """

    leaves_s: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    adapter: NDArray[np.int32]
    grammar_s: NDArray[np.float64]
    stored_tokens: NDArray[np.int32]
    stored_apart: NDArray[np.bool_]
    load_s: NDArray[np.float64]
    remote: NDArray[np.bool_]
    send_s: NDArray[np.float64]
    picture_start: NDArray[np.int64]
    picture_offset: NDArray[np.int32]
    picture_tokens: NDArray[np.int32]
    picture_content: NDArray[np.int64]


def make_extras(n: int, **columns: NDArray[Any]) -> Extras:
    """Extras of `n` requests from the columns given; the others bring nothing.

    Raises
    ------
    TypeError : a name that is no column
    """
    values: dict[str, NDArray[Any]] = {
        "leaves_s": np.zeros(n),
        "acceptance": np.full(n, -1.0),
        "adapter": np.zeros(n, np.int32),
        "grammar_s": np.full(n, -1.0),
        "stored_tokens": np.zeros(n, np.int32),
        "stored_apart": np.zeros(n, np.bool_),
        "load_s": np.zeros(n),
        "remote": np.zeros(n, np.bool_),
        "send_s": np.zeros(n),
        "picture_start": np.zeros(n + 1, np.int64),
        "picture_offset": np.zeros(0, np.int32),
        "picture_tokens": np.zeros(0, np.int32),
        "picture_content": np.zeros(0, np.int64),
    }
    unknown = set(columns) - set(values)
    if unknown:
        raise TypeError(f"not columns of Extras: {sorted(unknown)}")
    return Extras(
        **{name: np.ascontiguousarray(columns.get(name, value), dtype=value.dtype) for name, value in values.items()}
    )


@dataclass(frozen=True, slots=True)
class Requests:
    """A chunk of requests.

    The first `n_open` rows arrive by the clock, in order of `arrival_s`. The rows after them are follow-up turns: each
    is named by exactly one `next_turn` and arrives `think_s` after that request has completed.

    Attributes
    ----------
    arrival_s : float64 (n,), seconds since the start; NaN for follow-up turns
    isl, osl : int32 (n,), prompt and output tokens, both at least 1
    class_id : int32 (n,), index into the workload's classes
    priority : int32 (n,), lower is served first
    complexity : float32 (n,), 0 (simple) to 1; for routing by complexity
    session_id : int64 (n,), -1 without a session
    next_turn : int64 (n,), row in this chunk of the session's next turn, -1 for none
    think_s : float64 (n,), pause before this turn once the previous one is complete; 0 for open rows; of a
        closed loop after this request
    output_continues : bool (n,), the output extends the last listed segment (a conversation that later turns repeat)
    stops : bool (n,), a stop token ends the output, so that nobody knows its length before; else `max_tokens` does
    segment_start : int64 (n + 1,), row i's segments are `segment_start[i]:segment_start[i + 1]`
    segment_id, segment_tokens : int64, int32 (m,); per request the tokens add up to at most isl
    n_open : rows that arrive by the clock
    extras : what they bring for modes beyond plain serving; None is nothing
    """

    arrival_s: NDArray[np.float64]
    isl: NDArray[np.int32]
    osl: NDArray[np.int32]
    class_id: NDArray[np.int32]
    priority: NDArray[np.int32]
    complexity: NDArray[np.float32]
    session_id: NDArray[np.int64]
    next_turn: NDArray[np.int64]
    think_s: NDArray[np.float64]
    output_continues: NDArray[np.bool_]
    stops: NDArray[np.bool_]
    segment_start: NDArray[np.int64]
    segment_id: NDArray[np.int64]
    segment_tokens: NDArray[np.int32]
    n_open: int
    extras: Extras | None = None

    def __len__(self) -> int:
        return len(self.isl)


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """A class driven by a fixed number of users, each with at most one request in flight.

    User k starts at `start_s[k]`; `think_s` of a row after its request has ended, the user sends the next row of
    `rows`, taken in order over all users and again from the start after the last (private content stays private). The
    rows carry the class.
    """

    start_s: NDArray[np.float64]
    rows: Requests


class RequestSource(Protocol):
    """Everything a run is asked to serve: `chunks()` starts again from the first request at every call."""

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def closed_loops(self) -> tuple[ClosedLoop, ...]: ...

    def chunks(self) -> Iterator[Requests]:
        """Open-loop requests in order of arrival, over chunk borders too; memory does not grow with their number."""
        ...


@dataclass(frozen=True, slots=True)
class Remade:
    """A source whose requests are made of another's.

    Attributes
    ----------
    again : its requests, from the first one on
    """

    class_names: tuple[str, ...]
    closed_loops: tuple[ClosedLoop, ...]
    again: Callable[[], Iterator[Requests]]

    def chunks(self) -> Iterator[Requests]:
        return self.again()


def make_requests(
    arrival_s: NDArray[np.float64],
    isl: NDArray[np.integer],
    osl: NDArray[np.integer],
    **columns: NDArray[Any],
) -> Requests:
    """Requests from the columns given; the others take their neutral value (class 0, nothing shared, no session).

    Keyword columns are the attributes of `Requests`; `n_open` counts the rows whose `arrival_s` is not NaN.
    """
    n = len(isl)
    values: dict[str, NDArray[Any]] = {
        "class_id": np.zeros(n, np.int32),
        "priority": np.zeros(n, np.int32),
        "complexity": np.zeros(n, np.float32),
        "session_id": np.full(n, -1, np.int64),
        "next_turn": np.full(n, -1, np.int64),
        "think_s": np.zeros(n),
        "output_continues": np.zeros(n, np.bool_),
        "stops": np.zeros(n, np.bool_),
        "segment_start": np.zeros(n + 1, np.int64),
        "segment_id": np.zeros(0, np.int64),
        "segment_tokens": np.zeros(0, np.int32),
    }
    typed: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(columns.get(name, value), dtype=value.dtype) for name, value in values.items()
    }
    unknown = set(columns) - set(values)
    if unknown:
        raise TypeError(f"not columns of Requests: {sorted(unknown)}")
    return Requests(
        arrival_s=np.ascontiguousarray(arrival_s, np.float64),
        isl=np.ascontiguousarray(isl, np.int32),
        osl=np.ascontiguousarray(osl, np.int32),
        n_open=int(np.count_nonzero(~np.isnan(arrival_s))),
        extras=None,
        **typed,
    )
