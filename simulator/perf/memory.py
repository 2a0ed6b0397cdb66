"""GPU memory of one replica: weights, activations, graphs, and what is left for KV blocks (docs/model/memory.md)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from simulator.errors import InputError, Problem
from simulator.perf.architecture import (
    Architecture,
    attention_parameters,
    embedding_parameters,
    expert_parameters,
    kv_heads_per_gpu,
    mlp_parameters,
    router_parameters,
)
from simulator.perf.device import BatchLimits, Coefficients, Device, Layout, check_layout, split_problem, with_copies
from simulator.perf.speculative import Drafting
from simulator.units import BYTES_PER_GIB

ACTIVATION_BYTES = 2
"""bf16: activations, embeddings and whatever is not quantised."""
LOGIT_BYTES = 2 + 4 + 4
"""Logits in bf16, their fp32 copy and the sampler's probabilities alive at once."""
RESERVED_BLOCKS = 1
"""vLLM keeps block 0 as the null block."""
MOST_STAGES_TRIED = 16
"""Pipeline stages up to which a split is sought for a model that does not fit."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes on the fullest GPU of a replica; the terms add up to `usable_bytes` but for less than one block.

    Attributes
    ----------
    usable_bytes : GPU memory times `gpu_memory_utilization`
    weight_bytes, draft_bytes : the model's share, and the draft model's
    activation_bytes : peak of a forward pass at the token budget, or of sampling at max_num_seqs
    cuda_graph_bytes, runtime_bytes : captured graphs; context, NCCL, allocator slack
    sliding_bytes : KV of sliding-window layers, bounded by window and sequences
    kv_bytes : what is left for blocks
    block_bytes : one KV block on this GPU
    num_blocks : floor(kv_bytes / block_bytes), the reserved null block included
    block_size : tokens in a block
    max_model_len : longest request in tokens that the replica takes
    """

    usable_bytes: float
    weight_bytes: float
    draft_bytes: float
    activation_bytes: float
    cuda_graph_bytes: float
    runtime_bytes: float
    sliding_bytes: float
    kv_bytes: float
    block_bytes: float
    num_blocks: int
    block_size: int
    max_model_len: int


def kv_bytes_per_token_layer(arch: Architecture, layout: Layout) -> float:
    """KV bytes of one token in one layer on one GPU.

    2 * max(1, kv_heads/TP) * head_dim * bytes; with MLA (latent + rotary part) * bytes, replicated on each GPU.
    """
    if arch.is_mla:
        return (arch.kv_lora_rank + arch.qk_rope_head_dim) * layout.kv_value_bytes
    return 2 * kv_heads_per_gpu(arch, layout.tp) * arch.head_dim * layout.kv_value_bytes


def kv_bytes_per_token(arch: Architecture, layout: Layout) -> float:
    """KV bytes that one more token of context takes on one GPU, in the stage with most layers.

    Layers with a sliding window hold no more than the window and are counted apart (`MemoryPlan.sliding_bytes`); where
    all have one, they are counted as if none had.
    """
    return math.ceil((arch.full_layers or arch.layers) / layout.pp) * kv_bytes_per_token_layer(arch, layout)


def block_bytes(arch: Architecture, layout: Layout, block_size: int) -> float:
    """Bytes of one KV block on one GPU."""
    return kv_bytes_per_token(arch, layout) * block_size


def attention_is_plain(arch: Architecture, layout: Layout) -> bool:
    """Whether the projections around attention stay in 16 bit: formats for experts only, and 4-bit formats of models
    with latent attention, whose published checkpoints leave it alone."""
    return layout.weights.experts_only or (arch.is_mla and layout.weights.weight_bytes < 1)


