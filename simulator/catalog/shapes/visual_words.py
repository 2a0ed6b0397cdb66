"""Encoders of images that choose among words of their own, of which the decoder reads a mixture: Ovis.

Source: `ovis.py`, `aimv2.py`, `ovis2_5.py`, `siglip2navit.py`, vLLM 0.32.0.
"""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix, Tower

INDICATORS = {"ovis": 5, "ovis2_5": 4}
"""Words that stand for the borders of an image, which the encoder never chooses."""
TILES = 10
"""Of the largest image of Ovis 2, the whole among them (`max_partition` of its processor)."""
MOST_TOKENS = 3136
"""Of the largest image of Ovis 2.5 (1,792 pixels along each side, 32 a token)."""
GATED = ("aimv2",)


def ovis2(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """The encoder that `visual_tokenizer_config` holds.

    Raises
    ------
    InputError : it is missing, or holds an encoder that is not known
    """
    outer = top.part("visual_tokenizer_config")
    words, stride = outer.number("vocab_size"), outer.number("hidden_stride", 1)
    config = outer.part("backbone_config")
    return _encoder(config, hidden, words, stride, INDICATORS["ovis"], TILES * _patches(config) // stride**2)


def ovis2_5(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """The encoder that `vit_config` holds.

    Raises
    ------
    InputError : it is missing, or holds an encoder that is not known
    """
    config = top.part("vit_config")
    words, stride = top.number("visual_vocab_size"), config.number("hidden_stride", 2)
    return _encoder(config, hidden, words, stride, INDICATORS["ovis2_5"], MOST_TOKENS)


def _patches(config: Config) -> int:
    return (config.number("image_size") // config.number("patch_size")) ** 2


def _encoder(
    config: Config, hidden: int, words: int, stride: int, indicators: int, tokens: int
) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    if not config.model_type.startswith(("aimv2", "siglip")):
        told = "an encoder of this type is not known beside a table of visual words"
        raise config.problem("model_type", told, config.model_type or "nothing")
    width, inner = config.number("hidden_size"), config.number("intermediate_size")
    rises = 3 if config.model_type.startswith(GATED) else 2
    pixels = 3 * config.number("patch_size") ** 2
    fixed = config.number("num_patches", 0) if config.get("num_patches") not in (None, -1) else _patches(config)
    matrices = [
        parts.whole("vision_tower.patch_embed", width, pixels, plain=True),
        parts.whole("vision_tower.positions", fixed, width, plain=True),
        parts.whole("vision_tower.chosen", words - indicators, width * stride**2, plain=True),
        parts.whole("vision_tower.words", words, hidden, plain=True),
    ]
    for layer in range(config.number("num_hidden_layers")):
        rows = 4 * width + rises * inner
        matrices.append(Matrix(f"vision_tower.blocks.{layer}", rows, width, "tp", plain=True))
    probabilities = 4 * words // stride**2
    tower = Tower(width, max(rises * inner, probabilities), stride**2, tokens, pixels)
    return (tower,), tuple(matrices)
