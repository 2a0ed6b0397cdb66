"""Configs as newer exports spell them: parameters as transformers counts them, caches and indexers by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.catalog.models import model
from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError
from simulator.memory.drafts import with_head
from simulator.memory.shape import ModelShape
from simulator.memory.weights import Weights

CONFIGS = json.loads((Path(__file__).parents[1] / "data" / "transformers-configs.json").read_text())["models"]
GLM_5_2 = {
    "architectures": ["GlmMoeDsaForCausalLM"],
    "model_type": "glm_moe_dsa",
    "first_k_dense_replace": 3,
    "head_dim": 192,
    "hidden_size": 6144,
    "index_head_dim": 128,
    "index_n_heads": 32,
    "index_skip_topk_offset": 3,
    "index_topk": 2048,
    "index_topk_freq": 4,
    "index_topk_pattern": None,
    "intermediate_size": 12288,
    "kv_lora_rank": 512,
    "max_position_embeddings": 1048576,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_attention_heads": 64,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 78,
    "num_key_value_heads": 64,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 2048,
    "qk_nope_head_dim": 192,
    "qk_rope_head_dim": 64,
    "tie_word_embeddings": False,
    "v_head_dim": 256,
    "vocab_size": 154880,
}


def shape(config: dict[str, Any]) -> ModelShape:
    return shape_from_config("test", config)


def kinds(found: ModelShape) -> dict[str, int]:
    return {kind: sum(cache.kind == kind for cache in found.caches) for kind in ("full", "window", "latent", "state")}


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_those_that_transformers_counts(name: str) -> None:
    """Within 0.1 %: biases and sinks are not told apart from norms."""
    row = CONFIGS[name]
    assert shape(row["config"]).parameters == pytest.approx(row["parameters"], rel=1e-3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kimi_linear", {"full": 0, "window": 0, "latent": 6, "state": 21}),
        ("nemotron_h", {"full": 1, "window": 0, "latent": 0, "state": 1}),
        ("exaone_moe", {"full": 8, "window": 24, "latent": 0, "state": 0}),
        ("afmoe", {"full": 8, "window": 24, "latent": 0, "state": 0}),
        ("cwm", {"full": 16, "window": 48, "latent": 0, "state": 0}),
        ("olmo_hybrid", {"full": 8, "window": 0, "latent": 0, "state": 24}),
        ("axk1", {"full": 0, "window": 0, "latent": 61, "state": 0}),
    ],
)
def test_caches_by_kind_of_layer(name: str, expected: dict[str, int]) -> None:
    assert kinds(shape(CONFIGS[name]["config"])) == expected


def test_both_spellings_of_a_model_are_one_shape() -> None:
    """DeepSeek V4 Flash by its own keys, and by those of transformers."""
    own, other = model("deepseek-v4-flash").shape, shape(CONFIGS["deepseek_v4"]["config"])
    assert other.parameters == pytest.approx(own.parameters, rel=1e-3)
    assert sum("tid2eid" in matrix.name for matrix in other.matrices) == 3


def test_heads_of_single_layers_are_read() -> None:
    config = CONFIGS["gemma4_text"]["config"]
    found = dict(zip(shape(config).layer_of_cache, shape(config).caches, strict=True))
    assert (found[4].head_dim, found[5].head_dim) == (256, 512)
    fewer = {**config, "per_layer_config": {"5": {"num_key_value_heads": 2}}}
    assert shape(fewer).caches[5].heads == 2
    with pytest.raises(InputError, match="not understood") as error:
        shape({**config, "per_layer_config": {"5": {"rope_theta": 1.0}}})
    assert error.value.problems[0].path == "per_layer_config.5.rope_theta"


@pytest.mark.parametrize("wrong", [{"five": {}}, {"5": 512}, [{"head_dim": 512}], {"5": {"head_dim": "wide"}}])
def test_layers_without_a_number_or_keys_are_refused(wrong: object) -> None:
    with pytest.raises(InputError):
        shape({**CONFIGS["gemma4_text"]["config"], "per_layer_config": wrong})


def test_a_kind_of_mlp_that_nobody_knows_is_refused() -> None:
    config = CONFIGS["hy_v3"]["config"]
    with pytest.raises(InputError, match="unknown kind of MLP") as error:
        shape({**config, "mlp_layer_types": ["dense", "butterfly", *config["mlp_layer_types"][2:]]})
    assert error.value.problems[0].path == "mlp_layer_types[1]"


@pytest.mark.parametrize(
    ("changes", "choosing"),
    [
        ({}, [0, 1, 2, *range(6, 78, 4)]),
        ({"index_topk_freq": 1}, [*range(78)]),
        ({"index_topk_freq": None}, [*range(78)]),
        ({"index_topk_pattern": "FS" * 39}, [*range(0, 78, 2)]),
    ],
)
def test_layers_that_take_what_another_chose_have_no_indexer(changes: dict[str, Any], choosing: list[int]) -> None:
    """GLM-5.2 shares one choice among four layers: max(l - 2, 0) % 4 in `DeepseekV32Attention`, vLLM 0.32.0."""
    found = shape(GLM_5_2 | changes)
    keys = [layer for layer, each in zip(found.layer_of_cache, found.caches, strict=True) if each.row_bytes == 132]
    assert keys == choosing
    assert sum(each.head_dim == 576 for each in found.caches) == 78
    assert sum(matrix.name.endswith("indexer.wk") for matrix in found.matrices) == len(choosing)


def test_a_layer_that_drafts_chooses_itself() -> None:
    found = shape(GLM_5_2)
    drafting, _ = with_head(found, Weights(lambda matrix: None), "mtp", 0)
    assert [cache.row_bytes for cache in drafting.caches[len(found.caches) :]] == [0, 132]
