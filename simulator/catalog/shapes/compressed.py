"""Decoders whose attention reads keys that are compressed over several tokens (DeepSeek V4)."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import Built, Family, add_norms
from simulator.catalog.shapes.families import feed_forward
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache, Matrix

ROW_BYTES = 584
"""A row of the cache: 448 values in fp8, 64 rotary ones in 16 bit, 8 bytes of scales."""
PAGE_ALIGNMENT = 576
WINDOW_BLOCK, ROWS_BLOCK = 64, 256
"""Tokens in a block of the window's cache, and of the compressed ones."""
STATE_BLOCK = {4: 4, 128: 8}
"""Tokens in a block of a compressor's state, by the tokens that it compresses; those of 4 overlap."""
KERNEL_HEADS = 64
"""Heads to which the attention kernel pads those of one GPU."""
INDEXED = 4
"""Compressed so, rows are chosen by an indexer."""
STATE_BYTES = 4


def deepseek_v4(config: Config, family: Family, built: Built) -> None:
    """DeepSeek V4: a window of keys, and rows that stand for 4 or 128 tokens, which an indexer chooses among (4).

    Source: `DeepseekV4Attention`, `DeepseekCompressor` and `DeepseekV4SWACache`, vLLM 0.33.0.
    """
    hidden = config.number("hidden_size")
    hashed = config.number("num_hash_layers", 0) or (config.get("mlp_layer_types") or []).count("hash_moe")
    for layer, ratio in enumerate(compress_ratios(config)):
        add_norms(config, family, built, layer)
        _attention(config, built, layer, hidden)
        _streams(config, built, layer, hidden)
        if ratio:
            _compressed(config, built, layer, hidden, ratio)
        feed_forward(config, family, built, layer)
        if layer < hashed:
            rows, columns = config.number("vocab_size"), config.number("num_experts_per_tok")
            name = f"model.layers.{layer}.mlp.gate.tid2eid"
            built.matrices.append(Matrix(name, rows, columns, "whole", plain=True, value_bytes=4))
    built.lacks("compressed sparse attention")


def compress_ratios(config: Config) -> list[int]:
    """Tokens that a row of each layer stands for; 0 is the window alone.

    Raises
    ------
    InputError : too few, or a ratio that nobody knows here
    """
    layers = config.number("num_hidden_layers")
    found = config.get("compress_ratios")
    if found is None:
        rates, kinds = config["compress_rates"], config["layer_types"]
        found = [rates.get(kind, 0) for kind in kinds]
    if len(found) < layers:
        raise config.problem("compress_ratios", f"must name all {layers} layers", str(len(found)))
    ratios = [int(ratio) for ratio in found[:layers]]
    for number, ratio in enumerate(ratios):
        if ratio > 1 and ratio not in STATE_BLOCK:
            known = ", ".join(map(str, STATE_BLOCK))
            raise config.problem(f"compress_ratios[{number}]", f"unknown compression; known are {known}", str(ratio))
    return [ratio if ratio > 1 else 0 for ratio in ratios]


def _attention(config: Config, built: Built, layer: int, hidden: int) -> None:
    """Projections, low in rank for queries and for groups of the output, and the window's cache."""
    heads, width = config.number("num_attention_heads"), config.number("head_dim")
    q_rank, o_rank, groups = (config.number(key) for key in ("q_lora_rank", "o_lora_rank", "o_groups"))
    prefix = f"model.layers.{layer}.attn"
    built.matrices += [
        parts.whole(f"{prefix}.wq_a", q_rank, hidden),
        parts.whole(f"{prefix}.wkv", width, hidden),
        parts.linear(f"{prefix}.wq_b", heads * width, q_rank),
        parts.linear(f"{prefix}.wo_a", groups * o_rank, heads * width // groups),
        parts.linear(f"{prefix}.wo_b", hidden, groups * o_rank),
        parts.norm(f"{prefix}.q_norm", q_rank),
        parts.norm(f"{prefix}.kv_norm", width),
    ]
    reach = config.number("sliding_window")
    window = LayerCache("window", 1, width, 0, reach, ROW_BYTES, block_tokens=WINDOW_BLOCK, alignment=PAGE_ALIGNMENT)
    built.cache(layer, window)
    built.projection, built.projection_least = 2 * heads * width, 2 * KERNEL_HEADS * width


def _streams(config: Config, built: Built, layer: int, hidden: int) -> None:
    """Hyper-connections: several residual streams are mixed before attention and before the experts."""
    streams = built.streams = config.number("hc_mult")
    for part in ("attn", "ffn"):
        name = f"model.layers.{layer}.hc_{part}_fn"
        rows = streams * (2 + streams)
        built.matrices.append(Matrix(name, rows, streams * hidden, "whole", plain=True, value_bytes=STATE_BYTES))


def _compressed(config: Config, built: Built, layer: int, hidden: int, ratio: int) -> None:
    """Compressor and cache of a layer's rows, with an indexer's own where it has one."""
    width, prefix = config.number("head_dim"), f"model.layers.{layer}.attn"
    _compressor(built, layer, f"{prefix}.compressor", hidden, width, ratio)
    _rows(built, layer, width, ROW_BYTES, ratio)
    if ratio != INDEXED:
        return
    heads, index_width = config.number("index_n_heads"), config.number("index_head_dim")
    built.matrices += [
        parts.whole(f"{prefix}.indexer.wq_b", heads * index_width, config.number("q_lora_rank")),
        parts.whole(f"{prefix}.indexer.weights_proj", heads, hidden, plain=True),
    ]
    _compressor(built, layer, f"{prefix}.indexer.compressor", hidden, index_width, ratio)
    _rows(built, layer, index_width, index_width + 4 * -(-index_width // 128), ratio)
    config.get("index_topk")


def _rows(built: Built, layer: int, width: int, row_bytes: int, ratio: int) -> None:
    built.cache(
        layer,
        LayerCache(
            "latent",
            1,
            width,
            row_bytes=row_bytes,
            block_tokens=ROWS_BLOCK,
            tokens_per_row=ratio,
            alignment=PAGE_ALIGNMENT,
        ),
    )


def _compressor(built: Built, layer: int, prefix: str, hidden: int, width: int, ratio: int) -> None:
    """Keys and gates of the tokens that become one row, whose last ones are kept in fp32."""
    overlap = 2 if ratio == INDEXED else 1
    built.matrices += [
        parts.whole(f"{prefix}.wkv_wgate", 2 * overlap * width, hidden, plain=True),
        Matrix(f"{prefix}.ape", ratio, overlap * width, "whole", plain=True, value_bytes=STATE_BYTES),
    ]
    built.cache(
        layer,
        LayerCache(
            "window",
            1,
            width,
            reach=overlap * ratio,
            row_bytes=2 * overlap * width * STATE_BYTES,
            block_tokens=STATE_BLOCK[ratio],
            alignment=PAGE_ALIGNMENT,
        ),
    )
