"""Layers that carry a state per sequence instead of keys and values per token: linear attention, state-space layers,
short convolutions (docs/model/step-time.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.perf.architecture import Architecture, StateLayers
from simulator.perf.blocks import NORM_PASSES, NORMS, Batch, attention_kernel, gemm, small_kernels_s
from simulator.perf.device import Layout
from simulator.perf.hardware import Hardware
from simulator.perf.kernels import Floats, pair_s
from simulator.perf.reads import ACTIVATION_BYTES, attention_is_plain
from simulator.perf.roofline import PLAIN

PASSES = 2
"""A value that a kernel reads and writes."""
STATE_BYTES = 4
"""States between the kernels of a chunked scan are in 32 bit."""


@dataclass(frozen=True, slots=True)
class StateTraffic:
    """What a layer of these moves and computes on one GPU.

    Attributes
    ----------
    token_bytes : by its convolution, and by a scan whose chunks hand on states, per token
    token_flops : of such a scan, per token
    sequence_bytes : of the state and of the convolution's tail, per step of a sequence
    """

    token_bytes: float
    token_flops: float
    sequence_bytes: float


def traffic(state: StateLayers, tp: int) -> StateTraffic:
    """Bytes and operations of one layer.

    A chunked scan (Mamba-2, Lightning) computes of each token the products with its chunk and with the state that
    comes in, :math:`2 h (\\frac{Q}{2}(\\frac{g N}{h} + P) + 2 N P)`, and hands a state of h N P values in 32 bit from
    kernel to kernel once per chunk of Q tokens. Source: Dao and Gu, Transformers are SSMs (2024), section 6.
    """
    token_bytes, flops = float(PASSES * ACTIVATION_BYTES * state.channels), 0.0
    if state.chunk:
        flops = 2 * (state.chunk / 2 * (state.key_values + state.value_values) + 2 * state.values)
        token_bytes += 2 * PASSES * STATE_BYTES * state.values / state.chunk
    return StateTraffic(token_bytes / tp, flops / tp, PASSES * state.held_bytes / tp)


def token_scan_s(arch: Architecture, hardware: Hardware, layout: Layout) -> float:
    """Seconds that a token of a prompt adds to one layer's convolution and scan.

    .. math:: \\frac{B_t}{\\eta_s b} + \\max(t_{serial}, h\\,t_{head}) \\quad\\text{or}\\quad
        \\frac{B_t}{\\eta_s b} + \\frac{F}{\\eta_c c}

    A delta rule goes through a prompt's chunks one after another, so its time follows the longest prompt however few
    heads a GPU has; a step is taken as one prompt.
    """
    state = arch.state
    assert state is not None
    fit, moved = hardware.state(state.kind), traffic(state, layout.tp)
    time = moved.token_bytes / (fit.stream_share * hardware.device.bandwidth_bytes_per_s)
    if state.chunk:
        return time + pair_s(attention_kernel(arch, hardware, layout), hardware.peaks(PLAIN), moved.token_flops)
    if not state.values:
        return time
    return time + max(fit.serial_s, state.heads / layout.tp * fit.head_s)


def state_block_s(batch: Batch, arch: Architecture, hardware: Hardware, layout: Layout) -> Floats:
    """One layer's projections, norms, convolution and scan, as if each token were of a prompt."""
    state = arch.state
    assert state is not None
    fit = hardware.state(state.kind)
    plain = attention_is_plain(arch, layout)
    time = np.where(batch.ragged, fit.scan_launch_s, fit.launch_s) + batch.tokens * token_scan_s(arch, hardware, layout)
    for n, k in projections(state, arch.hidden_size, layout.tp):
        time = time + gemm(batch, n, k, hardware, layout, plain)
    values = NORM_PASSES * arch.hidden_size + PASSES * state.value_values / layout.tp
    return np.asarray(time + small_kernels_s(batch.tokens, values, NORMS, hardware))


def projections(state: StateLayers, hidden: int, tp: int) -> tuple[tuple[float, float], ...]:
    """(n, k) of the matrix products of one layer on one GPU."""
    return ((state.projected / tp, hidden), *((n, k / tp) for n, k in state.projections))


def state_sequence_s(arch: Architecture, hardware: Hardware, layout: Layout) -> float:
    """Seconds that each sequence adds to one layer in a step: its state is read and written.

    .. math:: \\max\\Bigl(0, \\frac{B_{state}}{\\eta_d b} - t_{scan}\\Bigr)

    where the token of a decoding sequence is charged as one of a prompt already.
    """
    state = arch.state
    assert state is not None
    fit, moved = hardware.state(state.kind), traffic(state, layout.tp)
    read = moved.sequence_bytes / (fit.state_share * hardware.device.bandwidth_bytes_per_s)
    return max(0.0, read - token_scan_s(arch, hardware, layout))
