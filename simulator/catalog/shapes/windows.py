"""Models whose layers differ in their heads: MiMo V2, Step 3.5, Laguna."""

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
    reach = config.first("sliding_window", "sliding_window_size")
    if config.get("attention_chunk_size", reach) != reach:
        raise config.problem("attention_chunk_size", f"must be the window's {reach} tokens where it is given")
    if config.get("hybrid_layer_pattern") is None:
        kinds = layer_kinds(config, family)
    else:
        kinds = ["window" if each else "full" for each in config.by_layer("hybrid_layer_pattern")]
        config.get("layer_types")
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


def laguna(config: Config, family: Family, built: Built) -> None:
    """Laguna: as many queries as each layer lists, a gate a head or a gate as wide as they (`LagunaAttention`, vLLM
    0.32.0)."""
    width, kinds = head_width(config), layer_kinds(config, family)
    queries = [config.number("num_attention_heads")] * len(kinds)
    if config.get("num_attention_heads_per_layer") is not None:
        queries = [int(each) for each in config.by_layer("num_attention_heads_per_layer")]
    heads = [Heads(queries[layer], kv_head_count(config), width, width) for layer in range(len(kinds))]
    gating = config.get("gating", False)
    gate = 0 if not gating else 1 if gating is True or gating == "per-head" else width
    _add_layers(config, family, built, kinds, heads, gate)


def _layers(config: Config, family: Family, built: Built, kinds: list[str], full: Heads, window: Heads) -> None:
    heads = [window if kind == "window" else full for kind in kinds]
    _add_layers(config, family, built, kinds, heads, int(bool(config.get("use_head_wise_attn_gate"))))


def _add_layers(
    config: Config, family: Family, built: Built, kinds: list[str], all_heads: list[Heads], gate: int
) -> None:
    """Layers of attention with an MLP or experts.

    Parameters
    ----------
    gate : rows of a head in the gate's projection
    """
    hidden, reach = config.number("hidden_size"), config.first("sliding_window", "sliding_window_size", default=0)
    for layer, (kind, heads) in enumerate(zip(kinds, all_heads, strict=True)):
        prefix = f"model.layers.{layer}.self_attn"
        add_norms(config, family, built, layer)
        built.matrices += parts.attention(prefix, hidden, heads.queries, heads.pairs, heads.key, heads.value)
        if family.queries_normed:
            built.matrices += [parts.norm(f"{prefix}.{each}_norm", heads.key) for each in "qk"]
        if gate:
            built.matrices.append(parts.linear(f"{prefix}.g_proj", gate * heads.queries, hidden))
        projected = heads.queries * heads.key + heads.pairs * (heads.key + heads.value)
        built.projection = max(built.projection, projected)
        own = reach if kind == "window" else 0
        built.cache(
            layer, LayerCache("window" if kind == "window" else "full", heads.pairs, heads.key, heads.value, own)
        )
        feed_forward(config, family, built, layer)
    if len(set(all_heads)) > 1 or all_heads[0].key != all_heads[0].value:
        built.lacks("heads of two shapes")
