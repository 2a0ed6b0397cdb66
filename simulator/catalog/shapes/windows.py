"""Models whose windows have heads of their own: MiMo V2 and Step 3.5."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import Built, Family, add_norms, head_width, kv_head_count, layer_kinds
from simulator.catalog.shapes.families import feed_forward
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache


@dataclass(frozen=True, slots=True)
class Heads:
    """Heads of a layer: queries, keys and values, and their widths."""

    queries: int
    pairs: int
    key: int
    value: int


def mimo_v2(config: Config, family: Family, built: Built) -> None:
    """MiMo V2: windows with more KV heads, values narrower than keys (`MiMoV2Attention`, vLLM 0.32.0)."""
    queries, key = config.number("num_attention_heads"), head_width(config)
    full = Heads(queries, kv_head_count(config), key, config.number("v_head_dim", key))
    window = Heads(
        config.number("swa_num_attention_heads", queries),
        config.number("swa_num_key_value_heads"),
        config.number("swa_head_dim", key),
        config.number("swa_v_head_dim", full.value),
    )
    config.first("sliding_window", "sliding_window_size")
    if config.get("hybrid_layer_pattern") is None:
        kinds = layer_kinds(config, family)
    else:
        kinds = ["window" if each else "full" for each in config.by_layer("hybrid_layer_pattern")]
    _layers(config, family, built, kinds[: config.number("num_hidden_layers")], full, window)


def step_3p5(config: Config, family: Family, built: Built) -> None:
    """Step 3.5: windows with more queries, a gate a head (`Step3p5Attention`, vLLM 0.32.0)."""
    width = head_width(config)
    full = Heads(config.number("num_attention_heads"), kv_head_count(config), width, width)
    kinds = layer_kinds(config, family)
    window = replace(full, queries=config.number("num_sliding_attention_heads", full.queries))
    if config.get("attention_other_setting"):
        other = Config(config["attention_other_setting"], config.file, f"{config.section}attention_other_setting.")
        if other.get("attention_type") != "sliding_attention":
            raise other.problem(
                "attention_type", "only windows have heads of their own here", str(other.get("attention_type"))
            )
        width = other.number("head_dim", full.key)
        window = Heads(
            other.number("num_attention_heads", window.queries),
            other.number("num_attention_groups", full.pairs),
            width,
            width,
        )
    _layers(config, family, built, kinds, full, window)


def _layers(config: Config, family: Family, built: Built, kinds: list[str], full: Heads, window: Heads) -> None:
    hidden, reach = config.number("hidden_size"), config.first("sliding_window", "sliding_window_size", default=0)
    gated = bool(config.get("use_head_wise_attn_gate"))
    for layer, kind in enumerate(kinds):
        heads = window if kind == "window" else full
        prefix = f"model.layers.{layer}.self_attn"
        add_norms(config, family, built, layer)
        built.matrices += parts.attention(prefix, hidden, heads.queries, heads.pairs, heads.key, heads.value)
        if family.queries_normed:
            built.matrices += [parts.norm(f"{prefix}.{each}_norm", heads.key) for each in "qk"]
        if gated:
            built.matrices.append(parts.linear(f"{prefix}.g_proj", heads.queries, hidden))
        projected = heads.queries * heads.key + heads.pairs * (heads.key + heads.value)
        built.projection = max(built.projection, projected)
        own = reach if kind == "window" else 0
        built.cache(
            layer, LayerCache("window" if kind == "window" else "full", heads.pairs, heads.key, heads.value, own)
        )
        feed_forward(config, family, built, layer)
    if window != full or full.key != full.value:
        built.lacks("heads of two shapes")