def attention_weight_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of one layer on one GPU that every kind of layer has: attention and norms."""
    plain = ACTIVATION_BYTES if attention_is_plain(arch, layout) else layout.weights.weight_bytes
    return attention_parameters(arch, layout.tp) * plain + 2 * arch.hidden_size * ACTIVATION_BYTES


def mlp_weight_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of one dense MLP on one GPU."""
    plain = ACTIVATION_BYTES if layout.weights.experts_only else layout.weights.weight_bytes
    return mlp_parameters(arch) * plain / layout.tp


def expert_weight_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of one routed expert on one GPU, averaged over the GPUs that share it (cut, or dealt out whole)."""
    return expert_parameters(arch) * layout.weights.weight_bytes / layout.expert_gpus


def always_read_moe_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of router and shared experts of one MoE layer on one GPU."""
    shared = arch.shared_experts * expert_parameters(arch) * layout.weights.weight_bytes / layout.tp
    return router_parameters(arch) * ACTIVATION_BYTES + shared


def weight_bytes(arch: Architecture, layout: Layout) -> float:
    """Weight bytes on the fullest GPU of a replica.

    With pipeline stages: the stage with most layers, MoE layers first, plus the larger of the two embeddings.
    """
    layers = math.ceil(arch.layers / layout.pp)
    moe_layers = min(layers, arch.moe_layers)
    moe = always_read_moe_bytes(arch, layout) + with_copies(arch, layout).experts * expert_weight_bytes(arch, layout)
    copies = 1 if layout.pp > 1 or arch.tie_embeddings else 2
    embeddings = copies * embedding_parameters(arch) * ACTIVATION_BYTES / layout.tp
    body = layers * attention_weight_bytes(arch, layout) + moe_layers * moe
    return embeddings + body + (layers - moe_layers) * mlp_weight_bytes(arch, layout)


def activation_bytes(arch: Architecture, layout: Layout, limits: BatchLimits) -> float:
    """Peak of live activations: the widest layer at the token budget, or the logits of max_num_seqs samples.

    The widest layer keeps residual, normed input and output (3 hidden) and gate, up and their product (3 widths).
    """
    width = max(
        arch.intermediate_size if arch.dense_layers else 0,
        arch.moe_intermediate_size * (arch.experts_per_token + arch.shared_experts),
        arch.heads * arch.head_dim,
    )
    forward = limits.max_num_batched_tokens * (3 * arch.hidden_size + 3 * width / layout.tp) * ACTIVATION_BYTES
    sampling = limits.max_num_seqs * arch.vocab_size * LOGIT_BYTES
    return max(forward, sampling)


def _sliding_bytes(arch: Architecture, layout: Layout, limits: BatchLimits, room_bytes: float) -> float:
    """KV that windowed layers hold: max_num_seqs windows, but no more than if no context exceeded the window."""
    if not arch.full_layers:
        return 0.0
    windows = limits.max_num_seqs * arch.sliding_window * arch.sliding_layers / layout.pp
    share = arch.sliding_layers / arch.layers
    return min(windows * kv_bytes_per_token_layer(arch, layout), max(0.0, room_bytes) * share)


