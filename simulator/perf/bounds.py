"""What no replica can exceed: the bare roofline at 100 % of the GPU's published peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.perf.architecture import Architecture, body_parameters_per_token, embedding_parameters
from simulator.perf.device import BatchLimits, Device, Layout
from simulator.perf.roofline import FLOPS_PER_PARAMETER, PLAIN, weight_read_bytes


@dataclass(frozen=True, slots=True)
class TokenBound:
    """Most tokens per second and GPU, whatever the load.

    Attributes
    ----------
    computed_tokens_per_gpu_s : prompt and output tokens that the GPU computes; tokens found in the prefix cache are
        not among them
    output_tokens_per_gpu_s : output tokens
    """

    computed_tokens_per_gpu_s: float
    output_tokens_per_gpu_s: float


def max_tokens_per_gpu_s(
    arch: Architecture, device: Device, layout: Layout, limits: BatchLimits, num_speculative_tokens: int = 0
) -> TokenBound:
    """Upper bounds on tokens per GPU-second from peak compute and peak bandwidth alone.

    A computed token costs at least 2 P FLOPs; an output token also 2 V h in the LM head. A step yields at most
    n = min(max_num_seqs, token budget) samples, each at most 1 + drafts tokens, and reads at least the weights that
    so many tokens activate, once in each of the pipeline's micro-batches.
    """
    body = FLOPS_PER_PARAMETER * body_parameters_per_token(arch)
    body_s = body / device.peak_flops[layout.weights.compute]
    head_s = FLOPS_PER_PARAMETER * embedding_parameters(arch) / device.peak_flops[PLAIN]
    per_sequence = 1 + num_speculative_tokens
    sequences = min(limits.max_num_seqs, limits.max_num_batched_tokens)
    scheduled = min(sequences * per_sequence, limits.max_num_batched_tokens)
    read = weight_read_bytes(np.array([max(1.0, scheduled / layout.pp)]), arch, layout)
    read_s = float(read[0]) / device.bandwidth_bytes_per_s
    by_bandwidth = sequences * per_sequence / read_s / layout.gpus
    return TokenBound(
        computed_tokens_per_gpu_s=1.0 / body_s,
        output_tokens_per_gpu_s=min(1.0 / (body_s + head_s), by_bandwidth),
    )
