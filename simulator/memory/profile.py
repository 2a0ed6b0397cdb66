"""What vLLM's profile run and graph capture take beside the weights (docs/model/memory.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from simulator.memory.kv_format import KvFormat
from simulator.memory.rules import Rules
from simulator.memory.shape import ModelShape, Tower
from simulator.perf.device import BatchLimits, Split

ACTIVATION_BYTES = 2
PROJECTED = 4
"""Queries, keys, values and the result of an encoder's attention, in its widths."""
ROTATED = 4
"""Queries and keys side by side, and both rotated (`Qwen2_5_VisionAttention`, vLLM 0.33.0)."""
REDUCTION_STATES = 3
"""Buffers of an all-reduce that its kernel turns through, so that none need be cleared before it is used."""
MOST_ITEMS = 999
"""Images, videos or clips of a prompt where nothing is said (`MultiModalConfig.get_limit_per_prompt`)."""
DENSE_SIZES_STEP = 8
"""Capture sizes are 1, 2, 4, then multiples of this up to 256, then of twice this."""
DENSE_SIZES_END = 256


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU as the engine sees it.

    Attributes
    ----------
    name : in the catalog
    memory_bytes : `total_memory` of torch, which is less than the nominal size
    generation : as `ampere`, `hopper`; decides kernels and defaults
    peers : whether the GPUs of a node reach each other's memory (NVLink, Infinity Fabric)
    nvlinks : NVLinks of one GPU
    host_memory : its memory is that of the processors, whose use counts too
    like : the GPU of the catalog that one of the user's own is like; empty for one of the catalog
    """

    name: str
    memory_bytes: float
    generation: str
    peers: bool = True
    nvlinks: int = 0
    host_memory: bool = False
    like: str = ""


@dataclass(frozen=True, slots=True)
class Overheads:
    """Measured constants, of the catalog (`memory_overheads.yaml`), in bytes.

    Attributes
    ----------
    context : CUDA context of a process, outside torch
    group_first, group_doubling : communicators of two GPUs, and of each doubling of the group
    group_peers : buffers of peers that reach each other's memory
    group_pcie, link_first, link_doubling : the same where NCCL allocates the buffers of every channel (before 0.10.2):
        without peer memory, and per NVLink of two peers and of each doubling
    graph_first, graph_first_mixed : the first captured graph with what its capture leaves behind, and where all are of
        mixed batches
    graph_layer : one graph more, per layer
    host : of processes and files, on a GPU that shares the processors' memory
    rocm_runtime : HIP's runtime and library workspaces, beyond CUDA's
    """

    context: float
    group_first: float
    group_peers: float
    group_doubling: float
    group_pcie: float
    link_first: float
    link_doubling: float
    graph_first: float
    graph_first_mixed: float
    graph_layer: float
    host: float
    rocm_runtime: float


def activation_bytes(
    shape: ModelShape,
    card: Card,
    split: Split,
    limits: BatchLimits,
    rules: Rules,
    *,
    last: bool,
    drafts: bool = False,
    scratch: float = 0.0,
    items: int = MOST_ITEMS,
) -> float:
    """Peak of live activations in the profile run on one GPU.

    The largest of a forward pass at the token budget, the sampler over the logits of `max_num_seqs` sequences (on the
    last pipeline stage), and a tower at its largest items, of which embeddings, and pixels, stay alive beside the first
    two.

    Parameters
    ----------
    last : whether this is the last pipeline stage
    drafts : whether the sampler accepts or rejects drafts
    scratch : memory that kernels of the forward pass keep
    items : images, videos or clips of a prompt at most
    """
    tokens = limits.max_num_batched_tokens
    hidden_states = tokens * shape.hidden * ACTIVATION_BYTES
    sampler = 0.0
    if last and not shape.pools:
        per_entry = rules.sampler_sort_bytes if card.generation == "cdna" else rules.sampler_bytes
        if drafts:
            per_entry = max(per_entry, rules.draft_sampler_bytes)
        sequences = min(limits.max_num_seqs, tokens)
        sampler = hidden_states + sequences * (shape.vocab * per_entry + shape.hidden * ACTIVATION_BYTES)
    forward = max(tokens * _layer_values(shape, split) * ACTIVATION_BYTES, 2 * hidden_states + scratch)
    most = limits.max_num_seqs * items
    towers = [_as_profiled(tower, rules) for tower in shape.towers]
    kept = max((_encoded_bytes(each, shape.hidden, tokens, most, rules.inputs_held) for each in towers), default=0)
    encoders = max((_tower_bytes(tower, tokens, most, split.tp) for tower in towers), default=0)
    return max(max(forward, sampler + scratch) + kept, encoders)


def penalty_bytes(shape: ModelShape, limits: BatchLimits, rules: Rules) -> float:
    """What the last stage's sampler holds from the start, for penalties on tokens of each sequence that may run."""
    return 0.0 if shape.pools else rules.penalty_bytes * limits.max_num_seqs * shape.vocab


