"""Decoders of attention whose layers differ in heads, caches or what stands beside them."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import (
    Built,
    Family,
    add_attention,
    add_mlp,
    add_norms,
    head_width,
    layer_kinds,
)
from simulator.catalog.shapes.families import (
    feed_forward,
    per_token_count,
)
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache, Matrix


def gemma3n(config: Config, family: Family, built: Built) -> None:
    """Gemma 3n: per-layer embeddings, four streams, caches shared by the last layers."""
    hidden, layers = config.number("hidden_size"), config.number("num_hidden_layers")
    per_layer, streams = config.number("hidden_size_per_layer_input"), config.number("altup_num_inputs", 4)
    rank = config.number("laurel_rank", 64)
    shared = config.number("num_kv_shared_layers", 0)
    widths = config["intermediate_size"]
    widths = config.by_layer("intermediate_size") if isinstance(widths, list) else [widths] * layers
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
        add_mlp(config, family, built, layer, int(widths[layer]))
        prefix = f"model.layers.{layer}"
        built.matrices += [
            parts.whole(f"{prefix}.laurel", 2 * rank, hidden),
            parts.whole(f"{prefix}.per_layer_gates", 2 * per_layer, hidden),
        ]
    built.lacks("per-layer embeddings")


def gemma4(config: Config, family: Family, built: Built) -> None:
    """Gemma 4: full layers have heads of their own shape, the last layers share caches, some have experts."""
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
    apart = _by_layer(config)
    for layer, kind in enumerate(layer_kinds(config, family)):
        add_norms(config, Family(norms=6 if count else 4), built, layer)
        head = wide or width if kind == "full" else width
        own = few or kv_heads if kind == "full" else kv_heads
        head, own = apart.get(layer, {}).get("head_dim", head), apart.get(layer, {}).get("num_key_value_heads", own)
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
            built.experts, built.moe_per_token, built.moe_inner = count, per_token_count(config), inner
            built.shared = max(built.shared, built.dense)
        if per_layer:
            built.matrices.append(parts.whole(f"model.layers.{layer}.per_layer_gates", 2 * per_layer, hidden))
    if per_layer:
        built.lacks("per-layer embeddings")
    if wide or apart:
        built.lacks("heads of two shapes")


def _by_layer(config: Config) -> dict[int, dict[str, int]]:
    """Heads of single layers, as newer exports write them (`per_layer_config`).

    Raises
    ------
    InputError : another key of a layer
    """
    found = {}
    for layer, own in (config.get("per_layer_config") or {}).items():
        section = Config(own, config.file, f"{config.section}per_layer_config.{layer}.")
        for key in own:
            if key not in ("head_dim", "num_key_value_heads"):
                raise section.problem(
                    key, "not understood: the memory of this layer cannot be planned", str(own[key])[:60]
                )
        found[int(layer)] = {key: section.number(key) for key in own}
    return found


def minimax_m3(config: Config, family: Family, built: Built) -> None:
    """MiniMax M3: grouped-query attention whose sparse layers keep the keys of a block indexer beside it.

    Both spellings of its config are read: `sparse_attention_config`, and the flat keys of transformers.
    """
    sparse = _indexed_layers(config)
    hidden = config.number("hidden_size")
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        add_attention(config, family, built, layer, "full")
        if sparse[layer]:
            heads, width = _indexer(config)
            prefix = f"model.layers.{layer}.self_attn.indexer"
            built.matrices += [
                parts.linear(f"{prefix}.q_proj", heads * width, hidden),
                parts.whole(f"{prefix}.k_proj", width, hidden),
            ]
            built.cache(layer, LayerCache("full", 1, width, 0))
        feed_forward(config, family, built, layer)
    built.lacks("sparse attention's indexer")


def _indexed_layers(config: Config) -> list[bool]:
    """Which layers of MiniMax M3 look up blocks through an indexer.

    Raises
    ------
    InputError : the config does not say, names a kind that is not known, or names too few layers
    """
    layers = config.number("num_hidden_layers")
    kinds, nested = config.get("layer_types"), config.get("sparse_attention_config") or {}
    if kinds is not None:
        known = {"full_attention": False, "minimax_m3_sparse": True}
        for number, kind in enumerate(kinds):
            if kind not in known:
                raise config.problem(
                    f"layer_types[{number}]", f"unknown kind of attention; known are {', '.join(known)}", str(kind)
                )
        chosen = [known[kind] for kind in kinds]
    elif "sparse_attention_freq" in nested:
        chosen = [bool(each) for each in nested["sparse_attention_freq"]]
    else:
        raise config.problem("layer_types", "or sparse_attention_config is needed to know which layers are sparse")
    if len(chosen) < layers:
        raise config.problem("layer_types", f"must name all {layers} layers", str(len(chosen)))
    return chosen


def _indexer(config: Config) -> tuple[int, int]:
    """Heads of queries of MiniMax M3's indexer, and their width."""
    nested = config.get("sparse_attention_config") or {}
    if nested:
        section = Config(nested, config.file, f"{config.section}sparse_attention_config.")
        return section.number("sparse_num_index_heads"), section.number("sparse_index_dim")
    return config.number("index_n_heads"), config.number("index_head_dim")
