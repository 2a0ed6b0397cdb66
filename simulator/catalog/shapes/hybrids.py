"""Decoders with recurrent states, short convolutions or layers of unequal kind."""

from __future__ import annotations

from typing import Any

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import (
    Built,
    Family,
    add_attention,
    add_experts,
    add_latent_attention,
    add_mlp,
    add_norms,
    conv_state,
    head_width,
    layer_kinds,
    state_bytes,
)
from simulator.catalog.shapes.families import (
    expert_counts,
    feed_forward,
    first_number,
    is_sparse,
    per_token_count,
)
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache, Matrix, StatePart


def nemotron_nas(config: Config, family: Family, built: Built) -> None:
    """Layers by `block_configs`: attention may be missing, MLPs are of their own width."""
    hidden, heads, width = config.number("hidden_size"), config.number("num_attention_heads"), head_width(config)
    for layer, block in enumerate(_each_layer(config, "block_configs", config["block_configs"])):
        add_norms(config, family, built, layer)
        attention, ffn = block["attention"], block["ffn"]
        if attention.get("replace_with_linear") or ffn.get("replace_with_linear"):
            raise config.problem(f"block_configs[{layer}]", "a linear layer in place of attention is not known here")
        if not attention.get("no_op"):
            kv_heads = heads // int(attention["n_heads_in_group"])
            built.matrices += parts.attention(f"model.layers.{layer}.self_attn", hidden, heads, kv_heads, width)
            built.cache(layer, LayerCache("full", kv_heads, width, width))
        if not ffn.get("no_op"):
            inner = int(2 * float(ffn["ffn_mult"]) * hidden / 3)
            add_mlp(config, family, built, layer, -(-inner // 256) * 256)
    built.lacks("layers of unequal width")


def _each_layer(config: Config, key: str, listed: list[Any]) -> list[Any]:
    """What a list says of each layer, none more and none less.

    Raises
    ------
    InputError : there are others than `num_hidden_layers`
    """
    layers = config.number("num_hidden_layers")
    if len(listed) != layers:
        raise config.problem(key, f"must name each of the {layers} layers of num_hidden_layers", str(len(listed)))
    return listed


NEMOTRON_STATE_BYTES = 4
"""Of a value of a Mamba-2 state where no key says (`NemotronHForCausalLMConfig`, vLLM 0.32.0)."""


def nemotron_h(config: Config, family: Family, built: Built) -> None:
    """One mixer a layer: Mamba-2, attention, an MLP, or experts."""
    pattern = config.get("hybrid_override_pattern")
    kinds = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
    listed = config.get("layers_block_type") or [kinds.get(letter, letter) for letter in pattern or ""]
    if not listed:
        raise config.problem("hybrid_override_pattern", "config.json of type 'nemotron_h' lacks it")
    key = "layers_block_type" if config.get("layers_block_type") else "hybrid_override_pattern"
    hidden = config.number("hidden_size")
    plain = Family(gated_mlp=False, norms=1)
    same = {"linear_attention": "mamba", "full_attention": "attention"}
    for layer, kind in enumerate(same.get(kind, kind) for kind in _each_layer(config, key, listed)):
        add_norms(config, plain, built, layer)
        if kind == "mamba":
            add_mamba2(config, built, layer, NEMOTRON_STATE_BYTES)
        elif kind == "attention":
            add_attention(config, plain, built, layer, "full")
        elif kind == "mlp":
            add_mlp(config, plain, built, layer, first_number(config, "intermediate_size"))
        elif kind == "moe":
            count, per_token, inner, _ = expert_counts(config)
            shared = config.number("moe_shared_expert_intermediate_size", 0)
            shared *= max(1, first_number(config, "n_shared_experts"))
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


LIGHTNING_BLOCK = 256
"""Tokens of a block of vLLM's lightning attention (`lightning_attn.py`)."""


def scan_chunk(config: Config) -> int:
    """Tokens of the chunks of a Mamba-2 scan; vLLM's default is 256."""
    return config.first("mamba_chunk_size", "chunk_size", default=256)


def add_mamba2(config: Config, built: Built, layer: int, value_bytes: int | None = None) -> None:
    """One layer of Mamba-2.

    Parameters
    ----------
    value_bytes : of the state's values where the config does not say; None follows the activations
    """
    hidden = config.number("hidden_size")
    heads = config.first("mamba_num_heads", "mamba_n_heads")
    expand = config.get("mamba_expand", 2)
    width = _mamba_width(config, heads, int(expand * hidden))
    state = config.first("ssm_state_size", "mamba_d_state")
    groups = config.first("n_groups", "mamba_n_groups", default=1)
    kernel = config.first("conv_kernel", "mamba_d_conv", default=4)
    prefix = f"model.layers.{layer}.mamba"
    built.matrices += parts.mamba2(prefix, hidden, heads, width, state, groups, kernel)
    stored = state_bytes(config) or value_bytes
    built.cache(layer, parts.mamba2_state(heads, width, state, groups, kernel, stored, scan_chunk(config)))
    built.projection = max(built.projection, 2 * heads * width + 2 * groups * state + heads)


def _mamba_width(config: Config, heads: int, inner: int) -> int:
    """Of a head of Mamba-2: the config's own, or what `auto` leaves of all heads together."""
    width = config.get("mamba_head_dim") or config.get("mamba_d_head")
    return int(width) if isinstance(width, int | float) else inner // heads


def granite_hybrid(config: Config, family: Family, built: Built) -> None:
    """Mamba-2 or attention, each with experts or a shared MLP; with attention alone, keys of Mamba-2 are idle."""
    kinds = layer_kinds(config, family)
    if not {"mamba", "linear"} & set(kinds):
        for key in ("mamba_n_heads", "mamba_d_state"):
            config.get(key)
    for layer, kind in enumerate(kinds):
        add_norms(config, family, built, layer)
        if kind in ("mamba", "linear"):
            add_mamba2(config, built, layer)
        else:
            add_attention(config, family, built, layer, kind)
        count = config.number("num_local_experts", 0)
        shared = config.number("shared_intermediate_size", 0)
        if count:
            add_experts(
                config, family, built, layer, count, per_token_count(config), config.number("intermediate_size"), shared
            )
        else:
            add_mlp(config, family, built, layer, shared or config.number("intermediate_size"))


def falcon_h1(config: Config, family: Family, built: Built) -> None:
    """Mamba-2 and attention side by side in every layer."""
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        hidden = config.number("hidden_size")
        heads, state = config.number("mamba_n_heads"), config.number("mamba_d_state")
        inner = config.number("mamba_d_ssm", 0) or int(config.get("mamba_expand", 2) * hidden)
        width, groups = _mamba_width(config, heads, inner), config.number("mamba_n_groups", 1)
        kernel = config.number("mamba_d_conv", 4)
        built.matrices += parts.mamba2(f"model.layers.{layer}.mamba", hidden, heads, width, state, groups, kernel)
        built.cache(layer, parts.mamba2_state(heads, width, state, groups, kernel, None, scan_chunk(config)))
        add_attention(config, family, built, layer, "full")
        add_mlp(config, family, built, layer, config.number("intermediate_size"))


def lfm2(config: Config, family: Family, built: Built) -> None:
    """Short convolutions with attention in some layers."""
    hidden = config.number("hidden_size")
    kernel = config.number("conv_L_cache")
    full = config.get("full_attn_idxs")
    if full is None or config.has("layer_types"):
        kinds = layer_kinds(config, family)
    else:
        kinds = ["full" if layer in full else "conv" for layer in range(config.number("num_hidden_layers"))]
    for layer, kind in enumerate(kinds):
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


def _lfm2_width(config: Config) -> int:
    inner = config.first("intermediate_size", "block_ff_dim")
    if config.get("block_auto_adjust_ff_dim", config.model_type == "lfm2"):
        inner = int(2 * inner / 3) * 1
        multiple = config.number("block_multiple_of", 256)
        inner = -(-int(inner * float(config.get("block_ffn_dim_multiplier", 1.0))) // multiple) * multiple
    return inner


def _full_layers(config: Config, family: Family) -> list[bool]:
    return [kind == "full" for kind in layer_kinds(config, family)]


def minimax_m1(config: Config, family: Family, built: Built) -> None:
    """Lightning attention with full attention every few layers, experts everywhere."""
    count, per_token, inner, shared = expert_counts(config)
    for layer, kind in enumerate(config.get("attn_type_list") or _full_layers(config, family)):
        add_norms(config, family, built, layer)
        if kind:
            add_attention(config, family, built, layer, "full")
        else:
            _add_lightning(config, built, layer)
        add_experts(config, family, built, layer, count, per_token, inner, shared)


def _add_lightning(config: Config, built: Built, layer: int) -> None:
    """Lightning attention with a gate; its state is kept in the model's type.

    Source: `MambaStateDtypeCalculator.linear_attention_state_dtype`, vLLM 0.11.0 to 0.32.0.
    """
    hidden, heads, width = config.number("hidden_size"), config.number("num_attention_heads"), head_width(config)
    prefix = f"model.layers.{layer}.self_attn"
    built.matrices += [
        parts.linear(f"{prefix}.qkv_proj", 3 * heads * width, hidden),
        parts.linear(f"{prefix}.output_gate", heads * width, hidden),
        parts.linear(f"{prefix}.out_proj", hidden, heads * width),
    ]
    built.cache(layer, parts.recurrence("lightning", heads, width, width, None, None, LIGHTNING_BLOCK))


def bailing_hybrid(config: Config, family: Family, built: Built) -> None:
    """Ring and Ling: lightning attention (2.5) or delta attention (3), with latent attention at the end of each group
    of layers, and delta attention only in whole groups.

    Sources: `BailingMoeV25Model`, vLLM 0.32.0; `BailingMoeV3Model`, vLLM 0.33.0.
    """
    group, layers = config.number("layer_group_size", 1), config.number("num_hidden_layers")
    third = bool(config.get("short_conv_kernel_size"))
    for layer in range(layers):
        add_norms(config, family, built, layer)
        in_group = group > 0 and (layer + 1) % group
        if third and in_group and layer < layers // group * group:
            _add_full_rank_delta(config, built, layer)
        elif in_group and not third:
            _add_lightning(config, built, layer)
        else:
            add_latent_attention(config, built, layer)
            if third:
                _add_gate_of_latent(config, built, layer)
        feed_forward(config, family, built, layer)


def _add_full_rank_delta(config: Config, built: Built, layer: int) -> None:
    """Delta attention of Ling 3, whose two gates are whole matrices."""
    if not config.get("no_kda_lora"):
        raise config.problem("no_kda_lora", "delta attention with gates of low rank is not served by vLLM 0.33.0")
    hidden, heads, width = (config.number(key) for key in ("hidden_size", "num_attention_heads", "head_dim"))
    gates = [parts.linear(f"model.layers.{layer}.self_attn.{name}_proj", heads * width, hidden) for name in "fg"]
    _add_delta(config, built, layer, heads, width, config.number("short_conv_kernel_size"), gates)


def _add_gate_of_latent(config: Config, built: Built, layer: int) -> None:
    """One value a head, or one of each of its values, as the config says; none where it says nothing."""
    kind = config.get("gated_attention_proj_granularity_type")
    heads, value = config.number("num_attention_heads"), config.number("v_head_dim")
    rows = {"head_wise": heads, "element_wise": heads * value}.get(str(kind), 0)
    if rows:
        built.matrices.append(
            parts.linear(f"model.layers.{layer}.self_attn.g_proj", rows, config.number("hidden_size"))
        )


def _add_delta(
    config: Config, built: Built, layer: int, heads: int, width: int, kernel: int, gates: list[Matrix], saves: str = ""
) -> None:
    """Kimi delta attention: projections, a short convolution of all three, gates, and its state in fp32."""
    hidden, inner = config.number("hidden_size"), heads * width
    prefix = f"model.layers.{layer}.self_attn"
    built.matrices += [
        *(parts.linear(f"{prefix}.{name}_proj", inner, hidden) for name in "qkv"),
        parts.linear(f"{prefix}.o_proj", hidden, inner),
        *gates,
        Matrix(f"{prefix}.b_proj", heads, hidden, "tp"),
        Matrix(f"{prefix}.conv", 3 * inner, kernel, "tp", plain=True, value_bytes=4),
    ]
    passed = StatePart(3 * inner, tail=kernel - 1)
    built.cache(layer, parts.recurrence("kda", heads, width, width, passed, 4, saves=saves))


def _delta_attention(config: Config, family: Family) -> Config:
    """Its section, or the same of the flat keys of transformers."""
    if config.has("linear_attn_config") or not config.has("linear_num_heads"):
        return Config(config["linear_attn_config"], config.file, f"{config.section}linear_attn_config.")
    flat = {"num_heads": "linear_num_heads", "head_dim": "linear_head_dim"}
    flat["short_conv_kernel_size"] = "linear_conv_kernel_dim"
    full = [layer + 1 for layer, is_full in enumerate(_full_layers(config, family)) if is_full]
    values = {name: config[key] for name, key in flat.items() if config.has(key)}
    return Config({**values, "full_attn_layers": full}, config.file, config.section)


def kimi_linear(config: Config, family: Family, built: Built) -> None:
    """Kimi delta attention with latent attention every few layers."""
    linear = _delta_attention(config, family)
    full = set(linear["full_attn_layers"])
    hidden = config.number("hidden_size")
    heads, width = linear.number("num_heads"), linear.number("head_dim")
    kernel = linear.number("short_conv_kernel_size", 4)
    inner = heads * width
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        if layer + 1 in full:
            add_latent_attention(config, built, layer)
            if config.get("mla_use_output_gate"):
                gate_rows = config.number("num_attention_heads") * config.number("v_head_dim")
                built.matrices.append(parts.linear(f"model.layers.{layer}.self_attn.g_proj", gate_rows, hidden))
        else:
            prefix = f"model.layers.{layer}.self_attn"
            gates = [
                parts.whole(f"{prefix}.f_a_proj", width, hidden),
                parts.linear(f"{prefix}.f_b_proj", inner, width),
            ]
            if linear.get("use_full_rank_gate"):
                gates.append(parts.linear(f"{prefix}.g_proj", inner, hidden))
            else:
                gates += [
                    parts.whole(f"{prefix}.g_a_proj", width, hidden),
                    parts.linear(f"{prefix}.g_b_proj", inner, width),
                ]
            full_rank = bool(linear.get("use_full_rank_gate"))
            _add_delta(config, built, layer, heads, width, kernel, gates, "kimi_k3" if full_rank else "")
        feed_forward(config, family, built, layer)
        latent = config.number("routed_expert_hidden_size", 0)
        if latent and is_sparse(config, layer):
            _narrow_experts(built, layer, hidden, latent)
