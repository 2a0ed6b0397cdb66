"""A GPU as its kernels were measured: fitted kernel records beside the published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.perf.device import Device
from simulator.perf.kernels import (
    AttentionKernel,
    CollectiveKernel,
    ExpertsKernel,
    GemmKernel,
    Peaks,
    StateKernel,
    StreamKernel,
)

MEASURED_STATE = "gated_delta_net"
"""Kind of state layer that every GPU with tables has a table of."""


@dataclass(frozen=True, slots=True)
class AttentionEntry:
    """An attention record and what it was fitted on.

    Attributes
    ----------
    head_dim : head size in values; the latent's with multi-head latent attention
    kv_value_bytes : bytes of a cached value
    """

    head_dim: int
    kv_value_bytes: float
    kernel: AttentionKernel


@dataclass(frozen=True, slots=True)
class KernelSet:
    """The fitted kernels of one GPU.

    Attributes
    ----------
    multiprocessors : streaming multiprocessors, over which tiles are dealt in waves
    gemm : by weight format
    attention : by head size and KV format
    latent : multi-head latent attention, by KV format; its per-head times are per sequence, not per KV head
    experts : by weight format
    stream : element-wise kernels
    all_reduce : by number of GPUs
    all_to_all : one way of routed tokens, by number of GPUs
    state : layers that carry a state, by their kind
    sink_factor : time of prefill's attention with sinks over that without: 1 where the GPU's own kernel computes them
    """

    multiprocessors: int
    gemm: Mapping[str, GemmKernel]
    attention: tuple[AttentionEntry, ...]
    latent: tuple[AttentionEntry, ...]
    experts: Mapping[str, ExpertsKernel]
    stream: StreamKernel
    all_reduce: Mapping[int, CollectiveKernel]
    all_to_all: Mapping[int, CollectiveKernel]
    sink_factor: float = 1.0
    state: Mapping[str, StateKernel] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hardware:
    """A GPU with its kernels.

    Attributes
    ----------
    transferred_from : GPU whose kernels stand in, scaled by published peaks; None where this GPU was measured
    source : tables that the records rest on, for the reader
    """

    device: Device
    kernels: KernelSet
    source: str
    transferred_from: str | None = None

    def peaks(self, precision: str) -> Peaks:
        """Published peaks with compute in `precision` (a key of `Device.peak_flops`)."""
        return Peaks(self.device.bandwidth_bytes_per_s, self.device.peak_flops[precision], self.kernels.multiprocessors)

    def state(self, kind: str) -> StateKernel:
        """Record of layers with a state of that kind; where none was measured, the gated delta net's."""
        return self.kernels.state.get(kind) or self.kernels.state[MEASURED_STATE]

    def attention(self, head_dim: int, kv_value_bytes: float, latent: bool = False) -> AttentionKernel:
        """Record of the nearest head size, of the same KV format where there is one."""
        return min(
            self.kernels.latent if latent else self.kernels.attention,
            key=lambda entry: (
                abs(entry.kv_value_bytes - kv_value_bytes),
                abs(entry.head_dim - head_dim),
                entry.head_dim,
            ),
        ).kernel
