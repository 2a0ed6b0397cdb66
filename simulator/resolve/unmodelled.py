"""Models of which the step-time model knows a part only: memory from the plan by layer, and words about the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulator.errors import InputError, Problem
from simulator.perf.memory import MemoryPlan
from simulator.resolve.memory import Question, answer, shape_of
from simulator.schema.engine import EngineSettings


def unmodelled_parts(name: str, folder: Path) -> tuple[str, ...]:
    """What of a model the step-time model does not know, in words; nothing of most models.

    Raises
    ------
    InputError : a config.json with a key that changes the shape and is not understood
    """
    return shape_of(name, folder).unmodelled


def notes_of(name: str, parts: tuple[str, ...]) -> tuple[str, ...]:
    """The warning of a run with such a model."""
    if not parts:
        return ()
    return (
        f"{name}: the step-time model does not know {', '.join(parts)} and computes those layers as plain attention: "
        "its times are a guess; KV blocks are planned by layer",
    )


def plan_by_layer(name: str, gpu: str, tp: int, pp: int, settings: EngineSettings, folder: Path) -> MemoryPlan:
    """Memory of a model whose layers differ; blocks are as many as hold the tokens that vLLM reports.

    Raises
    ------
    InputError : vLLM would not start
    """
    question = Question(
        model=name,
        gpu=gpu,
        tp=tp,
        pp=pp,
        dp=settings.data_parallel_size,
        expert_parallel=settings.enable_expert_parallel,
        dtype={None: "auto", "none": settings.dtype}.get(settings.quantization, settings.quantization or "auto"),
        kv_dtype=settings.kv_cache_dtype,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        max_model_len=settings.max_model_len,
        max_num_batched_tokens=settings.max_num_batched_tokens,
        max_num_seqs=settings.max_num_seqs,
        version=settings.version,
        block_size=settings.block_size,
        folder=folder,
    )
    found = answer(question)
    longest = found.plan.longest_that_fits
    if settings.max_model_len is None and 0 < longest < found.plan.max_model_len:
        found = answer(replace(question, max_model_len=longest))
    plan, terms = found.plan, found.plan.terms
    if not plan.fits:
        raise InputError(Problem(f"{name} does not start on {gpu}: {'; '.join(plan.refusals)}", path="engine"))
    return MemoryPlan(
        usable_bytes=terms.usable_bytes,
        weight_bytes=terms.weight_bytes,
        draft_bytes=0.0,
        activation_bytes=terms.activation_bytes,
        cuda_graph_bytes=terms.graph_bytes,
        runtime_bytes=terms.runtime_bytes,
        sliding_bytes=0.0,
        kv_bytes=terms.kv_bytes,
        block_bytes=terms.kv_bytes * settings.block_size / plan.kv_tokens,
        num_blocks=plan.kv_tokens // settings.block_size,
        block_size=settings.block_size,
        max_model_len=plan.max_model_len,
    )
