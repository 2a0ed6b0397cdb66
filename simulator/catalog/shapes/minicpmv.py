"""MiniCPM-V, whose `model_type` tells neither its decoder nor its encoder: its version does (`minicpmv.py`, vLLM
0.32.0)."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.catalog.shapes.whisper import whisper_encoder
from simulator.memory.shape import Matrix, Tower

BY_VERSION = ("minicpmv", "minicpmo")
"""Types of which the version tells the decoder."""
DECODERS = {"2.5": "llama", "2.6": "qwen2", "4.0": "llama", "4.5": "qwen3"}
"""Decoder of each version; what is not here has another encoder or none."""
SLICES = 9
"""Of the largest image, beside the whole (`max_slice_nums` of its processor)."""


def decoder_of(top: Config) -> str:
    """Type of the decoder.

    Raises
    ------
    InputError : a version that is not known here
    """
    version = str(top.get("version", "2.6" if top.model_type == "minicpmo" else "2.5"))
    if version not in DECODERS:
        raise top.problem("version", f"MiniCPM-V is known here in the versions {', '.join(DECODERS)}", version)
    return DECODERS[version]


def minicpm_o(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """The same, and the encoder of audio with its projection; what speaks is not loaded (`minicpmo.py`, vLLM 0.32.0).

    Raises
    ------
    InputError : no section of an encoder
    """
    towers, matrices = minicpm_v(top, hidden)
    config = top.part("audio_config")
    inner = config.number("encoder_ffn_dim")
    heard = [
        *whisper_encoder(
            config.number("d_model"), inner, config.number("encoder_layers"), config.number("num_mel_bins", 80)
        ),
        parts.whole("audio_tower.projector.0", hidden, inner // 4, plain=True),
        parts.whole("audio_tower.projector.1", hidden, hidden, plain=True),
    ]
    return towers, (*matrices, *heard)


def minicpm_v(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """The encoder, and the queries that read an image's patches, whole on every GPU.

    Raises
    ------
    InputError : no section of the encoder
    """
    config = top.part("vision_config")
    width, inner = config.number("hidden_size"), config.number("intermediate_size")
    patch, side = config.number("patch_size", 14), config.number("image_size", 980)
    pixels, queries = 3 * patch * patch, top.number("query_num", 64)
    matrices = [
        parts.whole("vision_tower.patch_embed", width, pixels, plain=True),
        parts.whole("vision_tower.positions", (side // patch) ** 2, width, plain=True),
        parts.whole("vision_tower.resampler.queries", queries, hidden, plain=True),
        parts.whole("vision_tower.resampler.kv_proj", hidden, width, plain=True),
        parts.whole("vision_tower.resampler.attn", 4 * hidden, hidden, plain=True),
        parts.whole("vision_tower.resampler.proj", hidden, hidden, plain=True),
    ]
    for layer in range(config.number("num_hidden_layers") - bool(top.get("drop_vision_last_layer"))):
        matrices.append(Matrix(f"vision_tower.blocks.{layer}", 4 * width + 2 * inner, width, "tp", plain=True))
    patches = (top.number("image_size", 448) // patch) ** 2
    tower = Tower(width, 2 * inner, max(patches // max(queries, 1), 1), (1 + SLICES) * queries, pixels)
    return (tower,), tuple(matrices)
