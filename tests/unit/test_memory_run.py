"""Models of which the step-time model knows a part only: planned by layer, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.engines import plan_engine
from simulator.resolve.memory import Question, answer
from simulator.schema.engine import EngineSettings


def test_a_hybrid_model_is_planned_by_layer_and_says_so() -> None:
    settings = EngineSettings(max_num_seqs=128, max_model_len=32768)
    planned = plan_engine("qwen3.6-27b", "h100-sxm", 1, 1, settings, Path())
    plan = answer(Question("qwen3.6-27b", "h100-sxm", max_num_seqs=128, max_model_len=32768)).plan
    assert planned.memory.num_blocks == plan.kv_tokens // settings.block_size
    assert any("Gated DeltaNet" in note for note in planned.notes)
    with pytest.raises(InputError, match="max_num_seqs"):
        plan_engine("qwen3.6-27b", "h100-sxm", 1, 1, EngineSettings(), Path())


def test_a_length_that_was_not_asked_for_is_cut_to_what_fits() -> None:
    planned = plan_engine("llama-4-scout", "h200", 4, 1, EngineSettings(), Path())
    assert 0 < planned.memory.max_model_len < 10485760


def test_a_model_known_whole_has_no_warning() -> None:
    assert plan_engine("llama-3.1-8b", "h100-sxm", 1, 1, EngineSettings(), Path()).notes == ()
