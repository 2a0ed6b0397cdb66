"""Time of single GPU kernels from a few fitted parameters: the equations that calibration fits and composition uses.

Every equation takes the kernel's shape, the GPU's published peaks and the fitted record; docs/model/step-time.md has
them with their residuals. Shares are of the published peak, so a record moves to a GPU with other peaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FLOPS_PER_MAC = 2
"""One multiplication and one addition."""
TILES = ((64, 64, 0.7), (64, 128, 0.85), (128, 128, 0.95), (128, 256, 1.0))
"""Output tiles that matrix kernels come in, and the share of peak that each reaches at best: small tiles reuse less."""
ALIGNMENT = 8
"""Rows that a matrix kernel's vector loads want the batch to be a multiple of."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """What a datasheet says of the part that runs kernels."""

    bandwidth_bytes_per_s: float
    flops_per_s: float
    multiprocessors: int


@dataclass(frozen=True, slots=True)
class GemmKernel:
    """Matrix product of m tokens with an (n, k) weight, in one weight format.

    Attributes
    ----------
    launch_s : fixed time of the kernel
    bandwidth_share, compute_share : shares of the peaks that large products reach
    wave_loss : share of the loss to incomplete waves of tiles that shows (0: none, 1: all of it)
    depth_half : depth k at which prologue and epilogue of a tile cost as much as its products
    ragged_loss : extra compute time of token counts that are not aligned
    quantise_bytes : bytes moved per activation value to bring it into the weights' format
    crowding : growth of the memory time with each doubling of the tokens
    exponent : p of the p-norm that joins memory and compute time
    """

    launch_s: float
    bandwidth_share: float
    compute_share: float
    wave_loss: float
    depth_half: float
    ragged_loss: float
    quantise_bytes: float
    crowding: float
    exponent: float


@dataclass(frozen=True, slots=True)
class ExpertsKernel:
    """Routed experts of one layer, in one weight format: sort, both matrix products, activation, weighted sum.

    Attributes
    ----------
    launch_s : fixed time of all its kernels
    bandwidth_share, compute_share : shares of the peaks that large products reach
    tile_rows : rows that each active expert computes beside its own, by padding to a tile
    depth_half : depth at which prologue and epilogue of a tile cost as much as its products
    routed_bytes : bytes moved per routed copy of an activation value
    exponent : p of the p-norm that joins memory and compute time
    """

    launch_s: float
    bandwidth_share: float
    compute_share: float
    tile_rows: float
    depth_half: float
    routed_bytes: float
    exponent: float


@dataclass(frozen=True, slots=True)
class ExpertsReached:
    """What an engine reaches of the measured speed of routed experts.

    Attributes
    ----------
    share : of it where weights are read
    products : of the products, which set the time of large batches
    """

    share: float = 1.0
    products: float = 1.0


AS_MEASURED = ExpertsReached()


@dataclass(frozen=True, slots=True)
class ExpertShape:
    """What one GPU holds of a layer's routed experts, all gated (three matrices).

    Attributes
    ----------
    hidden_size, width : of one expert's slice on this GPU
    copies : routed copies per token, on all GPUs of the group
    weight_bytes : per weight
    """

    hidden_size: float | Floats
    width: float | Floats
    copies: float | Floats
    weight_bytes: float


@dataclass(frozen=True, slots=True)
class AttentionKernel:
    """Attention over one head size and one KV format; linear in what a batch holds.

    Attributes
    ----------
    launch_s : fixed time of one call
    compute_share : share of peak FLOP/s in prefill
    stream_share : share of bandwidth at which queries, keys and values of new tokens pass
    kv_share : share of bandwidth at which decoding reads cached keys and values
    head_s, kv_head_s : time per decoding sequence and query head, and per KV head
    """

    launch_s: float
    compute_share: float
    stream_share: float
    kv_share: float
    head_s: float
    kv_head_s: float


@dataclass(frozen=True, slots=True)
class StateKernel:
    """Layer that carries a state per sequence: its convolution and its recurrence.

    Attributes
    ----------
    launch_s, scan_launch_s : fixed time of a decode step's kernels, and of those of prompts
    state_share : share of bandwidth at which decoding reads and writes the state
    stream_share : share of bandwidth at which prompts pass the convolution
    serial_s : time per token of one prompt, whose chunks follow one another
    head_s : time per token and head where the GPU is full
    """

    launch_s: float
    scan_launch_s: float
    state_share: float
    stream_share: float
    serial_s: float
    head_s: float


@dataclass(frozen=True, slots=True)
class StreamKernel:
    """Element-wise kernel: norms, rotary embedding, activations, quantisation."""

    launch_s: float
    bandwidth_share: float


@dataclass(frozen=True, slots=True)
class CollectiveKernel:
    """All-reduce or all-to-all over one group size: the quicker of a low-latency and a high-bandwidth algorithm.

    Attributes
    ----------
    latency_s, bytes_per_s : the low-latency one (every GPU reads its peers' buffers)
    setup_s, bulk_bytes_per_s : the high-bandwidth one (ring or in-switch reduction)
    """

    latency_s: float
    bytes_per_s: float
    setup_s: float
    bulk_bytes_per_s: float


def smooth_max(left: Floats, right: Floats, exponent: float) -> Floats:
    """(l^p + r^p)^(1/p) of times, scaled by the larger so that tiny ones keep their digits; 0 where both are."""
    high = np.maximum(left, right)
    share = np.divide(np.minimum(left, right), high, out=np.zeros_like(high, np.float64), where=high > 0)
    return np.asarray(high * (1.0 + share**exponent) ** (1.0 / exponent))


