"""What befalls a replica's prefix cache from outside: resets, and a store of KV caches beside it."""

from __future__ import annotations

from simulator.errors import InputError, Problem
from simulator.schema.engine import EngineSettings
from simulator.study.caches import CacheResets
from simulator.study.fleet import KvTransfer

_BYTES_PER_GB = 1e9


def check_cache_modes(settings: EngineSettings, role: str, several_groups: bool) -> None:
    """Refuse what is not simulated with resets or a store, at their keys.

    Parameters
    ----------
    several_groups : layers differ in what they keep, so that a request has several block tables

    Raises
    ------
    InputError : a pool of one role, no prefix cache, batching that is not vLLM's, a store beside several groups, or a
        memory to reset that there is not
    """
    asked = {
        "prefix_cache_resets": settings.prefix_cache_resets is not None,
        "kv_connector": settings.kv_connector is not None,
    }
    hindrances = (
        ("both", role != "both", "in a pool that has one role alone"),
        ("both", not settings.enable_prefix_caching, "without enable_prefix_caching"),
        ("both", settings.batching != "continuous", f"with batching {settings.batching}"),
        ("kv_connector", several_groups, "beside layers that keep windows or states (disable_hybrid_kv_cache_manager)"),
    )
    for key, given in asked.items():
        for of, hinders, told in hindrances:
            if given and hinders and of in ("both", key):
                raise InputError(Problem(f"is not simulated {told}", path=f"engine.{key}"))
    resets = settings.prefix_cache_resets
    if resets and resets.reset_connector and settings.kv_offloading_size is None:
        told = "there is no memory of the CPU to forget: it is of 'kv_offloading_size', which is not given"
        raise InputError(Problem(told, path="engine.prefix_cache_resets.reset_connector", got="true"))


def cache_resets(settings: EngineSettings) -> CacheResets | None:
    """When the replicas of a pool forget their prefix caches; None: never."""
    own = settings.prefix_cache_resets
    return CacheResets(own.every_s, own.reset_running_requests, own.reset_connector) if own else None


def store_link(settings: EngineSettings, block_bytes: float, gpus: int) -> KvTransfer:
    """A replica's side of loads from a store: all its GPUs load their parts of a block at the same time.

    Parameters
    ----------
    block_bytes : of one KV block on one GPU
    """
    own = settings.kv_connector
    if own is None:
        return KvTransfer()
    return KvTransfer(block_bytes * gpus, own.gb_per_s_per_gpu * _BYTES_PER_GB * gpus, own.latency_s)
