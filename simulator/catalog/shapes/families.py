"""Families of decoders by `model_type`: which builder reads their layers."""

from __future__ import annotations

from collections.abc import Callable

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
    conv_state,
    head_width,
    layer_kinds,
)
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix

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
            "phi",
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
            "apertus",
            "solar",
            "mimo",
            "minicpm",
            "helium",
            "hunyuan_v1_dense",
            "ernie4_5",
            "arcee",
            "glm",
            "deepseek_llm",
            "telechat2",
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
            "minimax_m2",
            "deepseek_v2",
            "deepseek_v3",
            "deepseek_v32",
            "kimi_k2",
            "glm_moe_dsa",
            "glm4_moe_lite",
            "mistral_large_3",
            "pixtral_text",
        ),
        PLAIN,
    ),
    **dict.fromkeys(
        ("qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text", "qwen3_omni_moe_text"), Family(queries_normed=True)
    ),
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "qwen3_5", "qwen3_5_moe"),
        Family(queries_normed=True, gated_attention=True),
    ),
    "gemma": Family(tied=True),
    "gemma2": Family(tied=True, norms=4, every_other_windowed=True),
    **dict.fromkeys(("gemma3", "gemma3_text"), Family(tied=True, norms=4, queries_normed=True)),
    "glm4": Family(norms=4),
    "gpt_oss": Family(every_other_windowed=True, sinks=True, expert_bias=True),
    "starcoder2": Family(gated_mlp=False, tied=True),
    "nemotron": Family(gated_mlp=False),
    "falcon": Family(gated_mlp=False, tied=True),
    "gpt_neox": Family(gated_mlp=False),
    "opt": Family(gated_mlp=False, tied=True),
}
"""Families of layers of attention and MLP; those with layers of their own kind stand in `BUILDERS`."""


def attention_and_mlp(config: Config, family: Family, built: Built) -> None:
    """Layers of attention, each with an MLP or experts."""
    kinds = layer_kinds(config, family)
    latent = bool(config.get("kv_lora_rank"))
    no_rope = config.get("no_rope_layers")
    chunk = config.get("attention_chunk_size")
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


def expert_counts(config: Config) -> tuple[int, int, int, int]:
    """Routed experts, those of a token, their width, and the width of shared experts together."""
    count = config.first("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", default=0)
    if not count:
        return 0, 0, 0, 0
    per_token = _per_token(config)
    inner = _one(config, "moe_intermediate_size") or _one(config, "expert_ffn_hidden_size")
    inner = inner or config.number("intermediate_size")
    shared = config.first("shared_expert_intermediate_size", "shared_intermediate_size", default=0)
    if not shared:
        number = _one(config, "n_shared_experts") or _one(config, "num_shared_experts")
        shared = inner * (number or _one(config, "moe_num_shared_experts"))
    return count, per_token, inner, shared


def _per_token(config: Config) -> int:
    for key in (
        "num_experts_per_tok",
        "experts_per_token",
        "num_experts_per_token",
        "moe_topk",
        "moe_k",
        "top_k_experts",
    ):
        found = _one(config, key)
        if found:
            return found
    raise config.problem("num_experts_per_tok", f"config.json of type {config.model_type!r} lacks it")


def _one(config: Config, key: str) -> int:
    """A number, or the first of a list with one per layer."""
    value = config.get(key)
    if isinstance(value, list):
        return int(value[0]) if value else 0
    return config.number(key, 0)


def is_sparse(config: Config, layer: int) -> bool:
    """Whether a layer has experts: not the first few, those listed, or all but every n-th."""
    frequency = config.get("moe_layer_freq")
    if isinstance(frequency, list):
        return bool(frequency[layer])
    listed = config.get("mlp_layer_types")
    if listed is not None:
        return str(listed[layer]) == "sparse"
    if layer < config.first("first_k_dense_replace", "moe_layer_start_index", default=0):
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
    add_mlp(config, family, built, layer, width or _one(config, "intermediate_size"))


