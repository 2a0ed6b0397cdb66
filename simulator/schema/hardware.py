"""A pool's own hardware: what differs from the GPU of the catalog that stands for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import IS_NUMBER, AtLeastOne, Positive, Settings, Switch


class LinkSettings(Settings):
    """How the GPUs of a node reach each other, instead of the catalog's."""

    pcie_generation: Literal[3, 4, 5, 6] | None = None
    """Generation of the PCIe links."""
    pcie_lanes: Literal[1, 2, 4, 8, 16] = 16
    """Lanes of each GPU, with pcie_generation."""
    peer_access: Switch | None = None
    """Whether GPUs read each other's memory over PCIe (`nvidia-smi topo -p2p r`), or go through the host's."""
    bus_gb_per_s: Positive | None = None
    """Measured bus bandwidth of a large all-reduce over a replica's GPUs, as nccl-tests prints it."""
    nvlink_pair_gb_per_s: Positive | None = None
    """Bandwidth of a bridge between two GPUs, in one direction: replicas of two GPUs go over it."""
    host_gb_per_s: Positive | None = None
    """Measured bandwidth between a GPU and the memory of its host, in one direction (nvbandwidth)."""


class OwnCard(Settings):
    """A GPU like none of the catalog, as the engine's start-up sees it."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    memory_gib: Annotated[Positive, Field(le=1e6)]
    """Memory that the engine sees (total_memory of torch)."""
    generation: str
    """As the catalog calls it."""
    peers: Switch = False
    """Whether its links join peers."""


class HardwareSettings(Settings):
    """What differs of a pool's GPUs from those of `gpu`, whose kernels stand in."""

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Name of the GPU in what is told."""
    memory_gib: Positive | None = None
    """Memory that the engine sees (total_memory of torch, less than the datasheet's)."""
    bandwidth_gb_per_s: Positive | None = None
    """Peak bandwidth of its memory, in 1e9 bytes/s."""
    peaks_tflops: dict[Literal["bf16", "fp8", "int8", "fp4"], Positive] | None = None
    """Dense peaks by precision, all that it computes in."""
    multiprocessors: AtLeastOne | None = None
    """Streaming multiprocessors, or compute units."""
    board_power_w: Positive | None = None
    """Power of the board at its default limit."""
    power_limit_w: Positive | None = None
    """Limit that is set lower, as with nvidia-smi -pl: matrix products slow with the cube root of what is left."""
    clock_share: Annotated[float, Field(gt=0, le=1), IS_NUMBER] | None = None
    """Cap on the clock as a share of the boost clock, as with nvidia-smi -lgc."""
    gpus_per_node: AtLeastOne | None = None
    """GPUs that the links within a node join."""
    links: LinkSettings | None = None
    """How the GPUs of a node reach each other."""
