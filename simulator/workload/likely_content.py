"""What prompts of a trace share where it has no hashes: what was said before, and what a cache held of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Requests
from simulator.workload.turns import links


def with_likely_content(
    rows: Requests, label: NDArray[np.int64], cached: NDArray[np.int32] | None, grows: bool
) -> Requests:
    r"""Rows whose prompts are made of texts that others have too; those of different labels share nothing.

    A prompt begins with its cached tokens, which are the beginning of one text for all of its label. Where prompts
    grow, one of at least $I_{k-1} + O_{k-1}$ tokens begins with the whole prompt before and its answer; a shorter one
    begins a conversation anew.

    Parameters
    ----------
    rows : all open, in order of arrival
    label : of each row, from 0 on
    cached : tokens of each prompt that were found in a cache, at most all; None is none
    grows : prompts of one session repeat what was said before
    """
    n = len(rows)
    head = np.zeros(n, np.int64) if cached is None else cached.astype(np.int64)
    talks = rows.session_id >= 0 if grows else np.zeros(n, np.bool_)
    head = np.where(talks, np.minimum(head, rows.isl - 1), head)
    text = np.zeros(n, np.int64)
    if talks.any():
        talk = np.where(talks, rows.session_id * (int(label.max()) + 1) + label, -1)
        before, after = links(talk)
        goes_on = rows.isl[after] >= rows.isl[before].astype(np.int64) + rows.osl[before]
        anew = talks.copy()
        anew[after[goes_on]] = False
        by_talk = np.argsort(talk, kind="stable")
        text[by_talk] = np.cumsum(anew[by_talk]) - 1
        head[by_talk] = _of_the_first(head[by_talk], anew[by_talk] | ~talks[by_talk])
    commons = int(label.max(initial=0)) + 1
    ids = np.stack([label, commons + text], axis=1)
    tokens = np.stack([head, np.where(talks, rows.isl - head, 0)], axis=1)
    kept = tokens > 0
    return replace(
        rows,
        output_continues=talks,
        segment_start=np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64),
        segment_id=ids[kept],
        segment_tokens=tokens[kept].astype(np.int32),
    )


def _of_the_first(values: NDArray[np.int64], first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each row the value of the last one before, or of itself, that is a first one; the first row is one."""
    if not len(values):
        return values
    place = np.maximum.accumulate(np.where(first, np.arange(len(values)), 0))
    found: NDArray[np.int64] = values[place]
    return found
