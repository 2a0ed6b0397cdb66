"""Encoders of images, video and audio: their weights, and what their profile run needs."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix, Tower

MOST_TOKENS = 16384
"""Tokens of the largest image of encoders that take any size (Qwen-VL)."""


def encoders(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """Encoders of a multimodal config, and their matrices in 16 bit."""
    towers: list[Tower] = []
    matrices: list[Matrix] = []
    for key, build in (("vision_config", _vision), ("audio_config", _audio)):
        section = top.get(key)
        if isinstance(section, Mapping) and section:
            tower, found = build(Config(section, top.file, f"{key}."), top, hidden)
            matrices += found
            if tower is not None:
                towers.append(tower)
    return tuple(towers), tuple(matrices)


def _vision(config: Config, top: Config, hidden: int) -> tuple[Tower | None, list[Matrix]]:
    width = config.first("hidden_size", "embed_dim", "vt_hidden_size", "width", default=1152)
    layers = config.first("num_hidden_layers", "depth", "vt_num_hidden_layers", "layers", default=27)
    if isinstance(config.get("hidden_size"), int) and config.get("out_hidden_size") is None and config.get("embed_dim"):
        width = config.number("embed_dim")
    inner = config.first("intermediate_size", "vt_intermediate_size", default=0)
    inner = inner or int(width * float(config.get("mlp_ratio", 4)))
    patch = config.first("patch_size", "spatial_patch_size", default=14)
    merge = config.first("spatial_merge_size", default=0) or top.first("spatial_merge_size", default=0)
    channels = config.first("num_channels", "in_channels", "in_chans", default=3)
    gated = config.get("hidden_act") == "silu" and config.model_type in ("qwen2_5_vl", "pixtral", "glm4v")
    matrices: list[Matrix] = [parts.whole("vision_tower.patch_embed", width, patch * patch * channels, plain=True)]
    for layer in range(layers):
        name = f"vision_tower.blocks.{layer}"
        matrices.append(Matrix(f"{name}.attn", 4 * width, width, "tp", plain=True))
        matrices.append(Matrix(f"{name}.mlp", (3 if gated else 2) * inner, width, "tp", plain=True))
    side = max(merge, 1)
    matrices.append(parts.whole("vision_tower.merger", width * side * side, hidden, plain=True))
    if merge and config.model_type.startswith("qwen"):
        matrices.append(parts.whole("vision_tower.merger.up", width * side * side, width * side * side, plain=True))
        for level in range(len(config.get("deepstack_visual_indexes") or ())):
            squared = width * side * side
            matrices.append(parts.whole(f"vision_tower.deepstack.{level}", squared, squared + hidden, plain=True))
    return _vision_tower(config, top, width, (3 if gated else 2) * inner, patch, merge), matrices


def _vision_tower(config: Config, top: Config, width: int, inner: int, patch: int, merge: int) -> Tower:
    per_item = top.first("mm_tokens_per_image", "image_seq_length", default=0)
    image = config.first("image_size", default=0) if not isinstance(config.get("image_size"), list) else 0
    if per_item and image:
        return Tower(width, inner, max(1, (image // patch) ** 2 // per_item), per_item)
    if merge:
        return Tower(width, inner, merge * merge, MOST_TOKENS)
    patches = (image // patch) ** 2 if image else 1024
    return Tower(width, inner, 1, max(patches, 1))


def _audio(config: Config, top: Config, hidden: int) -> tuple[Tower | None, list[Matrix]]:
    width = config.first("hidden_size", "d_model", default=0)
    layers = config.first("num_hidden_layers", "encoder_layers", "conf_num_hidden_layers", default=0)
    inner = config.first("intermediate_size", "encoder_ffn_dim", default=4 * width)
    matrices = [
        Matrix(f"audio_tower.layers.{layer}", 4 * width + 2 * inner, width, "tp", plain=True) for layer in range(layers)
    ]
    matrices.append(parts.whole("audio_tower.projector", hidden, max(width, 1), plain=True))
    return None, matrices
