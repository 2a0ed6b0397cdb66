"""Time of collectives from measured kernels (docs/model/step-time.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from simulator.perf.architecture import Architecture
from simulator.perf.device import Layout
from simulator.perf.hardware import Hardware
from simulator.perf.kernels import CollectiveKernel, Floats, collective_s
from simulator.perf.overheads import EngineOverheads
from simulator.perf.reads import ACTIVATION_BYTES

SQUARES_WIDTH = 4.0
"""Two sums of squares in 32 bits a token, in 16-bit values."""


def all_reduce_s(tokens: Floats, width: float, group: int, hardware: Hardware) -> Floats:
    """One all-reduce of `width` values per token over `group` GPUs.

    A group that leaves the node does it in two levels: within the node, then a ring over the network between nodes,
    :math:`2 \\frac{N - 1}{N} \\frac{s}{\\beta}` for N nodes.
    """
    if group == 1:
        return np.zeros_like(tokens)
    message = tokens * width * ACTIVATION_BYTES
    within = min(group, hardware.device.gpus_per_node)
    kernel = _for_group(hardware.kernels.all_reduce, within)
    time = collective_s(kernel, message)
    nodes = math.ceil(group / within)
    if nodes > 1:
        network = hardware.device.inter_node_bytes_per_s * within
        time = time + 2 * (nodes - 1) / nodes * message / network + kernel.setup_s
    return time


def all_to_all_s(tokens: Floats, width: float, copies: float, group: int, hardware: Hardware) -> Floats:
    """One way of routed tokens between `group` GPUs, `tokens` of them on each, every one to `copies` experts.

    Beyond the node the share of copies that leaves it, (N - 1)/N, passes each GPU's network link.
    """
    if group == 1:
        return np.zeros_like(tokens)
    message = tokens * copies * width * ACTIVATION_BYTES
    time = collective_s(_for_group(hardware.kernels.all_to_all, group), message)
    nodes = math.ceil(group / hardware.device.gpus_per_node)
    if nodes > 1:
        time = time + (nodes - 1) / nodes * message / hardware.device.inter_node_bytes_per_s
    return time


def _for_group(kernels: Mapping[int, CollectiveKernel], group: int) -> CollectiveKernel:
    """Record of the smallest measured group that is as large, else of the largest."""
    sizes = sorted(kernels)
    return kernels[next((size for size in sizes if size >= group), sizes[-1])]


def layer_collectives_s(
    tokens: Floats, arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads
) -> Floats:
    """Collectives of all layers: an all-reduce after attention and one after the MLP or the experts.

    Experts dealt out whole within one tensor-parallel group compute their share for every token and are joined by the
    same all-reduce, as vLLM does without data parallelism. Norms over all heads of queries and keys join their sums of
    squares by one more, of two numbers a token. Replicas that share their experts (`layout.dp`) exchange
    tokens instead: by gathering all of them and reducing what the experts made of them, together the way of an
    all-reduce (vLLM's allgather_reducescatter), or there and back by all-to-all (`layout.all_to_all`, its deepep and
    others) where the GPU has a measured one. Experts dealt out whole take a share of the tokens from each GPU of a
    tensor-parallel group, which gathers them again afterwards: half an all-reduce (vLLM's use_sequence_parallel_moe).
    """
    wait = overheads.collective_wait_s
    width = arch.hidden_size
    reduce = all_reduce_s(tokens, width, layout.tp, hardware) + wait if layout.tp > 1 else np.zeros_like(tokens)
    squares = np.zeros_like(tokens)
    if layout.tp > 1 and arch.norms_span_heads:
        squares = arch.attention_layers * (all_reduce_s(tokens, SQUARES_WIDTH, layout.tp, hardware) + wait)
        squares = squares + arch.attention_layers * hardware.kernels.stream.launch_s
    if layout.dp == 1 or not arch.moe_layers:
        return squares + (arch.mixers + arch.dense_layers + arch.moe_layers) * reduce
    exchange = exchange_s(tokens, arch, hardware, layout, overheads)
    if layout.expert_parallel:
        exchange = exchange + reduce / 2
    return squares + (arch.mixers + arch.dense_layers) * reduce + arch.moe_layers * exchange


def exchange_s(
    tokens: Floats, arch: Architecture, hardware: Hardware, layout: Layout, overheads: EngineOverheads
) -> Floats:
    """Exchange of one layer between ranks that share experts, `tokens` of them at each: `layer_collectives_s`."""
    group, wait = layout.expert_gpus, overheads.collective_wait_s
    if layout.all_to_all and hardware.kernels.all_to_all and layout.expert_parallel:
        own = tokens / layout.tp
        return 2 * (all_to_all_s(own, arch.hidden_size, arch.experts_per_token, group, hardware) + wait)
    return all_reduce_s(tokens * layout.dp, arch.hidden_size, group, hardware) + 2 * wait


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
