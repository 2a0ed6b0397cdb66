"""The schedulers copy blocks to the memory of the CPU and back as vLLM did, step by step."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from parts import few
from replayed import by_kernels, named

from simulator.engine.modes.offload.spec import offload_of
from simulator.engine.modes.spec import GroupKind, Modes
from simulator.engine.reference.replay import replay_reference
from simulator.engine.schedule_trace import ScheduleTrace, TraceStep
from simulator.engine.trace_reader import load_schedule_trace
from simulator.engine.verify import verify_schedule
from simulator.errors import InputError
from simulator.fleet.replay import replay_kernel

OFFLOAD = Path(__file__).resolve().parents[1] / "data" / "vllm-schedule-offload"
RECORDINGS = sorted(OFFLOAD.glob("*/*.json.gz"))
TRACES = [load_schedule_trace(path) for path in RECORDINGS]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.split(".")[0])
def test_every_recorded_step_is_reproduced(path: Path) -> None:
    check = verify_schedule(path)
    assert check.first_difference is None
    assert check.identical_steps == check.n_steps > 0
    assert check.vllm_version == path.parent.name


def test_recordings_have_copies_both_ways_both_policies_and_layers_of_all_kinds() -> None:
    memories = [offload for trace in TRACES if (offload := offload_of(trace.config.modes))]
    assert len(memories) == len(TRACES)
    assert {memory.adaptive for memory in memories} == {False, True}
    assert {memory.blocks_per_chunk for memory in memories} > {1, 2}
    kinds = {group.kind for trace in TRACES for group in trace.config.modes.groups}
    assert kinds == set(GroupKind)
    for name in ("loads", "recv", "stores", "flushed", "stored", "preempted"):
        assert any(getattr(step, name) for trace in TRACES for step in trace.steps), name


@pytest.mark.parametrize(
    "change",
    [
        {"adaptive": True},
        {"chunks": 1},
        {"blocks_per_chunk": 4},
        {"store_threshold": 4},
        {"prompt_only": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_memory_schedules_otherwise(change: dict[str, Any]) -> None:
    assert any(replay_reference(with_memory(trace, change)) != list(trace.steps) for trace in TRACES)


@pytest.mark.parametrize("rule", ["chunks_offered_again", "chunks_stored_whole", "chunks_used_at_once"])
def test_each_rule_of_a_version_is_seen(rule: str) -> None:
    newer = [trace for trace in TRACES if getattr(trace.config.rules, rule)]
    assert any(replay_reference(with_rule(trace, rule, False)) != list(trace.steps) for trace in newer)


def test_a_memory_without_room_changes_nothing() -> None:
    for trace in TRACES:
        if not any(event.reset for event in trace.events):
            none = with_modes(trace, offload=None)
            assert plans(replay_reference(with_memory(trace, {"chunks": 0}))) == plans(replay_reference(none))


def test_all_that_is_stored_or_loaded_is_reported_once() -> None:
    for trace in TRACES:
        if any(event.connector for event in trace.events):
            continue
        for begun, ended in (("stores", "stored"), ("loads", "recv")):
            owners = sorted(number for step in trace.steps for number, _ in getattr(step, begun))
            assert owners == sorted(number for step in trace.steps for number in getattr(step, ended))


def quick(path: Path) -> bool:
    return named(path) in ("core-2-16", "core-5-10", "core-6-62", "core-6-57", "core-8313-34", "core-5-17", "core-9-8")


@pytest.mark.rare_kernels
@pytest.mark.parametrize("path", few(RECORDINGS, *filter(quick, RECORDINGS)), ids=named)
def test_kernels_copy_as_vllm_did(path: Path) -> None:
    assert by_kernels(path).missing == ""


@pytest.mark.rare_kernels
@pytest.mark.parametrize("change", [{"chunks": 1}, {"blocks_per_chunk": 4}], ids=lambda change: next(iter(change)))
def test_kernels_with_another_memory_schedule_otherwise(change: dict[str, Any]) -> None:
    trace = load_schedule_trace(OFFLOAD / "0.32.0" / "core-7-25.json.gz")
    (steps,) = replay_kernel(with_memory(trace, change))
    assert steps != [step.plain() for step in trace.steps]


@pytest.mark.parametrize(
    ("key", "value"), [("eviction_policy", "fifo"), ("blocks_per_chunk", 0), ("cpu_chunks", None), ("gpus", 1)]
)
def test_a_memory_that_makes_no_sense_is_refused_at_its_place(tmp_path: Path, key: str, value: Any) -> None:
    data = json.loads(gzip.decompress(RECORDINGS[0].read_bytes()))
    data["config"]["offload"][key] = value
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        load_schedule_trace(path)
    assert f"config.offload.{key}" in str(caught.value.problems[0])


def with_rule(trace: ScheduleTrace, rule: str, holds: bool) -> ScheduleTrace:
    rules = dataclasses.replace(trace.config.rules, **{rule: holds})
    return dataclasses.replace(trace, config=dataclasses.replace(trace.config, rules=rules))


def with_memory(trace: ScheduleTrace, change: dict[str, Any]) -> ScheduleTrace:
    offload = offload_of(trace.config.modes)
    assert offload is not None
    return with_modes(trace, offload=dataclasses.replace(offload, **change))


def with_modes(trace: ScheduleTrace, **modes: Any) -> ScheduleTrace:
    changed: Modes = dataclasses.replace(trace.config.modes, **modes)
    return dataclasses.replace(trace, config=dataclasses.replace(trace.config, modes=changed))


def plans(steps: list[TraceStep]) -> list[TraceStep]:
    return [step.plain() for step in steps if step.scheduled or step.preempted]
