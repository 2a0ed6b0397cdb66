"""Turns of recorded conversations that wait for the answer before them, as users and their tools do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.workload.reading import Reading
from simulator.workload.requests import Requests
from simulator.workload.rows import select


def pauses_s(
    file: Path,
    reading: Reading,
    arrival_s: NDArray[np.float64],
    session: NDArray[np.int64],
    think_s: NDArray[np.float64] | None,
    e2e_s: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    r"""Pause of each turn after the answer before it, in order of arrival.

    .. math:: \text{think}_k, \quad \text{else} \quad \max(t_k - t_{k-1} - \text{e2e}_{k-1}, 0), \quad \text{else}

    what `reading` says of all.

    Raises
    ------
    InputError : nothing says it
    """
    if think_s is not None:
        return think_s
    if e2e_s is not None:
        found = np.zeros(len(session))
        before, after = links(session)
        found[after] = np.maximum(arrival_s[after] - arrival_s[before] - e2e_s[before], 0.0)
        return found
    if reading.think_s is None:
        text = (
            "says nothing of the pauses of turns that wait for answers: give a column think_s (before the turn, after "
            "the answer), a column e2e_s (of the answers), or think_s for all"
        )
        raise InputError(Problem(text, file=str(file), line=1))
    return np.full(len(session), reading.think_s)


def in_turns(rows: Requests) -> Requests:
    """Rows of one session as turns: the first is open, each further one waits for the answer before and its `think_s`.

    Parameters
    ----------
    rows : all open, in order of arrival
    """
    before, after = links(rows.session_id)
    following = np.full(len(rows), -1, np.int64)
    following[before] = after
    waits = np.zeros(len(rows), np.bool_)
    waits[after] = True
    order = np.concatenate([np.flatnonzero(~waits), np.flatnonzero(waits)])
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows))
    turned = select(rows, order)
    return replace(
        turned,
        arrival_s=np.where(waits[order], np.nan, turned.arrival_s),
        think_s=np.where(waits[order], turned.think_s, 0.0),
        next_turn=np.where(following[order] >= 0, place[following[order]], -1),
        n_open=int((~waits).sum()),
    )


def links(session: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that another one of their session follows, and those."""
    by_session = np.argsort(session, kind="stable")
    ours = session[by_session]
    linked = (ours[1:] == ours[:-1]) & (ours[1:] >= 0)
    return by_session[:-1][linked], by_session[1:][linked]
