"""Compares engines with recordings of the real scheduler, entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from simulator.engine.reference.explain import explain_entry
from simulator.engine.reference.replay import replay_ranks, replay_reference
from simulator.engine.schedule_trace import ScheduleTrace, TraceStep
from simulator.engine.trace_reader import load_schedule_trace

Replay = Callable[[ScheduleTrace], Sequence[Sequence[TraceStep]]]
"""Runs an engine over a recording; the entries of each data-parallel rank, of which there is one as a rule.

Entries hold all that the recording has (`ScheduleTrace.has_details`), or at least requests, tokens, preemptions and
free blocks, which then are compared alone. Raises `ModeMissing` where the engine does not have a recording's mode.
"""

_ABSENT = "-"


class ModeMissing(Exception):
    """An engine does not have the modes of a recording; the message names them."""


@dataclass(frozen=True, slots=True)
class ScheduleCheck:
    """Result of replaying one recording.

    Attributes
    ----------
    file, mode, vllm_version : the recording
    identical_steps : recorded entries that the replay reproduces to the last value
    n_steps : recorded entries
    first_difference : both sides of the first entry that differs, None if none does
    engine : name of the engine that replayed it, None if the caller gave none
    missing : modes that the engine does not have, so that nothing was replayed; else empty
    """

    file: str
    identical_steps: int
    n_steps: int
    first_difference: str | None
    engine: str | None = None
    mode: str = "plain"
    vllm_version: str = ""
    missing: str = ""

    @property
    def identical(self) -> bool:
        return self.first_difference is None and not self.missing


def replay_by_reference(trace: ScheduleTrace) -> list[list[TraceStep]]:
    """Entries of the plain-Python scheduler, which has every mode that a recording can be in."""
    if trace.ranks:
        ranks, _ = replay_ranks(trace)
        return [list(rank.steps) for rank in ranks]
    return [replay_reference(trace)]


def check_schedule(path: str | Path, engines: Mapping[str, Replay]) -> tuple[ScheduleCheck, ...]:
    """Replay a recording with each engine; one result per engine, in the order given.

    Parameters
    ----------
    engines : name to replay; the recording is read once

    Raises
    ------
    InputError : a recording that cannot be read
    """
    trace = load_schedule_trace(path)
    return tuple(replace(_check(trace, replay), engine=name) for name, replay in engines.items())


def verify_schedule(path: str | Path, replay: Replay = replay_by_reference) -> ScheduleCheck:
    """Replay a recording and compare all that it says of its steps.

    Raises
    ------
    InputError : a recording that cannot be read
    """
    return _check(load_schedule_trace(path), replay)


def _check(trace: ScheduleTrace, replay: Replay) -> ScheduleCheck:
    recorded = [rank.steps for rank in trace.ranks] or [trace.steps]
    known = {"mode": trace.mode, "vllm_version": trace.vllm_version}
    try:
        replayed = replay(trace)
    except ModeMissing as missing:
        n_steps = sum(map(len, recorded))
        return ScheduleCheck(trace.file, 0, n_steps, None, missing=str(missing), **known)
    pairs = list(zip(recorded, replayed, strict=True))
    checks = [_compare(trace, rank, left, right) for rank, (left, right) in enumerate(pairs)]
    first = next((check.first_difference for check in checks if check.first_difference), None)
    identical = sum(check.identical_steps for check in checks)
    return ScheduleCheck(trace.file, identical, sum(map(len, recorded)), first, **known)


def _compare(
    trace: ScheduleTrace, rank: int, recorded: Sequence[TraceStep], replayed: Sequence[TraceStep]
) -> ScheduleCheck:
    if not (trace.has_details and any(step != step.plain() for step in replayed)):
        recorded, replayed = [step.plain() for step in recorded], [step.plain() for step in replayed]
    check = compare_steps(trace.file, recorded, replayed)
    if check.first_difference is None:
        return check
    position = next(k for k, (left, right) in enumerate(zip_longest(recorded, replayed)) if left != right)
    reasons = explain_entry(trace, position, rank)
    decided = "\n".join(["decided, by the reference:", *(f"  {reason}" for reason in reasons)])
    return replace(check, first_difference=f"{check.first_difference}\n{decided}")


def compare_steps(file: str, recorded: Sequence[TraceStep], replayed: Sequence[TraceStep]) -> ScheduleCheck:
    """Compare two lists of entries, position by position; a missing or an additional one is a difference."""
    pairs = list(zip_longest(recorded, replayed))
    differing = [k for k, (left, right) in enumerate(pairs) if left != right]
    first = _side_by_side(differing[0], *pairs[differing[0]]) if differing else None
    identical = sum(left == right for left, right in zip(recorded, replayed, strict=False))
    return ScheduleCheck(file, identical, len(recorded), first)


def _side_by_side(position: int, recorded: TraceStep | None, replayed: TraceStep | None) -> str:
    """Table of one step, recorded and replayed; lines that differ are marked with `>`."""
    lines = zip_longest(_lines(recorded), _lines(replayed), fillvalue=("", _ABSENT))
    rows = [(left[0] or right[0], left[1], right[1]) for left, right in lines]
    table = [("", "recorded", "replayed"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(2)]
    text = [f"entry {position}:"]
    for label, left, right in table:
        mark = ">" if label and left != right else " "
        text.append(f"{mark} {label:<{widths[0]}}  {left:<{widths[1]}}  {right}".rstrip())
    return "\n".join(text)


def _lines(step: TraceStep | None) -> list[tuple[str, str]]:
    if step is None:
        return []
    return [
        ("step", str(step.step)),
        ("free blocks", str(step.free_blocks)),
        ("preempted", ", ".join(map(str, step.preempted)) or "none"),
        *(
            (f"scheduled {k}", f"request {request}: {tokens} tokens after {before}")
            for k, (request, tokens, before) in enumerate(step.scheduled)
        ),
        *((name, str(found)) for name in _DETAILS if (found := getattr(step, name))),
    ]


_DETAILS = ("spec", "loads", "recv", "sent", "stores", "flushed", "stored", "encoder", "finished")
