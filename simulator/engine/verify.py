"""Compares the engine with recordings of the real scheduler, entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from simulator.engine.config import EngineConfig
from simulator.engine.reference.replay import replay_reference
from simulator.engine.schedule_trace import ScheduleTrace, TraceStep
from simulator.engine.trace_reader import load_schedule_trace

Replay = Callable[[EngineConfig, Sequence[TraceRequest]], list[TraceStep]]
"""Runs a scheduler over a recording's requests; returns the steps that scheduled or preempted something."""

_ABSENT = "-"


@dataclass(frozen=True, slots=True)
class ScheduleCheck:
    """Result of replaying one recording.

    Attributes
    ----------
    file : the recording
    identical_steps : recorded steps that the replay reproduces to the last entry
    n_steps : recorded steps
    first_difference : both sides of the first step that differs, None if none does
    engine : name of the engine that replayed it, None if the caller gave none
    """

    file: str
    identical_steps: int
    n_steps: int
    first_difference: str | None
    engine: str | None = None

    @property
    def identical(self) -> bool:
        return self.first_difference is None


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
    return tuple(
        replace(compare_steps(trace.file, trace.steps, replay(trace.config, trace.requests)), engine=name)
        for name, replay in engines.items()
    )


def verify_schedule(path: str | Path, replay: Replay = replay_reference) -> ScheduleCheck:
    """Replay a recording and compare scheduled requests, tokens, preemptions and free blocks.

    Raises
    ------
    InputError : a recording that cannot be read
    """
    trace = load_schedule_trace(path)
    return compare_steps(trace.file, trace.steps, replay(trace.config, trace.requests))


def compare_steps(file: str, recorded: Sequence[TraceStep], replayed: Sequence[TraceStep]) -> ScheduleCheck:
    """Compare two lists of steps, position by position; a missing or an additional step is a difference."""
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
    ]
