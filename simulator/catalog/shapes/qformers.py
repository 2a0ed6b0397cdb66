"""Encoders whose tokens a few queries read through a Q-Former: BLIP-2's and that of Granite Speech.

Source: `blip2.py`, `granite_speech.py`, vLLM 0.33.0.
"""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix


def blip_2(top: Config, hidden: int) -> list[Matrix]:
    """What reads BLIP-2's images: the queries, the Q-Former, and the projection of its result."""
    return _queried(top.part("qformer_config"), top.number("num_query_tokens", 32), hidden, "vision_tower")


def granite_speech(top: Config, hidden: int) -> list[Matrix]:
    """Encoder of Granite Speech, whole on every GPU but for its MLPs, and the Q-Former that reads its windows."""
    config = top.part("encoder_config")
    wide, kernel = config.number("hidden_dim"), config.number("conv_kernel_size", 15)
    heads, width = config.number("num_heads", 8), config.number("dim_head", 128)
    between = wide * config.number("conv_expansion_factor", 2)
    places = 2 * config.number("max_pos_emb", 512) + 1
    matrices = [
        parts.whole("audio_tower.embed", wide, config.number("input_dim"), plain=True),
        Matrix("audio_tower.out", 2 * config.number("output_dim"), wide, "tp", plain=True),
    ]
    for layer in range(config.number("num_layers")):
        name = f"audio_tower.layers.{layer}"
        matrices += [
            Matrix(f"{name}.mlp", 4 * wide * config.number("feedforward_mult", 4), wide, "tp", plain=True),
            parts.whole(f"{name}.attn", 4 * heads * width, wide, plain=True),
            parts.whole(f"{name}.places", places, width, plain=True),
            parts.whole(f"{name}.conv", 3 * between, wide, plain=True),
            parts.whole(f"{name}.depth", between, kernel, plain=True),
        ]
    queries = top.number("window_size", 15) // max(top.number("downsample_rate", 5), 1)
    return matrices + _queried(top.part("projector_config"), max(queries, 1), hidden, "audio_tower")


def _queried(config: Config, queries: int, hidden: int, tower: str) -> list[Matrix]:
    """A Q-Former: attention and an MLP a layer, and every few layers attention to the encoder."""
    wide, inner = config.number("hidden_size"), config.number("intermediate_size")
    read, every = config.number("encoder_hidden_size", 1408), max(config.number("cross_attention_frequency", 2), 1)
    matrices = [
        parts.whole(f"{tower}.projector.queries", queries, wide, plain=True),
        parts.whole(f"{tower}.projector.linear", hidden, wide, plain=True),
    ]
    for layer in range(config.number("num_hidden_layers")):
        matrices.append(parts.whole(f"{tower}.projector.layers.{layer}", 4 * wide + 2 * inner, wide, plain=True))
        if layer % every == 0:
            matrices.append(
                parts.whole(f"{tower}.projector.layers.{layer}.cross", 2 * wide + 2 * read, wide, plain=True)
            )
    return matrices