def wave_ratio(m: Floats, n: Floats, multiprocessors: int) -> Floats:
    """Tile work of an (m, n) output done in whole waves over its ideal work, for the best of `TILES`; at least 1.

    .. math:: \\min_{tiles} \\frac{\\lceil \\lceil m/a \\rceil \\lceil n/b \\rceil / S \\rceil S a b}{m n f}
    """
    ratios = [
        np.ceil(np.ceil(m / rows) * np.ceil(n / columns) / multiprocessors)
        * (multiprocessors * rows * columns / share)
        / (m * n)
        for rows, columns, share in TILES
    ]
    return np.asarray(np.minimum.reduce(ratios))


def gemm_s(
    fit: GemmKernel,
    peaks: Peaks,
    m: Floats,
    n: Floats | float,
    k: Floats | float,
    weight_bytes: float,
    activation_bytes: float,
    ragged: NDArray[np.bool_],
) -> Floats:
    """Seconds of (m, k) x (k, n); none for a weight without values, for which no kernel runs.

    .. math:: t_0 + \\frac{q\\,m k}{b} +
        \\left(\\left(\\frac{w n k + m (a k + 2 n)}{\\eta_b b} (1 + \\kappa \\log_2 m)\\right)^p +
        \\left(\\frac{2 m n k}{\\eta_c c}(1 + \\lambda (Q - 1))(1 + k_h / k)(1 + \\rho)\\right)^p\\right)^{1/p}

    with Q the `wave_ratio` and rho the ragged loss of token counts that are not aligned.
    """
    n = np.asarray(n, dtype=np.float64)
    k = np.asarray(k, dtype=np.float64)
    exists = (n > 0) & (k > 0)
    n, k = np.where(exists, n, 1.0), np.where(exists, k, 1.0)
    moved = weight_bytes * n * k + m * (activation_bytes * k + 2.0 * n)
    crowded = 1.0 + fit.crowding * np.log2(np.maximum(m, 1.0))
    memory = moved / (fit.bandwidth_share * peaks.bandwidth_bytes_per_s) * crowded
    loss = 1.0 + fit.wave_loss * (wave_ratio(m, n, peaks.multiprocessors) - 1.0)
    loss *= (1.0 + fit.depth_half / k) * np.where(ragged, 1.0 + fit.ragged_loss, 1.0)
    compute = FLOPS_PER_MAC * m * n * k / (fit.compute_share * peaks.flops_per_s) * loss
    quantise = fit.quantise_bytes * m * k / peaks.bandwidth_bytes_per_s
    return np.where(exists, fit.launch_s + quantise + smooth_max(memory, compute, fit.exponent), 0.0)


def experts_s(
    fit: ExpertsKernel, peaks: Peaks, shape: ExpertShape, tokens: Floats, rows: Floats, active: Floats
) -> Floats:
    """Seconds of a layer's routed experts on one GPU; none for experts without values, for which no kernel runs.

    .. math:: t_0 + \\frac{q\\,m k H}{b} + \\left(\\left(\\frac{3 w H I a}{\\eta_b b}\\right)^p + C^p\\right)^{1/p},
        \\quad C = \\frac{2 H I (r + a \\tau)}{\\eta_c c} \\Bigl(2 (1 + \\tfrac{k_h}{H}) + 1 + \\tfrac{k_h}{I}\\Bigr)

    Parameters
    ----------
    tokens : tokens that are routed, on all GPUs of the group
    rows : copies of them that this GPU computes
    active : experts among its own that get at least one
    """
    exists = np.asarray(shape.width) > 0
    width = np.where(exists, shape.width, 1.0)
    matrix = shape.hidden_size * width
    memory = 3 * matrix * shape.weight_bytes * active / (fit.bandwidth_share * peaks.bandwidth_bytes_per_s)
    loss = 2 * (1 + fit.depth_half / shape.hidden_size) + 1 + fit.depth_half / width
    worked = np.maximum(rows, active) + active * fit.tile_rows
    compute = FLOPS_PER_MAC * matrix * worked / (fit.compute_share * peaks.flops_per_s) * loss
    routed = fit.routed_bytes * tokens * shape.copies * shape.hidden_size / peaks.bandwidth_bytes_per_s
    return np.where(exists, fit.launch_s + routed + smooth_max(memory, compute, fit.exponent), 0.0)


def pair_s(fit: AttentionKernel, peaks: Peaks, flops: float) -> float:
    """Seconds of one (query, key) pair that takes `flops`."""
    return flops / (fit.compute_share * peaks.flops_per_s)


def stream_s(fit: StreamKernel, peaks: Peaks, moved_bytes: Floats | float) -> Floats:
    """Seconds of an element-wise kernel that moves `moved_bytes`."""
    return np.asarray(fit.launch_s + np.asarray(moved_bytes) / (fit.bandwidth_share * peaks.bandwidth_bytes_per_s))


def collective_s(fit: CollectiveKernel, message_bytes: Floats) -> Floats:
    """Seconds of one collective of `message_bytes` on every GPU of the group."""
    quick = fit.latency_s + message_bytes / fit.bytes_per_s
    return np.asarray(np.minimum(quick, fit.setup_s + message_bytes / fit.bulk_bytes_per_s))
