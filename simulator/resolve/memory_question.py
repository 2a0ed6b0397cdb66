"""A question about memory in words: model, GPU, split, version and what else the engine is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulator.catalog.shapes.border import EXPERTS, TOKENS
from simulator.errors import InputError, Problem
from simulator.memory.profile import Card

MOST_GPUS = 4096
"""Along one axis of a split."""
MOST_DRAFTS = 256
"""Of a request and step."""
MOST_BYTES = 2**50
"""On one GPU."""
MOST_ADAPTERS = 10_000
"""In one step."""
METHODS = ("eagle", "mtp", "draft_model", "ngram")
"""Methods of speculative decoding."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a user asks; None is vLLM's default.

    Attributes
    ----------
    redundant_experts : copies of busy experts in each layer
    speculative_method, draft_model : `eagle`, `mtp`, `draft_model` or `ngram`; the model that drafts
    num_speculative_tokens : drafts of a request and step, for each of which a layer with a state keeps one more
    flashinfer : FlashInfer is installed, as in vLLM's container images, where the version does not require it
    expandable_segments : torch's allocator is told so, and rounds no tensor up to a segment
    language_model_only : no images, video or audio: neither encoders nor what they encode
    limit_mm_per_prompt : items of a prompt at most, by kind, as vLLM's option has them
    enable_lora, max_loras, max_lora_rank : room for so many LoRA adapters of at most that rank
    newer_runner : whether the newer model runner serves; None as the version does
    fuse_allreduce_rms : all-reduces take the norm after them along, which needs a workspace; None as the version does
    card : the GPU itself, instead of the one called `gpu`
    folder : of files that are named by relative paths
    """

    model: str
    gpu: str
    tp: int = 1
    pp: int = 1
    dp: int = 1
    expert_parallel: bool = False
    dtype: str = "auto"
    kv_dtype: str = "auto"
    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    version: str | None = None
    enforce_eager: bool = False
    max_cudagraph_capture_size: int | None = None
    block_size: int = 16
    enable_prefix_caching: bool | None = None
    enable_chunked_prefill: bool = True
    disable_hybrid_kv_cache_manager: bool | None = None
    redundant_experts: int = 0
    speculative_method: str | None = None
    num_speculative_tokens: int = 0
    draft_model: str | None = None
    flashinfer: bool = False
    expandable_segments: bool = False
    language_model_only: bool = False
    limit_mm_per_prompt: str | None = None
    kv_cache_memory_bytes: int | None = None
    enable_lora: bool = False
    max_loras: int = 1
    max_lora_rank: int = 16
    newer_runner: bool | None = None
    fuse_allreduce_rms: bool | None = None
    card: Card | None = None
    folder: Path = Path()


def check_numbers(question: Question) -> None:
    """Refuse sizes that no engine takes.

    Raises
    ------
    InputError : every one of them
    """
    sizes = dict.fromkeys(("max_model_len", "max_num_batched_tokens", "max_num_seqs", "block_size"), (1, TOKENS))
    sizes |= dict.fromkeys(("tp", "pp", "dp"), (1, MOST_GPUS)) | {"redundant_experts": (0, EXPERTS)}
    sizes |= {"num_speculative_tokens": (0, MOST_DRAFTS), "max_cudagraph_capture_size": (1, 65_536)}
    sizes |= {"kv_cache_memory_bytes": (1, MOST_BYTES), "max_loras": (1, MOST_ADAPTERS)}
    wrong = [
        Problem(f"must be from {low} to {high:,}", path=name, got=str(value)[:60])
        for name, (low, high) in sizes.items()
        if (value := getattr(question, name)) is not None and not low <= value <= high
    ]
    if wrong:
        raise InputError(*wrong)
