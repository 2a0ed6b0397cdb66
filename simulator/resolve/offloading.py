"""KV blocks in the memory of the CPU: how many an engine keeps there, and how fast they are copied."""

from __future__ import annotations

from simulator.catalog.host_links import host_links
from simulator.engine.config import EngineConfig
from simulator.engine.modes.offload.arrays import refuses_offload
from simulator.engine.modes.offload.room import MOST_CHUNKS
from simulator.engine.modes.offload.spec import Offload
from simulator.errors import InputError, Problem
from simulator.perf.device import Layout
from simulator.resolve.hardware import Machine
from simulator.resolve.kv_blocks import KvBlocks
from simulator.schema.engine import EngineSettings, OffloadingConfig
from simulator.study.fleet import KvTransfer
from simulator.units import BYTES_PER_GIB

_KEY = "engine.kv_offloading_size"
_EXTRA = "engine.kv_connector_extra_config"
_BYTES_PER_GB = 1e9


def offloading(
    settings: EngineSettings, memory: KvBlocks, layout: Layout, one_copy: bool, most_copied: tuple[tuple[int, int], ...]
) -> Offload | None:
    """The memory beside an engine, of all its GPUs together; None unless it is asked for.

    Parameters
    ----------
    one_copy : all GPUs hold the same blocks (latent attention), so that the memory keeps one copy of them
    most_copied : by class of requests, tokens that are loaded and stored

    Raises
    ------
    InputError : a size that holds no chunk or too many, what the chunks are without a size, or chunks that vLLM refuses
    """
    own = settings.kv_connector_extra_config
    if settings.kv_offloading_size is None:
        if own is not None:
            raise InputError(Problem("is of 'kv_offloading_size', which is not given", path=_EXTRA))
        return None
    blocks = _blocks_per_chunk(own, memory) if own else 1
    each = 1 if one_copy else layout.split.tp * layout.split.pp
    aligned = int(host_links().alignment.value)
    chunk_bytes = -(-int(memory.block_bytes) * each * blocks // aligned) * aligned
    chunks = int(settings.kv_offloading_size * BYTES_PER_GIB) // chunk_bytes
    if chunks == 0:
        told = f"holds no chunk, which is {chunk_bytes / BYTES_PER_GIB:.3g} GiB"
        raise InputError(Problem(told, path=_KEY, got=f"{settings.kv_offloading_size:g}"))
    if chunks > MOST_CHUNKS:
        most_gib = MOST_CHUNKS * chunk_bytes / BYTES_PER_GIB
        told = f"must be at most {most_gib:,.0f}: {MOST_CHUNKS:,} chunks are simulated"
        raise InputError(Problem(told, path=_KEY, got=f"{settings.kv_offloading_size:g}"))
    if own is None:
        return Offload(chunks, most_by_class=most_copied)
    return Offload(
        chunks,
        blocks,
        own.eviction_policy == "arc",
        own.store_threshold,
        own.max_tracker_size,
        own.offload_prompt_only,
        most_copied,
    )


def _blocks_per_chunk(own: OffloadingConfig, memory: KvBlocks) -> int:
    """Blocks of a chunk, from themselves or from its tokens, as vLLM 0.32.0 has it."""
    if own.block_size is None:
        return own.blocks_per_chunk or 1
    path = f"{_EXTRA}.block_size"
    if own.blocks_per_chunk is not None:
        raise InputError(Problem("vLLM takes one of 'block_size' and 'blocks_per_chunk'", path=path))
    sizes = {group.block_size for group in memory.groups} or {memory.block_size}
    if len(sizes) > 1:
        told = f"layers have blocks of {', '.join(map(str, sorted(sizes)))} tokens: say 'blocks_per_chunk'"
        raise InputError(Problem(told, path=path, got=str(own.block_size)))
    size = sizes.pop()
    if own.block_size % size:
        nearest = -(-own.block_size // size) * size
        told = f"must be a multiple of the GPU's block of {size} tokens: use {nearest}, or 'blocks_per_chunk'"
        raise InputError(Problem(told, path=path, got=str(own.block_size)))
    return own.block_size // size


def check_offloading(settings: EngineSettings, role: str, config: EngineConfig) -> None:
    """Refuse what is not simulated beside such a memory.

    Raises
    ------
    InputError : a pool of one role, another connector, batching that is not vLLM's, or blocks that are not simulated
    """
    if settings.kv_offloading_size is None:
        return
    hindrances = (
        (role != "both", "is not simulated in a pool that has one role alone"),
        (settings.kv_connector is not None, "an engine has one connector: this, or 'kv_connector'"),
        (settings.batching != "continuous", f"is not simulated with batching {settings.batching}"),
        (bool(refuses_offload(config)), f"is not simulated: {refuses_offload(config)}"),
    )
    for hinders, told in hindrances:
        if hinders:
            raise InputError(Problem(told, path=_KEY, got=f"{settings.kv_offloading_size:g}"))


def host_link(machine: Machine, block_bytes: float, gpus: int) -> KvTransfer:
    """A replica's link to the memory of its host, in each direction; all its GPUs copy their parts of a block at once.

    Parameters
    ----------
    block_bytes : of one KV block on one GPU

    Raises
    ------
    InputError : a GPU that has no memory beside its own
    """
    if machine.host_bytes_per_s is None:
        told = f"{machine.gpu.name} shares the memory of its processor: there is no other"
        raise InputError(Problem(told, path=_KEY))
    return KvTransfer(block_bytes * gpus, machine.host_bytes_per_s * gpus)


def in_words(offload: Offload, config: EngineConfig, machine: Machine) -> str:
    """What a run tells of it."""
    speed = (machine.host_bytes_per_s or 0.0) / _BYTES_PER_GB
    return (
        f"{offload.chunks:,} chunks of {offload.blocks_per_chunk} x {config.block_size} tokens in the memory of the "
        f"CPU, copied at {speed:.3g} GB/s each way by each GPU"
    )
