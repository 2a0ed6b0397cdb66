"""KV blocks of a replica: the plan of vLLM's start-up, its groups, or what it leaves an engine with one block table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from simulator.engine.modes.spec import KvGroup
from simulator.errors import InputError, Problem
from simulator.memory.cache import Group
from simulator.memory.kv_format import IN_16_BIT, KvFormat
from simulator.memory.planner import NULL_BLOCK, Plan
from simulator.memory.weights import stage_of_layer
from simulator.perf.device import BatchLimits, Split
from simulator.resolve.advice import ways_out
from simulator.resolve.cards import notes_of_card
from simulator.resolve.kv_groups import kv_groups, not_simulated, shortest_block
from simulator.resolve.memory import Answer, answer
from simulator.resolve.memory_notes import notes_of_version
from simulator.resolve.memory_question import Question
from simulator.schema.engine import EngineSettings

_KEYS = {
    "kv_dtype": "kv_cache_dtype",
    "speculative_method": "speculative_config.method",
    "num_speculative_tokens": "speculative_config.num_speculative_tokens",
    "draft_model": "speculative_config.model",
}
"""Keys of an engine that a question's fields come from, where they are called otherwise."""
_MEASURED = ("auto", "fp8")
"""Formats of the KV cache whose attention the step-time model was fitted to, or computes like one of them."""


@dataclass(frozen=True, slots=True)
class KvBlocks:
    """Blocks of an engine.

    Attributes
    ----------
    num_blocks : of its block tables, the null block included
    block_size : tokens in the shortest of them
    block_bytes : of one of them on one GPU
    max_model_len : longest request in tokens that the replica takes
    limits : token budget and sequences of a step
    plan : what vLLM's start-up finds
    kv : how keys and values are stored
    groups : KV cache groups; empty is one block table
    prefix_caching : whether blocks of equal beginnings are reused
    notes : what a run tells of it
    """

    num_blocks: int
    block_size: int
    block_bytes: float
    max_model_len: int
    limits: BatchLimits
    plan: Plan
    kv: KvFormat = IN_16_BIT
    groups: tuple[KvGroup, ...] = ()
    prefix_caching: bool = True
    notes: tuple[str, ...] = ()


def notes_of(name: str, parts: tuple[str, ...]) -> tuple[str, ...]:
    """The warning of a run with a model of which the step-time model does not know `parts`."""
    if not parts:
        return ()
    return (
        f"{name}: the step-time model does not know {', '.join(parts)} and computes those layers as plain attention: "
        "its times are a guess; KV blocks are planned by layer",
    )


def notes_of_cache(kv: KvFormat) -> tuple[str, ...]:
    """The warning of a run with a KV cache that nobody measured."""
    if kv.name in _MEASURED:
        return ()
    return (
        f"kv_cache_dtype {kv.name}: its attention was not measured; a step reads as many bytes as it stores, as "
        "fast as with the nearest format that was, and what its kernel takes to unpack them is not in it",
    )


def question(
    name: str, gpu: str, split: Split, settings: EngineSettings, weights: str | None, folder: Path
) -> Question:
    """An engine's memory as a question.

    Parameters
    ----------
    weights : format of the weights, None for the checkpoint's own
    """
    spec = settings.speculative_config
    chosen = weights or "auto"
    if chosen == "bf16" and settings.dtype != "bfloat16":  # vLLM's auto takes what the GPU computes in
        chosen = "fp16"
    return Question(
        model=name,
        gpu=gpu,
        tp=split.tp,
        pp=split.pp,
        dp=split.dp,
        expert_parallel=split.expert_parallel,
        redundant_experts=split.redundant_experts,
        dtype=chosen,
        kv_dtype=settings.kv_cache_dtype,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        max_model_len=settings.max_model_len,
        max_num_batched_tokens=settings.max_num_batched_tokens,
        max_num_seqs=settings.max_num_seqs,
        version=settings.version,
        max_cudagraph_capture_size=settings.max_cudagraph_capture_size,
        block_size=settings.block_size,
        enable_prefix_caching=None if settings.enable_prefix_caching else False,
        enable_chunked_prefill=settings.enable_chunked_prefill,
        disable_hybrid_kv_cache_manager=settings.disable_hybrid_kv_cache_manager,
        speculative_method=spec.method if spec else None,
        num_speculative_tokens=spec.num_speculative_tokens if spec else 0,
        draft_model=spec.model if spec else None,
        max_loras=settings.max_loras,
        max_lora_rank=settings.max_lora_rank,
        fuse_allreduce_rms=settings.fuse_allreduce_rms,
        folder=folder,
    )


