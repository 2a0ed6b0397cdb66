"""Molmo and Molmo 2: a decoder whose MLPs are told by both halves together, an encoder whose layers are read in pairs.

Source: `molmo.py`, `molmo2.py`, vLLM 0.32.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import Built, Family
from simulator.catalog.shapes.families import attention_and_mlp
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix, Tower

MORE_WORDS = 128
"""Rows of the embedding beside the vocabulary, for tokens of images."""
POOLED = 4
"""Patches that become one token."""
CROPS = {"molmo": 12, "molmo2": 8}
"""Of the largest image, beside the whole (`max_crops` of its processor)."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """Sizes of the encoder and of what reads two of its layers: by default those of Molmo, which names none."""

    width: int = 1024
    inner: int = 4096
    layers: int = 23
    patch: int = 14
    positions: int = 577
    read: int = 2
    pooled: int = 1024
    projected: int = 0


def molmo(config: Config, family: Family, built: Built) -> None:
    """Layers of Molmo, whose `intermediate_size` is that of gate and up projection together."""
    half = {**config, "intermediate_size": config.number("intermediate_size") // 2}
    text = Config(half, config.file, config.section)
    attention_and_mlp(text, family, built)
    more_words(text, family, built, builds=False)


def more_words(config: Config, family: Family, built: Built, builds: bool = True) -> None:
    """Layers of attention and MLP, and the rows of the embedding that only images use."""
    if builds:
        attention_and_mlp(config, family, built)
    rows = config.number("additional_vocab_size", MORE_WORDS)
    built.matrices.append(Matrix("model.embed_more", rows, config.number("hidden_size"), "vocab", plain=True))


def molmo_encoder(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    return _encoder(top, hidden, Encoder(projected=top.number("intermediate_size") // 2))


def molmo2_encoder(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """The encoder up to the last layer that is read, as `vit_config` and `adapter_config` tell.

    Raises
    ------
    InputError : one of them is missing
    """
    seen, between = top.part("vit_config"), top.part("adapter_config")
    layers = seen.number("num_hidden_layers")
    read = [int(layer) for layer in between.get("vit_layers", [-3, -9])]
    return _encoder(
        top,
        hidden,
        Encoder(
            width=seen.number("hidden_size"),
            inner=seen.number("intermediate_size"),
            layers=min(layers, 1 + max(layer if layer >= 0 else layer + layers for layer in read)),
            patch=seen.number("image_patch_size", 14),
            positions=seen.number("image_num_pos", 577),
            read=len(read),
            pooled=between.number("hidden_size"),
            projected=between.number("intermediate_size"),
        ),
    )


def _encoder(top: Config, hidden: int, sizes: Encoder) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    wide, pixels = sizes.width, 3 * sizes.patch**2
    matrices = [
        parts.whole("vision_tower.patch_embed", wide, pixels, plain=True),
        parts.whole("vision_tower.positions", sizes.positions, wide, plain=True),
        Matrix("vision_tower.pool", sizes.pooled, 3 * sizes.read * wide + sizes.pooled, "tp", plain=True),
        Matrix("vision_tower.merger.0", 2 * sizes.projected, sizes.pooled, "tp", plain=True),
        Matrix("vision_tower.merger.1", hidden, sizes.projected, "tp", plain=True),
    ]
    for layer in range(sizes.layers):
        rows = 4 * wide + 2 * sizes.inner
        matrices.append(Matrix(f"vision_tower.blocks.{layer}", rows, wide, "tp", plain=True))
    crops = 1 + CROPS.get(top.model_type, max(CROPS.values()))
    tower = Tower(wide, 2 * sizes.inner, POOLED, crops * (sizes.positions // POOLED), pixels)
    return (tower,), tuple(matrices)
