"""Step time composed of a GPU's measured kernels and a model's architecture (docs/model/step-time.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.perf.architecture import Architecture, kv_heads_per_gpu
from simulator.perf.device import BatchLimits, Layout, check_layout
from simulator.perf.hardware import Hardware
from simulator.perf.kernels import Floats, gemm_s, pair_s, stream_s
from simulator.perf.memory import ACTIVATION_BYTES, LOGIT_BYTES, kv_bytes_per_token_layer
from simulator.perf.overheads import EngineOverheads, padded_tokens, step_host_s
from simulator.perf.roofline import PLAIN, Drafting
from simulator.perf.steptime import StepTime
from simulator.perf.transport import hand_over_s, layer_collectives_s

NORM_PASSES = 8
"""Two norms per layer, each reading and writing the hidden state and the residual."""
MLP_PASSES = 3
"""The gated activation reads gate and up and writes their product."""
SMALL_KERNELS = 5
"""Element-wise kernels per layer: two norms, rotary embedding, KV write, gated activation."""
LAG_SEQUENCES = 16
"""Batch of the decode step that stands for the one more that a request waits for with asynchronous scheduling."""
LONG_WINDOW = 2048
"""Window in tokens beyond which most contexts are shorter than the window: such layers count as full attention."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token counts of a step's matrix products, and whether they are off the kernels' alignment."""

    tokens: Floats
    ragged: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def kernel_step_time(
    arch: Architecture,
    hardware: Hardware,
    layout: Layout,
    limits: BatchLimits,
    overheads: EngineOverheads,
    drafting: Drafting | None = None,
) -> StepTime:
    """Step-time tables of one replica, composed of measured kernels.

    .. math:: F[m - 1, t] = \\sum_{layers} (\\text{GEMMs} + \\text{attention launch and stream} + \\text{element-wise} +
        \\text{collectives})(t/m) + \\text{hand-over}, \\quad
        S[n] = n\\,a_{seq} + \\text{head}(n) + \\text{sampler}(n) + \\text{host}(n)

    Token counts up to the largest captured graph are padded to a captured size; beyond it kernels run ragged.

    Raises
    ------
    InputError : a split the model does not allow, or a format the GPU does not compute in
    """
    check_layout(arch, hardware.device, layout)
    tokens = np.arange(limits.max_num_batched_tokens + 1, dtype=np.float64)
    graphs = min(overheads.max_graph_tokens, 2 * limits.max_num_seqs)
    rows = []
    for micro_batches in range(1, layout.pp + 1):
        row = model_s(np.maximum(tokens / micro_batches, 1.0), arch, hardware, layout, overheads, graphs)
        row[0] = 0.0
        rows.append(row)
    seq_time_s = _seq_time_s(arch, hardware, layout, limits, overheads, drafting, rows[-1])
    return StepTime(
        token_time_s=np.stack(rows),
        seq_time_s=seq_time_s,
        prefill_attn_s=full_layers(arch) * _pair_s(arch, hardware, layout) / layout.pp,
        decode_attn_s=full_layers(arch) * _context_s(arch, hardware, layout) / layout.pp,
        calibrated=hardware.transferred_from is None,
        origin=f"kernels: {arch.name} in {layout.weights.name} on {layout.gpus} x {hardware.device.name}, "
        f"{hardware.source}; engine overheads of {overheads.version}",
        request_overhead_s=overheads.request_s + _admission_lag_s(overheads, limits, rows[0], seq_time_s),
    )


def _admission_lag_s(
    overheads: EngineOverheads, limits: BatchLimits, token_time_s: Floats, seq_time_s: Floats
) -> float:
    """With asynchronous scheduling the next step is composed while the present one runs, so a request that arrives
    waits for one step more: here a decode step of a small batch."""
    if not overheads.async_scheduling:
        return 0.0
    sequences = min(LAG_SEQUENCES, limits.max_num_seqs)
    return float(token_time_s[min(sequences, limits.max_num_batched_tokens)] + seq_time_s[sequences])


def missing_kernel(arch: Architecture, hardware: Hardware, layout: Layout) -> str | None:
    """First kernel that the model needs and the profile lacks, or None."""
    plain = layout.weights.experts_only
    if not plain and layout.weights.name not in hardware.kernels.gemm:
        return f"matrix products in {layout.weights.name}"
    if arch.experts:
        return "experts"
    return "latent attention" if arch.is_mla else None


def full_layers(arch: Architecture) -> int:
    """Layers whose attention grows with the context; windows that few contexts exceed count as full."""
    return arch.layers if arch.sliding_window > LONG_WINDOW else arch.full_layers


def window_layers(arch: Architecture) -> int:
    """Layers whose attention is bounded by a short window."""
    return arch.layers - full_layers(arch)


def model_s(
    tokens: Floats, arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads, graphs: int
) -> Floats:
    """All layers and their communication for `tokens` tokens, in seconds, without the LM head."""
    padded = padded_tokens(tokens, graphs)
    batch = Batch(padded, tokens > graphs)
    time = arch.layers * (attention_block_s(batch, arch, hardware, layout) + overheads.layer_s)
    time = time + arch.dense_layers * mlp_s(batch, arch.intermediate_size, arch, hardware, layout)
    windowed = window_layers(arch) * arch.sliding_window * _pair_s(arch, hardware, layout)
    time = time + tokens * windowed
    time = time + layer_collectives_s(padded, arch, hardware, layout, overheads)
    return np.asarray(time + hand_over_s(padded, arch, hardware, layout, overheads))


