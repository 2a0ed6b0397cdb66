"""A log of requests of one's own, as far as a scenario of it needs to know it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import get_args

import numpy as np

from simulator.errors import InputError, Problem, unknown_name
from simulator.questions.answers import Answers
from simulator.scenario.week import week_time_words
from simulator.schema.workload import TraceColumn
from simulator.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, rough
from simulator.workload.reading import Reading
from simulator.workload.spool import Spool
from simulator.workload.ticks import Ticks
from simulator.workload.trace_file import has_hashes, says, spool_trace, uncounted, zone_of

_READING = Reading(leaves_out_failures=True, guesses=True)
_COLUMNS = get_args(TraceColumn)
LATE = 0.05
"""Share of the requests that may miss a limit: the terms that are written are p95."""


@dataclass(frozen=True, slots=True)
class Log:
    """What a log holds.

    Attributes
    ----------
    requests : rows that have an answer
    failures : rows without one, which are left out
    span_s : from second 0 of its clock to its last request and a mean gap behind it
    isl, osl : mean tokens of prompts and answers, at least 1
    late_isl : length that all prompts but `LATE` of them do not exceed
    longest_tokens : the longest prompt and the longest answer together
    columns : what the file calls the columns of servecast's own format, where that was guessed
    talks : it says of which conversation each request is
    has_hashes : it says which blocks prompts are made of
    cached_share : of the prompts' tokens, found in a cache where it was written; None where it does not say it
    uncounted : columns of prompt tokens that those of its prompts likely do not count
    labels : of its `class` column, in the order in which they come; empty where it has none
    start : time of the week at which its clock begins, in its zone; None where that counts from 0
    zone : what its first time is ahead of UTC, as `+01:00`; empty where it does not say so
    """

    requests: int
    failures: int
    span_s: float
    isl: int
    osl: int
    late_isl: int
    longest_tokens: int
    columns: tuple[tuple[str, str], ...]
    talks: bool
    has_hashes: bool
    cached_share: float | None
    uncounted: tuple[str, ...]
    labels: tuple[str, ...]
    start: str | None
    zone: str

    @property
    def rate_rps(self) -> float:
        """Mean requests per second."""
        return self.requests / self.span_s


def read_log(answers: Answers, folder: Path) -> Log | None:
    """The log that answers name, read in bounded memory whatever its size; what was read last is kept.

    Raises
    ------
    InputError : no such file, unknown columns, broken rows, or fewer than two times
    """
    name = answers.trace
    if name is None:
        return None
    file = folder / name
    if not file.is_file():
        raise InputError(Problem("no such file in the scenario's folder", path="trace", got=name))
    status = file.stat()
    return _read(file, columns_of(answers.column or ""), status.st_mtime_ns, status.st_size)


def columns_of(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of a column of servecast's own format and what the file calls it, of `arrival_s=at, input_tokens=in`.

    Raises
    ------
    InputError : no such pairs, or a column that traces do not have
    """
    pairs = [part.partition("=") for part in re.split(r",\s*(?=\w+\s*=)", text) if part.strip()]
    found = [(ours.strip(), theirs.strip()) for ours, _, theirs in pairs]
    for ours, theirs in found:
        if not theirs:
            raise InputError(Problem("must be ours=theirs, as arrival_s=at", path="column", got=ours))
        if ours not in _COLUMNS:
            raise InputError(Problem(unknown_name("column", ours, _COLUMNS), path="column"))
    return tuple(found)


@lru_cache(maxsize=2)
def _read(file: Path, columns: tuple[tuple[str, str], ...], _modified_ns: int, _size: int) -> Log:
    reading = replace(_READING, columns=columns)
    with Spool() as spool:
        rows = spool_trace(file, reading, spool)
        ticks = Ticks.of(rows)
        if ticks.count == 1:
            raise InputError(Problem("a log needs requests at two times at least", file=str(file)))
        (isl, isl_counts), (osl, osl_counts) = rows.lengths("isl"), rows.lengths("osl")
    zone = zone_of(file, reading)
    names = dict(rows.was_read.columns)
    gap_s = (ticks.last_s - ticks.first_s) / (ticks.rows - 1)
    return Log(
        requests=ticks.rows,
        failures=rows.was_read.failures,
        span_s=ticks.last_s + gap_s,
        isl=max(round(float(isl @ isl_counts) / ticks.rows), 1),
        osl=max(round(float(osl @ osl_counts) / ticks.rows), 1),
        late_isl=int(isl[np.searchsorted(np.cumsum(isl_counts), ticks.rows - math.floor(LATE * ticks.rows))]),
        longest_tokens=int(isl[-1]) + int(osl[-1]),
        columns=rows.was_read.columns,
        talks=says(file, reading, "session_id"),
        has_hashes=has_hashes(file, reading),
        cached_share=rows.was_read.cached_share,
        uncounted=tuple(uncounted(file, names)),
        labels=rows.labels,
        start=None if rows.since_1970_s is None else _time_of_week(rows.since_1970_s, zone),
        zone=zone,
    )


def log_words(log: Log) -> str:
    """What a log is, so that one's own can be told from its look."""
    left = f"; {log.failures:,} without an answer are left out" if log.failures else ""
    return (
        f"{log.requests:,} requests in {rough(log.span_s / SECONDS_PER_HOUR)} h, prompts of {log.isl:,} and answers of "
        f"{log.osl:,} tokens in the mean{left}; {_sharing_words(log)}"
    )


def _sharing_words(log: Log) -> str:
    """What of its prompts a cache may find."""
    if log.has_hashes:
        return "prompts share the blocks that it names"
    found = []
    share = "" if log.cached_share is None else f"{log.cached_share:.0%} of their tokens came from a cache"
    if log.talks:
        found.append("prompts repeat what was said before in their conversation")
        found += [f"{share}, of which first ones begin with a text for all"] if share else []
    elif share:
        found.append(f"{share}, so much of each is the beginning of one text for all")
    if log.uncounted:
        names = " and ".join(log.uncounted)
        sums = "+".join(["input_tokens=…", *log.uncounted])
        found.append(f"{names} are likely not among the prompt tokens that were said: {sums} counts them")
    prompt = dict(log.columns).get("input_tokens", "")
    if "+" in prompt:
        found.append(f"a prompt has {' and '.join(prompt.split('+'))}")
    return "; ".join(found) or "nothing is known of what prompts share, so no cache finds any"


def _time_of_week(since_1970_s: float, zone: str) -> str:
    at = datetime.fromtimestamp(since_1970_s, datetime.fromisoformat(f"2026-01-01T00:00{zone or 'Z'}").tzinfo)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return week_time_words(at.weekday() * SECONDS_PER_DAY + (at - midnight).total_seconds())
