"""Time of collectives between the GPUs of one replica (docs/model/roofline.md)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.perf.architecture import Architecture
from simulator.perf.device import Coefficients, Device, Layout, link_bytes_per_s

ACTIVATION_BYTES = 2
"""Activations travel in bf16."""


def all_reduce_s(
    tokens: NDArray[np.float64], arch: Architecture, device: Device, tp: int, coefficients: Coefficients
) -> NDArray[np.float64]:
    """One all-reduce of the hidden states over `tp` GPUs, in seconds: ring volume, tree latency.

    .. math:: 2 \\frac{g - 1}{g} \\cdot \\frac{2 h t}{b} + \\alpha \\log_2 g
    """
    if tp == 1:
        return np.zeros_like(tokens)
    bandwidth = link_bytes_per_s(device, tp) * coefficients.link_efficiency
    volume = 2 * (tp - 1) / tp * tokens * arch.hidden_size * ACTIVATION_BYTES
    return volume / bandwidth + coefficients.collective_latency_s * math.log2(tp)


def all_to_all_s(
    tokens: NDArray[np.float64], arch: Architecture, device: Device, ep: int, coefficients: Coefficients
) -> NDArray[np.float64]:
    """Dispatch of tokens to their experts and the way back, over `ep` GPUs that hold t/ep tokens each, in seconds."""
    if ep == 1:
        return np.zeros_like(tokens)
    bandwidth = link_bytes_per_s(device, ep) * coefficients.link_efficiency
    copies = tokens / ep * arch.experts_per_token * (ep - 1) / ep
    one_way = copies * arch.hidden_size * ACTIVATION_BYTES / bandwidth
    return 2 * (one_way + coefficients.collective_latency_s * math.log2(ep))


def hand_over_s(
    tokens: NDArray[np.float64], arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients
) -> NDArray[np.float64]:
    """All hand-overs of one micro-batch from stage to stage, in seconds."""
    if layout.pp == 1:
        return np.zeros_like(tokens)
    bandwidth = link_bytes_per_s(device, layout.gpus) * coefficients.link_efficiency
    volume = tokens * arch.hidden_size * ACTIVATION_BYTES / layout.tp
    return (layout.pp - 1) * (volume / bandwidth + coefficients.collective_latency_s)


def layer_communication_s(
    tokens: NDArray[np.float64], arch: Architecture, device: Device, layout: Layout, coefficients: Coefficients
) -> NDArray[np.float64]:
    """Collectives of all layers for a micro-batch of `tokens`: one after attention, one after the MLP.

    Replicas that share experts exchange tokens instead, as in `transport.layer_collectives_s`.
    """
    reduce = all_reduce_s(tokens, arch, device, layout.tp, coefficients)
    if layout.dp == 1:
        return (arch.mixers + arch.dense_layers + arch.moe_layers) * reduce
    if layout.all_to_all and layout.expert_parallel:
        exchange = all_to_all_s(tokens * layout.dp, arch, device, layout.expert_gpus, coefficients)
    else:
        exchange = all_reduce_s(tokens * layout.dp, arch, device, layout.expert_gpus, coefficients)
    if layout.expert_parallel:
        exchange = exchange + reduce / 2
    return (arch.mixers + arch.dense_layers) * reduce + arch.moe_layers * exchange
