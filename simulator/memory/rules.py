"""What differs between versions of vLLM in how it finds its memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules and defaults of one version.

    Attributes
    ----------
    version : as asked for
    gpu_memory_utilization : default share of the card
    hybrid_groups : several KV-cache groups per model; else windows count as full attention
    uniform_types : layers of one type but several sizes share one group
    unify_pages : layers of different page size get blocks of different length; else the model is refused
    pad_pages : a page that does not divide the largest is padded to it; else the model is refused
    pad_share : fewest layers of a type, times this, above which groups take the larger count and are padded
    packing : what a block holds where layers have blocks of their own: the widest group, or pages of windows and states
        padded to those of rows, of every size one for each repetition of a pattern of layers (`patterns`) or as many as
        the group with most of them has (`slots`); `none` before such layers were known, `rings` the widest group, of
        rings too
    cross_attention : it serves models whose decoder reads what an encoder made of the input
    chunked_groups : chunked local attention has groups of its own; else it counts as full attention
    tokens_by_concurrency : the KV cache's tokens are those of requests of the longest length
    state_prefix_cache : prefix caching is on by default for models with a recurrent state
    state_prefix_cache_asked : it can be asked for there; else it is turned off
    saved_states : kernels that save a state amid a prefill, in a block of its own, by the generations of GPU that have
        them, `any` of all
    latent_alignment : tokens to which the block of latent attention is rounded beside a state
    tails_without_drafts : layers whose convolution does not keep a step's drafts
    longer_windows : types of models whose windows reach one token further than their config says
    states_per_sequence_checked : vLLM refuses more sequences than blocks where layers have a state
    steps_in_flight : batches whose tokens a window holds at once
    sampler_bytes : bytes per sequence and vocabulary entry alive at once in the profiled sampler
    sampler_sort_bytes : the same on GPUs that take the sorting sampler
    draft_sampler_bytes : the same where drafts are accepted or rejected
    penalty_bytes : of each sequence that may run and vocabulary entry, for the tokens that penalties count
    penalties_in_budget : they come out of the budget; else they lie beside it
    graphs_profiled : graphs are captured once within the profile, with what their collectives allocate
    graphs_estimated : its runner captures any before memory is shared out
    inputs_held : what was encoded in the profile is held through the forward pass and the sampler after it
    videos_spelled : the profile encodes a video, and holds embeddings for the words between its tokens too
    compiling_counts : what compiling takes for a while, at an engine's first start, counts as taken
    unsplit_from_bytes : size of a weight from which on the rest of its memory is left unused; 0 for none
    sleep_mode_overshoots : in sleep mode it finds more memory for the KV cache than there is
    virtual_buffers : NCCL maps its buffers as it needs them (cuMem); else it allocates those of every channel
    peers_held : buffers of peers are there when the profile ends
    communicators_before : memory is first looked at when the communicators are there
    fused_reduction_copies : FlashInfer's fused all-reduce keeps the copies of every peer; else two halves by multicast
    graphs_in_budget : the graphs' estimated memory comes out of the budget
    graph_mode : capture sizes of mixed batches, and of decode batches too
    piecewise_drafts : GPUs on which drafts over a cache in fp8 are verified without graphs of decode batches
    most_captured : largest captured batch, by generation of GPU, `any` of others
    drafts_captured : decode batches are captured with their drafts
    context_in_budget : the CUDA context counts as memory of the engine
    free_memory_checked : vLLM refuses to start where less is free than it asks for
    null_block_checked : the longest request must fit beside the null block
    runtime_bytes, eager_runtime_bytes : beside torch's own, on one GPU, of this version; where no graph was captured
    hopper_expert_kernel : MXFP4 experts run in Triton on Hopper; else in Marlin with its padding
    aligned_fp8_experts : experts in FP8 with one scale per tensor are padded for FlashInfer's kernel
    kept_expert_scratch : formats of experts whose scratch memory is kept after the forward pass, by generation of GPU
    kept_scratch_of_cut_experts : the same where each GPU holds a part of every expert
    indexer_lengths : longest requests whose keys a sparse indexer's scratch memory holds; 0 where it is not kept
    long_indexer_lengths : the same of lengths above 256 k
    """

    version: str
    gpu_memory_utilization: float
    hybrid_groups: bool
    uniform_types: bool
    unify_pages: bool
    pad_pages: bool
    pad_share: float
    packing: Literal["none", "patterns", "slots", "widest", "rings"]
    cross_attention: bool
    chunked_groups: bool
    tokens_by_concurrency: bool
    state_prefix_cache: bool
    state_prefix_cache_asked: bool
    saved_states: Mapping[str, Collection[str]]
    latent_alignment: int
    tails_without_drafts: tuple[str, ...]
    longer_windows: tuple[str, ...]
    states_per_sequence_checked: bool
    steps_in_flight: int
    sampler_bytes: float
    sampler_sort_bytes: float
    draft_sampler_bytes: float
    penalty_bytes: float
    penalties_in_budget: bool
    graphs_profiled: bool
    graphs_estimated: bool
    inputs_held: bool
    videos_spelled: bool
    compiling_counts: bool
    unsplit_from_bytes: float
    sleep_mode_overshoots: bool
    virtual_buffers: bool
    peers_held: bool
    communicators_before: bool
    fused_reduction_copies: bool
    graphs_in_budget: bool
    graph_mode: Literal["piecewise", "full and piecewise"]
    piecewise_drafts: Collection[str]
    most_captured: Mapping[str, int]
    drafts_captured: bool
    context_in_budget: bool
    free_memory_checked: bool
    null_block_checked: bool
    runtime_bytes: float
    eager_runtime_bytes: float
    hopper_expert_kernel: bool
    aligned_fp8_experts: bool
    kept_expert_scratch: Mapping[str, Collection[str]]
    kept_scratch_of_cut_experts: Mapping[str, Collection[str]]
    indexer_lengths: int
    long_indexer_lengths: int
