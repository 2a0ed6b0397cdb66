"""Blocks of a transformer layer in kernels: attention with its projections, MLP, routed experts, LM head."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from simulator.perf.architecture import Architecture, kv_heads_per_gpu
from simulator.perf.device import Layout, with_copies
from simulator.perf.hardware import Hardware
from simulator.perf.kernels import (
    AS_MEASURED,
    AttentionKernel,
    ExpertShape,
    ExpertsReached,
    Floats,
    experts_s,
    gemm_s,
    pair_s,
    stream_s,
)
from simulator.perf.reads import ACTIVATION_BYTES, LOGIT_BYTES, attention_is_plain, kv_bytes_per_token_layer
from simulator.perf.roofline import PLAIN, active_experts

NORM_PASSES = 8
"""Two norms per layer, each reading and writing the hidden state and the residual."""
NORMS = 2
"""Norms of a layer, one before attention and one before the MLP."""
ROTARY_AND_WRITE = 2
"""Element-wise kernels of attention itself; the records of latent attention hold theirs."""
LONG_WINDOW = 2048
"""Window in tokens beyond which most contexts are shorter than the window: such layers count as full attention."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token counts of a step's matrix products, and whether they are off the kernels' alignment."""

    tokens: Floats
    ragged: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def full_layers(arch: Architecture) -> int:
    """Layers whose attention grows with the context; windows that few contexts exceed count as full."""
    return arch.attention_layers if arch.sliding_window > LONG_WINDOW else arch.full_layers


def window_layers(arch: Architecture) -> int:
    """Layers whose attention is bounded by a short window."""
    return arch.attention_layers - full_layers(arch)


def projections(arch: Architecture, tp: int) -> tuple[tuple[float, float], ...]:
    """(n, k) of the matrix products around one layer's attention on one of `tp` GPUs.

    Multi-head latent attention projects queries and latent down together, queries up, and moves between latent and
    heads once for keys and once for values (absorbed in decode, explicit in prefill: the same sizes).
    """
    heads = arch.heads / tp
    if arch.is_mla:
        down = (arch.q_lora_rank or 0) + arch.kv_lora_rank + arch.qk_rope_head_dim
        return (
            (down, arch.hidden_size),
            (heads * (arch.qk_nope_head_dim + arch.qk_rope_head_dim), arch.q_lora_rank or arch.hidden_size),
            (heads * arch.qk_nope_head_dim, arch.kv_lora_rank),
            (heads * arch.v_head_dim, arch.kv_lora_rank),
            (arch.hidden_size, heads * arch.v_head_dim),
        )
    queries = heads * arch.head_dim
    keys = kv_heads_per_gpu(arch, tp) * arch.head_dim
    into = (2 if arch.query_gates else 1) * queries + 2 * keys
    return ((into, arch.hidden_size), (arch.hidden_size, queries))


def gemm(batch: Batch, n: float, k: float, hardware: Hardware, layout: Layout, plain: bool = False) -> Floats:
    """Matrix product with an (n, k) weight in the layout's format, or in 16 bit where `plain`."""
    name = PLAIN if plain else layout.weights.name
    weight_bytes = ACTIVATION_BYTES if plain else layout.weights.weight_bytes
    precision = PLAIN if plain else layout.weights.compute
    input_bytes = ACTIVATION_BYTES if precision == PLAIN else layout.weights.weight_bytes
    fit = hardware.kernels.gemm[name]
    return gemm_s(fit, hardware.peaks(precision), batch.tokens, n, k, weight_bytes, input_bytes, batch.ragged)


def attention_kernel(arch: Architecture, hardware: Hardware, layout: Layout) -> AttentionKernel:
    """Attention record that the model uses on this GPU."""
    width = arch.kv_lora_rank if arch.is_mla else arch.head_dim
    return hardware.attention(width, layout.kv_value_bytes, arch.is_mla)


def passing_values(arch: Architecture, tp: int) -> float:
    """Values per token that attention reads and writes beside the cache: queries, keys, values and output."""
    if arch.is_mla:
        return arch.heads / tp * (2 * (arch.qk_nope_head_dim + arch.qk_rope_head_dim) + 2 * arch.v_head_dim)
    return 2 * arch.head_dim * (arch.heads / tp + kv_heads_per_gpu(arch, tp))


def attention_block_s(batch: Batch, arch: Architecture, hardware: Hardware, layout: Layout) -> Floats:
    """One layer's projections, norms, and what of attention does not depend on the context."""
    kernel = attention_kernel(arch, hardware, layout)
    time = np.full_like(batch.tokens, kernel.launch_s)
    for n, k in projections(arch, layout.tp):
        time = time + gemm(batch, n, k, hardware, layout, attention_is_plain(arch, layout))
    passing = batch.tokens * ACTIVATION_BYTES * passing_values(arch, layout.tp)
    time = time + passing / (kernel.stream_share * hardware.device.bandwidth_bytes_per_s)
    values, kernels = float(NORM_PASSES * arch.hidden_size), NORMS
    if not arch.is_mla:
        values, kernels = values + passing_values(arch, layout.tp) / 2, kernels + ROTARY_AND_WRITE
    return time + small_kernels_s(batch.tokens, values, kernels, hardware)


def mlp_s(batch: Batch, width: float, arch: Architecture, hardware: Hardware, layout: Layout) -> Floats:
    """One MLP of `width`, split over the tensor-parallel group; its activation reads each way up and writes one."""
    plain = layout.weights.experts_only
    inner = width / layout.tp
    time = gemm(batch, (arch.mlp_matrices - 1) * inner, arch.hidden_size, hardware, layout, plain)
    time = time + gemm(batch, arch.hidden_size, inner, hardware, layout, plain)
    return time + small_kernels_s(batch.tokens, arch.mlp_matrices * inner, 1, hardware)


