"""Engines at their limits, in many modes at once: the reference and the kernels do what vLLM 0.32.0 did."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import pytest

from simulator.engine.schedule_trace import ScheduleTrace, TraceEvent
from simulator.engine.trace_reader import load_schedule_trace
from simulator.engine.verify import check_schedule, compare_steps, replay_by_reference, verify_schedule
from simulator.fleet.replay import replay_kernel

EDGES = Path(__file__).resolve().parents[1] / "data" / "vllm-schedule-edges" / "0.32.0"
RECORDINGS = sorted(EDGES.glob("*.json.gz"))
_HASHES = "hashes of tokens that another engine computes"
MISSING = {
    "edge-7001-93": _HASHES,
    "edge-7002-58": _HASHES,
    "edge-7501-35": "states that another engine brings",
}
"""What kernels do not have of a recording."""


def named(path: Path) -> str:
    return path.name.split(".")[0]


@pytest.mark.parametrize("path", RECORDINGS, ids=named)
def test_every_recorded_step_is_reproduced(path: Path) -> None:
    reference = verify_schedule(path)
    assert reference.first_difference is None
    assert reference.identical_steps == reference.n_steps > 30


@pytest.mark.rare_kernels
@pytest.mark.parametrize("path", RECORDINGS, ids=named)
def test_kernels_reproduce_every_recorded_step_or_say_why_not(path: Path) -> None:
    (kernel,) = check_schedule(path, {"kernel": replay_kernel})
    assert kernel.first_difference is None
    assert kernel.missing == MISSING.get(named(path), "")
    assert kernel.missing or kernel.identical_steps == kernel.n_steps


@pytest.mark.parametrize(
    ("name", "held_back"), [("edge-7001-93", 0), ("edge-7002-58", 0), ("edge-7002-58", 2), ("edge-7501-9", 0)]
)
def test_prompts_of_which_other_tokens_are_held_back_are_scheduled_otherwise(name: str, held_back: int) -> None:
    trace = load_schedule_trace(EDGES / f"{name}.json.gz")
    assert any(row.held_back for row in trace.requests)
    rows = tuple(dataclasses.replace(row, held_back=held_back if row.held_back else 0) for row in trace.requests)
    assert differs(dataclasses.replace(trace, requests=rows), trace)


@pytest.mark.rare_kernels
def test_a_reset_of_an_empty_engine_comes_to_kernels_alone() -> None:
    """Iterations jump over it; a kernel's clock does not, so that the reader leaves it out."""
    path = EDGES / "edge-7001-59.json.gz"
    trace = load_schedule_trace(path)
    events = json.loads(gzip.decompress(path.read_bytes()))["events"]
    never = [TraceEvent(event["step"], reset=event["reset_prefix_cache"]) for event in events if "worked" not in event]
    with_all = dataclasses.replace(trace, events=(*trace.events, *never))
    assert not differs(with_all, trace)
    (steps,) = replay_kernel(with_all)
    assert not compare_steps("kernel", [step.plain() for step in trace.steps], steps).identical


def differs(other: ScheduleTrace, trace: ScheduleTrace) -> bool:
    (steps,) = replay_by_reference(other)
    plain = [step.plain() for step in trace.steps]
    return not compare_steps("other", plain, [step.plain() for step in steps]).identical
