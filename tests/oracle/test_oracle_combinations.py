"""Random engines in random combinations of modes: the reference does what vLLM did, and kernels where they can."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from parts import few
from replayed import assert_reproduced, by_kernels, named

from calibrate.experiments.engine_modes import parse_modes
from simulator.cli.verify import versions
from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import Drafts, GroupKind, KvGroup, Modes
from simulator.engine.reference.explain import ExplainingScheduler, explain_entry
from simulator.engine.reference.request import Request
from simulator.engine.reference.scheduler import Scheduler
from simulator.engine.rules import V0_33
from simulator.engine.schedule_trace import ScheduleTrace, TraceStep
from simulator.engine.trace_reader import load_schedule_trace
from simulator.engine.verify import replay_by_reference, verify_schedule

FOLDER = Path(__file__).resolve().parents[1] / "data" / "vllm-schedule-combinations"
RECORDINGS = sorted(FOLDER.glob("*/*.json.gz"))
COMPILED = frozenset(
    {
        *("async", "pipeline", "stop", "priority", "chunking-off", "long-prefill", "active-seqs", "scheduled-tokens"),
        *("watermark", "parallel-sampling", "salt", "hybrid-off"),
    }
)


@pytest.mark.parametrize("path", RECORDINGS, ids=named)
def test_every_recorded_step_is_reproduced(path: Path) -> None:
    assert_reproduced(path)


@pytest.mark.rare_kernels
@pytest.mark.parametrize("path", few(RECORDINGS, *RECORDINGS[::15]), ids=named)
def test_kernels_reproduce_every_recorded_step(path: Path) -> None:
    assert by_kernels(path).missing == ""


RECORDED_HERE = set(parse_modes("all"))
"""Blocks in the memory of the CPU are recorded in a folder of their own, of 0.32.0 alone: `test_oracle_offload`; rare
drafters differ from those here in numbers that recordings have."""


def test_each_mode_is_recorded_twice_in_each_version() -> None:
    for version in ("0.32.0", "0.33.0"):
        found = Counter(
            mode
            for path in RECORDINGS
            if path.parent.name == version
            for mode in load_schedule_trace(path).mode.split("+")
        )
        assert {mode: many for mode, many in found.items() if many < 2} == {}
        assert set(found) == RECORDED_HERE


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
def test_each_compiled_mode_is_recorded_twice_beside_other_compiled_ones(version: str) -> None:
    combined = [load_schedule_trace(path).mode.split("+") for path in RECORDINGS if path.parent.name == version]
    found = Counter(mode for modes in combined if len(modes) > 1 and set(modes) <= COMPILED for mode in modes)
    assert {mode for mode in COMPILED if found[mode] >= 2} == COMPILED


def test_versions_count_a_recording_in_each_of_its_modes(capsys: pytest.CaptureFixture[str]) -> None:
    assert versions([FOLDER], engine="reference") == 0
    rows = {line.split("  ")[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:]}
    assert set(rows) == {*RECORDED_HERE, "all recordings"}
    for name, (*cells,) in rows.items():
        numbers = [cell for cell in cells if cell not in ("/", "recordings")]
        assert numbers[0] == numbers[1], name
        assert numbers[2] == numbers[3], name


def test_a_difference_comes_with_the_rules_that_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(path for path in RECORDINGS if "lora" in load_schedule_trace(path).mode.split("+"))

    def replay(trace: ScheduleTrace) -> list[list[TraceStep]]:
        modes = dataclasses.replace(trace.config.modes, max_loras=0)
        other = dataclasses.replace(trace, config=dataclasses.replace(trace.config, modes=modes))
        return replay_by_reference(other)

    difference = verify_schedule(path, replay).first_difference
    assert difference is not None
    head, _, reasons = difference.partition("decided, by the reference:\n")
    assert "recorded" in head
    assert "passed over (lora: " in reasons


def test_reasons_change_nothing_and_say_what_is_in_the_plan() -> None:
    trace = load_schedule_trace(next(path for path in RECORDINGS if load_schedule_trace(path).steps))
    for position, step in enumerate(trace.steps[:5]):
        reasons = explain_entry(trace, position)
        for number, tokens, computed in step.scheduled:
            assert any(line.startswith(f"request {number}: {tokens} tokens after {computed}") for line in reasons)


def test_a_preemption_says_for_whom() -> None:
    scheduler = ExplainingScheduler(EngineConfig(num_blocks=5, block_size=4, max_model_len=64))
    for number in range(2):
        scheduler.add(Request(number, float(number), isl=7, osl=6))
    for _ in range(2):
        scheduler.update(scheduler.schedule())
    assert scheduler.schedule().preempted == [1]
    assert "request 1: preempted, for blocks of request 0" in scheduler.reasons


def test_a_prompt_shorter_than_what_hashes_read_ahead_hits_nothing() -> None:
    groups = (KvGroup(GroupKind.WINDOW, 4, 8), KvGroup(GroupKind.FULL, 4))
    drafts = Drafts(3, 3, True, num_prefill_lookahead_tokens=3, num_hash_lookahead_tokens=3)
    config = EngineConfig(
        num_blocks=40,
        block_size=4,
        max_model_len=64,
        num_speculative_tokens=3,
        num_lookahead_tokens=3,
        rules=V0_33,
        modes=Modes(groups=groups, drafts=drafts),
    )
    scheduler = Scheduler(config, lambda number, generated, drafts: 0)
    scheduler.add(Request(0, 0.0, isl=1, osl=4))
    assert scheduler.schedule().scheduled == [(0, 1, 0)]


@pytest.mark.parametrize(("ahead", "other_picture"), [(1, False), (1, True), (0, True)])
def test_a_hash_that_reads_ahead_covers_the_picture_that_begins_there(ahead: int, other_picture: bool) -> None:
    drafts = Drafts(2, 2, True, num_prefill_lookahead_tokens=1, num_hash_lookahead_tokens=ahead)
    config = EngineConfig(num_blocks=40, block_size=4, num_speculative_tokens=2, modes=Modes(drafts=drafts))
    scheduler = Scheduler(config, lambda number, generated, drafts: 0)
    for number, name in enumerate(("a", "b" if other_picture else "a")):
        scheduler.add(Request(number, float(number), isl=12, osl=4, segments=((1, 12),), images=((4, 8, name),)))
        scheduler.update(scheduler.schedule())
    tokens_hit = {(1, False): 8, (1, True): 0, (0, True): 4}
    assert scheduler.requests[1].num_cached_tokens == tokens_hit[ahead, other_picture]
