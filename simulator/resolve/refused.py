"""What vLLM refuses of an engine, or changes by itself, at the keys of the scenario that ask for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulator.catalog.overheads import version_key
from simulator.catalog.vllm import default_length
from simulator.engine.modes.refusals import Asked, Effect, Finding, settle
from simulator.engine.rules import V0_32
from simulator.errors import InputError, Problem
from simulator.memory.shape import ModelShape
from simulator.resolve.changes import Change
from simulator.resolve.kv_blocks import KvBlocks
from simulator.resolve.kv_groups import KINDS
from simulator.resolve.memory import mtp_of, shape_of
from simulator.schema.engine import EngineSettings

_KEYS = {
    "speculative.method": "speculative_config.method",
    "speculative.num_speculative_tokens": "speculative_config.num_speculative_tokens",
    "speculative.num_speculative_tokens_per_batch_size": "speculative_config.num_speculative_tokens_per_batch_size",
    "enable_lora": "max_loras",
}
"""Keys that the scenario calls otherwise."""
_OF_OTHERS = ("async_scheduling", "mamba_cache_mode")
"""Keys that are settled elsewhere (`resolve.flight`), or that no scenario has."""
_ACTIVATIONS = {"bf16": "bfloat16", "bfloat16": "bfloat16", "fp16": "float16", "float16": "float16"}


def asked_for(
    settings: EngineSettings,
    model: str,
    role: str,
    shape: ModelShape,
    native: str,
    folder: Path,
    with_adapters: bool = False,
) -> Asked:
    """An engine of the scenario as vLLM is asked for it; limits that are left to it are not in it yet.

    Parameters
    ----------
    model, role : of the pool
    native : the model's own format; its activations' type is not known where weights are quantized
    with_adapters : requests ask for LoRA adapters
    """
    spec = settings.speculative_config
    native = "" if settings.quantization else _ACTIVATIONS.get(native, "")
    newer = settings.version is None or version_key(settings.version)[:2] >= version_key(V0_32.version)[:2]
    layers, modules = mtp_of(model, spec.method, folder) if spec else (1, 1)
    return Asked(
        async_scheduling=False,
        data_parallel_size=settings.data_parallel_size,
        use_v2_model_runner=newer,
        method=spec.method if spec else "",
        num_speculative_tokens=spec.num_speculative_tokens if spec else 0,
        mtp_modules=modules,
        mtp_layers=layers,
        drafts_by_batch_size=bool(spec and spec.num_speculative_tokens_per_batch_size),
        layers=frozenset(KINDS[cache.kind] for cache in shape.caches),
        disable_hybrid_kv_cache_manager=settings.disable_hybrid_kv_cache_manager,
        offloads=settings.kv_offloading_size is not None,
        connector_takes_groups=None if role == "both" and settings.kv_offloading_size is None else True,
        enable_prefix_caching=settings.enable_prefix_caching,
        enable_chunked_prefill=settings.enable_chunked_prefill,
        disable_chunked_mm_input=settings.disable_chunked_mm_input,
        enable_lora=with_adapters,
        prefill_schedule_interval=settings.prefill_schedule_interval,
        block_size=settings.block_size,
        max_num_active_seqs=settings.max_num_active_seqs,
        max_model_len=settings.max_model_len or default_length(settings.version, shape),
        long_prefill_token_threshold=settings.long_prefill_token_threshold,
        dtype=native if settings.dtype == "auto" else settings.dtype,
        kv_cache_dtype=settings.kv_cache_dtype,
        draft_max_model_len=shape_of(spec.model, folder).context if spec and spec.model else None,
    )


def as_made(asked: Asked, version: str) -> Asked:
    """The engine that vLLM makes of it, as far as that does not depend on its memory.

    Parameters
    ----------
    version : of vLLM, whose rules hold
    """
    return settle(asked, version)[0]


def check_refused(asked: Asked, memory: KvBlocks, version: str) -> tuple[Change, ...]:
    """What vLLM changes of an engine whose limits are known.

    Parameters
    ----------
    version : of vLLM, whose rules hold

    Raises
    ------
    InputError : what it refuses, in its words in substance, at the keys
    """
    limits, made = memory.limits, as_made(asked, version)
    asked = replace(
        asked,
        max_num_batched_tokens=limits.max_num_batched_tokens,
        max_num_seqs=limits.max_num_seqs,
        max_model_len=asked.max_model_len if made.max_model_len < asked.max_model_len else memory.max_model_len,
        enable_prefix_caching=memory.prefix_caching,
    )
    findings = [finding for finding in settle(asked, version)[1] if finding.key not in _OF_OTHERS]
    refused = [finding for finding in findings if finding.effect is Effect.REFUSED]
    if refused:
        raise InputError(*(_problem(finding, asked) for finding in refused))
    return tuple(Change(_key(finding), finding.message) for finding in findings)


def _problem(finding: Finding, asked: Asked) -> Problem:
    name = finding.key.removeprefix("speculative.")
    got = str(getattr(asked, name))
    return Problem(
        finding.message, path=f"engine.{_key(finding)}", got=got.lower() if got in ("True", "False") else got
    )


def _key(finding: Finding) -> str:
    return _KEYS.get(finding.key, finding.key)
