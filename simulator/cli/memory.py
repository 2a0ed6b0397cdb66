"""`servecast memory`: what vLLM's start-up finds, before there is a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def memory(
    model: str | None = None,
    /,
    *,
    gpu: str | None = None,
    tp: int = 1,
    pp: int = 1,
    dp: int = 1,
    expert_parallel: bool = False,
    redundant_experts: int = 0,
    dtype: str = "auto",
    kv_dtype: str = "auto",
    gpu_memory_utilization: float | None = None,
    max_model_len: int | None = None,
    max_num_batched_tokens: int | None = None,
    max_num_seqs: int | None = None,
    version: str | None = None,
    enforce_eager: bool = False,
    max_cudagraph_capture_size: int | None = None,
    block_size: int = 16,
    enable_prefix_caching: Annotated[bool | None, Parameter(negative="--no-enable-prefix-caching")] = None,
    disable_hybrid_kv_cache_manager: bool | None = None,
    speculative_method: Literal["eagle", "mtp", "draft_model", "ngram"] | None = None,
    num_speculative_tokens: int = 0,
    draft_model: str | None = None,
    flashinfer: bool = False,
    expandable_segments: bool = False,
    language_model_only: bool = False,
    limit_mm_per_prompt: str | None = None,
    kv_cache_memory_bytes: int | None = None,
    enable_lora: bool = False,
    max_loras: int = 1,
    max_lora_rank: int = 16,
    table: Path | None = None,
    compare: Path | None = None,
    format: Literal["table", "json"] = "table",
) -> int:
    """Plan the memory of a replica, term by term as vLLM logs it.

    For example:

        servecast memory qwen3-32b --gpu h100-sxm --tp 2 --max-model-len 32768
        servecast memory --compare vllm.log

    Parameters
    ----------
    model
        Name in the catalog, a config.json, or a folder that holds one.
    gpu
        GPU of the catalog, as h100-sxm, or as the driver prints it, or a YAML file of one's own (docs/catalog.md).
    tp
        Tensor parallel GPUs.
    pp
        Pipeline stages.
    dp
        Data-parallel replicas that share the experts.
    expert_parallel
        Deal experts out whole instead of cutting them.
    redundant_experts
        Copies of busy experts in each layer, with expert_parallel.
    dtype
        Weights: auto (the checkpoint's own), bf16, fp16, fp8, int8, int4, awq, gptq, nvfp4 or mxfp4.
    kv_dtype
        KV cache: auto, bf16, fp8, int8, or vLLM's int8_per_token_head, nvfp4, turboquant_k8v4 and others.
    gpu_memory_utilization
        Share of the GPU's memory; the version's default unless given.
    max_model_len
        Longest request in tokens; the model's context unless given.
    max_num_batched_tokens
        Token budget of a step; the server's default on this GPU unless given.
    max_num_seqs
        Most sequences at once; the server's default on this GPU unless given.
    version
        VLLM version, as 0.11.0; the newest known unless given.
    enforce_eager
        No CUDA graphs.
    max_cudagraph_capture_size
        Tokens of the largest captured graph; twice the sequences and at most 512 unless given.
    block_size
        Tokens of a KV block.
    enable_prefix_caching
        Keep blocks of finished requests, and of layers with a state what can be gone on from; the version's default
        unless given.
    disable_hybrid_kv_cache_manager
        Keep all tokens in every layer, also where it reads a window or a chunk of them; =false keeps groups for chunks
        also in versions that have none by default.
    speculative_method
        What drafts.
    num_speculative_tokens
        Drafts of a request and step, with speculative_method; layers with a state keep one for each.
    draft_model
        Model that drafts, with speculative_method draft_model.
    flashinfer
        FlashInfer is installed, as in vLLM's container images; matters from 0.9.2 to 0.16.
    expandable_segments
        PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True, with which a weight takes no more than its bytes.
    language_model_only
        Text alone, as vLLM's option of that name: no encoders of images, video and audio are loaded or profiled.
    limit_mm_per_prompt
        Images, videos and clips of a prompt at most, as vLLM's option of that name: image=2,video=0, or in JSON.
        Encoders of which nothing may come are neither loaded nor profiled.
    kv_cache_memory_bytes
        KV cache of each GPU, whatever else is held, as vLLM's option of that name; what is left unless given.
    enable_lora
        Serve LoRA adapters, which take their room from the start, as vLLM's option of that name.
    max_loras
        Adapters in one step, with enable_lora.
    max_lora_rank
        Largest rank of an adapter, with enable_lora: 1, 8, 16, 32, 64, 128, 256, 320 or 512.
    table
        CSV file with one question a row, by the names of these options and an id.
    compare
        Start-up log of vLLM to hold the plan against; what the log does not say is taken from the options.
    format
        Table for people, json for programs.
    """
    from simulator.cli.memory_text import print_answer, print_comparison, print_rows
    from simulator.errors import InputError
    from simulator.resolve.memory import answer
    from simulator.resolve.memory_question import Question
    from simulator.resolve.memory_table import read_rows

    if table is not None:
        return print_rows(read_rows(table), format)
    if compare is None and (model is None or gpu is None):
        raise InputError(
            "give a model and --gpu, as in: servecast memory llama-3.1-8b --gpu h100-sxm; or --table FILE.csv"
        )
    question = Question(
        model=model or "",
        gpu=gpu or "",
        tp=tp,
        pp=pp,
        dp=dp,
        expert_parallel=expert_parallel,
        redundant_experts=redundant_experts,
        dtype=dtype,
        kv_dtype=kv_dtype,
        gpu_memory_utilization=gpu_memory_utilization,
        max_model_len=max_model_len,
        max_num_batched_tokens=max_num_batched_tokens,
        max_num_seqs=max_num_seqs,
        version=version,
        enforce_eager=enforce_eager,
        max_cudagraph_capture_size=max_cudagraph_capture_size,
        block_size=block_size,
        enable_prefix_caching=enable_prefix_caching,
        disable_hybrid_kv_cache_manager=disable_hybrid_kv_cache_manager,
        speculative_method=speculative_method,
        num_speculative_tokens=num_speculative_tokens,
        draft_model=draft_model,
        flashinfer=flashinfer,
        expandable_segments=expandable_segments,
        language_model_only=language_model_only,
        limit_mm_per_prompt=limit_mm_per_prompt,
        kv_cache_memory_bytes=kv_cache_memory_bytes,
        enable_lora=enable_lora,
        max_loras=max_loras,
        max_lora_rank=max_lora_rank,
    )
    if compare is not None:
        return print_comparison(compare, question, format)
    return print_answer(answer(question), format)