def nemotron_nas(config: Config, family: Family, built: Built) -> None:
    """Layers by `block_configs`: attention may be missing, MLPs are of their own width."""
    hidden, heads, width = config.number("hidden_size"), config.number("num_attention_heads"), head_width(config)
    for layer, block in enumerate(config["block_configs"]):
        add_norms(config, family, built, layer)
        attention, ffn = block["attention"], block["ffn"]
        if attention.get("replace_with_linear") or ffn.get("replace_with_linear"):
            raise config.problem(f"block_configs[{layer}]", "a linear layer in place of attention is not known here")
        if not attention.get("no_op"):
            kv_heads = heads // int(attention["n_heads_in_group"])
            from simulator.memory.shape import LayerCache

            built.matrices += parts.attention(f"model.layers.{layer}.self_attn", hidden, heads, kv_heads, width)
            built.cache(layer, LayerCache("full", kv_heads, width, width))
        if not ffn.get("no_op"):
            inner = int(2 * float(ffn["ffn_mult"]) * hidden / 3)
            add_mlp(config, family, built, layer, -(-inner // 256) * 256)
    built.lacks("layers of unequal width")


def nemotron_h(config: Config, family: Family, built: Built) -> None:
    """One mixer a layer: Mamba-2, attention, an MLP, or experts."""
    pattern = config.get("hybrid_override_pattern")
    kinds = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
    listed = config.get("layers_block_type") or [kinds.get(letter, letter) for letter in pattern or ""]
    if not listed:
        raise config.problem("hybrid_override_pattern", "config.json of type 'nemotron_h' lacks it")
    hidden = config.number("hidden_size")
    plain = Family(gated_mlp=False, norms=1)
    for layer, kind in enumerate(listed[: config.number("num_hidden_layers")]):
        add_norms(config, plain, built, layer)
        if kind == "mamba":
            add_mamba2(config, built, layer)
        elif kind == "attention":
            add_attention(config, plain, built, layer, "full")
        elif kind == "mlp":
            add_mlp(config, plain, built, layer, _one(config, "intermediate_size"))
        elif kind == "moe":
            count, per_token, inner, _ = expert_counts(config)
            shared = config.number("moe_shared_expert_intermediate_size", 0) * max(1, _one(config, "n_shared_experts"))
            latent = config.number("moe_latent_size", 0)
            add_experts(config, plain, built, layer, count, per_token, inner, shared)
            if latent:
                _narrow_experts(built, layer, hidden, latent)
        else:
            raise config.problem(f"hybrid_override_pattern[{layer}]", "unknown kind of layer", str(kind))


def _narrow_experts(built: Built, layer: int, hidden: int, latent: int) -> None:
    """Experts that work in a latent of the hidden state, with a projection into it and out of it."""
    prefix = f"model.layers.{layer}.mlp"
    built.matrices = [
        Matrix(m.name, m.rows, latent, m.cut, copies=m.copies)
        if m.cut == "experts" and m.name.startswith(f"{prefix}.")
        else m
        for m in built.matrices
    ]
    built.matrices += [parts.whole(f"{prefix}.fc1_latent_proj", latent, hidden)]
    built.matrices += [parts.whole(f"{prefix}.fc2_latent_proj", hidden, latent)]


def add_mamba2(config: Config, built: Built, layer: int) -> None:
    from simulator.catalog.shapes.decoder import state_bytes

    hidden = config.number("hidden_size")
    heads = config.first("mamba_num_heads", "mamba_n_heads")
    expand = config.get("mamba_expand", 2)
    width = config.get("mamba_head_dim") or config.get("mamba_d_head")
    width = int(width) if isinstance(width, int) else int(expand * hidden) // heads
    state = config.first("ssm_state_size", "mamba_d_state")
    groups = config.first("n_groups", "mamba_n_groups", default=1)
    kernel = config.first("conv_kernel", "mamba_d_conv", default=4)
    prefix = f"model.layers.{layer}.mamba"
    built.matrices += parts.mamba2(prefix, hidden, heads, width, state, groups, kernel)
    built.cache(layer, parts.mamba2_state(heads, width, state, groups, kernel, state_bytes(config)))
    built.projection = max(built.projection, 2 * heads * width + 2 * groups * state + heads)
    built.lacks("state-space layers (Mamba-2)")


def granite_hybrid(config: Config, family: Family, built: Built) -> None:
    """Mamba-2 or attention, each with experts or a shared MLP."""
    for layer, kind in enumerate(layer_kinds(config, family)):
        add_norms(config, family, built, layer)
        if kind == "mamba":
            add_mamba2(config, built, layer)
        else:
            add_attention(config, family, built, layer, kind)
        count = config.number("num_local_experts", 0)
        shared = config.number("shared_intermediate_size", 0)
        if count:
            add_experts(
                config, family, built, layer, count, _per_token(config), config.number("intermediate_size"), shared
            )
        else:
            add_mlp(config, family, built, layer, shared or config.number("intermediate_size"))


def falcon_h1(config: Config, family: Family, built: Built) -> None:
    """Mamba-2 and attention side by side in every layer."""
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        hidden = config.number("hidden_size")
        heads, state = config.number("mamba_n_heads"), config.number("mamba_d_state")
        width, groups = config.number("mamba_d_head"), config.number("mamba_n_groups", 1)
        kernel = config.number("mamba_d_conv", 4)
        built.matrices += parts.mamba2(f"model.layers.{layer}.mamba", hidden, heads, width, state, groups, kernel)
        built.cache(layer, parts.mamba2_state(heads, width, state, groups, kernel, None))
        add_attention(config, family, built, layer, "full")
        add_mlp(config, family, built, layer, config.number("intermediate_size"))
    built.lacks("state-space layers (Mamba-2)")


def lfm2(config: Config, family: Family, built: Built) -> None:
    """Short convolutions with attention in some layers."""
    hidden = config.number("hidden_size")
    kernel = config.number("conv_L_cache")
    for layer, kind in enumerate(layer_kinds(config, family)):
        add_norms(config, family, built, layer)
        if kind == "conv":
            prefix = f"model.layers.{layer}.conv"
            built.matrices += [
                parts.linear(f"{prefix}.in_proj", 3 * hidden, hidden),
                parts.linear(f"{prefix}.out_proj", hidden, hidden),
                Matrix(f"{prefix}.conv", hidden, kernel, "tp", plain=True),
            ]
            built.cache(layer, conv_state(hidden, kernel))
        else:
            add_attention(config, family, built, layer, kind)
        count, per_token, inner, shared = expert_counts(config)
        if count and layer >= config.number("num_dense_layers", 0):
            add_experts(config, family, built, layer, count, per_token, inner, shared)
        else:
            add_mlp(config, family, built, layer, _lfm2_width(config))
    built.lacks("short convolutions")


def _lfm2_width(config: Config) -> int:
    inner = config.first("intermediate_size", "block_ff_dim")
    if config.get("block_auto_adjust_ff_dim"):
        inner = int(2 * inner / 3) * 1
        multiple = config.number("block_multiple_of", 256)
        inner = -(-int(inner * float(config.get("block_ffn_dim_multiplier", 1.0))) // multiple) * multiple
    return inner


def minimax_m1(config: Config, family: Family, built: Built) -> None:
    """Lightning attention with full attention every few layers, experts everywhere."""
    from simulator.memory.shape import LayerCache, StatePart

    hidden, heads, width = config.number("hidden_size"), config.number("num_attention_heads"), head_width(config)
    count, per_token, inner, shared = expert_counts(config)
    for layer, kind in enumerate(config["attn_type_list"]):
        add_norms(config, family, built, layer)
        if kind:
            add_attention(config, family, built, layer, "full")
        else:
            prefix = f"model.layers.{layer}.self_attn"
            built.matrices += [
                parts.linear(f"{prefix}.qkv_proj", 3 * heads * width, hidden),
                parts.linear(f"{prefix}.output_gate", heads * width, hidden),
                parts.linear(f"{prefix}.out_proj", hidden, heads * width),
            ]
            built.cache(layer, LayerCache("state", state=(StatePart(heads * width * width, 4),)))
        add_experts(config, family, built, layer, count, per_token, inner, shared)
    built.lacks("lightning attention")


def kimi_linear(config: Config, family: Family, built: Built) -> None:
    """Kimi delta attention with latent attention every few layers."""
    from simulator.memory.shape import LayerCache, StatePart

    linear = Config(config["linear_attn_config"], config.file, f"{config.section}linear_attn_config.")
    full = set(linear["full_attn_layers"])
    hidden = config.number("hidden_size")
    heads, width = linear.number("num_heads"), linear.number("head_dim")
    kernel = linear.number("short_conv_kernel_size", 4)
    inner = heads * width
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        if layer + 1 in full:
            add_latent_attention(config, built, layer)
        else:
            prefix = f"model.layers.{layer}.self_attn"
            gate = (
                [parts.linear(f"{prefix}.g_proj", inner, hidden)]
                if linear.get("use_full_rank_gate")
                else [
                    parts.whole(f"{prefix}.g_a_proj", width, hidden),
                    parts.linear(f"{prefix}.g_b_proj", inner, width),
                ]
            )
            built.matrices += [
                *(parts.linear(f"{prefix}.{name}_proj", inner, hidden) for name in "qkv"),
                parts.linear(f"{prefix}.o_proj", hidden, inner),
                parts.whole(f"{prefix}.f_a_proj", width, hidden),
                parts.linear(f"{prefix}.f_b_proj", inner, width),
                *gate,
                Matrix(f"{prefix}.b_proj", heads, hidden, "tp"),
                Matrix(f"{prefix}.conv", 3 * inner, kernel, "tp", plain=True),
            ]
            built.cache(
                layer,
                LayerCache("state", state=(StatePart(3 * inner * (kernel - 1)), StatePart(heads * width * width, 4))),
            )
        feed_forward(config, family, built, layer)
        latent = config.number("routed_expert_hidden_size", 0)
        if latent and is_sparse(config, layer):
            _narrow_experts(built, layer, hidden, latent)
    built.lacks("linear attention (KDA)")


def gemma3n(config: Config, family: Family, built: Built) -> None:
    """Gemma 3n: per-layer embeddings, four streams, caches shared by the last layers."""
    hidden, layers = config.number("hidden_size"), config.number("num_hidden_layers")
    per_layer, streams = config.number("hidden_size_per_layer_input"), config.number("altup_num_inputs", 4)
    rank = config.number("laurel_rank", 64)
    shared = config.number("num_kv_shared_layers", 0)
    widths = config["intermediate_size"]
    vocab = config.number("vocab_size_per_layer_input")
    built.matrices += [
        Matrix("model.embed_tokens_per_layer", vocab, layers * per_layer, "vocab", plain=True),
        parts.linear("model.per_layer_model_projection", layers * per_layer, hidden),
        parts.whole("model.altup_projections", 2 * (streams - 1) * hidden, hidden),
    ]
    for layer, kind in enumerate(layer_kinds(config, family)):
        add_norms(config, Family(norms=6), built, layer)
        add_attention(config, family, built, layer, kind)
        if layer >= layers - shared:
            built.caches.pop()
            built.layer_of_cache.pop()
        add_mlp(config, family, built, layer, int(widths[layer] if isinstance(widths, list) else widths))
        prefix = f"model.layers.{layer}"
        built.matrices += [
            parts.whole(f"{prefix}.laurel", 2 * rank, hidden),
            parts.whole(f"{prefix}.per_layer_gates", 2 * per_layer, hidden),
        ]
    built.lacks("per-layer embeddings")


def gemma4(config: Config, family: Family, built: Built) -> None:
    """Gemma 4: full layers have heads of their own shape, the last layers share caches, some have experts."""
    from simulator.memory.shape import LayerCache

    hidden, layers = config.number("hidden_size"), config.number("num_hidden_layers")
    heads, kv_heads = config.number("num_attention_heads"), config.number("num_key_value_heads")
    width, wide = head_width(config), config.number("global_head_dim", 0)
    equal = bool(config.get("attention_k_eq_v"))
    few = config.number("num_global_key_value_heads", 0) if equal else 0
    shared = config.number("num_kv_shared_layers", 0)
    per_layer = config.number("hidden_size_per_layer_input", 0)
    vocab = config.number("vocab_size_per_layer_input", 0)
    count = config.number("num_experts", 0) if config.get("enable_moe_block") else 0
    if per_layer:
        built.matrices += [
            Matrix("model.embed_tokens_per_layer", vocab, layers * per_layer, "vocab", plain=True),
            parts.linear("model.per_layer_model_projection", layers * per_layer, hidden),
        ]
    for layer, kind in enumerate(layer_kinds(config, family)):
        add_norms(config, Family(norms=6 if count else 4), built, layer)
        head = wide or width if kind == "full" else width
        own = few or kv_heads if kind == "full" else kv_heads
        built.matrices += parts.attention(f"model.layers.{layer}.self_attn", hidden, heads, own, head)
        if layer < layers - shared:
            reach = config.number("sliding_window") if kind == "window" else 0
            built.cache(layer, LayerCache("window" if kind == "window" else "full", own, head, head, reach))
        built.projection = max(built.projection, (heads + 2 * own) * head)
        double = 2 if config.get("use_double_wide_mlp") and layer >= layers - shared else 1
        add_mlp(config, family, built, layer, double * config.number("intermediate_size"))
        if count:
            inner = config.first("moe_intermediate_size", "expert_intermediate_size")
            built.matrices += parts.experts(f"model.layers.{layer}.moe", hidden, inner, count)
            built.matrices.append(parts.whole(f"model.layers.{layer}.router.proj", count, hidden, plain=True))
            built.experts, built.moe_per_token, built.moe_inner = count, _per_token(config), inner
        if per_layer:
            built.matrices.append(parts.whole(f"model.layers.{layer}.per_layer_gates", 2 * per_layer, hidden))
    if per_layer:
        built.lacks("per-layer embeddings")
    if wide:
        built.lacks("heads of two shapes")


def minimax_m3(config: Config, family: Family, built: Built) -> None:
    """MiniMax M3: grouped-query attention whose sparse layers keep the keys of a block indexer beside it."""
    from simulator.memory.shape import LayerCache

    sparse = config.get("sparse_attention_config") or {}
    frequency = sparse.get("sparse_attention_freq") or [0] * config.number("num_hidden_layers")
    hidden = config.number("hidden_size")
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        add_attention(config, family, built, layer, "full")
        if frequency[layer]:
            heads, width = int(sparse["sparse_num_index_heads"]), int(sparse["sparse_index_dim"])
            prefix = f"model.layers.{layer}.self_attn.indexer"
            built.matrices += [
                parts.linear(f"{prefix}.q_proj", heads * width, hidden),
                parts.whole(f"{prefix}.k_proj", width, hidden),
            ]
            built.cache(layer, LayerCache("full", 1, width, 0))
        feed_forward(config, family, built, layer)
    built.lacks("sparse attention's indexer")


BUILDERS: dict[str, tuple[Family, Builder]] = {
    **{name: (family, attention_and_mlp) for name, family in FAMILIES.items()},
    "nemotron-nas": (PLAIN, nemotron_nas),
    "deci": (PLAIN, nemotron_nas),
    "nemotron_h": (Family(gated_mlp=False, norms=1), nemotron_h),
    "granitemoehybrid": (PLAIN, granite_hybrid),
    "falcon_h1": (PLAIN, falcon_h1),
    "lfm2": (Family(tied=True), lfm2),
    "lfm2_moe": (Family(tied=True), lfm2),
    "minimax_m1": (PLAIN, minimax_m1),
    "minimax": (PLAIN, minimax_m1),
    "minimax_text_01": (PLAIN, minimax_m1),
    "kimi_linear": (PLAIN, kimi_linear),
    "gemma3n_text": (Family(tied=True), gemma3n),
    "gemma4_text": (Family(tied=True), gemma4),
    "minimax_m3": (PLAIN, minimax_m3),
    "minimax_m3_text": (PLAIN, minimax_m3),
}
