"""Engines at their limits, in many modes at once: the reference and the kernels do what vLLM did."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import pytest
from parts import few
from replayed import assert_reproduced, by_kernels, named

from simulator.engine.modes.tables.reference import AlignedLinearGroup
from simulator.engine.reference.groups import FullGroup
from simulator.engine.reference.kv_cache_manager import KVCacheManager
from simulator.engine.reference.request import Request
from simulator.engine.schedule_trace import ScheduleTrace, TraceEvent
from simulator.engine.trace_reader import load_schedule_trace
from simulator.engine.verify import compare_steps, replay_by_reference
from simulator.fleet.replay import replay_kernel

EDGES = Path(__file__).resolve().parents[1] / "data" / "vllm-schedule-edges"
RECORDINGS = sorted(EDGES.glob("*/*.json.gz"))
BROUGHT = {"edge-9001-0": "0.32.0", "edge-9002-56": "0.32.0", "edge-9003-29": "0.33.0", "edge-9701-8": "0.32.0"}
"""Version by recording: another engine brings states beside a prefix cache that has some of the rest."""

SAVED = {
    "0.32.0": ("core-14001-4", "core-14001-6", "edge-14002-15", "edge-14002-17", "edge-14002-41", "edge-14002-57"),
    "0.33.0": (
        *("core-14004-0", "core-14004-3", "core-14004-4", "edge-14003-16", "edge-14003-17", "edge-14101-0"),
        *("edge-14101-14", "edge-14101-20", "edge-14101-30", "edge-14101-36", "edge-14101-6"),
    ),
}
"""Recordings by version with states that a kernel saves amid a chunk."""

LONGER = (
    *("edge-12302-6", "edge-9702-12", "edge-9702-21", "edge-9803-4", "edge-9803-9"),
    *("core-14001-6", "core-14004-0", "edge-14002-17", "edge-14002-57", "edge-14003-17"),
    *("edge-14101-14", "edge-14101-30", "edge-14101-36"),
)
"""Recordings that take kernels as plain Python a second each."""

ENDS_IN_BLOCKS = ("edge-9802-17", "edge-9802-24")
"""Recordings with blocks of two lengths and a drafter that gives up a block of each hit."""


@pytest.mark.parametrize("path", RECORDINGS, ids=named)
def test_every_recorded_step_is_reproduced(path: Path) -> None:
    assert_reproduced(path, longer_than=30)


@pytest.mark.rare_kernels
@pytest.mark.parametrize(
    "path", few(RECORDINGS, *(path for path in RECORDINGS if named(path) not in LONGER)), ids=named
)
def test_kernels_reproduce_every_recorded_step(path: Path) -> None:
    assert by_kernels(path).identical


@pytest.mark.parametrize(
    ("name", "held_back"), [("edge-7001-93", 0), ("edge-7002-58", 0), ("edge-7002-58", 2), ("edge-7501-9", 0)]
)
def test_prompts_of_which_other_tokens_are_held_back_are_scheduled_otherwise(name: str, held_back: int) -> None:
    trace = load_schedule_trace(EDGES / "0.32.0" / f"{name}.json.gz")
    assert any(row.held_back for row in trace.requests)
    rows = tuple(dataclasses.replace(row, held_back=held_back if row.held_back else 0) for row in trace.requests)
    assert differs(dataclasses.replace(trace, requests=rows), trace)


@pytest.mark.parametrize(("name", "version"), BROUGHT.items())
def test_where_another_engine_brings_states_the_hit_of_full_attention_counts(
    name: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KVCacheManager, "hit_for_transfer", lambda self, request, hit: hit)
    trace = load_schedule_trace(EDGES / version / f"{name}.json.gz")
    assert differs(trace, trace)


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in SAVED for name in SAVED[version]])
def test_where_no_state_is_saved_amid_a_chunk_it_ends_earlier(version: str, name: str) -> None:
    trace = load_schedule_trace(EDGES / version / f"{name}.json.gz")
    modes = trace.config.modes
    assert any(group.saves_amid_chunk for group in modes.groups)
    groups = tuple(dataclasses.replace(group, saves_amid_chunk=False) for group in modes.groups)
    config = dataclasses.replace(trace.config, modes=dataclasses.replace(modes, groups=groups))
    assert differs(dataclasses.replace(trace, config=config), trace)


def test_a_saved_state_stands_before_the_running_one_whatever_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    def found_by_its_place(self: AlignedLinearGroup, request: Request, tokens: int, at: int) -> None:
        self._cache_last_state(request, tokens)

    monkeypatch.setattr(AlignedLinearGroup, "_cache_saved_state", found_by_its_place)
    trace = load_schedule_trace(EDGES / "0.32.0" / "edge-14002-41.json.gz")
    assert differs(trace, trace)


@pytest.mark.parametrize("name", ENDS_IN_BLOCKS)
def test_a_block_in_which_a_prompt_ends_counts_as_one_with_content(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FullGroup, "_cache_tail", lambda self, request, tokens: None)
    trace = load_schedule_trace(EDGES / "0.32.0" / f"{name}.json.gz")
    assert replay_by_reference(trace) != [list(trace.steps)]


@pytest.mark.parametrize(("version", "name"), [("0.32.0", "edge-12301-21"), ("0.33.0", "edge-12302-6")])
def test_equal_priorities_are_served_in_order_of_the_arrival_that_the_api_noted(version: str, name: str) -> None:
    trace = load_schedule_trace(EDGES / version / f"{name}.json.gz")
    rows = tuple(dataclasses.replace(row, arrival_order=None) for row in trace.requests)
    assert differs(dataclasses.replace(trace, requests=rows), trace)


def test_of_more_than_ten_answers_the_order_of_names_as_text_counts() -> None:
    trace = load_schedule_trace(EDGES / "0.32.0" / "edge-9101-0.json.gz")
    rows = tuple(dataclasses.replace(row, name=f"{row.id:06}") for row in trace.requests)
    assert differs(dataclasses.replace(trace, requests=rows), trace)


@pytest.mark.rare_kernels
def test_a_reset_of_an_empty_engine_comes_to_kernels_alone() -> None:
    """Iterations jump over it; a kernel's clock does not, so that the reader leaves it out."""
    path = EDGES / "0.32.0" / "edge-7001-59.json.gz"
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
