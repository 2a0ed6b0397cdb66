"""Parameters of shapes read from a config against those of the same class in transformers 5."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulator.catalog.architecture import architecture_of
from simulator.catalog.shapes.config import read_config, shape_from_config
from simulator.catalog.shapes.reader import Config
from simulator.errors import InputError
from simulator.perf.architecture import mlp_parameters

OPT = {
    "model_type": "opt",
    "vocab_size": 50272,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "ffn_dim": 3072,
    "max_position_embeddings": 2048,
    "word_embed_proj_dim": 768,
}
FALCON = {
    "model_type": "falcon",
    "vocab_size": 65024,
    "hidden_size": 4544,
    "num_hidden_layers": 32,
    "num_attention_heads": 71,
    "multi_query": True,
    "max_position_embeddings": 2048,
}
DENSE = {
    "vocab_size": 32000,
    "hidden_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "intermediate_size": 4096,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


@pytest.mark.parametrize(("config", "parameters"), [(OPT, 125239296), (FALCON, 6921720704)], ids=["opt", "falcon"])
def test_parameters_of_older_families(config: dict[str, Any], parameters: int) -> None:
    assert shape_from_config("m", config).parameters == pytest.approx(parameters, rel=0.003)


@pytest.mark.parametrize("kind", ["apertus", "arcee", "phi"])
def test_mlps_without_a_gate_have_two_matrices(kind: str) -> None:
    gated = shape_from_config("m", DENSE | {"model_type": "llama"}).parameters
    assert gated - shape_from_config("m", DENSE | {"model_type": kind}).parameters == 4 * 1024 * 4096


@pytest.mark.parametrize(("kind", "matrices"), [("llama", 3), ("starcoder2", 2), ("phi", 2)])
def test_step_times_count_the_matrices_of_an_mlp(kind: str, matrices: int) -> None:
    arch = architecture_of(shape_from_config("m", DENSE | {"model_type": kind}))
    assert mlp_parameters(arch) == matrices * 1024 * 4096


def test_one_head_of_keys_for_all_queries() -> None:
    assert shape_from_config("falcon-7b", FALCON).kv_heads == 1
    assert (
        shape_from_config("falcon-40b", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 71}).kv_heads == 71
    )


def test_layers_may_be_listed_in_either_spelling() -> None:
    config = DENSE | {"model_type": "nemotron_h", "mamba_num_heads": 8, "mamba_head_dim": 64, "ssm_state_size": 128}
    del config["num_hidden_layers"]
    spelt = [
        shape_from_config("m", config | {"layers_block_type": kinds, "num_hidden_layers": 3})
        for kinds in (["mamba", "attention", "mlp"], ["linear_attention", "full_attention", "mlp"])
    ]
    assert spelt[0].caches == spelt[1].caches
    assert {cache.kind for cache in spelt[0].caches} == {"state", "full"}


M3_FLAT = DENSE | {
    "model_type": "minimax_m3_vl_text",
    "num_key_value_heads": 4,
    "head_dim": 128,
    "dense_intermediate_size": 8192,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
    "layer_types": ["full_attention", "minimax_m3_sparse", "minimax_m3_sparse", "minimax_m3_sparse"],
    "index_n_heads": 4,
    "index_head_dim": 128,
}
M3_NESTED = {key: value for key, value in M3_FLAT.items() if not key.startswith(("index", "layer_t", "mlp_l"))} | {
    "model_type": "minimax_m2",
    "moe_layer_freq": [0, 1, 1, 1],
    "sparse_attention_config": {
        "sparse_num_index_heads": 4,
        "sparse_index_dim": 128,
        "sparse_attention_freq": [0, 1, 1, 1],
    },
}


def test_both_spellings_of_minimax_m3_are_one_shape() -> None:
    flat = shape_from_config("m", {"model_type": "minimax_m3_vl", "text_config": M3_FLAT})
    nested = shape_from_config("m", {"model_type": "minimax_m3_vl", "text_config": M3_NESTED})
    assert replace(flat, model_type=nested.model_type) == nested
    assert len(flat.caches) == 4 + 3


def test_an_unknown_kind_of_layer_of_minimax_m3_is_refused_by_key() -> None:
    config = M3_FLAT | {"layer_types": ["full_attention", "minimax_m3_dense"] * 2}
    with pytest.raises(InputError, match=r"layer_types\[1\].*unknown kind of attention"):
        shape_from_config("m", config)


def test_lightning_and_full_attention_of_minimax_m1_by_hand() -> None:
    """MiniMax-Text-01's widths in one of its ten groups of layers: seven of lightning attention, and one of full."""
    config = {
        "model_type": "minimax_m1",
        "architectures": ["MiniMaxM1ForCausalLM"],
        "num_hidden_layers": 8,
        "hidden_size": 6144,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_local_experts": 32,
        "num_experts_per_tok": 2,
        "intermediate_size": 9216,
        "vocab_size": 200064,
        "max_position_embeddings": 4096,
        "attn_type_list": [0, 0, 0, 0, 0, 0, 0, 1],
        "tie_word_embeddings": False,
    }
    shape = shape_from_config("minimax", config)
    lightning = (3 + 1 + 1) * 64 * 128 * 6144  # queries, keys and values; gate; output
    full = (2 * 64 + 2 * 8) * 128 * 6144
    experts = 32 * 3 * 9216 * 6144 + 32 * 6144
    assert shape.parameters == 7 * lightning + full + 8 * (experts + 2 * 6144) + 2 * 200064 * 6144 + 6144
    by_name = {matrix.name: (matrix.rows, matrix.columns) for matrix in shape.matrices}
    assert by_name["model.layers.0.self_attn.out_proj"] == (6144, 8192)
    assert by_name["model.layers.0.self_attn.output_gate"] == (8192, 6144)
    assert by_name["model.layers.0.self_attn.qkv_proj"] == (3 * 8192, 6144)
    states = [[(part.values, part.value_bytes) for part in cache.state] for cache in shape.caches]
    assert states == [[(64 * 128 * 128, None)]] * 7 + [[]], "in the model's type, as all of vLLM's versions keep it"


