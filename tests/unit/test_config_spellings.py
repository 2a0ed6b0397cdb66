"""Configs as newer exports spell them: parameters as transformers counts them, caches and indexers by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.catalog.models import model
from simulator.catalog.shapes.config import read_config, shape_from_config
from simulator.errors import InputError
from simulator.memory.drafts import with_head
from simulator.memory.shape import ModelShape
from simulator.memory.weights import Weights

CONFIGS = json.loads((Path(__file__).parents[1] / "data" / "transformers-configs.json").read_text())["models"]
SHAPES = json.loads((Path(__file__).parents[1] / "data" / "vllm-shapes.json").read_text())["models"]
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


@pytest.mark.parametrize("shared", [0, 1, 2])
@pytest.mark.parametrize("name", ["gemma4_text", "gemma3n_text"])
def test_the_last_layers_of_gemma_have_no_caches_of_their_own(name: str, shared: int) -> None:
    config = SHAPES[name]["config"]
    found = shape({**config, "num_kv_shared_layers": shared})
    kept = config["num_hidden_layers"] - shared
    assert found.layer_of_cache == tuple(range(kept))
    assert len(found.caches) == kept


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


MIMO_V2 = {
    "architectures": ["MiMoV2FlashForCausalLM"],
    "model_type": "mimo_v2_flash",
    "head_dim": 192,
    "v_head_dim": 128,
    "hidden_size": 4096,
    "hybrid_layer_pattern": [0] + [1] * 4 + ([0] + [1] * 5) * 7 + [0],
    "intermediate_size": 16384,
    "max_position_embeddings": 262144,
    "moe_intermediate_size": 2048,
    "moe_layer_freq": [0] + [1] * 47,
    "n_routed_experts": 256,
    "num_attention_heads": 64,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "sliding_window": 128,
    "swa_head_dim": 192,
    "swa_num_attention_heads": 64,
    "swa_num_key_value_heads": 8,
    "swa_v_head_dim": 128,
    "tie_word_embeddings": False,
    "vocab_size": 152576,
}
STEP_3P5 = {
    "architectures": ["Step3p5ForCausalLM"],
    "model_type": "step3p5",
    "attention_other_setting": {
        "attention_type": "sliding_attention",
        "head_dim": 128,
        "num_attention_groups": 8,
        "num_attention_heads": 96,
    },
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 11264,
    "layer_types": (["full_attention"] + ["sliding_attention"] * 3) * 12,
    "max_position_embeddings": 262144,
    "moe_intermediate_size": 1280,
    "moe_layers_enum": ",".join(str(layer) for layer in range(3, 45)),
    "moe_num_experts": 288,
    "moe_top_k": 8,
    "num_attention_groups": 8,
    "num_attention_heads": 64,
    "num_hidden_layers": 45,
    "share_expert_dim": 1280,
    "sliding_window": 512,
    "use_head_wise_attn_gate": True,
    "vocab_size": 128896,
}


@pytest.mark.parametrize(
    ("config", "published_billions", "of_full", "of_window"),
    [(MIMO_V2, 309, 4 * (192 + 128), 8 * (192 + 128)), (STEP_3P5, 196, 8 * 256, 8 * 256)],
)
def test_windows_with_heads_of_their_own(
    config: dict[str, Any], published_billions: float, of_full: int, of_window: int
) -> None:
    """MiMo V2 Flash (309B) and Step 3.5 Flash (196B), as their publishers count them; values of a token by hand."""
    found = shape(config)
    assert found.parameters / 1e9 == pytest.approx(published_billions, rel=0.01)
    values = {cache.kind: cache.heads * (cache.head_dim + cache.value_dim) for cache in found.caches}
    assert values == {"full": of_full, "window": of_window}


@pytest.mark.parametrize(
    ("config", "changes", "path"),
    [
        (MIMO_V2, {"swa_num_key_value_heads": None}, "swa_num_key_value_heads"),
        (
            STEP_3P5,
            {"attention_other_setting": {"attention_type": "full_attention"}},
            "attention_other_setting.attention_type",
        ),
        (
            CONFIGS["hy_v3"]["config"],
            {"attention_other_setting": {"num_attention_heads": 96}},
            "attention_other_setting",
        ),
        (CONFIGS["mellum"]["config"], {"num_attention_heads_per_layer": [32] * 28}, "num_attention_heads_per_layer"),
        (CONFIGS["mellum"]["config"], {"per_layer_config": {"3": {"head_dim": 64}}}, "per_layer_config"),
    ],
)
def test_keys_of_heads_are_read_or_refused(config: dict[str, Any], changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError) as error:
        shape(config | changes)
    assert error.value.problems[0].path == path


@pytest.mark.parametrize(
    ("file", "values", "name"),
    [
        ("Phi/config.json", {}, "phi"),
        ("Phi/Whisper-large.json", {}, "whisper-large"),
        ("Phi/whisper.json", {"_name_or_path": "openai/Whisper-tiny"}, "whisper-tiny"),
    ],
)
def test_a_config_is_called_by_its_folder_or_by_a_name_of_its_own(
    tmp_path: Path, file: str, values: dict[str, str], name: str
) -> None:
    """Several that lie in one folder were all called as the folder."""
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(json.dumps(values))
    assert read_config(tmp_path / file)[0] == name
