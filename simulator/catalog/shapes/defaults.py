"""What Hugging Face's configuration classes take for the keys that a config leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from simulator.catalog.quantity import read_yaml

ALIKE = (
    ("max_position_embeddings", "n_positions", "max_seq_len"),
    ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts"),
    (
        *("num_experts_per_tok", "experts_per_token", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k"),
        "top_k_experts",
    ),
    (
        *("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"),
        *("shared_expert_intermediate_size", "share_expert_dim", "moe_shared_expert_intermediate_size"),
        "shared_intermediate_size",
    ),
    ("num_key_value_heads", "num_attention_groups", "num_kv_heads", "multi_query", "new_decoder_architecture"),
    (
        *("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index", "moe_layer_freq", "mlp_layer_types"),
        *("moe_layers_enum", "moe_layers", "mlp_only_layers"),
    ),
    ("intermediate_size", "ffn_dim", "ffn_hidden_size", "block_ff_dim", "encoder_ffn_dim"),
    ("num_hidden_layers", "depth", "encoder_layers"),
    ("hidden_size", "d_model"),
    ("layer_types", "sliding_window_pattern", "_sliding_window_pattern"),
)
"""Keys that tell the same: where a config has one of them, none of the others is left out."""


@lru_cache
def _defaults(part: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read_yaml("config_defaults.yaml")[part]
    return found


def with_defaults(values: Mapping[str, Any], kind: str, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """The keys of a decoder, and those that its class has where it leaves them out, `but` for some."""
    return _filled(values, _defaults("decoders").get(kind, {}), but)


def encoder_with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same of an encoder."""
    return _filled(values, _defaults("encoders").get(str(values.get("model_type", "")), {}), ())


def _filled(values: Mapping[str, Any], defaults: Mapping[str, Any], but: tuple[str, ...]) -> dict[str, Any]:
    own = dict(values)
    told = {name for names in ALIKE if any(name in own for name in names) for name in names}
    return {key: value for key, value in defaults.items() if key not in told and key not in but} | own