LING = {
    "model_type": "bailing_hybrid",
    "num_hidden_layers": 5,
    "layer_group_size": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "head_dim": 16,
    "vocab_size": 512,
    "intermediate_size": 128,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "short_conv_kernel_size": 4,
    "max_position_embeddings": 128,
    "no_kda_lora": True,
}


def test_delta_attention_of_ling_stands_only_in_whole_groups_of_layers() -> None:
    """Two groups of two, and a fifth layer that is in none: 4 heads of 16 by 16 in fp32, and 3 tokens of q, k and v."""
    shape = shape_from_config("ling", LING)
    assert [cache.kind for cache in shape.caches] == ["state", "latent", "state", "latent", "latent"]
    tail, memory = shape.caches[0].state
    assert (tail.values, tail.tail, memory.values, memory.value_bytes) == (3 * 64, 3, 4 * 16 * 16, 4)


@pytest.mark.parametrize(("gate", "rows"), [("head_wise", 4), ("element_wise", 4 * 16), (None, 0)])
def test_latent_attention_of_ling_has_the_gate_that_its_config_names(gate: str | None, rows: int) -> None:
    shape = shape_from_config("ling", LING | {"gated_attention_proj_granularity_type": gate})
    gates = [matrix for matrix in shape.matrices if matrix.name == "model.layers.1.self_attn.g_proj"]
    assert sum(matrix.parameters for matrix in gates) == rows * 64


def test_delta_attention_with_gates_of_low_rank_is_refused_in_ling() -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config("ling", LING | {"no_kda_lora": False})
    assert [problem.path for problem in caught.value.problems] == ["no_kda_lora"]


PLAIN = {
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 128,
}


@pytest.mark.parametrize(("kind", "tied"), [("llama", False), ("qwen3", False), ("gemma3_text", True)])
def test_a_config_that_does_not_say_whether_embeddings_are_tied_has_its_family_s(kind: str, tied: bool) -> None:
    shapes = [
        shape_from_config("one", {**PLAIN, "model_type": kind, **given})
        for given in ({}, {"tie_word_embeddings": tied}, {"tie_word_embeddings": not tied})
    ]
    unsaid, same, other = (shape.parameters for shape in shapes)
    assert unsaid == same
    assert other - same == (1000 * 64 if tied else -1000 * 64)