def gemm(batch: Batch, n: float, k: float, hardware: Hardware, layout: Layout, plain: bool = False) -> Floats:
    """Matrix product with an (n, k) weight in the layout's format, or in 16 bit where `plain`."""
    name = PLAIN if plain else layout.weights.name
    weight_bytes = ACTIVATION_BYTES if plain else layout.weights.weight_bytes
    precision = PLAIN if plain else layout.weights.compute
    input_bytes = ACTIVATION_BYTES if precision == PLAIN else layout.weights.weight_bytes
    fit = hardware.kernels.gemm[name]
    return gemm_s(fit, hardware.peaks(precision), batch.tokens, n, k, weight_bytes, input_bytes, batch.ragged)


def attention_block_s(batch: Batch, arch: Architecture, hardware: Hardware, layout: Layout) -> Floats:
    """One layer's projections, norms, and what of attention does not depend on the context."""
    plain = layout.weights.experts_only
    queries = arch.heads * arch.head_dim / layout.tp
    keys = kv_heads_per_gpu(arch, layout.tp) * arch.head_dim
    time = gemm(batch, queries + 2 * keys, arch.hidden_size, hardware, layout, plain)
    time = time + gemm(batch, arch.hidden_size, queries, hardware, layout, plain)
    kernel = hardware.attention(arch.head_dim, layout.kv_value_bytes)
    passing = batch.tokens * ACTIVATION_BYTES * 2 * (queries + keys)
    time = time + kernel.launch_s + passing / (kernel.stream_share * hardware.device.bandwidth_bytes_per_s)
    values = NORM_PASSES * arch.hidden_size + 2 * (queries + 2 * keys)
    return time + small_kernels_s(batch, values, SMALL_KERNELS - 1, hardware)


def mlp_s(batch: Batch, width: float, arch: Architecture, hardware: Hardware, layout: Layout) -> Floats:
    """One gated MLP of `width`, split over the tensor-parallel group."""
    if not width:
        return np.zeros_like(batch.tokens)
    plain = layout.weights.experts_only
    inner = width / layout.tp
    time = gemm(batch, 2 * inner, arch.hidden_size, hardware, layout, plain)
    time = time + gemm(batch, arch.hidden_size, inner, hardware, layout, plain)
    return time + small_kernels_s(batch, MLP_PASSES * inner, 1, hardware)


def small_kernels_s(batch: Batch, values: float, kernels: int, hardware: Hardware) -> Floats:
    """Element-wise kernels that move `values` values per token between them."""
    peaks = hardware.peaks(PLAIN)
    moved = stream_s(hardware.kernels.stream, peaks, batch.tokens * values * ACTIVATION_BYTES)
    return np.asarray(moved + (kernels - 1) * hardware.kernels.stream.launch_s)


def _pair_s(arch: Architecture, hardware: Hardware, layout: Layout) -> float:
    """Seconds of one (query, key) pair in one layer of prefill."""
    kernel = hardware.attention(arch.head_dim, layout.kv_value_bytes)
    flops = 4 * arch.head_dim * arch.heads / layout.tp
    return pair_s(kernel, hardware.peaks(PLAIN), flops)


def _context_s(arch: Architecture, hardware: Hardware, layout: Layout) -> float:
    """Seconds per token of context that one decoding request reads in one layer."""
    kernel = hardware.attention(arch.head_dim, layout.kv_value_bytes)
    return kv_bytes_per_token_layer(arch, layout) / (kernel.kv_share * hardware.device.bandwidth_bytes_per_s)


def _sequence_s(arch: Architecture, hardware: Hardware, layout: Layout) -> float:
    """GPU time that each decoding sequence adds over all layers, its windows included."""
    kernel = hardware.attention(arch.head_dim, layout.kv_value_bytes)
    heads = arch.heads / layout.tp * kernel.head_s + kv_heads_per_gpu(arch, layout.tp) * kernel.kv_head_s
    windows = window_layers(arch) * arch.sliding_window * _context_s(arch, hardware, layout)
    return (arch.layers * heads + windows) / layout.pp


def _seq_time_s(
    arch: Architecture,
    hardware: Hardware,
    layout: Layout,
    limits: BatchLimits,
    overheads: EngineOverheads,
    drafting: Drafting | None,
    token_time_s: Floats,
) -> Floats:
    """What each sequence adds: attention's rows, LM head, sampler, drafting and the host's work; entry 0 is 0."""
    sequences = np.arange(limits.max_num_seqs + 1, dtype=np.float64)
    drafted = drafting.num_tokens if drafting else 0
    gpu = sequences * _sequence_s(arch, hardware, layout) + _head_s(sequences * (1 + drafted), arch, hardware, layout)
    if drafting and drafting.draft:
        graphs = min(overheads.max_graph_tokens, 2 * limits.max_num_seqs)
        one = model_s(np.maximum(sequences, 1.0), drafting.draft, hardware, layout, overheads, graphs)
        gpu = gpu + drafted * (one + _head_s(sequences, drafting.draft, hardware, layout))
    places = np.minimum(sequences.astype(np.int64) * (1 + drafted), limits.max_num_batched_tokens)
    time = gpu + step_host_s(overheads, arch.layers, sequences, token_time_s[places] + gpu)
    time[0] = 0.0
    return np.asarray(time)


def _head_s(samples: Floats, arch: Architecture, hardware: Hardware, layout: Layout) -> Floats:
    """LM head in 16 bit for the tokens that sample, and the sampler over their logits."""
    batch = Batch(np.maximum(samples, 1.0), np.zeros(samples.shape, dtype=np.bool_))
    time = gemm(batch, arch.vocab_size / layout.tp, arch.hidden_size, hardware, layout, plain=True)
    logits = stream_s(hardware.kernels.stream, hardware.peaks(PLAIN), samples * arch.vocab_size * LOGIT_BYTES)
    return time + logits
