"""What a recording of schedules tells: differences, counts by mode, and whether all was identical."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from calibrate.commands.record_schedule import _report, _report_cores
from calibrate.experiments.core_schedules import CoreRecording, asked_of
from calibrate.experiments.schedules import Recording
from simulator.engine.modes.refusals import Asked
from simulator.engine.modes.spec import GroupKind
from simulator.engine.verify import ScheduleCheck

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _twelve_seconds_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 112.0)


def check(identical: int, steps: int, difference: str | None = None, **other: Any) -> ScheduleCheck:
    return ScheduleCheck("a.json", identical, steps, difference, **{"engine": "kernel", **other})


SAME = Recording(Path("a.json"), (check(7, 7), check(7, 7, engine="reference")))
OTHER = Recording(Path("b.json"), (check(3, 9, "step 4: other tokens"), check(9, 9, engine="reference")))


def test_every_recording_must_be_identical(capsys: Capture) -> None:
    assert _report(iter([SAME, SAME]), 2, 100.0) == 0
    assert _report(iter([SAME, OTHER]), 4, 100.0) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "2 / 2 recordings identical, 14 steps",
        "a.json: kernel: 3 / 9 steps identical",
        "step 4: other tokens",
        "1 / 2 recordings identical, 16 steps",
    ]
    assert told.err.splitlines() == [
        "1 of 2 recorded, about 12 s left",
        "2 of 2 recorded, about 0 s left",
        "1 of 4 recorded, about 36 s left",
        "2 of 4 recorded, about 12 s left",
    ]


def core(*modes: str, checks: tuple[ScheduleCheck, ...] = SAME.checks, **other: Any) -> CoreRecording:
    facts = {"counts": {"preemptions": 2, "resets": 0}, "proven_version": True}
    return CoreRecording(modes, Path("a.json.gz"), **{"facts": facts, "checks": checks, **other})


def rows(told: str) -> dict[str, list[str]]:
    """Cells by mode of the table that is printed."""
    lines = [line.split("  ") for line in told.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {line[0]: line[1:] for line in cells if len(line) > 1 and set(line[0]) != {"-"}}


def test_modes_are_told_with_what_was_recorded_and_what_they_did(capsys: Capture) -> None:
    versions = tuple(check(1200, 1500, vllm_version="0.33.0", engine=engine) for engine in ("reference", "kernel"))
    done = [
        core("async", "lora"),
        core("async", checks=versions),
        CoreRecording(("lora",), refusal="vLLM 0.32.0 refuses it"),
        core("store", checks=(check(4, 4, engine="reference"), check(0, 0, missing="store"))),
    ]
    assert _report_cores(iter(done), 4, 100.0) == 0
    told = capsys.readouterr()
    assert rows(told.out) == {
        "mode": ["engines", "not recorded", "steps identical / recorded", "by the kernel"],
        "async": ["2", "1,207 / 1,507", "1,207 / 1,507"],
        "lora": ["2", "1", "7 / 7", "7 / 7"],
        "store": ["1", "4 / 4", "not simulated"],
    }
    lines = told.out.splitlines()
    assert "3 / 3 recordings identical, 1511 steps, 6 preemptions" in lines
    assert "vLLM 0.33.0" in lines
    assert told.err.splitlines() == [
        "not recorded: lora: vLLM 0.32.0 refuses it",
        "4 of 4 engines, about 0 s left",
    ]


def test_a_difference_and_a_version_that_nobody_proved_are_told(capsys: Capture) -> None:
    facts = {"counts": {"preemptions": 1}, "proven_version": False}
    checks = (check(2, 5, "step 3: one block less", vllm_version="0.34.0"),)
    assert _report_cores(iter([core("async", checks=checks, facts=facts), core("async")]), 30, 100.0) == 1
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[:2] == ["a.json: kernel: 2 / 5 steps identical", "step 3: one block less"]
    assert "1 / 2 recordings identical, 12 steps, 3 preemptions" in lines
    assert "vLLM 0.34.0: this recorder was not proven on it, and neither are its rules" in lines
    assert told.err == "", "every tenth engine is told, and the last"
    assert _report_cores(iter([core("async")] * 10), 30, 100.0) == 0
    assert capsys.readouterr().err == "10 of 30 engines, about 24 s left\n"


def test_an_engine_is_asked_for_as_it_was_drawn() -> None:
    plain = asked_of({"max_num_seqs": 8})
    assert (plain.method, plain.num_speculative_tokens, plain.mtp_modules, plain.drafts_by_batch_size) == (
        *("", 0, 1, False),
    )
    assert (plain.layers, plain.offloads, plain.connector_takes_groups, plain.enable_lora) == (
        *(frozenset({GroupKind.FULL}), False, None, False),
    )
    drawn = {
        "speculative": {"method": "mtp", "num_speculative_tokens": 3, "mtp_modules": 2, "per_batch_size": [[1, 2]]},
        "layers": [["half", 1], ["window:64", 2], ["mamba", 1]],
        "offload": {},
        "connector": "offload",
        "max_loras": 2,
        "async_scheduling": True,
    }
    assert asked_of(drawn) == Asked(
        async_scheduling=True,
        method="mtp",
        num_speculative_tokens=3,
        mtp_modules=2,
        drafts_by_batch_size=True,
        layers=frozenset({GroupKind.FULL, GroupKind.WINDOW, GroupKind.LINEAR}),
        offloads=True,
        connector_takes_groups=True,
        enable_lora=True,
    )