def test_layers_of_unequal_width_are_counted_one_by_one() -> None:
    """Nemotron-NAS: attention may be missing, and a gated MLP is 2/3 of `ffn_mult` wide, in whole 256."""
    blocks = [
        {"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 3.0}},
        {"attention": {"no_op": True}, "ffn": {"ffn_mult": 6.1}},
        {"attention": {"n_heads_in_group": 4}, "ffn": {"no_op": True}},
    ]
    config = {**PLAIN, "model_type": "nemotron-nas", "num_hidden_layers": 3, "block_configs": blocks}
    shape = shape_from_config("nas", {**config, "tie_word_embeddings": False})
    attention = [(2 * 64 + 2 * kv_heads * 16) * 64 for kv_heads in (2, 1)]
    mlps = [3 * width * 64 for width in (256, 512)]  # of 128 and 260
    assert shape.parameters == sum(attention) + sum(mlps) + 3 * 2 * 64 + 64 + 2 * 1000 * 64
    assert [(cache.kind, cache.heads) for cache in shape.caches] == [("full", 2), ("full", 1)]
    with pytest.raises(InputError, match="a linear layer in place of attention is not known here"):
        shape_from_config(
            "nas",
            {
                **config,
                "block_configs": [
                    *blocks[:2],
                    {"attention": {"replace_with_linear": True, "n_heads_in_group": 2}, "ffn": {"ffn_mult": 1.0}},
                ],
            },
        )


@pytest.mark.parametrize("layers", [2, 4])
def test_a_list_of_layers_names_each_and_no_other(layers: int) -> None:
    """One that is longer than the model has layers of no pipeline stage, a shorter one lacks weights."""
    blocks = [{"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 3.0}}] * 3
    mamba = {"mamba_num_heads": 8, "mamba_head_dim": 64, "ssm_state_size": 128}
    for config, key in (
        (PLAIN | {"model_type": "nemotron-nas", "block_configs": blocks}, "block_configs"),
        (DENSE | mamba | {"model_type": "nemotron_h", "hybrid_override_pattern": "M*-"}, "hybrid_override_pattern"),
        (DENSE | mamba | {"model_type": "nemotron_h", "layers_block_type": ["mamba"] * 3}, "layers_block_type"),
    ):
        assert shape_from_config("m", config | {"num_hidden_layers": 3}).layers == 3
        with pytest.raises(InputError, match="must name each of the") as caught:
            shape_from_config("m", config | {"num_hidden_layers": layers})
        assert [(problem.path, problem.got) for problem in caught.value.problems] == [(key, "3")]


@pytest.mark.parametrize("share", [["x"], "half", float("nan"), float("inf"), -1, 0, True])
@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
def test_a_share_that_is_turned_is_a_number_in_each_place(key: str, share: object) -> None:
    for rotary in ({"partial_rotary_factor": share}, {"full_attention": {"partial_rotary_factor": share}}):
        with pytest.raises(InputError, match="partial_rotary_factor must be a number above 0"):
            shape_from_config("m", DENSE | {"model_type": "llama", key: rotary})


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ({}, 2048 * 128),
        ({"partial_rotary_factor": 0.25}, 2048 * 32),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.25}}, 2048 * 32),
        ({"rope_scaling": {"type": "default", "mrope_section": [16, 24, 24]}}, 4 * 2048 * 128),
    ],
)
def test_angles_of_all_positions_are_held(keys: dict[str, Any], values: int) -> None:
    """A cosine and a sine for each turned pair of a head; with a time and a place for four times the context."""
    shape = shape_from_config("m", DENSE | {"model_type": "llama"} | keys)
    assert [matrix.rows * matrix.columns for matrix in shape.matrices if matrix.name == "rotary"] == [values]