def experts_block_s(
    batch: Batch, arch: Architecture, hardware: Hardware, layout: Layout, reached: ExpertsReached = AS_MEASURED
) -> Floats:
    """Router, routed and shared experts of one layer; the routed ones at `reached` of their kernels' measured speed."""
    time = routed_experts_s(batch.tokens, arch, hardware, layout, reached)
    time = time + gemm(batch, arch.experts, arch.hidden_size, hardware, layout, plain=True)
    time = time + small_kernels_s(batch.tokens, arch.experts, 1, hardware)
    if arch.expert_hidden:
        for n, k in ((arch.expert_hidden, arch.hidden_size), (arch.hidden_size, arch.expert_hidden)):
            time = time + gemm(batch, n, k, hardware, layout, layout.weights.experts_only)
    if arch.shared_experts:
        time = time + mlp_s(batch, arch.shared_experts * arch.moe_intermediate_size, arch, hardware, layout)
    return time


def routed_experts_s(
    tokens_of_rank: Floats,
    arch: Architecture,
    hardware: Hardware,
    layout: Layout,
    reached: ExpertsReached = AS_MEASURED,
) -> Floats:
    """Routed experts of one layer, at `reached` of their kernels' measured speed.

    With `layout.dp` replicas sharing the experts, the tokens of all of them are routed. Where experts are dealt out
    whole, the busiest of g GPUs sets the time: about :math:`\\mu + \\sqrt{2 \\ln g\\, \\sigma^2}` of its rows and
    active experts, routing taken as uniform and independent. Redundant experts count as experts of their own.
    """
    group = layout.expert_gpus
    tokens = tokens_of_rank * layout.dp
    held = with_copies(arch, layout)
    active, rows = active_experts(tokens, held), tokens * arch.experts_per_token
    own, width = slice_of_experts(arch, layout)
    if layout.expert_parallel:
        spread = math.sqrt(2 * math.log(group))
        called = active / held.experts
        active = np.minimum(own, own * called + spread * np.sqrt(own * called * (1 - called)))
        rows = np.minimum(rows, rows / group + spread * np.sqrt(rows / group))
    shape = ExpertShape(arch.routed_hidden, width, arch.experts_per_token, layout.weights.weight_bytes)
    kernel = hardware.kernels.experts[layout.weights.experts_kernel]
    kernel = replace(kernel, compute_share=kernel.compute_share * reached.products / reached.share)
    return experts_s(kernel, hardware.peaks(layout.weights.compute), shape, tokens, rows, active) / reached.share


def slice_of_experts(arch: Architecture, layout: Layout) -> tuple[float, float]:
    """Experts of a layer on one GPU, and the width of an expert's slice there."""
    held, group = with_copies(arch, layout), layout.expert_gpus
    if layout.expert_parallel:
        return held.experts / group, arch.moe_intermediate_size
    return held.experts, arch.moe_intermediate_size / group


def small_kernels_s(tokens: Floats, values: float, kernels: int, hardware: Hardware) -> Floats:
    """Element-wise kernels that move `values` values per token between them."""
    moved = stream_s(hardware.kernels.stream, hardware.peaks(PLAIN), tokens * values * ACTIVATION_BYTES)
    return np.asarray(moved + (kernels - 1) * hardware.kernels.stream.launch_s)


def layer_pair_s(arch: Architecture, hardware: Hardware, layout: Layout) -> float:
    """Seconds of one (query, key) pair in one layer of prefill."""
    width = arch.qk_nope_head_dim + arch.qk_rope_head_dim + arch.v_head_dim if arch.is_mla else 2 * arch.head_dim
    flops = 2 * width * arch.heads / layout.tp
    factor = hardware.kernels.sink_factor if arch.attention_sinks else 1.0
    return factor * pair_s(attention_kernel(arch, hardware, layout), hardware.peaks(PLAIN), flops)


def layer_context_s(arch: Architecture, hardware: Hardware, layout: Layout) -> float:
    """Seconds per token of context that one decoding request reads in one layer.

    The absorbed form of latent attention computes much per byte, so its compute time may be the longer one.
    """
    kernel = attention_kernel(arch, hardware, layout)
    read = kv_bytes_per_token_layer(arch, layout) / (kernel.kv_share * hardware.device.bandwidth_bytes_per_s)
    if not arch.is_mla:
        return read
    flops = 2 * (2 * arch.kv_lora_rank + arch.qk_rope_head_dim) * arch.heads / layout.tp
    return max(read, pair_s(kernel, hardware.peaks(PLAIN), flops))


def layer_sequence_s(arch: Architecture, hardware: Hardware, layout: Layout) -> float:
    """Seconds that each decoding sequence adds to one layer's attention whatever its context."""
    kernel = attention_kernel(arch, hardware, layout)
    kv_heads = 1 if arch.is_mla else kv_heads_per_gpu(arch, layout.tp)
    return arch.heads / layout.tp * kernel.head_s + kv_heads * kernel.kv_head_s


def head_s(samples: Floats, arch: Architecture, hardware: Hardware, layout: Layout) -> Floats:
    """LM head in 16 bit for the tokens that sample, and the sampler over their logits."""
    batch = Batch(np.maximum(samples, 1.0), np.zeros(samples.shape, dtype=np.bool_))
    time = gemm(batch, arch.vocab_size / layout.tp, arch.hidden_size, hardware, layout, plain=True)
    logits = stream_s(hardware.kernels.stream, hardware.peaks(PLAIN), samples * arch.vocab_size * LOGIT_BYTES)
    return time + logits
