"""Step time composed of a GPU's measured kernels and a model's architecture (docs/model/step-time.md)."""

from __future__ import annotations

import numpy as np

from simulator.perf.architecture import Architecture
from simulator.perf.blocks import (
    NORM_PASSES,
    NORMS,
    Batch,
    attention_block_s,
    experts_block_s,
    full_layers,
    head_s,
    layer_context_s,
    layer_pair_s,
    layer_sequence_s,
    mlp_s,
    routed_experts_s,
    slice_of_experts,
    small_kernels_s,
    window_layers,
)
from simulator.perf.device import BatchLimits, Layout, check_layout
from simulator.perf.drafts import DraftTimes, with_drafts
from simulator.perf.hardware import Hardware
from simulator.perf.kernels import Floats
from simulator.perf.overheads import EngineOverheads, padded_tokens, step_host_s
from simulator.perf.reads import ACTIVATION_BYTES
from simulator.perf.speculative import Drafting
from simulator.perf.state import state_block_s, state_sequence_s
from simulator.perf.steptime import StepTime
from simulator.perf.transport import exchange_s, hand_over_s, layer_collectives_s

LAG_SEQUENCES = 16
"""Batch of the decode step that stands for the one more that a request waits for where plans are not simulated."""


def kernel_step_time(
    arch: Architecture,
    hardware: Hardware,
    layout: Layout,
    limits: BatchLimits,
    overheads: EngineOverheads,
    drafting: Drafting | None = None,
    in_flight: bool = False,
) -> StepTime:
    """Step-time tables of one replica, composed of measured kernels.

    .. math:: F[m - 1, t] = \\sum_{layers} (\\text{GEMMs} + \\text{attention launch and stream} + \\text{element-wise} +
        \\text{experts} + \\text{collectives})(t/m) + \\text{hand-over}, \\quad
        S[n] = n\\,a_{seq} + \\text{head}(n) + \\text{sampler}(n) + \\text{host}(n)

    Token counts up to the largest captured graph are padded to a captured size; beyond it kernels run ragged. With p
    pipeline stages whose batches are in flight a step is one batch on its way through all of them, each with a host of
    its own: what is exposed is so p times. Else a round of m micro-batches takes p stage times of t/m tokens; attention
    is charged for full pipelines (m = p).

    Parameters
    ----------
    in_flight : plans in flight are simulated, of asynchronous scheduling, so that a request's wait for them is no part
        of its overhead, and of pipeline stages

    Raises
    ------
    InputError : a split the model does not allow, or a format the GPU does not compute in
    """
    check_layout(arch, hardware.device, layout)
    tokens = np.arange(limits.max_num_batched_tokens + 1, dtype=np.float64)
    graphs = graph_tokens(overheads, limits)
    rows = []
    stages = layout.pp if in_flight else 1
    for micro_batches in range(1, layout.pp // stages + 1):
        row = model_s(np.maximum(tokens / micro_batches, 1.0), arch, hardware, layout, overheads, graphs)
        row[0] = 0.0
        rows.append(row)
    seq_time_s = _seq_time_s(arch, hardware, layout, limits, overheads, drafting, rows[-1], stages)
    lag_s = 0.0 if in_flight else _admission_lag_s(overheads, limits, rows[0], seq_time_s)
    step = StepTime(
        token_time_s=np.stack(rows),
        seq_time_s=seq_time_s,
        prefill_attn_s=full_layers(arch) * layer_pair_s(arch, hardware, layout) * stages / layout.pp,
        decode_attn_s=full_layers(arch) * layer_context_s(arch, hardware, layout) * stages / layout.pp,
        calibrated=hardware.transferred_from is None,
        origin=origin(arch, hardware, layout, overheads),
        request_overhead_s=overheads.request_s + lag_s,
        stages=stages,
        shared_time_s=_shared_s(tokens, arch, hardware, layout, overheads, graphs),
    )
    if drafting is None or drafting.draft is None:
        return step
    draft, split = drafting.draft, drafting.layout(layout)
    check_layout(draft, hardware.device, split)
    times = DraftTimes(
        draft.name,
        lambda tokens: model_s(tokens, draft, hardware, split, overheads, graphs),
        lambda samples: np.asarray(head_s(samples, draft, hardware, split)),
        full_layers(draft) * layer_pair_s(draft, hardware, split),
        full_layers(draft) * layer_context_s(draft, hardware, split),
    )
    return with_drafts(step, drafting, times)


def _admission_lag_s(
    overheads: EngineOverheads, limits: BatchLimits, token_time_s: Floats, seq_time_s: Floats
) -> float:
    """With asynchronous scheduling the next step is composed while the present one runs, so a request that arrives
    waits for one step more: here, where that is not simulated, a decode step of a small batch."""
    if not overheads.async_scheduling:
        return 0.0
    sequences = min(LAG_SEQUENCES, limits.max_num_seqs)
    return float(token_time_s[min(sequences, limits.max_num_batched_tokens)] + seq_time_s[sequences])


def origin(arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads) -> str:
    """One line for the reader: what the step time rests on."""
    split = f"{arch.name} in {layout.weights.words} on {layout.gpus} x {hardware.device.name}"
    kernels = f"kernels of {hardware.transferred_from}, scaled by peaks" if hardware.transferred_from else "kernels"
    return f"{kernels}: {split}, {hardware.source}; engine overheads of {overheads.version}"


def graph_tokens(overheads: EngineOverheads, limits: BatchLimits) -> int:
    """Largest captured batch: as the settings say, else min(2 max_num_seqs, the most that the version takes)."""
    if overheads.captured_tokens:
        return min(overheads.captured_tokens, limits.max_num_batched_tokens)
    return min(overheads.max_graph_tokens, 2 * limits.max_num_seqs)


def missing_kernel(arch: Architecture, hardware: Hardware, layout: Layout) -> str | None:
    """First kernel that the model needs and the profile lacks, or None."""
    kernels, form = hardware.kernels, layout.weights
    if not form.experts_only and form.name not in kernels.gemm:
        return f"matrix products in {form.name}"
    if arch.experts and form.experts_kernel not in kernels.experts:
        return f"experts in {form.experts_kernel}"
    if arch.state and not kernels.state:
        return "layers with a state"
    return "latent attention" if arch.is_mla and not kernels.latent else None


def model_s(
    tokens: Floats, arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads, graphs: int
) -> Floats:
    """All layers and their communication for `tokens` tokens, in seconds, without the LM head."""
    padded = padded_tokens(tokens, graphs)
    batch = Batch(padded, tokens > graphs)
    time = arch.attention_layers * attention_block_s(batch, arch, hardware, layout) + arch.layers * overheads.layer_s
    if arch.state:
        time = time + arch.state.layers * state_block_s(batch, arch, hardware, layout)
    if arch.dense_layers:
        time = time + arch.dense_layers * mlp_s(batch, arch.intermediate_size, arch, hardware, layout)
    if arch.moe_layers:
        reached = overheads.experts_reach(layout.weights.experts_kernel, slice_of_experts(arch, layout))
        time = time + arch.moe_layers * experts_block_s(batch, arch, hardware, layout, reached)
    windowed = window_layers(arch) * arch.sliding_window * layer_pair_s(arch, hardware, layout)
    time = time + tokens * windowed
    time = time + layer_collectives_s(padded, arch, hardware, layout, overheads)
    time = time - fused_norms_s(padded, arch, hardware, layout, overheads)
    time = np.where(tokens > graphs, np.maximum(time, arch.layers * overheads.eager_layer_s), time)
    return np.asarray(time + hand_over_s(padded, arch, hardware, layout, overheads))


def _shared_s(
    tokens: Floats, arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads, graphs: int
) -> Floats:
    """What ranks that share experts spend on the tokens of all of them: the routed experts and the exchange."""
    if layout.dp == 1 or not arch.moe_layers:
        return np.zeros(1)
    padded = padded_tokens(np.maximum(tokens, 1.0), graphs)
    reached = overheads.experts_reach(layout.weights.experts_kernel, slice_of_experts(arch, layout))
    routed = routed_experts_s(padded, arch, hardware, layout, reached)
    return np.asarray(arch.moe_layers * (routed + exchange_s(padded, arch, hardware, layout, overheads)))


def fused_norms_s(
    tokens: Floats, arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads
) -> Floats:
    """What all layers save where an all-reduce takes the norm after it along: the norms as kernels of their own.

    Source: `AllReduceFusionPass` of vLLM, which fuses messages up to a size by group and GPU.
    """
    limit = overheads.fused_up_to_bytes(layout.tp) if layout.tp > 1 and layout.dp == 1 else 0.0
    fused = tokens * arch.hidden_size * ACTIVATION_BYTES <= limit
    return np.where(fused, arch.layers * small_kernels_s(tokens, NORM_PASSES * arch.hidden_size, NORMS, hardware), 0.0)


def _seq_time_s(
    arch: Architecture,
    hardware: Hardware,
    layout: Layout,
    limits: BatchLimits,
    overheads: EngineOverheads,
    drafting: Drafting | None,
    token_time_s: Floats,
    stages: int,
) -> Floats:
    """What each sequence adds: attention's rows, LM head, sampler and the host's work; entry 0 is 0."""
    sequences = np.arange(limits.max_num_seqs + 1, dtype=np.float64)
    drafted = drafting.drafts(sequences) if drafting else np.zeros(1)
    windows = window_layers(arch) * arch.sliding_window * layer_context_s(arch, hardware, layout)
    rows = arch.attention_layers * layer_sequence_s(arch, hardware, layout)
    states = arch.state.layers * state_sequence_s(arch, hardware, layout) if arch.state else 0.0
    each = (rows + states + windows) * stages / layout.pp
    gpu = sequences * each + head_s(sequences * (1 + drafted), arch, hardware, layout)
    places = np.minimum((sequences * (1 + drafted)).astype(np.int64), limits.max_num_batched_tokens)
    time = gpu + step_host_s(overheads, arch.layers, sequences, token_time_s[places] + gpu, stages)
    time[0] = 0.0
    return np.asarray(time)
