"""Experts as the kernels of a version hold them: their padding, and the scratch memory that a worker keeps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from simulator.memory.profile import ACTIVATION_BYTES, Card
from simulator.memory.rules import Rules
from simulator.memory.shape import ModelShape
from simulator.memory.weights import Format, Weights
from simulator.perf.device import BatchLimits, Split

ALIGNED_FROM = ("hopper", "blackwell", "blackwell-rtx")
"""Generations on which FlashInfer computes experts in FP8 with one scale per tensor."""
LONG = 256 * 1024
"""Tokens of a longest request above which an indexer gathers fewer."""
GATED_ALIGNMENT, UNGATED_ALIGNMENT = 16, 128
"""Values to which their width is padded (`align_fp8_moe_weights_for_fi`, vLLM 0.20.1)."""


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts of one layer.

    Attributes
    ----------
    scheme : format of their weights: `16 bit`, `fp8 tensor`, `fp8 channel`, `fp8 block`, or its name
    inner, width : of one expert, and of what it reads
    gated : it has a gate
    """

    scheme: str
    inner: int
    width: int
    gated: bool


def experts_of(shape: ModelShape, weights: Weights) -> Experts | None:
    """Routed experts of a model, None where it has none."""
    first = next((matrix for matrix in shape.matrices if matrix.cut == "experts" and not matrix.plain), None)
    if first is None:
        return None
    return Experts(_scheme(weights.format_of(first)), first.rows, first.columns, first.name.endswith(".gate_proj"))


def _scheme(chosen: Format | None) -> str:
    if chosen is None:
        return "16 bit"
    if chosen.name != "fp8":
        return chosen.name
    rows = chosen.group[0]
    return "fp8 tensor" if not rows else "fp8 channel" if rows == 1 else "fp8 block"


def padded_for_kernel(weights: Weights, shape: ModelShape, card: Card, rules: Rules) -> Weights:
    """Weights with experts as wide as the kernel of their format wants them."""
    experts = experts_of(shape, weights)
    aligned = rules.aligned_fp8_experts and card.generation in ALIGNED_FROM
    if not aligned or experts is None or experts.scheme != "fp8 tensor":
        return weights
    return replace(weights, pad_experts=_up_to(GATED_ALIGNMENT if experts.gated else UNGATED_ALIGNMENT))


def _up_to(multiple: int) -> Callable[[int, int], tuple[int, int]]:
    return lambda inner, hidden: (math.ceil(inner / multiple) * multiple, hidden)


def scratch_bytes(
    shape: ModelShape, weights: Weights, card: Card, split: Split, limits: BatchLimits, length: int, rules: Rules
) -> float:
    """Scratch memory of one GPU that the worker keeps from the forward pass on, one for whoever needs most.

    .. math:: \\max(2 t k (\\max(i, h) + \\max(g i, h)),\\ p\\, L\\, b / r)

    of experts, with `k` of a token, :math:`i` wide on one GPU and `g` of 2 with a gate, 1 without
    (`TritonExperts.workspace_shapes`), and of the keys that an indexer gathers: `p` requests of the longest length
    :math:`L`, rows of `b` bytes for `r` tokens (`get_max_prefill_buffer_size`, vLLM 0.20.1).
    """
    experts = experts_of(shape, weights)
    rows = [cache for cache in shape.caches if cache.kind == "latent" and cache.row_bytes]
    indexer = min(rows, key=lambda cache: cache.row_bytes, default=None)
    gathered = 0.0
    if indexer is not None:
        requests = rules.long_indexer_lengths if length > LONG else rules.indexer_lengths
        gathered = requests * length // indexer.tokens_per_row * indexer.row_bytes
    kept = set(rules.kept_expert_scratch.get(card.generation, ()))
    if not split.expert_parallel:
        kept |= set(rules.kept_scratch_of_cut_experts.get(card.generation, ()))
    if experts is None or experts.scheme not in kept:
        return gathered
    inner = experts.inner / (1 if split.expert_parallel else split.expert_gpus)
    values = max(inner, experts.width) + max(inner * (2 if experts.gated else 1), experts.width)
    return max(gathered, limits.max_num_batched_tokens * shape.moe_per_token * values * ACTIVATION_BYTES)
