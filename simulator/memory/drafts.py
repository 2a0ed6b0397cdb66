"""What drafts hold beside the model: a layer of its own kind, or a whole model, on the last pipeline stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.errors import InputError
from simulator.memory.shape import LayerCache, Matrix, ModelShape
from simulator.memory.weights import DRAFT, Format, Weights, layer_of

NO_LAYER = 10**6
"""Number of a layer that no list of a checkpoint names."""
MLP_PARTS = (".mlp.", ".moe.", ".router.", ".per_layer_gates", ".block_sparse_moe.")
"""Parts of names of a layer's matrices that are not its attention's."""


def with_head(
    shape: ModelShape, weights: Weights, method: str, inner: int, modules: int = 1
) -> tuple[ModelShape, Weights]:
    """The model with a draft head that shares its embeddings.

    With `mtp` it is one more layer as the model's last that caches tokens (with an indexer, where some have one), in
    the formats that the checkpoint's lists give it under either name that it may have there; with `eagle` attention as
    there, to all tokens, and a dense MLP `inner` wide, in 16 bit. Both first join a token's embedding and hidden
    state. Source: `DeepSeekMultiTokenPredictorLayer` and `llama_eagle.LlamaModel`, vLLM 0.32.0.

    Parameters
    ----------
    inner : width of the MLP of `eagle`
    modules : layers of `mtp`

    Raises
    ------
    InputError : a model without a layer that caches tokens
    """
    caching = [
        (layer, cache) for layer, cache in zip(shape.layer_of_cache, shape.caches, strict=True) if cache.kind != "state"
    ]
    choosing = [layer for layer, cache in caching if shape.is_mla and cache.row_bytes and not cache.block_tokens]
    layer = max(choosing or (layer for layer, _ in caching), default=None)
    if layer is None:
        raise InputError(f"{shape.name} has no attention: speculative decoding needs a layer that caches tokens")
    found = [matrix for matrix in shape.matrices if layer_of(matrix.name) == layer]
    caches = [
        cache
        for number, cache in zip(shape.layer_of_cache, shape.caches, strict=True)
        if number == layer and cache.kind != "state"
    ]
    joined = Matrix("model.fc", shape.hidden, 2 * shape.hidden, "whole", plain=True)
    if method == "eagle":
        found = [matrix for matrix in found if not any(part in matrix.name for part in MLP_PARTS)]
        found.append(Matrix(f"model.layers.{layer}.mlp", 3 * inner, shape.hidden, "tp", plain=True))
        found = [replace(matrix, plain=True) for matrix in found]
        caches = [replace(cache, kind="full", reach=0) if cache.reach else cache for cache in caches]
        return _added(shape, weights, [*found, joined] * modules, caches * modules, weights.format_of)

    def of_module(matrix: Matrix) -> Format | None:
        part = matrix.name.partition(f"layers.{layer}.")[2]
        usual = weights.format_of(replace(matrix, name=f"model.layers.{NO_LAYER}.{part}"))
        named = (f"mtp.layers.0.{part}", f"model.layers.{shape.layers}.{part}")
        told = [weights.format_of(replace(matrix, name=name)) for name in named]
        return next((each for each in told if each != usual), usual)

    return _added(shape, weights, [*found, joined] * modules, caches * modules, of_module)


def with_model(shape: ModelShape, weights: Weights, draft: ModelShape, own: Weights) -> tuple[ModelShape, Weights]:
    """The model with another that drafts, in its own formats, embeddings and head included."""
    return _added(shape, weights, draft.matrices, draft.caches, own.format_of)


def _added(
    shape: ModelShape,
    weights: Weights,
    matrices: list[Matrix] | tuple[Matrix, ...],
    caches: list[LayerCache] | tuple[LayerCache, ...],
    draft_format: Callable[[Matrix], Format | None],
) -> tuple[ModelShape, Weights]:
    def format_of(matrix: Matrix) -> Format | None:
        if not matrix.name.startswith(DRAFT):
            return weights.format_of(matrix)
        return draft_format(replace(matrix, name=matrix.name.removeprefix(DRAFT)))

    both = replace(
        shape,
        matrices=shape.matrices + tuple(replace(matrix, name=DRAFT + matrix.name) for matrix in matrices),
        caches=shape.caches + tuple(caches),
        layer_of_cache=shape.layer_of_cache + tuple(range(shape.layers, shape.layers + len(caches))),
    )
    return both, replace(weights, format_of=format_of)
