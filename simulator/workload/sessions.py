"""Multi-turn conversations: each prompt repeats everything said before it and adds what the user says now."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.rng import stream
from simulator.workload.arrivals import arrival_times, constant_rate
from simulator.workload.lengths import MAX_TOKENS, length_mean, length_sampler
from simulator.workload.requests import Requests, make_requests
from simulator.workload.spec import ClassWorkload, Sessions

BLOCK = 2048
"""Conversations built at a time."""


def session_blocks(workload: ClassWorkload, sessions: Sessions, horizon_s: float, seed: int) -> Iterator[Requests]:
    """Conversations in order of their beginning: first turns are the open rows, the others follow behind them.

    Segment 0 is the system prompt; conversation k (from 0) is segment 1 + k and session k.
    """
    user = sessions.user_tokens if sessions.user_tokens is not None else workload.isl
    if user is None or workload.osl is None:
        raise InputError(f"class {workload.name}: sessions need user tokens and output tokens")
    samplers = length_sampler(sessions.turns), length_sampler(user), length_sampler(workload.osl)
    names = "turns", "user_tokens", "osl"
    generators = [stream(seed, name) for name in names]
    think = stream(seed, "think_s")
    rate = constant_rate(sessions.rate_rps / length_mean(sessions.turns))
    begin = stream(seed, "arrivals")
    first_session = 0
    for times in arrival_times(rate, 1.0, begin, horizon_s):
        for start in range(0, len(times), BLOCK):
            arrival_s = times[start : start + BLOCK]
            turns = samplers[0](generators[0], len(arrival_s))
            rows = int(turns.sum())
            added, osl = samplers[1](generators[1], rows), samplers[2](generators[2], rows)
            pause_s = sessions.think_s * think.standard_exponential(rows)
            yield _conversations(
                arrival_s, turns, added, osl, pause_s, sessions.system_tokens, first_session, workload.name
            )
            first_session += len(arrival_s)


def _conversations(
    arrival_s: NDArray[np.float64],
    turns: NDArray[np.int32],
    added: NDArray[np.int32],
    osl: NDArray[np.int32],
    pause_s: NDArray[np.float64],
    system_tokens: int,
    first_session: int,
    name: str,
) -> Requests:
    """Rows are drawn conversation by conversation; the first turns are then moved to the front."""
    rows = len(osl)
    first = np.concatenate([[0], np.cumsum(turns[:-1])])
    session = np.repeat(np.arange(len(turns)), turns)
    is_first = np.zeros(rows, np.bool_)
    is_first[first] = True
    said = _said_before(added, osl, first, session) + added
    if rows and said.max() + system_tokens > MAX_TOKENS:
        raise InputError(f"class {name}: a conversation grows beyond 2^31 tokens: lower turns, user or output tokens")
    order = np.concatenate([first, np.flatnonzero(~is_first)])
    place = np.empty(rows, np.int64)
    place[order] = np.arange(rows)
    next_turn = np.append(np.where(is_first[1:], -1, place[1:]), -1)
    clock_s = np.full(rows, np.nan)
    clock_s[first] = arrival_s
    segments = (np.zeros(rows, np.int64), 1 + first_session + session), (np.full(rows, system_tokens), said)
    ids, tokens = (np.stack([pair[0][order], pair[1][order]], axis=1) for pair in segments)
    kept = slice(0 if system_tokens else 1, 2)
    return make_requests(
        clock_s[order],
        (said + system_tokens)[order],
        osl[order],
        session_id=(first_session + session)[order],
        next_turn=next_turn[order],
        think_s=np.where(is_first, 0.0, pause_s)[order],
        output_continues=np.ones(rows, np.bool_),
        segment_start=np.arange(rows + 1) * len(range(*kept.indices(2))),
        segment_id=ids[:, kept].ravel(),
        segment_tokens=tokens[:, kept].ravel(),
    )


def _said_before(
    added: NDArray[np.int32], osl: NDArray[np.int32], first: NDArray[np.int64], session: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Tokens of all earlier turns of the conversation, prompts and outputs."""
    total = np.concatenate([[0], np.cumsum(added.astype(np.int64) + osl)])[:-1]
    before: NDArray[np.int64] = total - total[first][session]
    return before