def kv_blocks(asked: Question) -> KvBlocks:
    """Blocks of a replica; a length that was not asked for is cut to what fits.

    Raises
    ------
    InputError : vLLM would not start, with what would make it start
    """
    found = _answer(asked)
    longest = found.plan.longest_that_fits
    if asked.max_model_len is None and 0 < longest < found.plan.max_model_len:
        found = answer(replace(asked, max_model_len=longest))
    if not found.plan.fits:
        raise InputError(_refusal(found))
    plan = found.plan
    size = plan.groups[0].page.tokens if _is_one_table(plan) else asked.block_size
    caching = found.request.enable_prefix_caching
    groups = kv_groups(plan, caching, asked.speculative_method, asked.num_speculative_tokens)
    one_table = not_simulated(groups, caching, asked.speculative_method)
    if groups and not one_table:
        return KvBlocks(
            num_blocks=plan.num_blocks,
            block_size=shortest_block(groups, size),
            block_bytes=plan.terms.block_bytes,
            max_model_len=plan.max_model_len,
            limits=found.request.limits,
            plan=plan,
            kv=found.request.kv,
            groups=groups,
            prefix_caching=caching,
            notes=notes_of_card(found.card) + notes_of_version(asked.version),
        )
    told = (f"{found.shape.name}: its layers differ, and are simulated with one block table: {one_table}",)
    blocks, block_bytes = _of_one_table(found)
    holds = (blocks - NULL_BLOCK) * size
    notes: tuple[str, ...] = (*notes_of_card(found.card), *notes_of_version(asked.version), *(told if groups else ()))
    if asked.max_model_len is not None and holds < plan.max_model_len:
        notes += (
            f"{found.shape.name}: vLLM starts with max_model_len {plan.max_model_len:,}; beside windows of "
            f"{found.request.limits.max_num_seqs} sequences the simulated engine holds requests of {holds:,} tokens",
        )
    if holds <= 0:
        raise InputError(
            Problem(f"{found.shape.name}: the KV cache on {found.card.name} holds no request", path="engine")
        )
    return KvBlocks(
        num_blocks=blocks,
        block_size=size,
        block_bytes=block_bytes,
        max_model_len=min(plan.max_model_len, holds),
        limits=found.request.limits,
        plan=plan,
        kv=found.request.kv,
        prefix_caching=caching,
        notes=notes,
    )


def _answer(asked: Question) -> Answer:
    """The plan; what is wrong with the question stands at the engine's keys."""
    try:
        return answer(asked)
    except InputError as error:
        raise InputError(*map(_of_engine, error.problems)) from error


def _of_engine(problem: Problem) -> Problem:
    if problem.path is None or problem.file:
        return problem
    return replace(problem, path=f"engine.{_KEYS.get(problem.path, problem.path)}")


def _refusal(found: Answer) -> Problem:
    asked = found.question
    split = f"tp={asked.tp}" + (f", pp={asked.pp}" if asked.pp > 1 else "")
    free = asked.max_model_len is None
    ways = ways_out(answer(replace(asked, max_model_len=asked.block_size)) if free else found)
    would = f"; would start, each alone: {', '.join(ways)}" if ways else "; no single option changes that"
    reasons = "; ".join(found.plan.refusals)
    too_long = found.plan.max_model_len > found.shape.context
    return Problem(
        f"{found.shape.name} does not start on {found.card.name} with {split}: {reasons}{would}",
        path="engine.max_model_len" if too_long else "engine",
    )


def _is_one_table(plan: Plan) -> bool:
    """Whether vLLM itself has one block table, of layers that cache tokens."""
    return len(plan.groups) == 1 and plan.groups[0].page.kind != "state"


def _of_one_table(found: Answer) -> tuple[int, float]:
    """Blocks and bytes of one for an engine that has one block table.

    Where windows or chunks stand beside full attention, room for them at `max_num_seqs` sequences is kept aside, but
    no more than their share; blocks hold the other layers. Where layers have a state, blocks are as many as hold the
    tokens that vLLM reports.
    """
    plan, size = found.plan, found.request.block_size
    kinds = {group.page.kind for group in plan.groups}
    if _is_one_table(plan):
        return plan.num_blocks, plan.terms.block_bytes
    if "state" in kinds or not kinds & {"window", "chunk"}:
        return plan.kv_tokens // size, plan.terms.kv_bytes * size / max(plan.kv_tokens, 1)
    return min(_beside_windows(found, stage) for stage in range(found.request.split.pp) if _full(found, stage))


def _beside_windows(found: Answer, stage: int) -> tuple[int, float]:
    """Blocks of layers with full attention on one stage, beside its windows."""
    room, size, full = found.plan.terms.kv_bytes, found.request.block_size, _full(found, stage)
    windows = [group for group in found.plan.groups if group.page.kind in ("window", "chunk")]
    each = sum(_token_bytes(group, found, stage) for group in windows)
    reached = sum(group.page.reach * _token_bytes(group, found, stage) for group in windows)
    aside = min(found.request.limits.max_num_seqs * reached, room * each / (each + full))
    return int((room - aside) // (full * size)), full * size


def _full(found: Answer, stage: int) -> float:
    """Bytes of one token in all layers of a stage with full attention."""
    groups = [group for group in found.plan.groups if group.page.kind in ("full", "latent")]
    return sum(_token_bytes(group, found, stage) for group in groups)


def _token_bytes(group: Group, found: Answer, stage: int) -> float:
    shape, pp = found.shape, found.request.split.pp
    return sum(
        size / group.page.tokens
        for member, size in zip(group.members, group.member_bytes, strict=True)
        if stage_of_layer(shape.layers, pp, shape.layer_of_cache[member]) == stage
    )
