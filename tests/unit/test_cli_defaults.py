"""What a command takes where nothing is said: numbers and switches, by hand."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

DEFAULTS: dict[str, dict[str, float]] = {
    "plan": {"max_replicas": 64, "spare": 0},
    "run": {"max_replicas": 64, "advice": True, "explore_s": 0},
    "new": {"ask": True},
    "steps": {"start_s": 0, "seconds": 10},
    "traces": {"bin_s": 10},
    "memory": {
        "tp": 1,
        "pp": 1,
        "dp": 1,
        "redundant_experts": 0,
        "block_size": 16,
        "num_speculative_tokens": 0,
        "max_loras": 1,
        "max_lora_rank": 16,
    },
}
"""Of `memory` they are vLLM's."""


@pytest.mark.parametrize("name", DEFAULTS)
def test_numbers_and_switches_that_nobody_gives(name: str) -> None:
    command = getattr(import_module(f"simulator.cli.{name}"), name)
    given = {one.name: one.default for one in inspect.signature(command).parameters.values()}
    numbers = {key: value for key, value in given.items() if isinstance(value, int | float)}
    on = {key: value for key, value in numbers.items() if value is not False}
    assert on == DEFAULTS[name], "every other switch is off"
    assert all(isinstance(value, bool) == isinstance(DEFAULTS[name][key], bool) for key, value in on.items())
