"""GLM-5.3 Flash: delta attention with sparse latent attention every few layers, over several residual streams."""

from __future__ import annotations

from dataclasses import replace

from simulator.catalog.shapes.decoder import Built, Family
from simulator.catalog.shapes.hybrids import kimi_linear
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache, Matrix

POOLED_ROWS = 32
"""Rows of pooled keys of which the indexer's kernel takes multiples (`Glm5NextIndexerBackend`, vLLM 0.32.0)."""
WIDE = 4
"""Bytes of a value of what mixes streams, and of the positions in a pool of keys."""


def glm5_next(config: Config, family: Family, built: Built) -> None:
    """Kimi delta attention and latents without rotary parts, whose indexer keeps a row for a pool of keys and the keys
    of the pool that is being filled; attention is never quantised.

    Source: `Glm5NextDecoderLayer`, `Glm5NextIndexerCache` and `Glm5NextTailCache`, vLLM 0.32.0.
    """
    kimi_linear(config, family, built)
    built.matrices = [replace(each, plain=True) if ".self_attn." in each.name else each for each in built.matrices]
    pool = config.number("index_kpool")
    hidden, width = config.number("hidden_size"), config.number("index_head_dim")
    caches, layers = built.caches, built.layer_of_cache
    built.caches, built.layer_of_cache = [], []
    for layer, cache in zip(layers, caches, strict=True):
        if cache.kind == "state":
            cache = replace(cache, saves="glm5_next")
        elif cache.row_bytes:
            cache = replace(cache, tokens_per_row=pool, pooled_rows=POOLED_ROWS)
            built.cache(layer, LayerCache("ring", 2, width, row_bytes=2 * width * 2, tokens_per_row=pool))
            name = f"model.layers.{layer}.self_attn.indexer"
            built.matrices += [
                Matrix(f"{name}.gate", width, hidden, "whole", plain=True),
                Matrix(f"{name}.ape", pool, width, "whole", plain=True, value_bytes=WIDE),
            ]
        built.cache(layer, cache)
    _add_streams(config, built, hidden)


def _add_streams(config: Config, built: Built, hidden: int) -> None:
    """Several residual streams, mixed before attention and before the MLP, where the config has them."""
    streams = config.number("hc_mult", 1)
    if streams == 1 or not config.get("mhc", True):
        return
    built.streams = streams
    built.lacks("several residual streams")
    for layer in range(config.number("num_hidden_layers")):
        built.matrices += [
            Matrix(
                f"model.layers.{layer}.hc_{part}_fn",
                streams * (2 + streams),
                streams * hidden,
                "whole",
                plain=True,
                value_bytes=WIDE,
            )
            for part in ("attn", "ffn")
        ]