def plan_memory(
    arch: Architecture,
    device: Device,
    layout: Layout,
    limits: BatchLimits,
    coefficients: Coefficients,
    *,
    block_size: int = 16,
    gpu_memory_utilization: float = 0.92,
    max_model_len: int | None = None,
    drafting: Drafting | None = None,
) -> MemoryPlan:
    """Blocks that fit beside weights, activations and graphs, and the longest request that they hold.

    .. math:: N = \\lfloor (M u - W - D - A - G - R - S) / B \\rfloor

    Parameters
    ----------
    gpu_memory_utilization : share of the GPU's memory that the engine may use, in (0, 1]
    max_model_len : longest prompt + output in tokens; None takes the largest that fits, up to the model's context
    drafting : its model's weights take room, and so does its KV cache in every block

    Raises
    ------
    InputError : a split or format that does not work; a model that does not fit, with the GiB that it lacks and the
        smallest split that fits; a `max_model_len` that does not fit, with the largest that does
    """
    check_layout(arch, device, layout)
    if not 0.0 < gpu_memory_utilization <= 1.0:
        raise InputError(Problem("gpu_memory_utilization must be in (0, 1]", got=f"{gpu_memory_utilization}"))

    def fill(split: Layout) -> MemoryPlan:
        usable = device.memory_bytes * gpu_memory_utilization
        return _fill(arch, split, limits, coefficients, block_size, usable, drafting)

    plan = fill(layout)
    if plan.num_blocks <= RESERVED_BLOCKS:
        lacking = ((RESERVED_BLOCKS + 1) * plan.block_bytes - plan.kv_bytes) / BYTES_PER_GIB
        raise InputError(
            f"{arch.name} in {layout.weights.name} does not fit on {device.name} with tp={layout.tp}, pp={layout.pp}: "
            f"{lacking:.1f} GiB per GPU are missing; {_smallest_split(arch, device, layout, fill)}"
        )
    fitting = (plan.num_blocks - RESERVED_BLOCKS) * block_size
    return replace(plan, max_model_len=_model_len(arch, fitting, max_model_len))


def _fill(
    arch: Architecture,
    layout: Layout,
    limits: BatchLimits,
    coefficients: Coefficients,
    block_size: int,
    usable_bytes: float,
    drafting: Drafting | None,
) -> MemoryPlan:
    weights = weight_bytes(arch, layout)
    draft_bytes, draft_block_bytes = 0.0, 0.0
    if drafting and drafting.draft:
        draft_bytes = weight_bytes(drafting.draft, drafting.layout(layout))
        draft_block_bytes = block_bytes(drafting.draft, drafting.layout(layout), block_size)
    activations = activation_bytes(arch, layout, limits)
    room = usable_bytes - weights - draft_bytes - activations
    room -= coefficients.cuda_graph_bytes + coefficients.runtime_bytes
    sliding = _sliding_bytes(arch, layout, limits, room)
    block = block_bytes(arch, layout, block_size) + draft_block_bytes
    return MemoryPlan(
        usable_bytes=usable_bytes,
        weight_bytes=weights,
        draft_bytes=draft_bytes,
        activation_bytes=activations,
        cuda_graph_bytes=coefficients.cuda_graph_bytes,
        runtime_bytes=coefficients.runtime_bytes,
        sliding_bytes=sliding,
        kv_bytes=room - sliding,
        block_bytes=block,
        num_blocks=max(0, int((room - sliding) // block)),
        block_size=block_size,
        max_model_len=0,
    )


def _smallest_split(arch: Architecture, device: Device, layout: Layout, fill: Callable[[Layout], MemoryPlan]) -> str:
    held = with_copies(arch, layout)
    node = [tp for tp in range(1, device.gpus_per_node + 1) if not split_problem(held, tp, 1, layout.expert_parallel)]
    stages = range(2, 1 + min(MOST_STAGES_TRIED, arch.layers))
    for tp, pp in [(tp, 1) for tp in node] + [(node[-1], pp) for pp in stages]:
        if fill(replace(layout, tp=tp, pp=pp)).num_blocks > RESERVED_BLOCKS:
            return f"the smallest that fits is tp={tp}" + (f", pp={pp}" if pp > 1 else "")
    return "no split over these GPUs fits; take a smaller format or a GPU with more memory"


def _model_len(arch: Architecture, tokens_that_fit: int, wanted: int | None) -> int:
    if wanted is None:
        return min(arch.max_position_embeddings, tokens_that_fit)
    if wanted > arch.max_position_embeddings:
        limit = arch.max_position_embeddings
        raise InputError(Problem(f"max_model_len is beyond the {limit} tokens of {arch.name}", got=str(wanted)))
    if wanted > tokens_that_fit:
        raise InputError(
            Problem(
                f"max_model_len does not fit in the KV cache; the largest that does is {tokens_that_fit}",
                got=str(wanted),
            )
        )
    return wanted