def test_angles_of_windows_are_held_apart() -> None:
    """Gemma 4 turns 512 values of heads that see all tokens, 256 of those with a window (`gemma4_rope.py`)."""
    config = DENSE | {"model_type": "gemma4_text", "head_dim": 256, "global_head_dim": 512, "sliding_window": 64}
    config |= {"layer_types": ["sliding_attention"] * 3 + ["full_attention"], "num_key_value_heads": 4}
    rotary = next(matrix for matrix in shape_from_config("m", config).matrices if matrix.name == "rotary")
    assert (rotary.rows, rotary.columns) == (2048, 256 + 512)
    kinds = {"full_attention": {"rope_theta": 1e6, "rope_type": "default"}, "sliding_attention": {"rope_theta": 1e4}}
    config = DENSE | {"model_type": "olmo3", "sliding_window": 64, "layer_types": config["layer_types"]}
    turned = [
        next(matrix.columns for matrix in shape_from_config("m", config | more).matrices if matrix.name == "rotary")
        for more in ({}, {"rope_parameters": kinds})
    ]
    assert turned == [128, 256]


@pytest.mark.parametrize("value", [1e308, float("nan"), -1, 1.5, 2**31, "x", [1]])
def test_numbers_without_a_rule_of_their_own_are_counts(value: object) -> None:
    """`n_mamba_heads` of 1e308 went on to sizes that no float holds."""
    config = Config({"own_count": value}, None)
    with pytest.raises(InputError, match="own_count: a whole number is needed here"):
        config.number("own_count")


MPT = {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "vocab_size": 50432, "max_seq_len": 2048}
REFINED = {"model_type": "RefinedWeb", "vocab_size": 65024, "hidden_size": 8192, "n_head": 128, "n_layer": 60}
QWEN = {
    "model_type": "qwen",
    "hidden_size": 4096,
    "intermediate_size": 22016,
    "kv_channels": 128,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "seq_length": 8192,
    "max_position_embeddings": 32768,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize(
    ("config", "parameters", "kv_heads", "context"),
    [
        (MPT | {"expansion_ratio": 4}, 6649286656, 32, 2048),
        (MPT | {"d_model": 7168, "n_heads": 64, "n_layers": 48, "max_seq_len": 8192}, 29957200896, 64, 8192),
        (REFINED | {"n_head_kv": 8}, 41303293952, 8, 2048),
        (FALCON | {"model_type": "RefinedWebModel", "max_position_embeddings": None}, 6921720704, 1, 2048),
        (QWEN, 7721324544, 32, 8192),
    ],
    ids=["mpt-7b", "mpt-30b", "falcon-40b", "falcon-7b", "qwen-7b"],
)
def test_first_publications_under_names_of_their_own(
    config: dict[str, Any], parameters: int, kv_heads: int, context: int
) -> None:
    """MPT, Falcon before transformers had it, and the first Qwen, whose MLPs are half as wide as they tell."""
    shape = shape_from_config("m", config)
    assert shape.parameters == pytest.approx(parameters, rel=1e-3)
    assert (shape.kv_heads, shape.context) == (kv_heads, context)


def test_mpt_may_share_keys_and_widen_its_mlps() -> None:
    shape = shape_from_config("m", MPT | {"expansion_ratio": 2, "attn_config": {"kv_n_heads": 4}})
    layer = 2 * 4096 * 4096 + 2 * 4096 * 4 * 128 + 2 * 2 * 4096 * 4096
    assert shape.kv_heads == 4
    assert shape.parameters == pytest.approx(50432 * 4096 + 32 * layer, rel=1e-3)


@pytest.mark.parametrize(("kind", "head"), [("Pooling", False), ("Normalize", True)])
def test_a_decoder_that_is_pooled_has_no_head(kind: str, head: bool, tmp_path: Path) -> None:
    """Qwen3-Embedding's config.json names Qwen3ForCausalLM; modules.json beside it says that vectors are pooled."""
    config = DENSE | {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "tie_word_embeddings": False}
    config["num_key_value_heads"] = 8
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    modules = [{"type": "sentence_transformers.models.Transformer"}, {"type": f"sentence_transformers.models.{kind}"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    pooled = shape_from_config(*read_config(tmp_path)).parameters
    assert shape_from_config("m", config).parameters - pooled == (0 if head else 32000 * 1024)
