"""What the keys of a `config.json` may hold: each key that is read has its type and range, checked before any use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Check = Callable[[Any], str | None]
"""What is wrong with a value, or None."""

LAYERS = 2_000
EXPERTS = 16_384
WIDTH = 1_048_576
WORDS = 16_777_216
"""Rows of a vocabulary."""
TOKENS = 2**31 - 1
FACTOR = 1e6
"""Largest of the factors on widths and contexts."""
LISTED = 16_384
"""Entries of a list."""


def _whole(least: int, most: int) -> Check:
    def check(value: Any) -> str | None:
        whole = isinstance(value, int | float) and not isinstance(value, bool)
        if whole and least <= value <= most and value == math.floor(value):
            return None
        return f"must be a whole number from {least} to {most:,}"

    return check


def _factor(value: Any) -> str | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= FACTOR
    return None if ok else f"must be a number above 0, at most {FACTOR:g}"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and len(value) <= LISTED else "must be text"


def _auto(value: Any) -> str | None:
    return None if value == "auto" else "auto"


def _mapping(value: Any) -> str | None:
    return None if isinstance(value, Mapping) else "must be an object"


def _mappings(value: Any) -> str | None:
    return None if value is False or _list_of(_mapping)(value) is None else "must be a list of objects"


def _switch(value: Any) -> str | None:
    return None if value in (True, False, 0, 1) and isinstance(value, bool | int) else "must be true or false"


def _list_of(check: Check) -> Check:
    def checked(value: Any) -> str | None:
        if not isinstance(value, list) or len(value) > LISTED:
            return f"must be a list of at most {LISTED:,}"
        return next((f"each {found}" for found in map(check, value) if found), None)

    return checked


def _or(*checks: Check) -> Check:
    def checked(value: Any) -> str | None:
        found = [check(value) for check in checks]
        return None if None in found else ", or ".join(filter(None, found))

    return checked


def _block_configs(value: Any) -> str | None:
    """Layers of Nemotron-NAS: attention and MLP of each, with their sizes."""
    if (wrong := _list_of(_mapping)(value)) is not None:
        return wrong
    for block in value:
        parts = [block.get(part) for part in ("attention", "ffn")]
        if not all(isinstance(part, Mapping) for part in parts):
            return "each must have an attention and an ffn that are objects"
        attention, ffn = parts
        if not attention.get("no_op") and _whole(1, WIDTH)(attention.get("n_heads_in_group")):
            return f"n_heads_in_group {_whole(1, WIDTH)(None)}"
        if not ffn.get("no_op") and _factor(ffn.get("ffn_mult")):
            return f"ffn_mult {_factor(None)}"
    return None


def _by_layer(value: Any) -> str | None:
    """Keys of single layers, by their number."""
    if (wrong := _mapping(value)) is not None:
        return wrong
    numbered = all(str(layer).isdecimal() and isinstance(own, Mapping) for layer, own in value.items())
    return None if numbered else "must be objects by the number of a layer"


def _rates(value: Any) -> str | None:
    wrong = _mapping(value)
    return wrong or next((found for found in map(_whole(0, WIDTH), value.values()) if found), None)


def _scaling(value: Any) -> str | None:
    """Rotary embedding, as a whole or by kind of layer: a factor on the context, the context that it starts from, and
    the share of a head that is turned."""
    if (wrong := _mapping(value)) is not None:
        return wrong
    for each in (value, *(own for own in value.values() if isinstance(own, Mapping))):
        for key, check in _OF_ROTARY.items():
            if each.get(key) is not None and (found := check(each[key])):
                return f"{key} {found}"
    return None


_OF_ROTARY: dict[str, Check] = {
    "factor": _factor,
    "original_max_position_embeddings": _whole(0, TOKENS),
    "partial_rotary_factor": _factor,
}


def _block(value: Any) -> str | None:
    """Rows and columns that one scale is for."""
    pair = isinstance(value, list) and len(value) == 2 and _list_of(_whole(1, WIDTH))(value) is None
    return None if pair else f"must be two whole numbers from 1 to {WIDTH:,}"


_OF_QUANTIZATION: dict[str, Check] = {
    **dict.fromkeys(("bits", "w_bit", "num_bits"), _whole(1, 64)),
    **dict.fromkeys(("group_size", "q_group_size"), _or(_whole(-1, WIDTH), _list_of(_whole(-1, WIDTH)))),
    **dict.fromkeys(("weight_block_size", "block_structure"), _block),
}


def _quantization(value: Any) -> str | None:
    """Format of weights: bits, groups and blocks of modules are numbers, wherever they stand."""
    if (wrong := _mapping(value)) is not None:
        return wrong
    within = [value]
    for each in within:
        for key, own in each.items():
            check = _OF_QUANTIZATION.get(key)
            if check is not None and own is not None and (found := check(own)):
                return f"{key} {found}"
            within += [part for part in (own if isinstance(own, list) else (own,)) if isinstance(part, Mapping)]
    return None


COUNT = _whole(0, TOKENS)
"""Of a key that has no rule of its own."""
_AT_LEAST_ONE = (
    *(
        "hidden_size",
        "d_model",
        "embed_dim",
        "vt_hidden_size",
        "linear_num_key_heads",
        "linear_num_value_heads",
        "linear_num_heads",
        *("num_attention_groups", "swa_num_attention_heads", "swa_num_key_value_heads"),
        *("swa_head_dim", "swa_v_head_dim", "num_sliding_attention_heads"),
        "linear_head_dim",
    ),
    *("linear_key_head_dim", "linear_value_head_dim", "linear_conv_kernel_dim", "mamba_num_heads", "mamba_n_heads"),
    *("mamba_d_state", "ssm_state_size", "n_groups", "mamba_n_groups", "conv_kernel", "mamba_d_conv", "conv_L_cache"),
    *(
        "index_n_heads",
        "index_head_dim",
        "sparse_num_index_heads",
        "sparse_index_dim",
        "o_lora_rank",
        "o_groups",
        "hc_mult",
    ),
    *("spatial_patch_size", "num_channels", "in_channels", "in_chans", "block_multiple_of", "num_heads"),
    *("short_conv_kernel_size", "altup_num_inputs", "laurel_rank"),
    *("spatial_conv_size", "temporal_conv_size", "subsampling_factor"),
    *("hc_count", "hc_lowrank", "indexer_head_dim", "indexer_compress_ratio", "ple_conv_kernel_size", "ple_embed_dim"),
    *("ngram_size", "indexer_kv_heads", "hidden_stride"),
    *("num_kv_heads", "mamba_expand", "attn_layer_period", "expert_layer_period", "state_size", "time_step_rank"),
)
_MAYBE_NONE = (
    *("num_attention_heads", "num_key_value_heads", "num_global_key_value_heads", "global_head_dim", "head_dim"),
    *(
        "q_lora_rank",
        "kv_lora_rank",
        *("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"),
        "index_topk",
        "mamba_head_dim",
        "mamba_d_ssm",
    ),
    *("shared_expert_intermediate_size", "shared_intermediate_size", "moe_shared_expert_intermediate_size"),
    *("share_expert_dim", "sliding_window_size"),
    *(
        "intermediate_size_mlp",
        "dense_intermediate_size",
        "ffn_dim",
        "ffn_hidden_size",
        "block_ff_dim",
        "moe_latent_size",
    ),
    *("expert_intermediate_size", "encoder_ffn_dim", "vt_intermediate_size", "hidden_size_per_layer_input"),
    *("routed_expert_hidden_size", "spatial_merge_size", "mm_tokens_per_image", "image_seq_length", "out_hidden_size"),
)
_LAYERS = (
    "num_layers",
    *("depth", "layers", "vt_num_hidden_layers", "encoder_layers", "conf_num_hidden_layers", "num_kv_shared_layers"),
    *("num_hash_layers", "first_k_dense_replace", "max_window_layers", "num_dense_layers"),
    *("num_nextn_predict_layers", "mtp_num_hidden_layers", "full_attention_interval", "interleave_moe_layer_step"),
    *("num_mtp_modules", "index_topk_freq", "index_skip_topk_offset", "layer_group_size"),
    *("decoder_sparse_step", "moe_layer_interval", "attn_layer_offset", "expert_layer_offset"),
)
_EXPERTS = (
    *("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_experts_per_tok"),
    *("experts_per_token", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts", "n_shared_experts"),
    *("moe_top_k", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"),
)
_ONE_OR_LISTED = ("intermediate_size", "moe_intermediate_size", "expert_ffn_hidden_size", "image_size")
_SWITCHES = (
    *("tie_word_embeddings", "attn_output_gate", "use_sliding_window", "multi_query", "new_decoder_architecture"),
    *("attention_k_eq_v", "use_double_wide_mlp", "enable_moe_block", "mla_use_output_gate", "use_full_rank_gate"),
    *("block_auto_adjust_ff_dim", "use_head_wise_attn_gate", "use_cla", "is_causal"),
    "use_temporal_conv",
)
_TEXTS = (
    "model_type",
    "hidden_act",
    "mamba_ssm_dtype",
    "mamba_ssm_cache_dtype",
    "torch_dtype",
    "dtype",
    "expert_dtype",
)
_OF_LAYERS = _list_of(_or(_whole(0, WIDTH), _switch))


def _read_layers(value: Any) -> str | None:
    return "must name a layer" if value == [] else _list_of(_whole(-LAYERS, LAYERS))(value)


RULES: dict[str, Check] = {
    **dict.fromkeys(_AT_LEAST_ONE, _whole(1, WIDTH)),
    **dict.fromkeys(_MAYBE_NONE, _whole(0, WIDTH)),
    **dict.fromkeys(_LAYERS, _whole(0, LAYERS)),
    "width": _or(_whole(1, WIDTH), _mapping),
    "downsample_channels": _list_of(_whole(1, WIDTH)),
    "projector_config": _mapping,
    **dict.fromkeys(("heads", "input_dim", "n_embed"), _whole(1, WIDTH)),
    **dict.fromkeys(("attention_dim", "input_size", "linear_units"), _whole(1, WIDTH)),
    "num_blocks": _whole(0, LAYERS),
    "patch_size": _or(_whole(1, WIDTH), _list_of(_whole(1, WIDTH))),
    **dict.fromkeys(_ONE_OR_LISTED, _or(_whole(0, WIDTH), _list_of(_whole(0, WIDTH)))),
    **dict.fromkeys(_EXPERTS, _or(_whole(0, EXPERTS), _list_of(_whole(0, EXPERTS)))),
    **dict.fromkeys(_SWITCHES, _switch),
    **dict.fromkeys(_TEXTS, _text),
    **dict.fromkeys(("vision_config", "audio_config", "linear_attn_config", "sparse_attention_config"), _mapping),
    "attention_other_setting": _mapping,
    "mamba_d_head": _or(_whole(0, WIDTH), _auto),
    "moe_layers_enum": _text,
    "hybrid_layer_pattern": _OF_LAYERS,
    **dict.fromkeys(("mtp_config",), _mapping),
    **dict.fromkeys(("thinker_config", "text_config", "llm_config", "language_config"), _mapping),
    **dict.fromkeys(("quantization_config", "compression_config"), _quantization),
    **dict.fromkeys(("layer_types", "mlp_layer_types", "layers_block_type", "architectures"), _list_of(_text)),
    **dict.fromkeys(
        ("no_rope_layers", "moe_layers", "mlp_only_layers", "attn_type_list", "compress_ratios"), _OF_LAYERS
    ),
    **dict.fromkeys(("full_attn_layers", "sparse_attention_freq", "deepstack_visual_indexes"), _OF_LAYERS),
    "vit_layers": _read_layers,
    "ple_layer_ids": _list_of(_whole(0, LAYERS)),
    **dict.fromkeys(("hybrid_layer_ids", "attn_layer_indices", "full_attn_idxs"), _list_of(_whole(0, LAYERS))),
    "num_attention_heads_per_layer": _list_of(_whole(1, WIDTH)),
    **dict.fromkeys(("expand", "downsample_ratio"), _factor),
    **dict.fromkeys(("mlp_ratio", "block_ffn_dim_multiplier", "partial_rotary_factor"), _factor),
    **dict.fromkeys(("rope_scaling", "rope_parameters"), _scaling),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length"), _whole(0, TOKENS)),
    "original_max_position_embeddings": _whole(0, TOKENS),
    **dict.fromkeys(("mamba_chunk_size", "chunk_size"), _whole(1, TOKENS)),
    **dict.fromkeys(("sliding_window", "attention_chunk_size"), _whole(0, TOKENS)),
    **dict.fromkeys(("sliding_window_pattern", "_sliding_window_pattern"), _or(_whole(0, LAYERS), _text)),
    "num_hidden_layers": _whole(1, LAYERS),
    "vocab_size": _whole(1, WORDS),
    "vocab_size_per_layer_input": _whole(0, WORDS),
    "model_max_length": _whole(0, 10**40),
    "moe_layer_freq": _or(_whole(0, LAYERS), _OF_LAYERS),
    **dict.fromkeys(
        ("moe_layer_start_index", "moe_layer_end_index"), _or(_whole(0, LAYERS), _list_of(_whole(0, LAYERS)))
    ),
    **dict.fromkeys(("hybrid_override_pattern", "index_topk_pattern"), _text),
    "indexer_types": _list_of(_text),
    "per_layer_config": _by_layer,
    "block_configs": _block_configs,
    "compress_rates": _rates,
}
"""What is wrong with the value of a key, where it has one."""


def problems(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Key, message and value of each key that holds what it cannot."""
    for key, value in values.items():
        check = RULES.get(key)
        if check is not None and value is not None and (wrong := check(value)) is not None:
            yield key, wrong, str(value)[:60]
