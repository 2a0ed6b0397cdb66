"""What a result says of the version and the mode that were simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simulator.perf.steptime import ExpectedError
from simulator.resolve.topology import plan_topologies
from simulator.run.trust import doubts, expected_errors, sources
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
        f"version: the scheduler's rules are those of vLLM {rules}: none of {version} was recorded"
        in words(f'engine.version="{version}"')[0]
    )


@pytest.mark.parametrize("version", ["0.32", "0.32.0", "0.33.2"])
def test_a_version_that_was_recorded_is_not_doubted(version: str) -> None:
    assert not any("was recorded" in text for text in words(f'engine.version="{version}"')[0])


def test_of_several_engines_the_worst_says_the_error_to_expect() -> None:
    """By metric; nobody knows one whose error nobody knows, nor a tail that one of them lacks."""
    ((engine, *_), *_) = (planned.engines for planned in plan_topologies(load_scenario(SMALL)))
    first = ExpectedError(0.04, 0.2, 0.1, "a", 0.3, 0.5, 0.2, tpot_full=0.25, tpot_full_p90=0.7)
    second = ExpectedError(0.08, 0.1, 0.3, "b", ttft_p90=0.2, tpot_p90=0.6, tpot_full=0.15)
    known, other, unknown = (
        replace(engine, step_time=replace(engine.step_time, expected_error=error)) for error in (first, second, None)
    )
    assert expected_errors([known, other]) == {
        "ttft": 0.08,
        "tpot": 0.2,
        "throughput": 0.3,
        "ttft_p90": 0.3,
        "tpot_p90": 0.6,
        "throughput_p90": None,
        "tpot_full": 0.25,
        "tpot_full_p90": None,
        "basis": ["a", "b"],
    }
    assert expected_errors([known, unknown]) is None
