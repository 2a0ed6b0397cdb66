"""vLLM's configuration and engine core of an engine that exists on paper."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

from vllm.config import VllmConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.v1.core.encoder_cache_manager import EncoderCacheManager
from vllm.v1.engine.core import EngineCore

from calibrate.driver.mock import offload
from calibrate.driver.mock.executor import MockExecutor

_ALWAYS = (
    "max_num_batched_tokens",
    "max_num_seqs",
    "max_model_len",
    "enable_prefix_caching",
    "enable_chunked_prefill",
    "long_prefill_token_threshold",
    "scheduler_reserve_full_isl",
    "watermark",
)
_WHERE_GIVEN = (
    "max_num_active_seqs",
    "long_prefill_token_threshold_adaptive",
    "max_num_scheduled_tokens",
    "disable_hybrid_kv_cache_manager",
    "prefill_schedule_interval",
    "disable_chunked_mm_input",
)
_CONNECTORS = {
    "nixl": {"kv_connector": "NixlConnector", "kv_role": "kv_both"},
    "store": {
        "kv_connector": "StoreConnector",
        "kv_connector_module_path": "calibrate.driver.mock.store",
        "kv_role": "kv_both",
    },
}
_V2 = VllmConfig.use_v2_model_runner


def build(engine: dict[str, Any], model: str, core_class: type[Any] = EngineCore) -> tuple[Any, dict[str, str]]:
    """Engine core, and what was set although this platform would not have it, with the reason.

    Parameters
    ----------
    engine : limits in vLLM's names, and modes as `random_engines` draws them
    model : folder with a `config.json`; nothing else of it is read

    Raises
    ------
    ValueError : vLLM refuses these arguments
    """
    VllmConfig.use_v2_model_runner = _V2
    config = EngineArgs(**_arguments(engine, model)).create_engine_config()
    forced = _force(config, engine)
    executor = type("Executor", (MockExecutor,), {"engine": engine})
    core = core_class(config, executor, log_stats=False)
    core.model_executor.core = core
    if engine.get("connector") == "offload":
        core.model_executor.offload = offload.OffloadWorker(config, core.scheduler.kv_cache_config)
    if engine.get("encoder_budget"):
        core.scheduler.max_num_encoder_input_tokens = engine["encoder_budget"]
        core.scheduler.encoder_cache_manager = EncoderCacheManager(cache_size=engine["encoder_cache"])
        forced["encoder_budget"] = "the model of one layer has no encoder"
    if engine.get("structured"):
        _let_grammars_pass(core.structured_output_manager)
    return core, forced


def _arguments(engine: dict[str, Any], model: str) -> dict[str, Any]:
    arguments = {name: engine[name] for name in _ALWAYS} | {
        name: engine[name] for name in _WHERE_GIVEN if name in engine
    }
    arguments |= {
        "model": model,
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "enforce_eager": True,
        "async_scheduling": False,
        "num_gpu_blocks_override": engine["num_gpu_blocks"],
        "scheduling_policy": engine["policy"],
    }
    if engine.get("speculative"):
        many = engine["speculative"]["num_speculative_tokens"]
        arguments["speculative_config"] = {"method": "ngram", "num_speculative_tokens": many, "prompt_lookup_max": 3}
    if engine.get("max_loras"):
        arguments |= {"enable_lora": True, "max_loras": engine["max_loras"], "max_lora_rank": 8}
    if engine.get("connector") == "offload":
        extra = offload.extra_config(engine["offload"])
        arguments["kv_transfer_config"] = offload.KV_TRANSFER_CONFIG | {"kv_connector_extra_config": extra}
    elif engine.get("connector"):
        arguments["kv_transfer_config"] = _CONNECTORS[engine["connector"]]
    return arguments


def _force(config: Any, engine: dict[str, Any]) -> dict[str, str]:
    """Set what a GPU with a model of that kind would have; the scheduler asks for no more than the name."""
    forced = {}
    config.cache_config.block_size = engine["block_size"]
    config.cache_config.user_specified_block_size = True
    if engine.get("use_v2_model_runner"):
        VllmConfig.use_v2_model_runner = property(lambda _: True)
        forced["use_v2_model_runner"] = "needs Triton"
    if engine.get("async_scheduling"):
        config.scheduler_config.async_scheduling = True
        forced["async_scheduling"] = "the CPU platform turns it off"
    if engine.get("pipeline_parallel_size", 1) > 1:
        config.parallel_config.pipeline_parallel_size = engine["pipeline_parallel_size"]
        forced["pipeline_parallel_size"] = "stages of an executor that computes nothing are one process"
    if engine.get("mamba_cache_mode"):
        config.cache_config.mamba_cache_mode = engine["mamba_cache_mode"]
        forced["mamba_cache_mode"] = "the model of one layer has no linear attention"
    if "max_num_scheduled_tokens" in engine:
        config.scheduler_config.max_num_scheduled_tokens = engine["max_num_scheduled_tokens"]
    drafts = engine.get("speculative")
    if drafts and drafts["method"] != "ngram":
        _draft_by(config.speculative_config, drafts)
        forced["speculative.method"] = "there is no draft model to load"
    return forced


def _draft_by(spec: Any, drafts: dict[str, Any]) -> None:
    spec.method = drafts["method"]
    modules = drafts.get("mtp_modules", 1)
    hf_config = SimpleNamespace(num_nextn_predict_layers=modules)
    if modules > 1 or drafts["method"] in ("dflash", "dspark"):
        spec.draft_model_config = SimpleNamespace(hf_config=hf_config, model=drafts["method"], architectures=[])
    if "per_batch_size" in drafts:
        spec.num_speculative_tokens_per_batch_size = [tuple(row) for row in drafts["per_batch_size"]]
    if drafts.get("parallel_drafting"):
        spec.parallel_drafting = True
    if drafts.get("disable_eagle_block_drop"):
        spec.disable_eagle_block_drop = True


def _let_grammars_pass(manager: Any) -> None:
    """Grammars are compiled when the script says so, and every token fits."""
    manager.grammar_init = lambda request: None
    manager.accept_tokens = lambda request, tokens: True
    manager.grammar_bitmask = lambda *args, **kwargs: None
    manager.validate_tokens = lambda request, tokens: tokens
