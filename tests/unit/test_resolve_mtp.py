"""Drafts by multi-token prediction need layers of the checkpoint that make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_cases import write_config

from simulator.catalog.models import model
from simulator.errors import InputError
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.resolve.mtp import check_mtp, mtp_layers, mtp_modules
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import load_scenario
from simulator.schema.engine import EngineSettings

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


def with_modules(tmp_path: Path, modules: int) -> str:
    """GLM-4.5 Air with so many layers that predict ahead."""
    config = dict(model("glm-4.5-air").config) | {"num_nextn_predict_layers": modules}
    return str(write_config(tmp_path / f"m{modules}", config))


@pytest.mark.parametrize(
    ("config", "layers", "modules"),
    [
        ({"model_type": "deepseek_v3", "num_nextn_predict_layers": 3}, 3, 3),
        ({"model_type": "qwen3_5", "text_config": {"mtp_num_hidden_layers": 3}}, 3, 1),
        ({"model_type": "qwen3_5_text", "mtp_num_hidden_layers": 2}, 2, 1),
        ({"model_type": "qwen4_exp", "text_config": {"num_nextn_predict_layers": 2}}, 2, 1),
        ({"model_type": "kimi_k3", "text_config": {"num_nextn_predict_layers": 2}}, 2, 1),
        ({"model_type": "minimax_m3_vl", "text_config": {"num_mtp_modules": 3}}, 3, 1),
        ({"model_type": "minimax_m3_vl", "text_config": {}}, 1, 1),
        ({"model_type": "inkling_mm_model", "mtp_config": {"num_nextn_predict_layers": 4}}, 4, 4),
        ({"model_type": "step3p5", "text_config": {"num_nextn_predict_layers": 3}}, 3, 3),
        ({"model_type": "step3p5", "num_nextn_predict_layers": 3}, 3, 3),
        ({"model_type": "longcat_flash"}, 1, 1),
        ({"model_type": "qwen3_next"}, 1, 1),
        ({"model_type": "qwen3_next", "num_nextn_predict_layers": 2}, 2, 2),
    ],
)
def test_layers_are_counted_where_vllm_counts_them(config: dict[str, Any], layers: int, modules: int) -> None:
    """`hf_config_override` and `use_multi_module_mtp` of vLLM 0.32.0, by hand."""
    check_mtp("it", config)
    assert (mtp_layers("mtp", config), mtp_modules("mtp", config)) == (layers, modules)
    assert (mtp_layers("eagle", config), mtp_modules(None, config)) == (1, 1)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"model_type": "llama"}, "num_nextn_predict_layers"),
        ({"model_type": "qwen3_5", "num_nextn_predict_layers": 1}, "mtp_num_hidden_layers"),
        ({"model_type": "minimax_m3_vl", "text_config": {"num_mtp_modules": 0}}, "num_mtp_modules"),
        ({"model_type": "deepseek_v3", "num_nextn_predict_layers": 0}, "num_nextn_predict_layers"),
    ],
)
def test_the_key_that_is_missing_is_named(config: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError, match=rf"it has no layers for multi-token prediction \({key} of"):
        check_mtp("it", config)


def test_layers_that_take_no_turns_are_loaded_and_drafts_are_a_multiple_of_them(tmp_path: Path) -> None:
    config = dict(model("qwen3.6-27b").config)
    plans = {}
    for layers in (1, 2):
        text = dict(config["text_config"]) | {"mtp_num_hidden_layers": layers}
        plans[layers] = drafting(str(write_config(tmp_path / f"q{layers}", config | {"text_config": text})), 2)
        drafts = plans[layers].config.modes.drafts
        assert drafts is not None
        assert drafts.num_prefill_lookahead_tokens == 1
    assert plans[2].weight_bytes_total > plans[1].weight_bytes_total
    with pytest.raises(InputError, match=r"num_speculative_tokens \(3\) beyond the model's MTP modules \(2\) must be"):
        drafting(str(tmp_path / "q2"), 3)


def drafting(name: str, drafts: int, role: str = "both", **engine: Any) -> PlannedEngine:
    spec = {"method": "mtp", "num_speculative_tokens": drafts, "acceptance": 0.7}
    settings = EngineSettings.model_validate({"speculative_config": spec, **engine})
    return plan_engine(name, "h200", 4, 1, settings, Path(), role)


@pytest.mark.parametrize(
    ("modules", "drafts", "ahead"), [(1, 1, 1), (1, 4, 1), (3, 1, 1), (3, 2, 2), (3, 3, 3), (3, 6, 6)]
)
def test_several_modules_read_as_far_ahead_as_they_draft(tmp_path: Path, modules: int, drafts: int, ahead: int) -> None:
    """`num_prefill_lookahead_tokens` of vLLM: K with min(modules, K) > 1, else 1; in 0.33 hashes cover as many."""
    name = with_modules(tmp_path, modules)
    for version, covered in (("0.32.0", 0), ("0.33.0", ahead)):
        found = drafting(name, drafts, version=version).config.modes.drafts
        assert found is not None
        assert (found.num_prefill_lookahead_tokens, found.num_hash_lookahead_tokens) == (ahead, covered)


def test_several_modules_and_states_of_the_prefix_cache_stand_still(tmp_path: Path) -> None:
    config = dict(model("qwen3-next-80b-a3b").config) | {"num_nextn_predict_layers": 2}
    name = str(write_config(tmp_path / "next", config))
    with pytest.raises(InputError, match=r"num_speculative_tokens: vLLM starts, but can stand still"):
        drafting(name, 2)
    without = drafting(name, 2, enable_prefix_caching=False).config
    assert without.modes.drafts is not None
    assert without.modes.drafts.num_prefill_lookahead_tokens == 2


def test_each_module_is_a_layer_of_the_memory_plan(tmp_path: Path) -> None:
    one, three = (drafting(with_modules(tmp_path, modules), 3).memory.plan for modules in (1, 3))
    alone = answer(Question("glm-4.5-air", "h200", tp=4)).plan
    layer = (one.weight_bytes_total - alone.weight_bytes_total, one.terms.block_bytes - alone.terms.block_bytes)
    assert three.weight_bytes_total - alone.weight_bytes_total == pytest.approx(3 * layer[0])
    assert three.terms.block_bytes - alone.terms.block_bytes == 3 * layer[1]


@pytest.mark.parametrize(
    ("drafts", "engine", "role", "told"),
    [
        (4, {}, "both", r"num_speculative_tokens \(4\) beyond the model's MTP modules \(3\) must be a multiple"),
        (3, {"block_size": 2}, "both", r"several MTP modules with prefix caching need a block_size \(2\) of at least"),
        (3, {}, "decode", "several MTP modules with prefill and decode apart, or with a store"),
    ],
)
def test_what_several_modules_do_not_combine_with(
    tmp_path: Path, drafts: int, engine: dict[str, Any], role: str, told: str
) -> None:
    with pytest.raises(InputError, match=rf"^engine\.speculative_config\.num_speculative_tokens: {told}"):
        drafting(with_modules(tmp_path, 3), drafts, role, **engine)
