"""RADIO, the encoder of images of Nemotron's models that see (`radio.py`, `nano_nemotron_vl.py`, `nemotron_vl.py`,
vLLM 0.32.0)."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix, Tower

SIZES = {
    "vit_small_patch16_224": (384, 12),
    "vit_base_patch16_224": (768, 12),
    "vit_large_patch16_224": (1024, 24),
    "vit_huge_patch16_224": (1280, 32),
}
"""Width and layers of what `args.model` names."""
RISE = 4
"""Width of an MLP in widths of the encoder."""
MOST_SIDE = 2048
"""Pixels along the largest image that positions are learned for."""
TILES = 1 + 12
"""Of the largest image: the whole, and its parts (`max_num_tiles` of its processor)."""


def is_radio(config: Config) -> bool:
    """Whether a section is of RADIO, by its type or by the model that its arguments name."""
    return config.model_type == "radio" or isinstance(config.get("args"), Mapping)


def radio(config: Config, top: Config, hidden: int) -> tuple[Tower, list[Matrix]]:
    """The encoder, and what projects four of its patches, side by side, to one token.

    Raises
    ------
    InputError : arguments that name no such encoder
    """
    given = config.get("args")
    args = Config(given if isinstance(given, Mapping) else {}, config.file, f"{config.section}args.")
    if config.get("hidden_size"):
        width, layers = config.number("hidden_size"), config.number("num_hidden_layers")
    else:
        named = str(args.get("model"))
        if named not in SIZES:
            raise args.problem("model", f"an encoder that is not known; known are {', '.join(SIZES)}", named)
        width, layers = SIZES[named]
    patch = config.number("patch_size", 16)
    pixels, frames = 3 * patch * patch, config.number("video_temporal_patch_size", 1)
    most = args.number("cpe_max_size", 0) or config.number("max_img_size", MOST_SIDE)
    matrices = [
        parts.whole("vision_tower.patch_embed", width, pixels, plain=True),
        parts.whole("vision_tower.positions", (most // patch) ** 2, width, plain=True),
    ]
    if frames > 1:
        matrices.append(parts.whole("vision_tower.video_embed", width, frames * pixels, plain=True))
    for layer in range(layers):
        name = f"vision_tower.blocks.{layer}"
        matrices.append(Matrix(f"{name}.attn", 4 * width, width, "tp", plain=True))
        matrices.append(Matrix(f"{name}.mlp", 2 * RISE * width, width, "tp", plain=True))
    beside = round(1 / float(top.get("downsample_ratio", 0.5))) ** 2
    between = top.number("projector_hidden_size")
    matrices += [
        parts.whole("vision_tower.merger.0", between, beside * width, plain=True),
        parts.whole("vision_tower.merger.1", hidden, between, plain=True),
    ]
    tile = (top.number("force_image_size", 512) // patch) ** 2
    return Tower(width, 2 * RISE * width, beside, TILES * tile // beside, pixels), matrices
