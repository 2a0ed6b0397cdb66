"""K2 Horizon: parameters as published, to the last one where Hugging Face counts them, and what is refused.

The counts are those of the repositories' safetensors in September 2026 (`IFM/K2-Horizon-7B`, `-3.7B`); of the largest,
758 GB in bf16 are told.
"""

from __future__ import annotations

from typing import Any

import pytest

from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError

SEVEN: dict[str, Any] = {
    "architectures": ["K2HorizonForCausalLM"],
    "model_type": "k2_horizon",
    "attention_gate_func": None,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "layernorm_num_groups": 4,
    "max_position_embeddings": 524288,
    "mova_num_experts": 0,
    "num_attention_heads": 32,
    "num_experts": 0,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "query_key_norm": False,
    "rope_head_dim": None,
    "rope_parameters": {"rope_theta": 10000000.0, "rope_type": "default"},
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 250624,
}
LARGEST = SEVEN | {
    "hidden_size": 6144,
    "intermediate_size": 16384,
    "mlp_only_layers": [0, 1, 2],
    "moe_gate_bias": True,
    "moe_intermediate_size": 1792,
    "num_attention_heads": 48,
    "num_experts": 192,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_shared_experts": 1,
    "decoder_sparse_step": 1,
    "rope_head_dim": 64,
}


@pytest.mark.parametrize(
    ("config", "published"),
    [(SEVEN, 8_999_178_240), (SEVEN | {"hidden_size": 2560, "intermediate_size": 10240}, 5_058_255_360)],
)
def test_parameters_are_those_that_hugging_face_counts(config: dict[str, Any], published: int) -> None:
    assert shape_from_config("k2", config).parameters == published


def test_the_largest_has_dense_layers_first_then_experts_with_one_that_all_share() -> None:
    shape = shape_from_config("k2", LARGEST)
    assert 2 * shape.parameters == pytest.approx(758e9, rel=0.001)
    assert sum(matrix.name.endswith("shared_expert.down_proj") for matrix in shape.matrices) == 58


def test_positions_turn_the_part_of_a_head_that_the_config_says() -> None:
    columns = [
        next(m.columns for m in shape_from_config("k2", c).matrices if m.name == "rotary") for c in (SEVEN, LARGEST)
    ]
    assert columns == [128, 64]


def test_a_window_is_read_by_no_layer_and_all_tokens_are_kept() -> None:
    windowed = shape_from_config("k2", SEVEN | {"use_sliding_window": True, "sliding_window": 4096})
    assert windowed == shape_from_config("k2", SEVEN)
    assert {cache.kind for cache in windowed.caches} == {"full"}


def test_a_gate_is_as_wide_as_the_queries_and_norms_stand_over_all_heads() -> None:
    bare = shape_from_config("k2", SEVEN).parameters
    gated = shape_from_config("k2", SEVEN | {"attention_gate_func": "softplus"}).parameters
    normed = shape_from_config("k2", SEVEN | {"query_key_norm": True}).parameters
    assert gated - bare == 36 * 32 * 128 * 4096
    assert normed - bare == 36 * (32 + 8) * 128


@pytest.mark.parametrize(
    ("key", "value"),
    [("mova_num_experts", 64), ("attention_gate_func", "tanh"), ("rope_head_dim", 256), ("num_key_value_heads", 7)],
)
def test_what_is_not_understood_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(InputError, match=key):
        shape_from_config("k2", SEVEN | {key: value})
