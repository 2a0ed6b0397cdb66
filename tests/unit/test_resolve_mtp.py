"""Drafts by multi-token prediction need layers of the checkpoint that make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.memory import Question, answer
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import load_scenario

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"


@pytest.mark.parametrize("name", ["deepseek-v3", "deepseek-v3.2", "qwen3-next-80b-a3b", "glm-4.5-air", "qwen3.6-27b"])
def test_models_that_predict_ahead_may_draft(name: str) -> None:
    assert answer(Question(name, "b200", tp=4, speculative_method="mtp")).shape.name == name


@pytest.mark.parametrize("name", ["llama-3.1-8b", "kimi-k3", "qwen2.5-7b", "mixtral-8x7b"])
def test_others_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^speculative_method: .* has no layers for multi-token prediction"):
        answer(Question(name, "b200", speculative_method="mtp"))


@pytest.mark.parametrize(("method", "draft"), [("draft_model", None), ("eagle", "qwen3-0.6b"), (None, "qwen3-0.6b")])
def test_a_model_that_drafts_and_its_method_go_together(method: str | None, draft: str | None) -> None:
    with pytest.raises(InputError, match=r"^draft_model: "):
        answer(Question("qwen3-32b", "b200", speculative_method=method, draft_model=draft))


@pytest.mark.parametrize(("method", "refused"), [("mtp", True), ("eagle", False)])
def test_it_is_refused_at_its_place(method: str, refused: bool) -> None:
    drafts = f"engine.speculative_config={{method: {method}, num_speculative_tokens: 2, acceptance: 0.7}}"
    loaded = load_scenario(SIZED, sets=[drafts])
    if not refused:
        plan_topology(loaded, "own")
        return
    with pytest.raises(InputError, match=r"engine\.speculative_config\.method: .* no layers for multi-token"):
        plan_topology(loaded, "own")
