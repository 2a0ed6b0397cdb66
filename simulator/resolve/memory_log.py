"""A start-up log of vLLM held against the plan, term by term."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem
from simulator.resolve.memory import Answer, Question, answer
from simulator.results.inputs import input_file
from simulator.units import BYTES_PER_GIB

_NUMBER = r"(-?[\d.,]+)"
TERMS: dict[str, tuple[str, ...]] = {
    "total_gib": (
        rf"Free memory on device \({_NUMBER[1:-1]}/{_NUMBER} GiB\)",
        rf"total_gpu_memory \({_NUMBER} ?GiB\)",
        rf"total_gpu_memory={_NUMBER}GiB",
    ),
    "utilization": (
        rf"Desired GPU memory utilization is \({_NUMBER}",
        rf"gpu_memory_utilization \({_NUMBER}\)",
        rf"'gpu_memory_utilization': {_NUMBER}",
        rf"--gpu-memory-utilization[ =]{_NUMBER}",
    ),
    "weights_gib": (
        rf"Model loading took {_NUMBER} Gi?B",
        rf"{_NUMBER} GiB for weight",
        rf"model weights take {_NUMBER} ?GiB",
    ),
    "consumed_gib": (rf"Actual usage is {_NUMBER} GiB for consumed memory",),
    "activation_gib": (rf"{_NUMBER} GiB for peak activation", rf"activation peak memory takes {_NUMBER} ?GiB"),
    "non_torch_gib": (rf"{_NUMBER} GiB for non-torch memory", rf"non_torch_memory takes {_NUMBER} ?GiB"),
    "cuda_graphs_gib": (
        rf"Estimated CUDA graph memory: {_NUMBER} GiB",
        rf"\(actual\), {_NUMBER} GiB \(estimated\)",
        rf"{_NUMBER} GiB for CUDAGraph memory",
        rf"Graph capturing finished in \d+ secs, took {_NUMBER} GiB",
    ),
    "kv_gib": (rf"Available KV cache memory: {_NUMBER} GiB", rf"reserved for KV Cache is {_NUMBER} ?GiB"),
    "num_blocks": (
        rf"after num_gpu_blocks is: ?{_NUMBER}",
        rf"# (?:GPU|CUDA|cuda) blocks: {_NUMBER}",
        rf"Overriding num_gpu_blocks={_NUMBER} with",
    ),
    "kv_tokens": (rf"GPU KV cache size: {_NUMBER} tokens",),
    "max_model_len": (
        rf"Maximum concurrency for {_NUMBER} tokens",
        rf"Using max model len {_NUMBER}",
        rf"max_seq_len={_NUMBER}",
    ),
    "max_concurrency": (rf"Maximum concurrency for [\d,]+ tokens per request: {_NUMBER}x",),
}
"""What vLLM prints of its memory, by version; the first pattern that matches wins."""
_OVERRIDE = re.compile(r"with num_gpu_blocks_override=(\d+)")
_OF_BLOCKS = ("kv_tokens", "max_concurrency")
SETTINGS: dict[str, str] = {
    "version": r"(?:V1 LLM engine \(v|vLLM API server version |version )(\d[\w.+]*)",
    "model": r"(?:Starting to load model |model='|'model(?:_tag)?': ')([^'\s]+?)(?:\.\.\.|'|\s)",
    "tp": r"tensor_parallel_size[=']+:? ?(\d+)",
    "pp": r"pipeline_parallel_size[=']+:? ?(\d+)",
    "max_num_batched_tokens": r"(?:max_num_batched_tokens[=']+:? ?)(\d+)",
    "max_num_seqs": r"'max_num_seqs': (\d+)",
    "quantization": r"quantization=(\w+)",
    "kv_dtype": r"kv_cache_dtype=(\w+)",
    "dp": r"data_parallel_size[=']+:? ?(\d+)",
    "enforce_eager": r"enforce_eager=(True)",
    "max_cudagraph_capture_size": r"'max_cudagraph_capture_size': (\d+)",
    "enable_prefix_caching": r"enable_prefix_caching=(False)",
    "flashinfer": r"(Using FlashInfer for top-p)",
}
ENGINES = {
    "SGLang": r"max_total_num_tokens=|server_args=ServerArgs|\bsglang\b",
    "llama.cpp": r"llama_model_loader|llm_load_print_meta|ggml_",
    "TensorRT-LLM": r"\[TensorRT-LLM\]|\[TRT-LLM\]|tensorrt_llm",
    "Text Generation Inference": r"text_generation_launcher|text-generation-router",
    "LMDeploy": r"\[TM\]\[INFO\]|lmdeploy",
    "Ollama": r"ollama serve|source=sched\.go",
}


def read_log(file: Path) -> str:
    """Text of a start-up log of vLLM.

    Raises
    ------
    InputError : no such file, a log of another engine, or one without vLLM's memory lines
    """
    try:
        text = input_file(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {error.strerror}", file=str(file))) from error
    if any(re.search(pattern, text) for name in ("kv_gib", "kv_tokens", "weights_gib") for pattern in TERMS[name]):
        return text
    for engine, pattern in ENGINES.items():
        found = re.search(pattern, text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            message = f"a log of {engine}; the memory plan is vLLM's, compare it with a start-up log of vLLM"
            raise InputError(Problem(message, file=str(file), line=line))
    raise InputError(
        Problem('no memory lines of vLLM, as "Available KV cache memory: 53.71 GiB", are in this log', file=str(file))
    )


def logged(text: str) -> dict[str, float]:
    """Figures that the log prints, by term."""
    found: dict[str, float] = {}
    for term, patterns in TERMS.items():
        for pattern in patterns:
            match = re.search(pattern, text)
            if match:
                found[term] = float(match[1].replace(",", "").rstrip("."))
                break
    return found


def settings(text: str) -> dict[str, str]:
    """Settings that the log prints."""
    found = {}
    for name, pattern in SETTINGS.items():
        match = re.search(pattern, text)
        if match:
            found[name] = match[1]
    return found


def compare(file: Path, question: Question) -> list[dict[str, Any]]:
    """Rows of term, figure in the log, figure of the plan, and their difference.

    Where the engine was told to take another number of blocks than its memory holds, the plan's tokens and concurrency
    are those of that number too; `num_blocks` is what memory holds on both sides.

    Raises
    ------
    InputError : as `read_log`; no GPU or model, in the log or the options
    """
    text = read_log(file)
    figures = logged(text)
    asked = _question(question, settings(text), figures)
    if not asked.model or not asked.gpu:
        lacking = "the model" if not asked.model else "the GPU"
        raise InputError(Problem(f"the log does not name {lacking}: give it, as --gpu h100-sxm", file=str(file)))
    plan = planned(answer(asked))
    if told := _OVERRIDE.search(text):
        plan |= {term: round(plan[term] * int(told[1]) / plan["num_blocks"], 4) for term in _OF_BLOCKS}
    rows = []
    for term in [*TERMS]:
        mine = plan.get(term)
        theirs = figures.get(term)
        if mine is None or (theirs is None and term in ("consumed_gib", "utilization")):
            continue
        difference = None if theirs is None else round(mine - theirs, 4)
        rows.append({"term": term, "log": theirs, "plan": mine, "difference": difference})
    return rows


def planned(found: Answer) -> dict[str, float]:
    """Figures of a plan by the log's terms: newer logs count the graphs' estimate as activation."""
    plan, terms = found.plan, found.plan.terms
    activation = terms.activation_bytes + (terms.graph_bytes if terms.graphs_in_budget else 0.0)
    gib = {
        "total_gib": terms.total_bytes,
        "weights_gib": terms.weight_bytes,
        "consumed_gib": terms.weight_bytes + terms.runtime_bytes,
        "activation_gib": activation,
        "non_torch_gib": terms.runtime_bytes,
        "cuda_graphs_gib": terms.graph_bytes,
        "kv_gib": terms.kv_bytes,
    }
    figures = {name: round(value / BYTES_PER_GIB, 4) for name, value in gib.items()}
    figures["utilization"] = found.request.gpu_memory_utilization
    figures["num_blocks"] = plan.num_blocks
    figures["kv_tokens"] = plan.kv_tokens
    figures["max_model_len"] = plan.max_model_len
    figures["max_concurrency"] = round(plan.max_concurrency, 4)
    return figures


def _question(question: Question, found: dict[str, str], figures: dict[str, float]) -> Question:
    """The question, with what it leaves open taken from the log."""
    changes: dict[str, Any] = {}
    if not question.model and "model" in found:
        changes["model"] = found["model"].rstrip("/")
    if question.version is None and "version" in found:
        changes["version"] = found["version"]
    for name in ("tp", "pp", "dp"):
        if getattr(question, name) == 1 and name in found:
            changes[name] = int(found[name])
    for name in ("max_num_batched_tokens", "max_num_seqs", "max_cudagraph_capture_size"):
        if getattr(question, name) is None and name in found:
            changes[name] = int(found[name])
    if question.gpu_memory_utilization is None and "utilization" in figures:
        changes["gpu_memory_utilization"] = figures["utilization"]
    if question.max_model_len is None and "max_model_len" in figures:
        changes["max_model_len"] = int(figures["max_model_len"])
    if question.kv_dtype == "auto" and found.get("kv_dtype", "auto") != "auto":
        changes["kv_dtype"] = found["kv_dtype"]
    if question.dtype == "auto" and found.get("quantization") in ("fp8", "awq", "gptq", "mxfp4"):
        changes["dtype"] = found["quantization"]
    for name, value in (("flashinfer", True), ("enforce_eager", True), ("enable_prefix_caching", False)):
        if name in found:
            changes[name] = value
    return replace(question, **changes)
