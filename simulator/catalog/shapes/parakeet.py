"""Parakeet, the encoder of sounds of Nemotron's models that hear (`parakeet.py`, vLLM 0.32.0)."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix

SQUARES = 8
"""Matrices as wide as they are high in a layer: attention's four, that of distances, and the convolution's three."""
HALVINGS = 2
"""Steps of the shortening before it that have a matrix of their own."""


def parakeet(config: Config, hidden: int) -> list[Matrix]:
    """The encoder, whole on every GPU, and what projects its tokens."""
    wide, inner = config.number("hidden_size"), config.number("intermediate_size")
    channels, between = config.number("subsampling_conv_channels", 256), config.number("projection_hidden_size")
    shrunk = channels * (config.number("num_mel_bins", 80) // config.number("subsampling_factor", 8))
    matrices = [
        parts.whole("audio_tower.embed", wide, shrunk, plain=True),
        parts.whole("audio_tower.conv", HALVINGS * channels, channels, plain=True),
        parts.whole("audio_tower.projector.0", between, wide, plain=True),
        parts.whole("audio_tower.projector.1", hidden, between, plain=True),
    ]
    for layer in range(config.number("num_hidden_layers")):
        matrices.append(parts.whole(f"audio_tower.layers.{layer}", SQUARES * wide + 4 * inner, wide, plain=True))
    return matrices
