"""The memory plan by layer in a run: it sizes models of which the closed form knows a part, and is held against it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulator.errors import InputError, Problem
from simulator.perf.memory import MemoryPlan
from simulator.resolve.memory import Answer, Question, answer
from simulator.schema.engine import EngineSettings

TOLD_SHARE = 0.03
"""Difference in KV tokens from which on a run tells both."""


def notes_of(name: str, parts: tuple[str, ...]) -> tuple[str, ...]:
    """The warning of a run with a model of which the step-time model does not know `parts`."""
    if not parts:
        return ()
    return (
        f"{name}: the step-time model does not know {', '.join(parts)} and computes those layers as plain attention: "
        "its times are a guess; KV blocks are planned by layer",
    )


def question(
    name: str, gpu: str, tp: int, pp: int, settings: EngineSettings, weights: str | None, folder: Path
) -> Question:
    """An engine's memory as a question.

    Parameters
    ----------
    weights : format of the weights, None for the checkpoint's own
    """
    return Question(
        model=name,
        gpu=gpu,
        tp=tp,
        pp=pp,
        dp=settings.data_parallel_size,
        expert_parallel=settings.enable_expert_parallel,
        dtype=weights or "auto",
        kv_dtype=settings.kv_cache_dtype,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        max_model_len=settings.max_model_len,
        max_num_batched_tokens=settings.max_num_batched_tokens,
        max_num_seqs=settings.max_num_seqs,
        version=settings.version,
        block_size=settings.block_size,
        enable_prefix_caching=settings.enable_prefix_caching,
        folder=folder,
    )


def _answered(asked: Question) -> Answer:
    """The answer; a length that was not asked for is cut to what fits."""
    found = answer(asked)
    longest = found.plan.longest_that_fits
    if asked.max_model_len is None and 0 < longest < found.plan.max_model_len:
        return answer(replace(asked, max_model_len=longest))
    return found


def plan_by_layer(asked: Question) -> MemoryPlan:
    """Memory of a model whose layers differ; blocks are as many as hold the tokens that vLLM reports.

    Raises
    ------
    InputError : vLLM would not start
    """
    found = _answered(asked)
    plan, terms = found.plan, found.plan.terms
    if not plan.fits:
        raise InputError(
            Problem(f"{asked.model} does not start on {asked.gpu}: {'; '.join(plan.refusals)}", path="engine")
        )
    return MemoryPlan(
        usable_bytes=terms.usable_bytes,
        weight_bytes=terms.weight_bytes,
        draft_bytes=0.0,
        activation_bytes=terms.activation_bytes,
        cuda_graph_bytes=terms.graph_bytes,
        runtime_bytes=terms.runtime_bytes,
        sliding_bytes=0.0,
        kv_bytes=terms.kv_bytes,
        block_bytes=terms.block_bytes if len(plan.groups) == 1 else terms.kv_bytes * asked.block_size / plan.kv_tokens,
        num_blocks=plan.kv_tokens // asked.block_size,
        block_size=asked.block_size,
        max_model_len=plan.max_model_len,
    )


def difference(asked: Question, memory: MemoryPlan) -> tuple[str, ...]:
    """The warning of a run whose closed form and the plan by layer do not agree on the KV cache."""
    engine = f"{Path(asked.model).name} on {asked.gpu}, tp={asked.tp}" + (f", pp={asked.pp}" if asked.pp > 1 else "")
    tokens = memory.num_blocks * memory.block_size
    try:
        plan = _answered(asked).plan
    except InputError as error:
        words = "; ".join(problem.message for problem in error.problems)
        return (f"{engine}: KV blocks were not held against vLLM's start-up: {words}",)
    if not plan.fits:
        return (
            f"{engine}: planned with {tokens:,} KV tokens, but vLLM's start-up (servecast memory) refuses it: "
            f"{'; '.join(plan.refusals)}",
        )
    if abs(plan.kv_tokens - tokens) <= TOLD_SHARE * tokens:
        return ()
    windows = any(group.page.kind == "window" for group in plan.groups)
    return (
        f"{engine}: planned with {tokens:,} KV tokens; vLLM's start-up (servecast memory) finds {plan.kv_tokens:,}"
        + (f" in requests of {plan.max_model_len:,}" if windows else "")
        + f", {plan.kv_tokens / tokens - 1:+.0%}",
    )
