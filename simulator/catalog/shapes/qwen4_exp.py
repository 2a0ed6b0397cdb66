"""Qwen4-Exp (Qwen3.8 Flash Next): delta attention, sparse attention every few layers, several residual streams, and
n-grams of tokens that are looked up in a table.

Source: `vllm/models/qwen4_exp`, vLLM 0.32.0.
"""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import (
    Built,
    Family,
    add_attention,
    add_delta_net,
    conv_state,
    layer_kinds,
)
from simulator.catalog.shapes.families import feed_forward
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache

MIXED = 16
"""Rows that a mixer's first matrix is padded to a multiple of."""
KEY_BYTES = 2
POSITION_BYTES = 3 * 8
"""Of a token's place in time and space, which a ring keeps beside its key where positions have both."""


def qwen4_exp(config: Config, family: Family, built: Built) -> None:
    """Layers of delta or sparse attention with experts, each half behind a mixer of all residual streams.

    The table of n-grams lies in the memory of the processors, pinned; what reads it is part of some layers.
    """
    streams, hidden = config.number("hc_count"), config.number("hidden_size")
    wide = streams * hidden
    known = config.get("ple_layer_ids") or []
    for layer, kind in enumerate(layer_kinds(config, family)):
        if kind == "linear":
            add_delta_net(config, built, layer)
        else:
            add_attention(config, family, built, layer, kind)
            _add_indexer(config, built, layer, hidden)
        if layer + 1 in known:
            _add_ngrams(config, built, layer, hidden, wide)
        feed_forward(config, family, built, layer)
        built.matrices.append(parts.whole(f"model.layers.{layer}.mlp.shared_expert_gate", 1, hidden, plain=True))
        for part in ("attn", "mlp"):
            _add_mixer(config, built, f"model.layers.{layer}.{part}_hyper_connection", streams, wide)
    _add_mixer(config, built, "model.hyper_connection_mixer", 0, wide)
    built.streams = streams
    built.lacks("several residual streams")


def _add_mixer(config: Config, built: Built, name: str, injected: int, wide: int) -> None:
    """What mixes the streams into one and, with `injected` rows, says how a result goes back into them."""
    rank = config.number("hc_lowrank")
    rows = -(-(rank + injected) // MIXED) * MIXED if injected else rank
    built.matrices += [
        parts.whole(f"{name}.input_mix_weight_down", rows, wide, plain=True),
        parts.whole(f"{name}.input_mix_weight_up", wide, rank, plain=True),
        parts.norm(f"{name}.hc_norm", wide),
    ]


def _add_indexer(config: Config, built: Built, layer: int, hidden: int) -> None:
    """Keys of groups of tokens, by which sparse attention chooses, and those of the group that is being filled."""
    if config.get("indexer_n_heads") is None:
        return
    width, group = config.number("indexer_head_dim"), config.number("indexer_compress_ratio")
    rows = (config.number("indexer_n_heads") + config.number("indexer_kv_heads")) * width
    built.matrices.append(parts.whole(f"model.layers.{layer}.self_attn.indexer.index_qk_proj", rows, hidden))
    sections = "mrope_section" in (config.get("rope_parameters") or config.get("rope_scaling") or ())
    kept = width * KEY_BYTES + sections * POSITION_BYTES
    built.cache(layer, LayerCache("ring", 1, width, row_bytes=kept, tokens_per_row=group))
    built.cache(layer, LayerCache("latent", 1, width, row_bytes=width * KEY_BYTES, tokens_per_row=group))
    built.chosen += config.number("indexer_budget") + 1  # and how many they are
    built.lacks("sparse attention's indexer")


def _add_ngrams(config: Config, built: Built, layer: int, hidden: int, wide: int) -> None:
    """What makes keys and values of n-grams, and a convolution over them whose taps are as far apart as n-grams are
    long; its state is whole on every GPU."""
    name, kernel = f"model.layers.{layer}.ple", config.number("ple_conv_kernel_size")
    built.matrices += [
        parts.whole(f"{name}.kv_proj", wide + hidden, config.number("ple_embed_dim")),
        parts.whole(f"{name}.conv1d", wide, kernel, plain=True),
        parts.norm(f"{name}.norms", 3 * wide),
    ]
    taps = (kernel - 1) * config.number("ngram_size")
    built.cache(layer, conv_state(wide, taps + 1, cut=False))
    built.lacks("n-grams that are looked up in host memory")
