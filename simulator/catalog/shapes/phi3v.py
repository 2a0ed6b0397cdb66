"""Encoder of Phi-3 and 3.5 Vision, which its config names and does not size (`phi3v.py`, vLLM 0.32.0)."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix, Tower

NAME = "openai/clip-vit-large-patch14-336"
WIDTH, INNER, LAYERS, PATCH, POSITIONS = 1024, 4096, 23, 14, 577
"""Of that encoder, up to the last layer but one, which is read."""
CROPS = 16
"""Of the largest image, beside the whole (`num_crops` of its processor)."""
SHUFFLED = 4
"""Patches that are put side by side."""


def phi3v(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """The encoder and its projection, and the embedding that it has beside the decoder's own.

    Raises
    ------
    InputError : another encoder, or another projection
    """
    named, embeds = top.get("img_processor") or {}, top.get("embd_layer") or {}
    if not isinstance(named, Mapping) or named.get("model_name", NAME) != NAME:
        raise top.problem("img_processor", f"must be named {NAME}", str(named)[:60])
    if not isinstance(embeds, Mapping) or embeds.get("projection_cls", "mlp") != "mlp":
        raise top.problem("embd_layer", "must project by an MLP", str(embeds)[:60])
    pixels = 3 * PATCH**2
    matrices = [
        parts.whole("vision_tower.patch_embed", WIDTH, pixels, plain=True),
        parts.whole("vision_tower.positions", POSITIONS, WIDTH, plain=True),
        Matrix("vision_tower.words", top.number("vocab_size"), hidden, "vocab", plain=True),
        parts.whole("vision_tower.merger.0", hidden, SHUFFLED * WIDTH, plain=True),
        parts.whole("vision_tower.merger.1", hidden, hidden, plain=True),
    ]
    for layer in range(LAYERS):
        matrices.append(Matrix(f"vision_tower.blocks.{layer}", 4 * WIDTH + 2 * INNER, WIDTH, "tp", plain=True))
    tower = Tower(WIDTH, 2 * INNER, SHUFFLED, (1 + CROPS) * (POSITIONS // SHUFFLED), pixels)
    return (tower,), tuple(matrices)
