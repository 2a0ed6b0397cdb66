"""A model's shape, layer by layer, as the step-time models see it: counts of layers of each kind."""

from __future__ import annotations

from simulator.catalog.quantity import Quantity, read_yaml
from simulator.memory.shape import LayerCache, ModelShape
from simulator.memory.weights import layer_of
from simulator.perf.architecture import Architecture


def architecture_of(shape: ModelShape) -> Architecture:
    """Architecture of a shape; what it leaves out, the shape names (`unmodelled`)."""
    latent = shape.latent
    sparse = {layer_of(matrix.name) for matrix in shape.matrices if matrix.cut == "experts"}
    attention = [cache for cache in shape.caches if cache.kind != "state"]
    windows = _windows(shape)
    head_dim = next((cache.head_dim for cache in attention if cache.kind != "latent"), 0)
    return Architecture(
        name=shape.name,
        layers=shape.layers,
        hidden_size=shape.hidden,
        vocab_size=shape.vocab,
        heads=shape.heads,
        kv_heads=shape.heads if latent else shape.kv_heads,
        head_dim=head_dim or shape.hidden // max(shape.heads, 1),
        intermediate_size=shape.dense_width,
        max_position_embeddings=shape.context,
        tie_embeddings=shape.tied,
        experts=shape.experts,
        experts_per_token=shape.moe_per_token,
        shared_experts=shape.shared_width // shape.moe_inner if shape.moe_inner else 0,
        moe_intermediate_size=shape.moe_inner,
        dense_layers=shape.layers - len(sparse),
        popularity_ratio=popularity_ratio() if shape.experts else 1.0,
        kv_lora_rank=latent.kv_rank if latent else 0,
        q_lora_rank=latent.q_rank if latent else 0,
        qk_rope_head_dim=latent.rope if latent else 0,
        qk_nope_head_dim=latent.nope if latent else 0,
        v_head_dim=latent.value if latent else 0,
        sliding_window=max((cache.reach for cache in windows), default=0),
        sliding_layers=len(windows),
        attention_sinks=shape.sinks,
        norms_span_heads=shape.norms_span_heads,
        gated=not _lacks_gates(shape),
    )


def _lacks_gates(shape: ModelShape) -> bool:
    """Whether the MLPs go up through one matrix."""
    names = {matrix.name.rpartition(".")[2] for matrix in shape.matrices}
    return "up_proj" in names and "gate_proj" not in names


def _windows(shape: ModelShape) -> list[LayerCache]:
    """Windows of the layers that see nothing else."""
    kinds: dict[int, list[LayerCache]] = {}
    for layer, cache in zip(shape.layer_of_cache, shape.caches, strict=True):
        kinds.setdefault(layer, []).append(cache)
    return [found[0] for found in kinds.values() if all(cache.kind == "window" for cache in found)]


def popularity_ratio() -> float:
    """Tokens of a layer's most popular expert over those of its least, in any mixture of experts."""
    return Quantity(**read_yaml("routing.yaml")["popularity_ratio"]).value
