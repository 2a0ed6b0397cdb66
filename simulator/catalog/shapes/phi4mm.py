"""Encoders of Phi-4-multimodal, whose config names neither (`phi4mm.py` and `phi4mm_audio.py`, vLLM 0.33.0)."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix, Tower

WIDTH, INNER, LAYERS, PATCH, SIDE = 1152, 4304, 26, 14, 32
"""Of the encoder of images, which ends one layer before its last, and patches along each of its images."""
CROPS = 36
"""Of the largest image, beside the whole (`dynamic_hd` of its processor)."""
SQUARES = 8
"""Matrices as wide as they are high in a layer of the encoder of audio: attention's four and the convolution's four."""
_READ = ("attention_dim", "input_size", "linear_units", "num_blocks")
STRIDES = 3
"""Halvings of time before that encoder, each but the first with a matrix of its own."""


def phi4mm(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """Both encoders, and what projects their tokens; what adapts the decoder to them is loaded apart, as adapters are.

    Raises
    ------
    InputError : an encoder of audio that is none of these, or none
    """
    pixels = 3 * PATCH * PATCH
    matrices = [
        parts.whole("vision_tower.patch_embed", WIDTH, pixels, plain=True),
        parts.whole("vision_tower.positions", SIDE * SIDE, WIDTH, plain=True),
        *_projected("vision_tower.merger", hidden, WIDTH),
    ]
    for layer in range(LAYERS):
        matrices.append(Matrix(f"vision_tower.blocks.{layer}", 4 * WIDTH + 2 * INNER, WIDTH, "tp", plain=True))
    tower = Tower(WIDTH, 2 * INNER, 4, (1 + CROPS) * SIDE * SIDE // 4, pixels)
    return (tower,), (*matrices, *_audio(top, hidden))


def _audio(top: Config, hidden: int) -> list[Matrix]:
    found = top["audio_processor"]
    if (
        not isinstance(found, Mapping)
        or found.get("name") != "cascades"
        or not isinstance(found.get("config"), Mapping)
    ):
        raise top.problem("audio_processor", "must be named cascades, with a config", str(found)[:60])
    read = {key: value for key, value in found["config"].items() if key in _READ}
    config = Config(read, top.file, f"{top.section}audio_processor.config.")
    wide, bins = config.number("attention_dim"), config.number("input_size")
    matrices = [parts.whole("audio_tower.embed", wide, wide * -(-bins // 2**STRIDES), plain=True)]
    matrices += [parts.whole(f"audio_tower.conv.{number}", wide, wide, plain=True) for number in range(STRIDES - 1)]
    for layer in range(config.number("num_blocks")):
        rows = SQUARES * wide + 2 * 3 * config.number("linear_units")
        matrices.append(parts.whole(f"audio_tower.layers.{layer}", rows, wide, plain=True))
    for kind in ("speech", "vision"):
        matrices += _projected(f"audio_tower.projector.{kind}", hidden, wide)
    return matrices


def _projected(name: str, hidden: int, width: int) -> list[Matrix]:
    return [
        parts.whole(f"{name}.0", hidden, width, plain=True),
        parts.whole(f"{name}.1", hidden, hidden, plain=True),
    ]
