"""Keys of a scenario are called what vLLM calls them, by what its argument parser takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.scenario.keys import Key, keys_page, scenario_keys
from simulator.scenario.vllm_options import VERSION, option_of

TAKEN = json.loads((Path(__file__).parents[1] / "data/vllm-options.json").read_text())
"""Written by `tests/vllm/options_of_vllm.py`, within vLLM."""
KEYS = scenario_keys()


def test_the_version_is_that_of_the_parser_that_was_asked() -> None:
    assert TAKEN["version"] == VERSION


@pytest.mark.parametrize("key", [key for key in KEYS if key.vllm], ids=lambda key: str(key.path))
def test_every_option_is_one_that_vllm_s_parser_takes(key: Key) -> None:
    option, _, part = key.vllm.partition(" ")
    assert option in TAKEN["options"]
    if part:
        first, _, rest = part.partition(".")
        inside = f"{option} {first}"
        assert rest in TAKEN["parts"][inside] if inside in TAKEN["parts"] else first in TAKEN["parts"][option]


def test_what_vllm_has_an_option_for_is_called_so() -> None:
    """No key of the engine, or of how a pool is laid out, is without its option where vLLM has one of that name."""
    mute = {key.name for key in KEYS if "engine." in key.path and not key.vllm}
    assert not {name for name in mute if "--" + name.replace("_", "-") in TAKEN["options"]}
    assert option_of("topologies.*.pools[].engine.max_num_seqs") == option_of("engine.max_num_seqs") == "--max-num-seqs"
    assert option_of("engine.speculative_config.acceptance") == option_of("run.horizon_s") == ""
    assert option_of("topologies.*.pools[].tensor_parallel_size") == "--tensor-parallel-size"


def test_the_page_has_every_option_once() -> None:
    page = keys_page(KEYS)
    for option in {key.vllm for key in KEYS if key.vllm}:
        assert page.count(f"| `{option}` |") == 1