def _layer_values(shape: ModelShape, split: Split) -> float:
    """Values per token alive in the widest layer: residual, and gate, up and product, or projections, or experts."""
    residual = shape.streams * shape.hidden
    dense = residual + 3 * shape.mlp_width / split.tp
    attention = residual + shape.hidden + max(shape.projection / split.tp, shape.projection_least)
    if not shape.experts:
        return max(dense, attention)
    inner = shape.moe_inner / (1 if split.expert_parallel else split.expert_gpus)
    expert = residual + shape.hidden + shape.moe_per_token * (max(2 * inner, shape.hidden) + inner)
    return max(dense, attention, expert)


def _as_profiled(tower: Tower, rules: Rules) -> Tower:
    """An encoder with one video as its item, in versions whose profile takes it for the longest; else as it is."""
    if not (rules.videos_spelled and tower.spelled_tokens):
        return replace(tower, spelled_tokens=0)
    return replace(tower, tokens_per_item=tower.video_tokens, alone=True)


def _encoder_tokens(tower: Tower, budget: int, items: int) -> int:
    """Tokens of other modalities that are encoded at once: of `items` within the token budget, or one larger item."""
    if not tower.tokens_per_item:
        return budget
    return max(1, min(budget // tower.tokens_per_item, items)) * tower.tokens_per_item


def _encoded_bytes(tower: Tower, hidden: int, budget: int, items: int, inputs: bool) -> float:
    """Embeddings of what is encoded at once, and its pixels where the runner still holds them."""
    tokens = tower.tokens_per_item if tower.spelled_tokens else _encoder_tokens(tower, budget, items)
    pixels = inputs * tokens * tower.patches_per_token * tower.pixels
    return ((tokens + tower.spelled_tokens) * tower.outputs * hidden + pixels) * ACTIVATION_BYTES


def _tower_bytes(tower: Tower, budget: int, items: int, tp: int) -> float:
    """What is alive at once of all patches that are encoded together, in the wider half of a layer.

    .. math:: 2 P (k + \\max(2h + h_a / \\mathrm{TP} + c h,\\ 3h + 2 f / \\mathrm{TP}))

    with :math:`h_a` of queries, keys, values, their rotated copies and the result, and `c` outputs, of which the sum
    over the GPUs is one. Encoders run layer by layer without a compiler, so a layer's input lives until it returns.
    """
    tokens = tower.tokens_per_item if tower.alone else _encoder_tokens(tower, budget, items)
    patches = tokens * tower.patches_per_token
    wide, outputs = tower.hidden, 1 if tp == 1 else 2
    attention = (2 + outputs) * wide + (PROJECTED + ROTATED * tower.rotates) * wide / tp
    mlp = 3 * wide + tower.inner / tp
    return patches * (tower.pixels + tower.kept + max(attention, mlp)) * ACTIVATION_BYTES


def captured_graphs(
    limits: BatchLimits,
    rules: Rules,
    generation: str,
    most_tokens: int | None = None,
    drafts: int = 0,
    mixed_alone: bool = False,
) -> int:
    """Graphs that vLLM captures: sizes up to twice the tokens of a step of decoding, and decode's up to those.

    Parameters
    ----------
    generation : of the GPU
    most_tokens : the largest size where the engine's settings say it
    drafts : of a request and step
    mixed_alone : none of decode batches
    """
    decoded = limits.max_num_seqs * (1 + drafts * rules.drafts_captured)
    largest = rules.most_captured.get(generation, rules.most_captured["any"])
    most = min(2 * decoded, largest) if most_tokens is None else most_tokens
    most = min(most, max(limits.max_num_batched_tokens, 1))
    mixed = _sizes(most)
    if mixed_alone or rules.graph_mode == "piecewise":
        return mixed
    return mixed + _sizes(min(decoded, most))


def _sizes(most: int) -> int:
    small = sum(size <= most for size in (1, 2, 4))
    dense = min(most, DENSE_SIZES_END) // DENSE_SIZES_STEP
    return small + dense + max(0, most - DENSE_SIZES_END) // (2 * DENSE_SIZES_STEP)


def drafts_in_mixed_graphs(shape: ModelShape, kv: KvFormat, rules: Rules, generation: str, drafts: int) -> bool:
    """Whether drafts are verified in graphs of mixed batches alone: FlashInfer attends to keys in fp8."""
    return drafts > 0 and kv.name == "fp8" and shape.latent is None and generation in rules.piecewise_drafts


def graph_bytes(shape: ModelShape, graphs: int, overheads: Overheads, pp: int, mixed_alone: bool = False) -> float:
    """Memory of so many captured graphs on one GPU."""
    more = overheads.graph_layer * graphs * math.ceil(shape.layers / pp)
    return (overheads.graph_first_mixed if mixed_alone else overheads.graph_first) + more


def runtime_bytes(card: Card, split: Split, rules: Rules, overheads: Overheads, graphs: bool) -> float:
    """Memory of the engine outside torch: libraries, communicators, the CUDA context where the version counts it.

    Parameters
    ----------
    graphs : whether the engine captures any; a version that does so in the profile counts what it leaves behind
    """
    profiled = rules.graphs_profiled and graphs
    stages_alone = split.pp > 1 and split.tp == 1
    total = rules.runtime_bytes if profiled and not stages_alone else rules.eager_runtime_bytes
    total += overheads.context if rules.context_in_budget else 0.0
    if card.generation == "cdna":
        total += overheads.rocm_runtime
    if card.host_memory:
        total += overheads.host
    if split.tp > 1:
        total += _group_bytes(card, math.log2(split.tp) - 1, rules, overheads, profiled)
    elif stages_alone and not rules.communicators_before:
        total += overheads.group_first
    return total


def reduction_bytes(shape: ModelShape, most: float, split: Split, limits: BatchLimits, rules: Rules) -> float:
    """Workspace of FlashInfer's all-reduce with the norm after it, for messages of at `most` so many bytes
    (`trtllm_create_ipc_workspace_for_all_reduce_fusion`, `MNNVLAllReduceFusionWorkspace`)."""
    row = shape.hidden * ACTIVATION_BYTES
    tokens = min(int(most) // row, limits.max_num_batched_tokens)
    if rules.fused_reduction_copies:
        return tokens * row * split.tp * (1 + REDUCTION_STATES)
    return 2 * math.ceil(tokens / split.tp) * split.tp * row * REDUCTION_STATES


def _group_bytes(card: Card, doublings: float, rules: Rules, overheads: Overheads, profiled: bool) -> float:
    """Buffers of a tensor-parallel group of two GPUs, doubled so often."""
    if not rules.virtual_buffers and not card.peers:
        return overheads.group_pcie
    if not rules.virtual_buffers and card.nvlinks:
        return card.nvlinks * (overheads.link_first + overheads.link_doubling * doublings)
    if not card.peers and not profiled:
        return overheads.group_first
    held = rules.peers_held and profiled == rules.graphs_profiled
    peers = overheads.group_peers if card.peers and held else 0.0
    return overheads.group_first + overheads.group_doubling * doublings + peers
