"""The memory plan of one replica: every term as vLLM finds it, blocks and tokens, and whether it starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from simulator.memory.adapters import Adapters, adapter_bytes_by_stage
from simulator.memory.allocator import unused_by_stage
from simulator.memory.cache import Group, Pool, pool, reported_blocks, request_blocks
from simulator.memory.experts import scratch_bytes
from simulator.memory.kv_format import IN_16_BIT, KvFormat
from simulator.memory.profile import (
    MOST_ITEMS,
    Card,
    Overheads,
    activation_bytes,
    captured_graphs,
    drafts_in_mixed_graphs,
    graph_bytes,
    penalty_bytes,
    reduction_bytes,
    runtime_bytes,
)
from simulator.memory.rules import Rules
from simulator.memory.shape import ModelShape
from simulator.memory.weights import Weights, weight_bytes_by_stage
from simulator.perf.device import BatchLimits, Split
from simulator.units import BYTES_PER_GIB

NULL_BLOCK = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the engine, defaults filled in.

    Attributes
    ----------
    kv : how keys and values are stored
    max_model_len : longest request, None for the model's context
    enforce_eager : no graphs
    max_cudagraph_capture_size : tokens of the largest graph, None for vLLM's choice
    enable_prefix_caching : of layers with a state too
    num_speculative_tokens : drafts of a request and step
    kv_cache_memory_bytes : for blocks on one GPU, whatever else is held; None for what is left
    items_per_prompt : images, videos or clips of a prompt at most
    retained_tokens : that a window keeps beyond its own, as several MTP modules may compute them again
    expandable_segments : torch's allocator gives a tensor no more than its bytes
    adapters : slots of LoRA adapters, None without
    fused_reduce_bytes : largest message whose all-reduce takes the norm after it along; 0 where none does
    """

    split: Split
    limits: BatchLimits
    gpu_memory_utilization: float
    kv: KvFormat = IN_16_BIT
    max_model_len: int | None = None
    block_size: int = 16
    enforce_eager: bool = False
    max_cudagraph_capture_size: int | None = None
    enable_prefix_caching: bool = True
    num_speculative_tokens: int = 0
    items_per_prompt: int = MOST_ITEMS
    retained_tokens: int = 0
    kv_cache_memory_bytes: float | None = None
    expandable_segments: bool = False
    adapters: Adapters | None = None
    fused_reduce_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """Bytes on the GPU whose stage leaves the fewest blocks.

    Attributes
    ----------
    total_bytes : memory that the engine sees
    usable_bytes : total times utilisation
    weight_bytes, activation_bytes, runtime_bytes : as vLLM logs them; the last is its non-torch memory
    graph_bytes : captured graphs; out of the budget where the version says so
    graphs_in_budget : whether they are
    kv_bytes : what is left for blocks, negative where nothing is
    block_bytes : one block of the pool
    """

    total_bytes: float
    usable_bytes: float
    weight_bytes: float
    activation_bytes: float
    runtime_bytes: float
    graph_bytes: float
    graphs_in_budget: bool
    kv_bytes: float
    block_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A memory plan.

    Attributes
    ----------
    groups : KV-cache groups
    weight_bytes_total : of all GPUs of the replica
    num_blocks : of the pool, the null block included
    kv_tokens : as vLLM logs them
    max_model_len : longest request, as asked or of the model
    max_concurrency : requests of that length at once
    longest_that_fits : tokens of the longest request that the cache holds
    refusals : why vLLM would not start, in its order; empty where it starts
    saves_states : a kernel saves states amid a prefill, each in a block of its own
    one_copy_bytes : of the weights, as one GPU would hold them all
    """

    terms: Terms
    groups: tuple[Group, ...]
    weight_bytes_total: float
    num_blocks: int
    kv_tokens: int
    max_model_len: int
    max_concurrency: float
    longest_that_fits: int
    refusals: tuple[str, ...]
    saves_states: bool
    one_copy_bytes: float

    @property
    def fits(self) -> bool:
        return not self.refusals


SAVED_AT = {"delta_rule": 64}
"""Tokens at whose multiples a kernel can save a state, where blocks follow (`gdn_attn.py`, vLLM 0.33.0)."""


def _saves(shape: ModelShape, card: Card, request: Request, rules: Rules) -> str:
    """Kernel that saves states amid a prefill, for the prefix cache; empty without."""
    kernel = next((cache.saves for cache in shape.caches if cache.kind == "state"), "")
    where = rules.saved_states.get(kernel, ())
    return kernel if request.enable_prefix_caching and ("any" in where or card.generation in where) else ""


def plan(shape: ModelShape, weights: Weights, card: Card, request: Request, rules: Rules, overheads: Overheads) -> Plan:
    """Memory plan of one replica.

    .. math:: N = \\min_{stages} \\lfloor (M u - W - A - R - G) / B \\rfloor

    Raises
    ------
    InputError : a cache that this version does not have
    """
    length = request.max_model_len or shape.context
    drafts = request.num_speculative_tokens
    saves = _saves(shape, card, request, rules)
    found = pool(shape, request.split, rules, request.kv, request.block_size, drafts, SAVED_AT.get(saves, 1))
    stages = _stages(shape, weights, card, request, rules, overheads, found)
    terms = min(stages, key=lambda stage: stage.kv_bytes / max(stage.block_bytes, 1))
    blocks = max(0, int(terms.kv_bytes // terms.block_bytes)) if terms.block_bytes else 0

    budget = request.limits.max_num_batched_tokens
    in_flight = budget * rules.steps_in_flight + request.retained_tokens
    more_states = drafts + bool(saves)

    def held(group: Group, tokens: int) -> int:
        return request_blocks(group, tokens, in_flight, request.enable_prefix_caching, more_states, budget)

    def needed(tokens: int) -> int:
        return sum(held(group, tokens) for group in found.groups)

    free = blocks - (NULL_BLOCK if rules.null_block_checked else 0)
    longest = _longest(needed, free, length)
    told = reported_blocks(found.groups, lambda group: held(group, length), rules)
    concurrency = blocks / told if told else 0.0
    if rules.tokens_by_concurrency:
        tokens = int(concurrency * length)
    else:
        tokens = blocks // max(len(found.groups), 1) * found.block_tokens
    refusals = _refusals(shape, card, request, rules, overheads, terms, found, blocks, longest, length)
    total = request.split.tp * sum(stage.weight_bytes for stage in stages)
    copy = sum(weight_bytes_by_stage(shape, weights, Split()))
    return Plan(terms, found.groups, total, blocks, tokens, length, concurrency, longest, refusals, bool(saves), copy)


def _stages(
    shape: ModelShape,
    weights: Weights,
    card: Card,
    request: Request,
    rules: Rules,
    overheads: Overheads,
    found: Pool,
) -> list[Terms]:
    usable = card.memory_bytes * request.gpu_memory_utilization
    pp = request.split.pp
    most = request.max_cudagraph_capture_size
    drafts = request.num_speculative_tokens
    mixed = drafts_in_mixed_graphs(shape, request.kv, rules, card.generation, drafts)
    captured = captured_graphs(request.limits, rules, card.generation, most, drafts, mixed)
    graphs = 0.0 if request.enforce_eager else graph_bytes(shape, captured, overheads, pp, mixed)
    captures = rules.graphs_estimated and not request.enforce_eager
    runtime = runtime_bytes(card, request.split, rules, overheads, captures)
    if not request.enforce_eager:
        runtime += reduction_bytes(shape, request.fused_reduce_bytes, request.split, request.limits, rules)
    length = request.max_model_len or shape.context
    scratch = scratch_bytes(shape, weights, card, request.split, request.limits, length, rules)
    stages = []
    buffers = shape.step_bytes * request.limits.max_num_batched_tokens
    penalties = penalty_bytes(shape, request.limits, rules) if rules.penalties_in_budget else 0.0
    slots = adapter_bytes_by_stage(shape, request.adapters, request.split)
    unused = [0.0] * pp
    if not request.expandable_segments:
        unused = unused_by_stage(shape, weights, request.split, rules.unsplit_from_bytes or math.inf)
    for stage, loaded in enumerate(weight_bytes_by_stage(shape, weights, request.split)):
        weight = loaded + unused[stage] + buffers + slots[stage]
        activations = activation_bytes(
            *(shape, card, request.split, request.limits, rules),
            last=stage == pp - 1,
            drafts=drafts > 0,
            scratch=scratch,
            items=request.items_per_prompt,
        )
        held = runtime + (penalties if stage == pp - 1 else 0.0)
        left = usable - weight - activations - held - (graphs if rules.graphs_in_budget else 0.0)
        stages.append(
            Terms(
                total_bytes=card.memory_bytes,
                usable_bytes=usable,
                weight_bytes=weight,
                activation_bytes=activations,
                runtime_bytes=held,
                graph_bytes=graphs,
                graphs_in_budget=rules.graphs_in_budget,
                kv_bytes=left if request.kv_cache_memory_bytes is None else request.kv_cache_memory_bytes,
                block_bytes=found.stage_block_bytes[stage],
            )
        )
    return stages


def _longest(needed: Callable[[int], int], blocks: int, most: int) -> int:
    """Longest request of at most `most` tokens that `blocks` hold; 0 where none does."""
    if blocks <= 0 or needed(1) > blocks:
        return 0
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        if needed(middle) <= blocks:
            low = middle
        else:
            high = middle - 1
    return low


def _refusals(
    shape: ModelShape,
    card: Card,
    request: Request,
    rules: Rules,
    overheads: Overheads,
    terms: Terms,
    found: Pool,
    blocks: int,
    longest: int,
    length: int,
) -> tuple[str, ...]:
    refusals = []
    beside = {
        "CUDA graphs": 0.0 if rules.graphs_in_budget else terms.graph_bytes,
        "context": 0.0 if rules.context_in_budget else overheads.context,
        "what penalties count": 0.0 if rules.penalties_in_budget else penalty_bytes(shape, request.limits, rules),
    }
    if rules.free_memory_checked and terms.usable_bytes > card.memory_bytes - overheads.context:
        most = math.floor((1 - overheads.context / card.memory_bytes) * 100) / 100
        refusals.append(
            f"less memory is free at start-up than the engine asks for: the CUDA context takes "
            f"{overheads.context / BYTES_PER_GIB:.2f} GiB; "
            + (f"gpu_memory_utilization of at most {most:.2f} works" if most > 0 else "no gpu_memory_utilization works")
        )
    if terms.kv_bytes <= 0:
        lacking = -terms.kv_bytes / BYTES_PER_GIB
        refusals.append(f"no memory is left for KV blocks: {lacking:.2f} GiB per GPU are missing")
    elif longest < length and found.groups:
        refusals.append(
            f"the KV cache holds one request of at most {longest} tokens, and max_model_len is {length}: "
            f"set max_model_len to at most {longest}"
            if longest
            else "the KV cache does not hold a single token"
        )
    taken = terms.usable_bytes + sum(beside.values())
    if request.kv_cache_memory_bytes is not None:
        held = terms.weight_bytes + terms.activation_bytes + terms.runtime_bytes + terms.kv_bytes
        held += sum(beside.values()) + (terms.graph_bytes if rules.graphs_in_budget else 0.0)
        over = (held - card.memory_bytes) / BYTES_PER_GIB
        if over > 0:
            refusals.append(
                f"with a KV cache of {terms.kv_bytes / BYTES_PER_GIB:.2f} GiB the card's memory is exceeded by "
                f"{over:.2f} GiB: lower kv_cache_memory_bytes"
            )
    elif terms.kv_bytes > 0 and taken > card.memory_bytes:
        over = (taken - card.memory_bytes) / BYTES_PER_GIB
        by_sequences = " or max_num_seqs" if beside["CUDA graphs"] or beside["what penalties count"] else ""
        refusals.append(
            f"what lies outside the budget ({', '.join(name for name, taken in beside.items() if taken)}) exceeds the "
            f"card by {over:.2f} GiB: lower gpu_memory_utilization{by_sequences}"
            + (", or set enforce_eager" if beside["CUDA graphs"] else "")
        )
    states = any(group.page.kind == "state" for group in found.groups)
    captured = states and rules.states_per_sequence_checked and not request.enforce_eager
    if captured and 0 < blocks < request.limits.max_num_seqs:
        refusals.append(
            f"max_num_seqs ({request.limits.max_num_seqs}) exceeds the {blocks} blocks for recurrent states: "
            f"set max_num_seqs to at most {blocks}"
        )
    return tuple(refusals)
