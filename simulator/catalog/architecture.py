"""A model's shape, layer by layer, as the step-time models see it: counts of layers of each kind."""

from __future__ import annotations

from simulator.catalog.quantity import Quantity, read_yaml
from simulator.memory.shape import LayerCache, Matrix, ModelShape
from simulator.memory.weights import layer_of
from simulator.perf.architecture import Architecture, StateLayers


def architecture_of(shape: ModelShape) -> Architecture:
    """Architecture of a shape; what it leaves out, the shape names (`unmodelled`)."""
    latent = shape.latent
    sparse = {layer_of(matrix.name) for matrix in shape.matrices if matrix.cut == "experts"}
    mlps = {layer_of(matrix.name) for matrix in shape.matrices if matrix.name.endswith(".down_proj")}
    dense = mlps - sparse - {None}
    states = [(layer, cache) for layer, cache in zip(shape.layer_of_cache, shape.caches, strict=True) if cache.scan]
    attention = [cache for cache in shape.caches if cache.kind != "state"]
    windows = _windows(shape)
    head_dim = next((cache.head_dim for cache in attention if cache.kind not in ("latent", "ring")), 0)
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
        dense_layers=len(dense),
        bare_layers=shape.layers - len(sparse) - len(dense),
        idle_layers=shape.layers - _attending(shape) if states else 0,
        state=_state(shape, states) if states else None,
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
        query_gates=_gates_queries(shape),
        expert_hidden=_expert_hidden(shape),
        gated=not _lacks_gates(shape),
    )


MIXERS = {
    "gated_delta_net": "linear_attn",
    "kda": "self_attn",
    "mamba": "mamba",
    "mamba2": "mamba",
    "lightning": "self_attn",
    "short_convolution": "conv",
}
"""Where a kind of layer with a state has its matrices."""


def _attending(shape: ModelShape) -> int:
    """Layers with attention, which each keep a cache of their own."""
    return len({layer for layer, cache in zip(shape.layer_of_cache, shape.caches, strict=True) if not cache.scan})


def _state(shape: ModelShape, states: list[tuple[int, LayerCache]]) -> StateLayers:
    layer, cache = states[0]
    own = [matrix for matrix in shape.matrices if f".layers.{layer}.{MIXERS[cache.scan]}." in f".{matrix.name}"]
    widths = [matrix for matrix in own if matrix.columns > 1]
    passed = [matrix for matrix in widths if matrix.name.rpartition(".")[2].startswith("conv")]
    products = [matrix for matrix in widths if matrix not in passed]
    channels = sum(matrix.rows for matrix in passed)
    keeps = cache.heads * cache.head_dim * cache.value_dim
    return StateLayers(
        kind=cache.scan,
        layers=sum(other.scan == cache.scan for _, other in states),
        projected=sum(matrix.rows for matrix in products if _reads_hidden(matrix, shape.hidden)),
        projections=tuple((m.rows, m.columns) for m in products if not _reads_hidden(m, shape.hidden)),
        heads=cache.heads if keeps else 0,
        values=keeps,
        value_bytes=float(cache.state[-1].value_bytes or shape.dtype_bytes),
        key_values=(channels - cache.heads * cache.value_dim) // 2 if channels else cache.heads * cache.head_dim,
        value_values=cache.heads * cache.value_dim if keeps else shape.hidden,
        channels=channels,
        tail=cache.state[0].values * (cache.state[0].tail or 0) if passed else 0,
        chunk=cache.chunk,
    )


def _reads_hidden(matrix: Matrix, hidden: int) -> bool:
    return matrix.columns == hidden and not matrix.name.endswith(("out_proj", "o_proj"))


def _gates_queries(shape: ModelShape) -> bool:
    """Whether queries are projected twice as wide as what attention gives back."""
    width = {matrix.name: matrix for matrix in shape.matrices if ".self_attn." in matrix.name}
    for name, queries in width.items():
        if name.endswith(".q_proj") and (back := width.get(name.removesuffix("q_proj") + "o_proj")):
            return queries.rows == 2 * back.columns
    return False


def _expert_hidden(shape: ModelShape) -> int:
    """Width that routed experts read and write, 0 where it is the hidden state's."""
    narrow = next((matrix.columns for matrix in shape.matrices if matrix.cut == "experts" and matrix.columns > 1), 0)
    return narrow if narrow != shape.hidden else 0


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
