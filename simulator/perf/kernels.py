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
    exponent : p of the p-norm that joins memory and compute time
    """

    launch_s: float
    bandwidth_share: float
    compute_share: float
    wave_loss: float
    depth_half: float
    ragged_loss: float
    quantise_bytes: float
    exponent: float


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
class StreamKernel:
    """Element-wise kernel: norms, rotary embedding, activations, quantisation."""

    launch_s: float
    bandwidth_share: float


@dataclass(frozen=True, slots=True)
class AllReduceKernel:
    """All-reduce over one group size: the quicker of a low-latency and a high-bandwidth algorithm.

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
    """(l^p + r^p)^(1/p), scaled by the larger so that tiny times keep their digits."""
    high = np.maximum(left, right)
    low = np.minimum(left, right)
    return np.asarray(high * (1.0 + (low / high) ** exponent) ** (1.0 / exponent))


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
    """Seconds of (m, k) x (k, n).

    .. math:: t_0 + \\frac{q\\,m k}{b} + \\left(\\left(\\frac{w n k + m (a k + 2 n)}{\\eta_b b}\\right)^p +
        \\left(\\frac{2 m n k}{\\eta_c c}(1 + \\lambda (Q - 1))(1 + k_h / k)(1 + \\rho)\\right)^p\\right)^{1/p}

    with Q the `wave_ratio` and rho the ragged loss of token counts that are not aligned.
    """
    n = np.asarray(n, dtype=np.float64)
    k = np.asarray(k, dtype=np.float64)
    moved = weight_bytes * n * k + m * (activation_bytes * k + 2.0 * n)
    memory = moved / (fit.bandwidth_share * peaks.bandwidth_bytes_per_s)
    loss = 1.0 + fit.wave_loss * (wave_ratio(m, n, peaks.multiprocessors) - 1.0)
    loss *= (1.0 + fit.depth_half / k) * np.where(ragged, 1.0 + fit.ragged_loss, 1.0)
    compute = FLOPS_PER_MAC * m * n * k / (fit.compute_share * peaks.flops_per_s) * loss
    quantise = fit.quantise_bytes * m * k / peaks.bandwidth_bytes_per_s
    return np.asarray(fit.launch_s + quantise + smooth_max(memory, compute, fit.exponent))


def pair_s(fit: AttentionKernel, peaks: Peaks, flops: float) -> float:
    """Seconds of one (query, key) pair that takes `flops`."""
    return flops / (fit.compute_share * peaks.flops_per_s)


def stream_s(fit: StreamKernel, peaks: Peaks, moved_bytes: Floats | float) -> Floats:
    """Seconds of an element-wise kernel that moves `moved_bytes`."""
    return np.asarray(fit.launch_s + np.asarray(moved_bytes) / (fit.bandwidth_share * peaks.bandwidth_bytes_per_s))


def all_reduce_kernel_s(fit: AllReduceKernel, message_bytes: Floats) -> Floats:
    """Seconds of one all-reduce of `message_bytes` on every GPU of the group."""
    quick = fit.latency_s + message_bytes / fit.bytes_per_s
    return np.asarray(np.minimum(quick, fit.setup_s + message_bytes / fit.bulk_bytes_per_s))
