"""How vLLM's command line says what a key of a scenario says."""

from __future__ import annotations

import re

VERSION = "0.32.0"
"""Of vLLM, whose options are meant."""
_ENGINE = "engine."
_POOL = "topologies.*.pools[]."
_OTHERWISE = {
    "model": "--model",
    f"{_POOL}tensor_parallel_size": "--tensor-parallel-size",
    f"{_POOL}pipeline_parallel_size": "--pipeline-parallel-size",
    "engine.kv_connector": "--kv-transfer-config kv_connector",
    "engine.fuse_allreduce_rms": "--compilation-config pass_config.fuse_allreduce_rms",
}
"""Keys beyond those of the engine, and those that are said otherwise."""
_PARTS = {
    "engine.speculative_config.": "--speculative-config",
    "engine.eplb_config.": "--eplb-config",
    "engine.kv_connector_extra_config": "--kv-transfer-config kv_connector_extra_config",
}
"""Keys that are a part of an option in JSON."""
OWN = re.compile(
    r"engine\.(?:version|endpoint|profile|batching|throughput|gpu_power|prefix_cache_resets)(?:\..*)?"
    r"|engine\.kv_connector\..*"
    r"|engine\.speculative_config\.(?:acceptance\w*|drafted_\w+|by_class.*)"
)
"""Keys of the engine without an option of vLLM: what is measured, who calls, what is given instead, what befalls it."""


def option_of(path: str) -> str:
    """The option of vLLM for a key by its path, and the key of its JSON where it is one; empty where there is none."""
    path = path.removeprefix(_POOL) if path.startswith(_POOL + _ENGINE) else path
    if path in _OTHERWISE:
        return _OTHERWISE[path]
    if not path.startswith(_ENGINE) or OWN.fullmatch(path):
        return ""
    for start, option in _PARTS.items():
        if path.startswith(start):
            return " ".join((option, path.removeprefix(start))) if start.endswith(".") else option + path[len(start) :]
    return "--" + path.removeprefix(_ENGINE).replace("_", "-")
