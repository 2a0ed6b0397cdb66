"""Experts of their own for text and for images in one layer (`ernie45_vl_moe.py`, vLLM 0.32.0)."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import Built, Family, add_attention, add_experts, add_mlp, add_norms
from simulator.catalog.shapes.families import per_token_count
from simulator.catalog.shapes.reader import Config


def ernie_vl(config: Config, family: Family, built: Built) -> None:
    """ERNIE 4.5 with images: as many experts for each, narrower for images, and shared ones as wide as those of text.

    Raises
    ------
    InputError : a key that does not tell one number for text and one for images, or unlike ranges of layers
    """
    (text, images), (inner, narrow) = _both(config, "moe_num_experts"), _both(config, "moe_intermediate_size")
    first, last = (_both(config, f"moe_layer_{end}_index") for end in ("start", "end"))
    layers = config.number("num_hidden_layers")
    ranges = [range(start, min(end + 1, layers)) for start, end in zip(first, last, strict=True)]
    if ranges[0] != ranges[1]:
        told = "layers with experts for text alone, or for images alone, are not understood"
        raise config.problem("moe_layer_start_index", told, f"{first}")
    every, shared = config.number("moe_layer_interval", 1), config.number("moe_num_shared_experts", 0)
    per_token = per_token_count(config)
    for layer in range(layers):
        add_norms(config, family, built, layer)
        add_attention(config, family, built, layer, "full")
        if layer in ranges[0] and (layer + 1) % max(every, 1) == 0:
            prefix, hidden = f"model.layers.{layer}.mlp", config.number("hidden_size")
            add_experts(config, family, built, layer, text, per_token, inner, shared * inner)
            built.matrices.append(parts.whole(f"{prefix}.gate.weight_1", images, hidden, plain=True))
            built.matrices += parts.experts(prefix, hidden, narrow, images)
        else:
            add_mlp(config, family, built, layer, config.number("intermediate_size"))


def _both(config: Config, key: str) -> tuple[int, int]:
    """A number for text and one for images."""
    found = config[key]
    if not (isinstance(found, list) and len(found) == 2 and all(isinstance(each, int) and each >= 0 for each in found)):
        raise config.problem(key, "must tell a number for text and one for images", str(found))
    return found[0], found[1]
