"""Time of collectives from measured kernels (docs/model/step-time.md)."""

from __future__ import annotations

import math

import numpy as np

from simulator.perf.architecture import Architecture
from simulator.perf.device import Layout
from simulator.perf.hardware import Hardware
from simulator.perf.kernels import Floats, all_reduce_kernel_s
from simulator.perf.memory import ACTIVATION_BYTES
from simulator.perf.overheads import EngineOverheads


def all_reduce_s(tokens: Floats, width: float, group: int, hardware: Hardware) -> Floats:
    """One all-reduce of `width` values per token over `group` GPUs.

    A group that leaves the node does it in two levels: within the node, then a ring over the network between nodes,
    :math:`2 \\frac{N - 1}{N} \\frac{s}{\\beta}` for N nodes.
    """
    if group == 1:
        return np.zeros_like(tokens)
    message = tokens * width * ACTIVATION_BYTES
    within = min(group, hardware.device.gpus_per_node)
    sizes = sorted(hardware.kernels.all_reduce)
    measured = next((size for size in sizes if size >= within), sizes[-1])
    kernel = hardware.kernels.all_reduce[measured]
    time = all_reduce_kernel_s(kernel, message)
    nodes = math.ceil(group / within)
    if nodes > 1:
        network = hardware.device.inter_node_bytes_per_s * within
        time = time + 2 * (nodes - 1) / nodes * message / network + kernel.setup_s
    return time


def layer_collectives_s(
    tokens: Floats, arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads
) -> Floats:
    """Collectives of all layers: an all-reduce after attention and one after the MLP or the experts.

    Experts dealt out whole (expert parallelism) within the tensor-parallel group compute their share for every token
    and are joined by the same all-reduce, as vLLM does without data parallelism.
    """
    if layout.tp == 1:
        return np.zeros_like(tokens)
    one = all_reduce_s(tokens, arch.hidden_size, layout.tp, hardware) + overheads.collective_wait_s
    return 2 * arch.layers * one


def hand_over_s(
    tokens: Floats, arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads
) -> Floats:
    """All hand-overs of one micro-batch from stage to stage: hidden state and residual, one way."""
    if layout.pp == 1:
        return np.zeros_like(tokens)
    device = hardware.device
    inside = layout.gpus <= device.gpus_per_node
    bandwidth = device.intra_node_bytes_per_s if inside else device.inter_node_bytes_per_s
    setup = max(kernel.setup_s for kernel in hardware.kernels.all_reduce.values())
    volume = tokens * 2 * arch.hidden_size * ACTIVATION_BYTES / layout.tp
    return (layout.pp - 1) * (volume / bandwidth + setup + overheads.collective_wait_s)
