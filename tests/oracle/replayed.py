"""Recordings of vLLM's scheduler, replayed."""

from __future__ import annotations

from pathlib import Path

from simulator.engine.verify import ScheduleCheck, check_schedule, verify_schedule
from simulator.fleet.replay import replay_kernel

TRACES = Path(__file__).resolve().parents[1] / "data" / "vllm-schedule-traces"
STEPS = {
    "plain": 563,
    "preempt": 1055,
    "prefix": 913,
    "prefix_preempt": 1829,
    "priority": 873,
    "longprefill": 675,
    "nochunk": 626,
    "watermark": 959,
    "h100_engine": 312,
}
"""Of each recording there."""


def named(path: Path) -> str:
    """Of a recording, for the name of its test."""
    return path.name.split(".")[0]


def assert_reproduced(path: Path, longer_than: int = 0) -> None:
    """By the reference, by the rules of the version whose folder it lies in."""
    check = verify_schedule(path)
    assert check.first_difference is None
    assert check.identical_steps == check.n_steps > longer_than
    assert check.vllm_version == path.parent.name


def by_kernels(path: Path) -> ScheduleCheck:
    """Whatever kernels have of it, they reproduce."""
    (check,) = check_schedule(path, {"kernel": replay_kernel})
    assert check.first_difference is None
    assert check.missing or check.identical_steps == check.n_steps
    return check
