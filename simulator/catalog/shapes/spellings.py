"""Keys that older configs name their own way, under the names that the others have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GPT = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
}
SPELLED: dict[str, Mapping[str, str]] = {
    **dict.fromkeys(("gpt2", "gpt-sw3", "gptj", "gpt_bigcode"), _GPT),
    "bloom": {"n_embed": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads"},
    "chatglm": {
        "num_layers": "num_hidden_layers",
        "padded_vocab_size": "vocab_size",
        "ffn_hidden_size": "intermediate_size",
        "multi_query_group_num": "num_key_value_heads",
        "kv_channels": "head_dim",
    },
    **{kind: {**_GPT, "n_head_kv": "num_kv_heads"} for kind in ("RefinedWeb", "RefinedWebModel")},
    "mpt": {
        "d_model": "hidden_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "attn_config.kv_n_heads": "num_key_value_heads",
    },
    "qwen": {"kv_channels": "head_dim"},
    "dbrx": {
        "d_model": "hidden_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "max_seq_len": "max_position_embeddings",
        "attn_config.kv_n_heads": "num_key_value_heads",
        "ffn_config.ffn_hidden_size": "intermediate_size",
        "ffn_config.moe_num_experts": "moe_num_experts",
        "ffn_config.moe_top_k": "moe_top_k",
    },
    "whisper": {
        "d_model": "hidden_size",
        "decoder_layers": "num_hidden_layers",
        "decoder_attention_heads": "num_attention_heads",
        "decoder_ffn_dim": "intermediate_size",
    },
    "lfm2": {"block_ff_dim": "intermediate_size", "tie_embedding": "tie_word_embeddings"},
    "lfm2_moe": {"tie_embedding": "tie_word_embeddings"},
    "molmo": {"weight_tying": "tie_word_embeddings"},
    "plamo3": {"window_size": "sliding_window"},
    "step3_text": {"max_position_embedding": "max_position_embeddings"},
    "longcat_flash": {"num_layers": "num_hidden_layers", "ffn_hidden_size": "intermediate_size"},
}
"""By the type of a model: its own name of a key, in a section after a point, and the usual one."""
OF_ENCODER = ("whisper",)
"""Types that tell of their encoder under the usual names."""
FOUR_TIMES = ("gpt2", "gpt-sw3", "gptj", "gpt_bigcode", "bloom", "falcon", "RefinedWeb", "RefinedWebModel", "mpt")
"""Types whose MLPs are four times as wide as the hidden state where no key tells."""


def usual_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys, with those that the model's type names its own way under the usual name too."""
    found = dict(values)
    for own, usual in SPELLED.get(str(values.get("model_type", "")), {}).items():
        section, _, key = own.rpartition(".")
        place = values.get(section) if section else values
        free = found.get(usual) is None or values.get("model_type") in OF_ENCODER
        if isinstance(place, Mapping) and place.get(key) is not None and free:
            found[usual] = place[key]
    return found
