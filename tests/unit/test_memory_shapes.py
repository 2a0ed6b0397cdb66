"""Parameters of shapes read from a config against those of the same class in transformers 5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator.catalog.architecture import architecture_of
from simulator.catalog.shapes.config import shape_from_config
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
