"""Families of decoders by `model_type`: which builder reads their layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import (
    Built,
    Family,
    add_attention,
    add_delta_net,
    add_experts,
    add_latent_attention,
    add_mlp,
    add_norms,
    layer_kinds,
)
from simulator.catalog.shapes.reader import Config

Builder = Callable[[Config, Family, Built], None]

PLAIN = Family()
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        (
            "llama",
            "mistral",
            "ministral",
            "ministral3",
            "qwen2",
            "yi",
            "internlm2",
            "internlm3",
            "baichuan",
            "phi3",
            "phi4mm",
            "granite",
            "smollm3",
            "seed_oss",
            "olmo",
            "olmo2",
            "olmo3",
            "exaone",
            "exaone4",
            "cohere",
            "cohere2",
            "stablelm",
            "solar",
            "mimo",
            "minicpm",
            "helium",
            "hunyuan_v1_dense",
            "ernie4_5",
            "glm",
            "deepseek_llm",
            "telechat2",
            "telechat3",
            "PanguEmbedded",
            "aquila",
            "xverse",
            "orion",
            "decilm",
            "qwen2_vl_text",
            "qwen2_5_vl_text",
            "mixtral",
            "phimoe",
            "qwen2_moe",
            "granitemoe",
            "dbrx",
            "olmoe",
            "deepseek",
            "bailing_moe",
            "dots1",
            "ernie4_5_moe",
            "hunyuan_v1_moe",
            "glm4_moe",
            "glm4v_moe_text",
            "llama4_text",
            "deepseek_v2",
            "deepseek_v3",
            "deepseek_v32",
            "kimi_k2",
            "glm_moe_dsa",
            "glm4_moe_lite",
            "mistral_large_3",
            "pixtral_text",
            "granitemoeshared",
            "hyperclovax",
            "cwm",
            "solar_open",
            "youtu",
            "mistral4",
            "qwen2_5_omni_text",
            "aria_text",
            "chatglm",
            "bailing_moe_v2",
            "sarvam_moe",
            "sarvam_mla",
            "param2moe",
            "iquestcoder",
            "teleflm",
        ),
        PLAIN,
    ),
    **dict.fromkeys(
        ("qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text", "qwen3_omni_moe_text", "qwen3_asr_text"),
        Family(queries_normed=True),
    ),
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "qwen3_5", "qwen3_5_moe"),
        Family(queries_normed=True, gated_attention=True),
    ),
    "minimax_m2": Family(norms_span_heads=True),
    **dict.fromkeys(("exaone_moe", "hy_v3", "mellum"), Family(queries_normed=True)),
    "pangu_ultra_moe": Family(norms=4),
    "plamo3": Family(norms=4, queries_normed=True),
    "step1": Family(rotated=False),
    "afmoe": Family(norms=4, queries_normed=True, gated_attention=True),
    **dict.fromkeys(("granite_swa", "granitemoe_swa"), Family(sinks=True)),
    "axk1": Family(norms=3),
    "cohere2_moe": Family(tied=True, norms=1),
    "jais2": Family(gated_mlp=False),
    "olmo_hybrid": Family(queries_normed=True, norms_span_heads=True),
    "flex_olmo": Family(queries_normed=True),
    "gemma": Family(tied=True),
    "gemma2": Family(tied=True, norms=4, every_other_windowed=True),
    **dict.fromkeys(("gemma3", "gemma3_text"), Family(tied=True, norms=4, queries_normed=True)),
    "glm4": Family(norms=4),
    "gpt_oss": Family(every_other_windowed=True, expert_bias=True, sinks=True),
    "starcoder2": Family(gated_mlp=False, tied=True),
    **dict.fromkeys(("nemotron", "apertus", "phi", "arcee"), Family(gated_mlp=False)),
    **dict.fromkeys(("falcon", "RefinedWeb", "RefinedWebModel"), Family(gated_mlp=False, tied=True)),
    "mpt": Family(gated_mlp=False, tied=True, rotated=False),
    "qwen": PLAIN,
    "gpt_neox": Family(gated_mlp=False),
    "opt": Family(gated_mlp=False, tied=True, learned_positions=2, rotated=False),
    **dict.fromkeys(
        ("gpt2", "gpt-sw3", "gpt_bigcode"), Family(gated_mlp=False, tied=True, learned_positions=0, rotated=False)
    ),
    "gptj": Family(gated_mlp=False, norms=1),
    "bloom": Family(gated_mlp=False, tied=True, rotated=False),
    "cosmos3_edge_text": Family(gated_mlp=False),
    "glm_ocr_text": Family(norms=4),
    "muse_glimmer_text": Family(norms=4, gated_attention=True),
    "nanochat": Family(gated_mlp=False),
    "paddleocr_vl_text": Family(tied=True),
    **dict.fromkeys(("hunyuan_vl_text", "vaultgemma"), Family(tied=True, norms=2)),
}
"""Families of layers of attention and MLP; those with layers of their own kind stand in `builders.py`."""


def attention_and_mlp(config: Config, family: Family, built: Built) -> None:
    """Layers of attention, each with an MLP or experts."""
    kinds = layer_kinds(config, family)
    latent = bool(config.get("kv_lora_rank")) and any(
        config.get(key) for key in ("qk_nope_head_dim", "qk_rope_head_dim")
    )
    no_rope = config.get("no_rope_layers")
    chunk = config.get("attention_chunk_size")
    _read_of_no_effect(config)
    for layer, listed in enumerate(kinds):
        kind = listed
        if config.model_type == "llama4_text" and chunk:
            kind = "full" if no_rope and len(no_rope) > layer and no_rope[layer] == 0 else "chunk"
            if not no_rope and config.get("layer_types") is None:
                kind = "full" if (layer + 1) % 4 == 0 else "chunk"
        add_norms(config, family, built, layer)
        if kind == "linear":
            add_delta_net(config, built, layer)
        elif latent:
            add_latent_attention(config, built, layer)
        else:
            add_attention(config, family, built, layer, kind)
        feed_forward(config, family, built, layer)
    if any(kind == "chunk" for kind in kinds) or chunk:
        built.lacks("chunked attention")


def looped(config: Config, family: Family, built: Built) -> None:
    """IQuest LoopCoder: layers that are run several times, from the second on with a window of their own and a gate of
    each head between that and what the first time cached (`iquest_loopcoder.py`, vLLM 0.32.0)."""
    attention_and_mlp(config, family, built)
    loops, reach = config.number("loop_num", 2), config.number("loop_window_size", 64)
    first = tuple(zip(built.layer_of_cache, built.caches, strict=True))
    heads = config.number("num_attention_heads")
    for layer, cache in first:
        name = f"model.gate_projections.{layer}"
        built.matrices.append(parts.linear(name, heads, cache.head_dim))
    for _ in range(1, loops):
        for layer, cache in first:
            built.cache(layer, replace(cache, kind="window", reach=reach))
    built.lacks("layers that are run several times")


def _read_of_no_effect(config: Config) -> None:
    """Read what would change caches and here does not: layers that are all of full attention, sharing that is off."""
    listed = config.get("attn_type_list")
    if listed and not all(listed):
        raise config.problem("attn_type_list", f"linear attention is not known in type {config.model_type!r}")
    if not config.get("use_cla"):
        config.get("cla_share_factor")


ROUTED = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
"""Keys for the routed experts of a layer."""


def expert_counts(config: Config) -> tuple[int, int, int, int]:
    """Routed experts, those of a token, their width, and the width of shared experts together."""
    count = _routed(config)
    if count < 2:
        return 0, 0, 0, 0
    per_token = per_token_count(config)
    inner = first_number(config, "moe_intermediate_size") or first_number(config, "expert_ffn_hidden_size")
    inner = inner or config.number("intermediate_size")
    shared = config.first(
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
        "share_expert_dim",
        "moe_shared_expert_intermediate_size",
        default=0,
    )
    number = first_number(config, "n_shared_experts") or first_number(config, "num_shared_experts")
    number = number or first_number(config, "num_shared_expert") or first_number(config, "moe_num_shared_experts")
    if shared and config.model_type == "param2moe":  # the width of all together (`param2moe.py`, vLLM 0.32.0)
        number = 1
    shared = shared * max(number, 1) if shared else inner * number
    return count, per_token, inner, shared


def _routed(config: Config) -> int:
    """Routed experts of a layer by whichever key tells them, or by several that agree.

    Raises
    ------
    InputError : two keys that tell different numbers
    """
    told = {key: config.number(key) for key in ROUTED if config.get(key)}
    first = next(iter(told), "")
    for key, count in told.items():
        if count != told[first]:
            raise config.problem(key, f"must be as many experts as {first} tells, {told[first]}", str(count))
    return told.get(first, 0)


def per_token_count(config: Config) -> int:
    for key in (
        "num_experts_per_tok",
        "experts_per_token",
        "num_experts_per_token",
        "moe_topk",
        "moe_k",
        "moe_top_k",
        "top_k_experts",
    ):
        found = first_number(config, key)
        if found:
            return found
    raise config.problem("num_experts_per_tok", f"config.json of type {config.model_type!r} lacks it")


def first_number(config: Config, key: str) -> int:
    """A number, or the first of a list with one per layer."""
    value = config.get(key)
    if isinstance(value, list):
        return int(value[0]) if value else 0
    return config.number(key, 0)


MLP_KINDS = {"dense": False, "sparse": True, "moe": True, "hash_moe": True}
"""Whether a layer has experts, by its kind in `mlp_layer_types`."""


def is_sparse(config: Config, layer: int) -> bool:
    """Whether a layer has experts: not the first few, those listed, or all but every n-th."""
    frequency = config.get("moe_layer_freq")
    if isinstance(frequency, list):
        config.get("mlp_layer_types")
        return bool(config.by_layer("moe_layer_freq")[layer])
    if config.get("mlp_layer_types") is not None:
        kind = str(config.by_layer("mlp_layer_types")[layer])
        if kind not in MLP_KINDS:
            told = f"unknown kind of MLP; known are {', '.join(MLP_KINDS)}"
            raise config.problem(f"mlp_layer_types[{layer}]", told, kind)
        return MLP_KINDS[kind]
    if config.get("moe_layers_enum") is not None:
        return str(layer) in [number.strip() for number in str(config["moe_layers_enum"]).split(",")]
    if layer < config.first("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers", default=0):
        return False
    if config.get("moe_layers") is not None:
        return layer in config["moe_layers"]
    if layer in (config.get("mlp_only_layers") or ()):
        return False
    step = config.first("interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_interval", default=1)
    return (layer + 1) % max(step, 1) == 0


def feed_forward(config: Config, family: Family, built: Built, layer: int) -> None:
    count, per_token, inner, shared = expert_counts(config)
    if count and is_sparse(config, layer):
        if config.model_type == "llama4_text":
            shared = inner
        add_experts(config, family, built, layer, count, per_token, inner, shared)
        return
    width = config.first("intermediate_size_mlp", "dense_intermediate_size", default=0) if count else 0
    inner = first_number(config, "intermediate_size") or config.first("ffn_dim", "ffn_hidden_size", default=0)
    if config.model_type == "qwen":  # of gate and input together (`qwen.py`, vLLM 0.32.0)
        inner //= 2
    wider = config.number("expansion_ratio", 4)
    add_mlp(config, family, built, layer, width or inner or wider * config.number("hidden_size"))
