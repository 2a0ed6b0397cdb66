"""Encoders of DeepSeek-OCR, 1 and 2: SAM, and what reads a sixteenth of its patches.

Source: `deepencoder.py`, `deepseek_ocr.py`, `deepencoder2.py`, `deepseek_ocr2.py`, vLLM 0.32.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix, Tower

SAM_PATCH, SAM_SIDE, SAM_NECK = 16, 64, 256
"""Pixels along a patch, patches along the image, and channels behind the last layer."""
TILES = 4
"""Tiles of the largest image of the profile run, beside the whole."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads SAM's result.

    Attributes
    ----------
    channels : of the convolutions that shrink it, the last as wide as what reads
    matrices : its own
    tile_side : patches along each side of a tile
    """

    channels: tuple[int, ...]
    matrices: tuple[Matrix, ...]
    tile_side: int


def deep_encoder(config: Config, top: Config) -> tuple[Tower, list[Matrix]]:
    """SAM on every GPU, 16 of whose patches become one that CLIP or a decoder of Qwen2 reads, and the projection of
    what comes of it.

    Raises
    ------
    InputError : other encoders, or another projector
    """
    sides = {
        str(name): Config(each, config.file, f"{config.section}width.{name}.")
        for name, each in config["width"].items()
        if isinstance(each, Mapping)
    }
    sam = sides.pop("sam_vit_b", None)
    name = next(iter(sides), "")
    if sam is None or len(sides) != 1 or not name.startswith(("clip", "qwen2")):
        told = "encoders side by side are known as those of DeepSeek-OCR, sam_vit_b and CLIP or Qwen2"
        raise config.problem("width", told, ", ".join(config["width"]))
    between = Config(top["projector_config"], top.file, f"{top.section}projector_config.")
    if between.get("projector_type") != "linear":
        raise between.problem(
            "projector_type", "must be linear behind such encoders", str(between.get("projector_type"))
        )
    reader = _clip(sam, sides[name]) if name.startswith("clip") else _qwen()
    pixels, wide = 3 * SAM_PATCH**2, sam.number("width", 768)
    matrices = [
        parts.whole("vision_tower.sam.patch_embed", wide, pixels, plain=True),
        parts.whole("vision_tower.sam.positions", SAM_SIDE**2, wide, plain=True),
        parts.whole("vision_tower.sam.neck", SAM_NECK, wide + 9 * SAM_NECK, plain=True),
        parts.whole("vision_tower.merger", between.number("n_embed"), between.number("input_dim"), plain=True),
        *reader.matrices,
    ]
    channels = (SAM_NECK, *reader.channels)
    for number, (rows, columns) in enumerate(zip(channels[1:], channels, strict=False)):
        matrices.append(parts.whole(f"vision_tower.sam.shrink.{number}", rows, 9 * columns, plain=True))
    for layer in range(sam.number("layers", 12)):
        matrices.append(parts.whole(f"vision_tower.sam.blocks.{layer}", 12 * wide, wide, plain=True))
    tokens = (SAM_SIDE**2 + TILES * reader.tile_side**2) // 16
    return Tower(wide, 8 * wide, 16, tokens, pixels, alone=True), matrices


def _clip(sam: Config, clip: Config) -> Reader:
    read, patch = clip.number("width"), clip.number("patch_size")
    positions = (clip.number("image_size") // patch) ** 2 + 1
    blocks = (
        Matrix(f"vision_tower.clip.blocks.{layer}", 12 * read, read, "tp", plain=True)
        for layer in range(clip.number("layers"))
    )
    matrices = (
        parts.whole("vision_tower.clip.patch_embed", read, 3 * patch**2, plain=True),
        parts.whole("vision_tower.clip.positions", positions, read, plain=True),
        *blocks,
    )
    return Reader(tuple(sam["downsample_channels"]), matrices, tile_side=40)


def _qwen() -> Reader:
    """A decoder of Qwen2 0.5B whose queries read SAM's result; its sizes are vLLM's own, whatever the config says."""
    width, inner, keys, layers, queries = 896, 4864, 2 * 64, 24, 144 + 256
    matrices = [parts.whole("vision_tower.qwen2.queries", queries, width, plain=True)]
    for layer in range(layers):
        rows = 2 * width + 2 * keys + 3 * inner
        matrices.append(parts.whole(f"vision_tower.qwen2.blocks.{layer}", rows, width, plain=True))
    return Reader((512, width), tuple(matrices), tile_side=48)
