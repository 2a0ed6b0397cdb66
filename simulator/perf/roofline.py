"""Step time from published peaks: the model used where nothing was measured (docs/model/roofline.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.perf.architecture import Architecture, body_parameters_per_token, embedding_parameters
from simulator.perf.communication import hand_over_s, layer_communication_s
from simulator.perf.device import BatchLimits, Coefficients, Device, Layout, check_layout
from simulator.perf.drafts import DraftTimes, with_drafts
from simulator.perf.kernels import smooth_max
from simulator.perf.reads import (
    ACTIVATION_BYTES,
    always_read_moe_bytes,
    attention_weight_bytes,
    expert_weight_bytes,
    kv_bytes_per_token_layer,
    mlp_weight_bytes,
    state_weight_bytes,
)
from simulator.perf.speculative import Drafting
from simulator.perf.steptime import StepTime

FLOPS_PER_PARAMETER = 2
"""One multiplication and one addition per weight and token."""
POPULARITY_CLASSES = 16
"""Classes of equally popular experts."""
PLAIN = "bf16"
"""Attention and the LM head compute in bf16 whatever the weights are in."""


def roofline_step_time(
    arch: Architecture,
    device: Device,
    layout: Layout,
    limits: BatchLimits,
    coefficients: Coefficients,
    drafting: Drafting | None = None,
    in_flight: bool = False,
) -> StepTime:
    """Step-time tables of one replica from the GPU's peaks and the achieved shares in `coefficients`.

    .. math:: F[m - 1, t] = h + L(t/m) + C(t/m), \\quad
        L(t) = \\left( (W(t)/b)^p + (2 P t / c)^p \\right)^{1/p} + t a / b + \\text{layers} \\cdot o

    with `W(t)` the weight bytes that t tokens make a GPU read (only the experts they are expected to activate), `P` the
    parameters per token and GPU, `a` the bytes per token that small kernels move, `b` and `c` achieved bandwidth and
    compute. With p pipeline stages a round of m micro-batches takes p stage times of t/m tokens, which is the whole
    model's time for t/m tokens; the bubble is (p - m)/p. Attention is charged for full pipelines (m = p). Where the
    batches of a pipeline are in flight, a step is one batch on its way through all stages.

    Parameters
    ----------
    in_flight : plans in flight are simulated

    Raises
    ------
    InputError : a split the model does not allow, or a format the GPU does not compute in
    """
    check_layout(arch, device, layout)
    tokens = np.arange(limits.max_num_batched_tokens + 1, dtype=np.float64)
    rows = []
    stages = layout.pp if in_flight else 1
    for micro_batches in range(1, layout.pp // stages + 1):
        share = np.maximum(tokens / micro_batches, 1.0)
        row = coefficients.host_step_s + layers_s(share, arch, device, layout, coefficients)
        row += layer_communication_s(share, arch, device, layout, coefficients)
        row += hand_over_s(share, arch, device, layout, coefficients)
        row[0] = coefficients.host_step_s
        rows.append(row)
    step = StepTime(
        token_time_s=np.stack(rows),
        seq_time_s=_seq_time_s(limits.max_num_seqs, arch, device, layout, coefficients, drafting, stages),
        prefill_attn_s=prefill_attention_s(arch, device, layout, coefficients) * stages,
        decode_attn_s=decode_attention_s(arch, device, layout, coefficients) * stages,
        calibrated=False,
        origin=f"roofline: {arch.name} in {layout.weights.words} on {layout.gpus} x {device.name}",
        stages=stages,
    )
    if drafting is None or drafting.draft is None:
        return step
    split = drafting.layout(layout)
    check_layout(drafting.draft, device, split)
    return with_drafts(step, drafting, _draft_times(drafting.draft, device, split, coefficients))


def _draft_times(arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients) -> DraftTimes:
    def body_s(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        time = layers_s(tokens, arch, device, layout, coefficients)
        return time + layer_communication_s(tokens, arch, device, layout, coefficients)

    return DraftTimes(
        arch.name,
        body_s,
        lambda samples: _head_s(samples, arch, device, layout, coefficients),
        prefill_attention_s(arch, device, layout, coefficients),
        decode_attention_s(arch, device, layout, coefficients),
    )


def active_experts(tokens: NDArray[np.float64], arch: Architecture) -> NDArray[np.float64]:
    """Experts of a layer that `tokens` tokens, routed independently, are expected to activate.

    .. math:: \\sum_{j=1}^{E} 1 - (1 - p_j)^t, \\quad p_j \\propto R^{j/E}, \\quad \\sum_j p_j = k

    with R the ratio of the most to the least popular expert (1: uniform), taken in `POPULARITY_CLASSES` classes.
    """
    places = (np.arange(POPULARITY_CLASSES) + 0.5) / POPULARITY_CLASSES
    popularity = arch.popularity_ratio**places
    share = np.minimum(1.0, arch.experts_per_token / arch.experts * popularity / popularity.mean())
    idle = np.zeros_like(tokens)
    for each in share:
        idle += (1.0 - each) ** tokens
    return np.asarray(arch.experts * (1.0 - idle / POPULARITY_CLASSES))


def weight_read_bytes(tokens: NDArray[np.float64], arch: Architecture, layout: Layout) -> NDArray[np.float64]:
    """Weight bytes of all layers that one tensor-parallel rank reads in a step of `tokens` tokens (no LM head)."""
    dense = arch.attention_layers * attention_weight_bytes(arch, layout)
    dense += arch.dense_layers * mlp_weight_bytes(arch, layout) + state_weight_bytes(arch, layout)
    read = np.full_like(tokens, dense)
    if arch.experts:
        experts = active_experts(tokens * layout.dp, arch) * expert_weight_bytes(arch, layout)
        read += arch.moe_layers * (always_read_moe_bytes(arch, layout) + experts)
    return read


def layers_s(
    tokens: NDArray[np.float64], arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients
) -> NDArray[np.float64]:
    """Matrix products and small kernels of all layers for `tokens` tokens, in seconds, with windowed attention."""
    bandwidth = device.bandwidth_bytes_per_s * coefficients.bandwidth_efficiency
    memory = weight_read_bytes(tokens, arch, layout) / bandwidth
    flops = FLOPS_PER_PARAMETER * body_parameters_per_token(arch) / layout.tp * tokens
    compute = flops / _gemm_flops_per_s(device, layout.weights.compute, coefficients)
    products = smooth_max(memory, compute, coefficients.smooth_max_exponent)
    elementwise = tokens * _activation_traffic_bytes(arch, layout, coefficients) / bandwidth
    windowed = tokens * arch.sliding_layers * arch.sliding_window * _pair_s(arch, device, layout, coefficients)
    return products + elementwise + windowed + arch.layers * coefficients.layer_overhead_s


def _activation_traffic_bytes(arch: Architecture, layout: Layout, coefficients: Coefficients) -> float:
    """Bytes per token that small kernels move: hidden states, and gate, up and product of the MLPs."""
    dense = arch.dense_layers * arch.intermediate_size
    routed = arch.moe_layers * arch.moe_intermediate_size * (arch.experts_per_token + arch.shared_experts)
    hidden = arch.mixers * coefficients.activation_passes * arch.hidden_size
    return ACTIVATION_BYTES * (hidden + arch.mlp_matrices * (dense + routed) / layout.tp)


def _gemm_flops_per_s(device: Device, precision: str, coefficients: Coefficients) -> float:
    return device.peak_flops[precision] * coefficients.gemm_efficiency[precision]


def _pair_s(arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients) -> float:
    """Seconds of one (query, key) pair in one layer."""
    return _attention_flops(arch, layout) / (device.peak_flops[PLAIN] * coefficients.attention_compute_efficiency)


def prefill_attention_s(arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients) -> float:
    """Seconds per (query, key) pair over all layers with full attention; compute-bound."""
    return arch.full_layers * _pair_s(arch, device, layout, coefficients) / layout.pp


def decode_attention_s(arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients) -> float:
    """Seconds per token of context that a decoding request reads, over all layers with full attention."""
    return arch.full_layers * _decode_layer_s(arch, device, layout, coefficients) / layout.pp


def _decode_layer_s(arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients) -> float:
    read = kv_bytes_per_token_layer(arch, layout) / (
        device.bandwidth_bytes_per_s * coefficients.attention_bandwidth_efficiency
    )
    flops = _attention_flops(arch, layout)
    if arch.is_mla:
        flops = 2 * (2 * arch.kv_lora_rank + arch.qk_rope_head_dim) * arch.heads / layout.tp
    compute = flops / (device.peak_flops[PLAIN] * coefficients.attention_compute_efficiency)
    return float(smooth_max(np.array(read), np.array(compute), coefficients.smooth_max_exponent))


def _attention_flops(arch: Architecture, layout: Layout) -> float:
    """FLOPs of one (query, key) pair in one layer on one GPU: scores and weighted values."""
    width = arch.qk_nope_head_dim + arch.qk_rope_head_dim + arch.v_head_dim if arch.is_mla else 2 * arch.head_dim
    return 2 * width * arch.heads / layout.tp


def _seq_time_s(
    max_num_seqs: int,
    arch: Architecture,
    device: Device,
    layout: Layout,
    coefficients: Coefficients,
    drafting: Drafting | None,
    stages: int,
) -> NDArray[np.float64]:
    """What each sequence adds: engine overhead, LM head, KV of windowed layers; entry 0 is 0."""
    sequences = np.arange(max_num_seqs + 1, dtype=np.float64)
    drafted = drafting.drafts(sequences) if drafting else 0.0
    window = arch.sliding_layers * arch.sliding_window * _decode_layer_s(arch, device, layout, coefficients)
    if arch.state:
        bandwidth = device.bandwidth_bytes_per_s * coefficients.attention_bandwidth_efficiency
        window += arch.state.layers * 2 * arch.state.held_bytes / layout.tp / bandwidth
    time = sequences * (coefficients.host_seq_s + window * stages / layout.pp)
    time += _head_s(sequences * (1 + drafted), arch, device, layout, coefficients)
    time[0] = 0.0
    return time


def _head_s(
    samples: NDArray[np.float64], arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients
) -> NDArray[np.float64]:
    share = embedding_parameters(arch) / layout.tp
    read = share * ACTIVATION_BYTES / (device.bandwidth_bytes_per_s * coefficients.bandwidth_efficiency)
    compute = FLOPS_PER_PARAMETER * share * samples / _gemm_flops_per_s(device, PLAIN, coefficients)
    return smooth_max(np.full_like(samples, read), compute, coefficients.smooth_max_exponent)
