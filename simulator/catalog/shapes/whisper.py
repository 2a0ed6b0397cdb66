"""Whisper, and encoders of audio that are its own under another name (`whisper.py`, `kimi_audio.py`, vLLM 0.32.0)."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import Built, Family, add_attention, add_mlp, add_norms, head_width
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache, Matrix, Tower

TAPS = 3
"""Width of the two convolutions before the layers (`whisper.py`, vLLM 0.32.0)."""
POSITIONS = 1500
LARGE = (1280, 5120, 32, 128)
"""Width, inner width, layers and bins of Whisper large."""


def convolutions(width: int, bins: int) -> Matrix:
    """What an encoder of audio begins with, from bins to its width and from that to itself."""
    return parts.whole("audio_tower.conv", width, TAPS * (bins + width), plain=True)


def whisper_encoder(width: int, inner: int, layers: int, bins: int) -> list[Matrix]:
    """Whisper's encoder: two convolutions, learned positions and layers of attention and an MLP."""
    matrices = [
        convolutions(width, bins),
        parts.whole("audio_tower.positions", POSITIONS, width, plain=True),
    ]
    for layer in range(layers):
        matrices.append(Matrix(f"audio_tower.layers.{layer}", 4 * width + 2 * inner, width, "tp", plain=True))
    return matrices


def whisper(config: Config, family: Family, built: Built) -> None:
    """A decoder that, after what it wrote, reads what the encoder made of the audio: keys and values of both are kept,
    those of the audio for all its frames."""
    hidden, heads = config.number("hidden_size"), config.number("num_attention_heads")
    width = head_width(config)
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        add_attention(config, family, built, layer, "full")
        built.matrices += parts.attention(f"model.layers.{layer}.encoder_attn", hidden, heads, heads, width)
        built.cache(layer, LayerCache("cross", heads, width, width))
        add_mlp(config, family, built, layer, config.number("intermediate_size"))
    built.lacks("an encoder and what is read of it")


def whisper_itself(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """The encoder of Whisper: one clip of thirty seconds at a time."""
    inner = top.number("encoder_ffn_dim")
    matrices = whisper_encoder(hidden, inner, top.number("encoder_layers"), top.number("num_mel_bins"))
    frames = top.number("max_source_positions", POSITIONS)
    return (Tower(hidden, inner, 1, frames, alone=True, hears=True),), tuple(matrices)


def kimi_audio(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """Whisper large, which its config does not size, and the projection of four of its frames side by side."""
    stacked = top.number("kimia_adaptor_input_dim", 4 * LARGE[0])
    matrices = [
        *whisper_encoder(*LARGE),
        parts.whole("audio_tower.projector.0", hidden, stacked, plain=True),
        parts.whole("audio_tower.projector.1", hidden, hidden, plain=True),
    ]
    return (), tuple(matrices)
