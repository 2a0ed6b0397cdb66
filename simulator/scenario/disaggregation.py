"""Prefill and decode pools: who hands over to whom, and what vLLM refuses to connect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.errors import unknown_name
from simulator.schema.engine import EngineSettings
from simulator.schema.pool import Pool
from simulator.schema.scenario import Scenario
from simulator.schema.topology import Topology

Found = tuple[str, str, Any]
"""Path, message, offending value."""


def decode_pool(topology: Topology, prefill: Pool) -> str:
    """Name of the pool that takes over from a prefill pool, in a topology without problems."""
    return prefill.hands_to or next(pool.name for pool in topology.pools if pool.role == "decode")


def disaggregation_problems(path: str, topology: Topology, scenario: Scenario) -> Iterator[Found]:
    """A prefill pool without its decode pool, one nobody hands to, and pairs that cannot exchange KV blocks."""
    taken: set[str] = set()
    decoding = [pool.name for pool in topology.pools if pool.role == "decode"]
    for k, pool in enumerate(topology.pools):
        place = f"{path}.pools[{k}]"
        if pool.role != "prefill":
            if pool.role == "both" and pool.kv_transfer is not None:
                yield f"{place}.kv_transfer", "only pools with role prefill or decode send or fetch a KV cache", None
            if pool.hands_to is not None:
                yield f"{place}.hands_to", "only a pool with role prefill hands over", pool.hands_to
            continue
        problem = _target_problem(place, topology, pool, decoding)
        if problem:
            yield problem
            continue
        other = next(other for other in topology.pools if other.name == (pool.hands_to or decoding[0]))
        taken.add(other.name)
        yield from _pair_problems(place, pool, other, scenario)
    for k, pool in enumerate(topology.pools):
        if pool.role == "decode" and pool.name not in taken:
            yield f"{path}.pools[{k}].role", f"no pool with role prefill hands to {pool.name}", pool.role
    yield from _routed_problems(f"{path}.routing", topology, decoding)


def _target_problem(place: str, topology: Topology, pool: Pool, decoding: list[str]) -> Found | None:
    able = [other.name for other in topology.pools if other.role != "prefill"]
    if pool.hands_to is None:
        if not decoding:
            return f"{place}.role", "a prefill pool needs a pool with role decode that answers", pool.role
        if len(decoding) > 1:
            return place, f"say with hands_to which pool answers: {', '.join(decoding)}", None
    elif pool.hands_to not in able:
        return f"{place}.hands_to", unknown_name("pool that answers", pool.hands_to, able), None
    return None


def _pair_problems(place: str, prefill: Pool, decode: Pool, scenario: Scenario) -> Iterator[Found]:
    ours, theirs = _settings(prefill, scenario), _settings(decode, scenario)
    models = prefill.model or scenario.model, decode.model or scenario.model
    if models[0] != models[1]:
        yield f"{place}.model", f"must be the model of pool {decode.name} ({models[1]})", models[0]
    if ours.kv_cache_dtype != theirs.kv_cache_dtype:
        same = f"must be that of pool {decode.name} ({theirs.kv_cache_dtype})"
        yield f"{place}.engine.kv_cache_dtype", same, ours.kv_cache_dtype
    if theirs.block_size % ours.block_size:
        yield (
            f"{place}.engine.block_size",
            f"must divide the block size of pool {decode.name} ({theirs.block_size})",
            ours.block_size,
        )
    widths = prefill.tensor_parallel_size, decode.tensor_parallel_size
    if max(widths) % min(widths):
        text = f"must divide that of pool {decode.name} ({widths[1]}), or be a multiple"
        yield f"{place}.tensor_parallel_size", text, widths[0]
    if decode.pipeline_parallel_size > 1:
        yield f"{place}.hands_to", f"pool {decode.name} has pipeline stages, which vLLM cannot decode into", decode.name


def _settings(pool: Pool, scenario: Scenario) -> EngineSettings:
    own = pool.engine
    changed = {} if own is None else {name: getattr(own, name) for name in own.model_fields_set}
    return scenario.engine.model_copy(update=changed)


def _routed_problems(path: str, topology: Topology, decoding: list[str]) -> Iterator[Found]:
    """Requests begin at a prefill pool: routing must not name one that only decodes."""
    routing = topology.routing
    places = [(f"{path}.order[{k}]", name) for k, name in enumerate(getattr(routing, "order", None) or ())]
    places += [(f"{path}.{key}", name) for key in ("first", "second") if (name := getattr(routing, key, None))]
    for key in ("weights", "limits"):
        places += [(f"{path}.{key}.{name}", name) for name in getattr(routing, key, None) or {}]
    places += [
        (f"{path}.windows[{k}].use[{j}]", name)
        for k, window in enumerate(routing.windows)
        for j, name in enumerate(window.use)
    ]
    places += [(f"{path}.otherwise[{k}]", name) for k, name in enumerate(routing.otherwise or ())]
    for place, name in places:
        if name in decoding:
            yield place, f"pool {name} only answers what a prefill pool hands to it", name
