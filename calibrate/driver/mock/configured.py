"""What vLLM makes of an engine's arguments, as a machine with GPUs would: its configuration alone, no engine."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import vllm.config.vllm as checks
from vllm.config import VllmConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.platforms import current_platform

_SCHEDULER = (
    "async_scheduling",
    "max_num_batched_tokens",
    "max_num_seqs",
    "max_num_active_seqs",
    "disable_hybrid_kv_cache_manager",
)


def configured(models: dict[str, Any], arguments: dict[str, Any], use_v2_model_runner: bool) -> dict[str, Any]:
    """Limits that result, or `{"refused": vLLM's message}`.

    Parameters
    ----------
    models : content of a config.json by name; arguments name models so
    arguments : of `EngineArgs`
    """
    _as_on_gpus(use_v2_model_runner)
    with tempfile.TemporaryDirectory() as folder:
        for name, config in models.items():
            (Path(folder) / name).mkdir()
            (Path(folder) / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
        drafts = arguments.get("speculative_config", {})
        placed = arguments | {"model": str(Path(folder) / arguments["model"])}
        if "model" in drafts:
            placed["speculative_config"] = drafts | {"model": str(Path(folder) / drafts["model"])}
        try:
            config = EngineArgs(
                **placed, load_format="dummy", skip_tokenizer_init=True, enforce_eager=True
            ).create_engine_config()
        except (ValueError, AssertionError) as error:
            return {"refused": _message(str(error))}
    found = {name: getattr(config.scheduler_config, name) for name in _SCHEDULER}
    found |= {"max_model_len": config.model_config.max_model_len}
    return found | {"mamba_cache_mode": config.cache_config.mamba_cache_mode}


def _message(text: str) -> str:
    """What vLLM says, without what pydantic says around it."""
    words = " ".join(text.split()).partition(" [type=")[0]
    return re.sub(r"^\d+ validation errors? for \w+ (Value error, |Assertion failed, )?", "", words)


def _as_on_gpus(use_v2_model_runner: bool) -> None:
    """Keep what the CPU platform would turn off: the model runner, hybrid groups, asynchronous scheduling."""
    platform: Any = type(current_platform)
    checks.HAS_TRITON = True
    VllmConfig.use_v2_model_runner = property(lambda _: use_v2_model_runner)
    platform.support_hybrid_kv_cache = classmethod(lambda _: True)
    if not hasattr(platform, "checked_as_on_cpu"):
        platform.checked_as_on_cpu = platform.check_and_update_config

        def check(cls: Any, config: Any) -> None:
            kept = config.scheduler_config.async_scheduling
            cls.checked_as_on_cpu(config)
            config.scheduler_config.async_scheduling = kept

        platform.check_and_update_config = classmethod(check)
