"""What an engine really is: its resolved configuration, and the modes that are on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import vllm

from calibrate.driver.mock import offload
from calibrate.driver.mock.layers import describe_group

PROVEN_VERSIONS = ("0.32.0", "0.33.0")
"""Versions of vLLM whose recordings were held against the reference scheduler, mode by mode."""
_AS_GIVEN = (
    "max_num_active_seqs",
    "long_prefill_token_threshold_adaptive",
    "max_loras",
    "encoder_budget",
    "encoder_cache",
    "disable_chunked_mm_input",
    "disable_hybrid_kv_cache_manager",
    "mamba_cache_mode",
)


def is_proven() -> bool:
    """Whether recordings of this vLLM were ever compared."""
    return vllm.__version__.split("+")[0] in PROVEN_VERSIONS


def resolved(core: Any, engine: dict[str, Any]) -> dict[str, Any]:
    """The configuration as a schedule recording names it, from what the scheduler has, not from what was asked for."""
    config, scheduler = core.vllm_config, core.scheduler
    limits, cache = config.scheduler_config, config.cache_config
    found = {
        "vllm_version": vllm.__version__.split("+")[0],
        "num_gpu_blocks": scheduler.kv_cache_config.num_blocks,
        "block_size": scheduler.block_size,
        "enable_prefix_caching": bool(cache.enable_prefix_caching),
        "max_num_batched_tokens": limits.max_num_batched_tokens,
        "max_num_seqs": limits.max_num_seqs,
        "max_model_len": config.model_config.max_model_len,
        "enable_chunked_prefill": bool(limits.enable_chunked_prefill),
        "long_prefill_token_threshold": limits.long_prefill_token_threshold,
        "policy": str(limits.policy),
        "scheduler_reserve_full_isl": bool(limits.scheduler_reserve_full_isl),
        "watermark": float(limits.watermark),
        "async_scheduling": bool(limits.async_scheduling),
        "max_num_scheduled_tokens": scheduler.max_num_scheduled_tokens,
        "max_concurrent_batches": config.max_concurrent_batches,
        "max_in_flight_tokens": config.max_in_flight_tokens,
        "use_v2_model_runner": bool(config.use_v2_model_runner),
        "pipeline_parallel_size": config.parallel_config.pipeline_parallel_size,
        "kv_cache_groups": [describe_group(group) for group in scheduler.kv_cache_config.kv_cache_groups],
    }
    if scheduler.hash_block_size != scheduler.block_size:
        found["hash_block_size"] = scheduler.hash_block_size
    if scheduler.has_mamba_layers:
        found["need_mamba_block_aligned_split"] = bool(scheduler.need_mamba_block_aligned_split)
    if engine.get("prefill_schedule_interval", 1) > 1:
        found["prefill_schedule_interval"] = engine["prefill_schedule_interval"]
    if engine.get("connector"):
        transfer = config.kv_transfer_config
        found["connector"] = {"kv_connector": transfer.kv_connector, "kv_role": transfer.kv_role}
    if engine.get("offload"):
        found["offload"] = offload.resolved(scheduler.connector)
    if config.speculative_config is not None:
        found["speculative"] = _speculative(scheduler, config.speculative_config, engine["speculative"])
    return found | {name: engine[name] for name in _AS_GIVEN if name in engine}


def _speculative(scheduler: Any, spec: Any, asked: dict[str, Any]) -> dict[str, Any]:
    found = {
        "method": spec.method,
        "num_speculative_tokens": scheduler.num_spec_tokens,
        "num_lookahead_tokens": scheduler.num_lookahead_tokens,
        "num_prefill_lookahead_tokens": scheduler.num_prefill_lookahead,
        "max_num_new_slots_for_drafting": spec.max_num_new_slots_for_drafting,
        "eagle_block_drop": bool(scheduler.use_eagle_block_drop),
        "num_hash_lookahead_tokens": getattr(scheduler, "num_hash_lookahead_tokens", 0),
    }
    if scheduler.dynamic_sd_lookup is not None:
        found["per_batch_size"] = asked["per_batch_size"]
    return found


def modes_on(config: dict[str, Any], requests: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]]) -> list[str]:
    """Modes that are on, in words, from the resolved configuration and what the requests bring."""
    groups = config["kv_cache_groups"]
    drafts = config.get("speculative")
    stages = config["pipeline_parallel_size"]
    words = {
        "asynchronous scheduling": config["async_scheduling"],
        f"{stages} pipeline stages": stages > 1,
        "V2 model runner": config["use_v2_model_runner"],
        f"{config['max_concurrent_batches']} batches in flight": config["max_concurrent_batches"] > 1,
        drafts and f"{drafts['num_speculative_tokens']} drafts by {drafts['method']}": bool(drafts),
        "drafts by batch size": bool(drafts and drafts.get("per_batch_size")),
        f"{len(groups)} KV cache groups: {', '.join(sorted({row['kind'] for row in groups}))}": (
            len(groups) > 1 or groups[0]["kind"] != "full"
        ),
        "hybrid KV cache manager off": bool(config.get("disable_hybrid_kv_cache_manager")),
        (config.get("connector") or {}).get("kv_connector"): "connector" in config,
        "priority policy": config["policy"] == "priority",
        "prefix caching": config["enable_prefix_caching"],
        "chunked prefill off": not config["enable_chunked_prefill"],
        "encoder inputs": any("images" in row for row in requests),
        "LoRA adapters": any("lora" in row for row in requests),
        "grammars": any("grammar_ready_step" in row for row in requests),
        "stop tokens": any("stop_after" in row for row in requests),
        "cache salts": any("salt" in row for row in requests),
        "parallel sampling": any("n_parent" in row for row in requests),
        "aborts": any("abort" in row for row in events),
        "cache resets": any("reset_prefix_cache" in row for row in events),
    }
    return [str(name) for name, on in words.items() if on]


def counts(steps: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How often modes had an effect: drafts made for nothing, or transfers that never happened, show here."""
    verified = [row for step in steps for row in step.get("spec", ())]
    return {
        "preemptions": sum(len(step["preempted"]) for step in steps),
        "drafts_verified": sum(row[1] for row in verified),
        "drafts_accepted": sum(row[2] for row in verified),
        "loads": sum(len(step.get("loads", ())) for step in steps),
        "sends": sum(len(step.get("sent", ())) for step in steps),
        "stores": sum(len(step.get("stores", ())) for step in steps),
        "images_encoded": sum(len(row[1]) for step in steps for row in step.get("encoder", ())),
    }
