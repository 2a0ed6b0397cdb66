"""What a result says of the version and the mode that were simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.resolve.topology import plan_topologies
from simulator.run.trust import doubts, sources
from simulator.scenario.load import load_scenario

SMALL = Path(__file__).resolve().parents[1] / "data/scenarios/small.yaml"


def words(*sets: str) -> tuple[list[str], list[str]]:
    (planned, *_) = plan_topologies(load_scenario(SMALL, sets=list(sets)))
    return doubts(planned.engines), [text for text in sources(planned.engines) if text.startswith("schedule:")]


def test_plans_one_at_a_time_are_said_and_plans_ahead_are_not() -> None:
    off = "engine.async_scheduling=false"
    assert words(off)[1][0] == "schedule: vLLM 0.32.0's, one plan at a time"
    assert words(off, "engine.version=0.33.1")[1][0] == "schedule: vLLM 0.33.0's, one plan at a time"
    assert not words()[1]


@pytest.mark.parametrize(("version", "rules"), [("0.11", "0.32.0"), ("9.9.9", "0.33.0")])
def test_a_version_of_which_nothing_was_recorded_is_said(version: str, rules: str) -> None:
    assert (
        f"the scheduler's rules are those of vLLM {rules}: none of {version} was recorded"
        in words(f'engine.version="{version}"')[0]
    )


@pytest.mark.parametrize("version", ["0.32", "0.32.0", "0.33.2"])
def test_a_version_that_was_recorded_is_not_doubted(version: str) -> None:
    assert not any("was recorded" in text for text in words(f'engine.version="{version}"')[0])
