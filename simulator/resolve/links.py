"""Which pools hand over to which, and the links between them."""

from __future__ import annotations

from dataclasses import replace

from simulator.catalog.kv_transfer import kv_transfer_figures
from simulator.errors import InputError, Problem
from simulator.resolve.checkpoint import architecture
from simulator.resolve.engines import PlannedEngine
from simulator.scenario.disaggregation import decode_pool
from simulator.scenario.load import LoadedScenario
from simulator.schema.pool import Pool
from simulator.schema.topology import Topology
from simulator.study.fleet import KvTransfer, PoolSpec

_BYTES_PER_GB = 1e9


def linked_pools(
    loaded: LoadedScenario, topology: Topology, specs: list[PoolSpec], engines: list[PlannedEngine]
) -> tuple[PoolSpec, ...]:
    """The pools with their hand-overs: each prefill pool to its decode pool, both with their links.

    Raises
    ------
    InputError : a prefill pool with more GPUs than KV heads and a decode pool with fewer, which vLLM refuses
    """
    names = [pool.name for pool in topology.pools]
    linked = list(specs)
    for k, pool in enumerate(topology.pools):
        if pool.role != "prefill":
            continue
        other = names.index(decode_pool(topology, pool))
        _check_heads(loaded, pool, topology.pools[other])
        linked[k] = replace(linked[k], hands_to=other, kv_transfer=kv_transfer(pool, engines[k]))
        linked[other] = replace(linked[other], kv_transfer=kv_transfer(topology.pools[other], engines[other]))
    return tuple(linked)


def kv_transfer(pool: Pool, engine: PlannedEngine) -> KvTransfer:
    """A replica's side of a transfer; all its GPUs fetch their parts of a block at the same time.

    bytes/s = GPUs x (network of one GPU between nodes x share of the peak that collectives reach), or the pool's own.
    """
    figures, own = kv_transfer_figures(), pool.kv_transfer
    per_gpu = engine.gpu.inter_node.value * engine.gpu.coefficients.link_efficiency
    latency_s = figures.latency.value
    if own is not None and own.gb_per_s_per_gpu is not None:
        per_gpu = own.gb_per_s_per_gpu * _BYTES_PER_GB
    if own is not None and own.latency_s is not None:
        latency_s = own.latency_s
    gpus = engine.layout.gpus
    return KvTransfer(engine.memory.block_bytes * gpus, per_gpu * gpus, latency_s, figures.lease.value)


def _check_heads(loaded: LoadedScenario, prefill: Pool, decode: Pool) -> None:
    """vLLM 0.32.0 NIXL: fewer decode ranks cannot read KV heads of which the prefill ranks hold copies."""
    arch, _ = architecture(prefill.model or loaded.scenario.model, loaded.path.parent)
    ours, theirs = prefill.tensor_parallel_size, decode.tensor_parallel_size
    if ours > theirs and ours > arch.kv_heads and not arch.is_mla:
        raise InputError(
            Problem(
                f"pool {prefill.name} holds copies of the {arch.kv_heads} KV heads, which the fewer GPUs of pool "
                f"{decode.name} cannot read: use tensor_parallel_size <= {max(arch.kv_heads, theirs)}, or {ours} there",
                path=f"pools[{prefill.name}].tensor_parallel_size",
                got=str(ours),
            )
        )
