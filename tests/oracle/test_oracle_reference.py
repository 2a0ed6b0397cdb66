"""The reference scheduler does what vLLM 0.32.0 did, in every step of every recording."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from replayed import STEPS, TRACES

from simulator.engine.trace_reader import load_schedule_trace
from simulator.engine.verify import check_schedule, compare_steps, replay_by_reference, verify_schedule


@pytest.mark.parametrize(("name", "n_steps"), STEPS.items())
def test_reference_reproduces_every_recorded_step(name: str, n_steps: int) -> None:
    (check,) = check_schedule(TRACES / f"{name}.json", {"reference": replay_by_reference})
    assert check.first_difference is None
    assert check.engine == "reference"
    assert (check.identical_steps, check.n_steps) == (n_steps, n_steps)


def test_recordings_exercise_what_they_are_for() -> None:
    traces = {name: load_schedule_trace(TRACES / f"{name}.json") for name in STEPS}
    preempting = {name for name, trace in traces.items() if any(step.preempted for step in trace.steps)}
    hitting = {name for name, trace in traces.items() if _admits_with_a_hit(trace.steps)}
    assert {"preempt", "prefix_preempt", "priority"} <= preempting
    made_to_hit = {"prefix", "prefix_preempt", "watermark"}
    assert made_to_hit <= hitting <= made_to_hit | {"longprefill", "h100_engine"}
    assert all(trace.vllm_version == "0.32.0" for trace in traces.values())


def _admits_with_a_hit(steps: Any) -> bool:
    seen: set[int] = set()
    for step in steps:
        if any(request not in seen and before > 0 for request, _, before in step.scheduled):
            return True
        seen.update(entry[0] for entry in step.scheduled)
    return False


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("longprefill", {"long_prefill_token_threshold": 0}),
        ("watermark", {"watermark": 0.0}),
        ("watermark", {"reserve_full_isl": True}),
        ("prefix", {"enable_prefix_caching": False}),
        ("nochunk", {"enable_chunked_prefill": True, "max_num_batched_tokens": 1024}),
        ("preempt", {"num_blocks": 161}),
        ("plain", {"max_num_seqs": 8}),
    ],
)
def test_a_recording_tells_configurations_apart(name: str, change: dict[str, Any]) -> None:
    trace = load_schedule_trace(TRACES / f"{name}.json")
    other = dataclasses.replace(trace, config=dataclasses.replace(trace.config, **change))
    steps = [step.plain() for step in replay_by_reference(other)[0]]
    assert not compare_steps(name, trace.steps, steps).identical


def test_one_changed_number_is_found_and_shown(tmp_path: Path) -> None:
    data = json.loads((TRACES / "preempt.json").read_text())
    request, tokens, before = data["steps"][40]["scheduled"][0]
    data["steps"][40]["scheduled"][0] = [request, tokens, before + 1]
    mutant = tmp_path / "mutant.json"
    mutant.write_text(json.dumps(data))
    check = verify_schedule(mutant)
    assert (check.identical_steps, check.n_steps) == (STEPS["preempt"] - 1, STEPS["preempt"])
    assert check.first_difference is not None
    assert check.first_difference.startswith("entry 40:")
    marked = [line for line in check.first_difference.splitlines() if line.startswith(">")]
    assert len(marked) == 1
    assert f"request {request}: {tokens} tokens after {before + 1} " in marked[0]
    assert marked[0].endswith(f"request {request}: {tokens} tokens after {before}")


@pytest.mark.parametrize(("field", "value"), [("free_blocks", 7), ("preempted", [3]), ("step", 41)])
def test_each_kind_of_entry_counts(tmp_path: Path, field: str, value: object) -> None:
    data = json.loads((TRACES / "plain.json").read_text())
    last = data["steps"][-1]
    last[field] = last["step"] + 1 if field == "step" else value
    mutant = tmp_path / "mutant.json"
    mutant.write_text(json.dumps(data))
    check = verify_schedule(mutant)
    assert check.identical_steps == STEPS["plain"] - 1
    assert not check.identical


@pytest.mark.parametrize("shorter", ["recorded", "replayed"])
def test_missing_steps_are_a_difference(shorter: str) -> None:
    steps = load_schedule_trace(TRACES / "plain.json").steps
    recorded, replayed = (steps[:-1], steps) if shorter == "recorded" else (steps, steps[:-1])
    check = compare_steps("plain", recorded, replayed)
    assert check.identical_steps == len(steps) - 1
    assert check.first_difference is not None
    assert check.first_difference.startswith(f"entry {len(steps) - 1}:")


def test_each_engine_is_judged_by_itself() -> None:
    engines = {"reference": replay_by_reference, "idle": lambda trace: [[]]}
    reference, idle = check_schedule(TRACES / "plain.json", engines)
    assert (reference.engine, reference.identical) == ("reference", True)
    assert (idle.engine, idle.identical_steps, idle.n_steps) == ("idle", 0, STEPS["plain"])
    assert idle.first_difference is not None
    assert idle.first_difference.startswith("entry 0:")
