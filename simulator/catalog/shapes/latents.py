"""Models with latent projections in a frame of their own: LongCat Flash, MiniCPM 3, HY V4, Step 3."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import (
    Built,
    Family,
    add_experts,
    add_latent_attention,
    add_mlp,
    add_norms,
    head_width,
    layer_kinds,
)
from simulator.catalog.shapes.families import expert_counts, feed_forward
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache, Matrix

STREAM_BYTES = 4
"""Of a value of what mixes residual streams."""


def longcat_flash(config: Config, family: Family, built: Built) -> None:
    """LongCat Flash: two attentions and two MLPs a layer, experts beside them, some of which are nothing.

    Source: `FlashDecoderLayer`, `LongcatRouter`, vLLM 0.32.0.
    """
    count, per_token, inner, _ = expert_counts(config)
    hidden, idle = config.number("hidden_size"), config.number("zero_expert_num", 0)
    for layer in range(config.number("num_hidden_layers")):
        for half in range(2):
            add_norms(config, family, built, layer)
            add_latent_attention(config, built, layer, f"self_attn.{half}")
            add_mlp(config, family, built, layer, config.number("intermediate_size"), f"mlps.{half}")
        router = Matrix(f"model.layers.{layer}.mlp.gate", count + idle, hidden, "whole", plain=True, value_bytes=4)
        add_experts(config, family, built, layer, count, per_token, inner, 0, router)
    built.lacks("two attentions and MLPs a layer, and experts without weights")


def hy_v4(config: Config, family: Family, built: Built) -> None:
    """HY V4: sparse latent attention with a gate on what it gives back, and several residual streams.

    Source: `HYV4Attention`, `HYV4HCLayer`, vLLM 0.32.0; switches that are missing are on, as in its `HYV4Config`.
    """
    hidden, heads = config.number("hidden_size"), config.number("num_attention_heads")
    value, streams = config.number("v_head_dim"), config.number("hc_mult", 4)
    streams = streams if config.get("enable_ihc", True) else 1
    layer_kinds(config, family)
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        add_latent_attention(config, built, layer)
        if config.get("gated_mla", True):
            rows = heads if config.get("gating_type") == "headwise" else heads * value
            built.matrices.append(parts.linear(f"model.layers.{layer}.self_attn.linear_gate", rows, hidden))
        for part in ("attn", "mlp") if streams > 1 else ():
            name = f"model.layers.{layer}.hc_{part}_fn"
            built.matrices.append(
                Matrix(name, 2 * streams, streams * hidden, "whole", plain=True, value_bytes=STREAM_BYTES)
            )
        feed_forward(config, family, built, layer)
    built.streams = streams
    if streams > 1:
        built.lacks("several residual streams")


def minicpm3(config: Config, family: Family, built: Built) -> None:
    """MiniCPM 3: latent projections, whose keys and values are cached in full, values padded to the width of keys.

    Source: `MiniCPM3Attention`, vLLM 0.32.0.
    """
    hidden, heads = config.number("hidden_size"), config.number("num_attention_heads")
    q_rank, kv_rank = config.number("q_lora_rank"), config.number("kv_lora_rank")
    nope, rope = config.number("qk_nope_head_dim"), config.number("qk_rope_head_dim")
    value = config.number("v_head_dim")
    width = nope + rope
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        prefix = f"model.layers.{layer}.self_attn"
        built.matrices += parts.latent_attention(prefix, hidden, heads, q_rank, kv_rank, nope, rope, value)
        built.cache(layer, LayerCache("full", heads, width, width))
        built.projection = max(built.projection, 3 * heads * width)
        add_mlp(config, family, built, layer, config.number("intermediate_size"))


def step_3(config: Config, family: Family, built: Built) -> None:
    """Step 3: queries of low rank, one head of keys and values (`Step3TextAttention`, vLLM 0.32.0)."""
    hidden, heads, width = config.number("hidden_size"), config.number("num_attention_heads"), head_width(config)
    rank = config.number("share_q_dim", 0) or width
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        prefix = f"model.layers.{layer}.self_attn"
        built.matrices += [
            parts.whole(f"{prefix}.qkv_proj", rank + 2 * width, hidden),
            parts.norm(f"{prefix}.inter_norm", rank),
            parts.linear(f"{prefix}.wq", heads * width, rank),
            parts.linear(f"{prefix}.o_proj", hidden, heads * width),
        ]
        built.cache(layer, LayerCache("full", 1, width, width))
        built.projection = max(built.projection, (heads + 2) * width)
        feed_forward(config, family, built, layer)
