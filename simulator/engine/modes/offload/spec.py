"""The memory of the CPU, resolved to numbers; beside `modes.spec`, which kernels read and these do not."""

from __future__ import annotations

from dataclasses import dataclass, fields

from simulator.engine.modes.spec import Modes

NO_LIMIT = -1


@dataclass(frozen=True, slots=True)
class Offload:
    """KV blocks that are copied to the memory of the CPU as they fill (vLLM's `OffloadingConnector`).

    Attributes
    ----------
    chunks : room in that memory
    blocks_per_chunk : blocks that are copied together
    adaptive : evicts by ARC, else by LRU
    store_threshold : times that a chunk must have been offered before it is stored; below 2 it always is
    tracked : most chunks whose offers are counted
    prompt_only : blocks of generated tokens are not stored
    most_by_class : most tokens of a request of each class that are loaded, and that are stored; or `NO_LIMIT`
    """

    chunks: int
    blocks_per_chunk: int = 1
    adaptive: bool = False
    store_threshold: int = 0
    tracked: int = 64_000
    prompt_only: bool = True
    most_by_class: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class OffloadModes(Modes):
    """Modes of an engine with such a memory, which is a connector."""

    offload: Offload | None = None


def with_offload(modes: Modes, offload: Offload) -> Modes:
    """The same modes and a memory of the CPU."""
    return OffloadModes(**{field.name: getattr(modes, field.name) for field in fields(Modes)}, offload=offload)


def offload_of(modes: Modes) -> Offload | None:
    """The engine's memory of the CPU, if it has one."""
    return modes.offload if isinstance(modes, OffloadModes) else None
