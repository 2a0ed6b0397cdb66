"""A start-up log of vLLM held against the plan, term by term."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simulator.catalog.vllm import parsed, rules
from simulator.errors import InputError, Problem
from simulator.resolve.memory import Answer, answer, weights_of
from simulator.resolve.memory_question import Question
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
        r"Overriding num_gpu_blocks=([1-9]\d*) with",
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
_OVERRIDE = re.compile(r"Overriding num_gpu_blocks=[1-9]\d* with num_gpu_blocks_override=(\d+)")
"""What the engine was told; of 0 blocks the profile of the graphs overrides its own, from 0.18 on."""
_OF_BLOCKS = ("kv_tokens", "max_concurrency")
OF_LOGGED = "kv_tokens at the log's kv_gib"
"""Tokens that the plan's blocks give in the memory that the log has for them: what of a difference is not memory."""


def _either(name: str, value: str) -> str:
    """A setting as the engine's configuration prints it, or as the arguments do."""
    return rf"(?:\b{name}=|'{name}': )'?({value})"


SETTINGS: dict[str, str] = {
    "version": r"(?:V1 LLM engine \(v|vLLM API server version |version )(\d[\w.+]*)",
    "model": r"(?:Starting to load model |model='|'model(?:_tag)?': ')([^'\s]+?)(?:\.\.\.|'|\s)",
    "tp": _either("tensor_parallel_size", r"\d+"),
    "pp": _either("pipeline_parallel_size", r"\d+"),
    "max_num_batched_tokens": _either("max_num_batched_tokens", r"\d+"),
    "max_num_seqs": _either("max_num_seqs", r"\d+"),
    "quantization": _either("quantization", r"[\w-]+"),
    "kv_dtype": _either("kv_cache_dtype", r"\w+"),
    "dp": _either("data_parallel_size", r"\d+"),
    "block_size": r"'block_size': (\d+)",
    "enforce_eager": _either("enforce_eager", "True"),
    "max_cudagraph_capture_size": r"'max_cudagraph_capture_size': (\d+)",
    "fuse_allreduce_rms": r"'fuse_allreduce_rms': (True|False)",
    "enable_prefix_caching": r"enable_prefix_caching=(True|False)",
    "asked_prefix_caching": r"'enable_prefix_caching': (True|False)",
    "flashinfer": r"(Using FlashInfer for top-p)",
    "language_model_only": r"'language_model_only': (True)",
    "limit_mm_per_prompt": r"'limit_mm_per_prompt': (\{(?:'\w+': \d+(?:, )?)+\})",
    "speculative_method": r"SpeculativeConfig\(method='(\w+)'|'speculative_config': \{[^}]*'method': '(\w+)'",
    "num_speculative_tokens": r"num_spec_tokens=(\d+)|'num_speculative_tokens': (\d+)",
    "enable_sleep_mode": _either("enable_sleep_mode", "True"),
    "kv_cache_memory_bytes": r"'kv_cache_memory_bytes': (\d+)",
    "enable_lora": _either("enable_lora", "True"),
    "max_loras": _either("max_loras", r"\d+"),
    "max_lora_rank": _either("max_lora_rank", r"\d+"),
}
FORMATS = {
    "fp8": "fp8",
    "awq": "awq",
    "awq_marlin": "awq",
    "gptq": "gptq",
    "gptq_marlin": "gptq",
    "mxfp4": "mxfp4",
    "modelopt_fp4": "nvfp4",
}
"""Quantisations of vLLM that are one format of weights."""
RUNNERS = {
    True: r"Using V2 Model Runner|gpu/model_runner\.py|\[model_runner\.py:\d+\] (?:Model loading|Graph capturing)",
    False: r"\[gpu_model_runner\.py:\d+\] (?:Model loading|Graph capturing)",
}
"""Whether the newer model runner served, by what each of the two prints."""
DRAFTING = {"eagle": "eagle", "eagle3": "eagle", "mtp": "mtp", "ngram": "ngram"}
"""Its methods of speculative decoding; names that end in `mtp` are one more spelling of that."""
SLEEPS = (
    "in sleep mode vLLM before 0.27.0 counts what loading has given back as held by torch, and finds more memory for "
    "the KV cache than there is (its issue 40256): the plan has what is left, and the engine may run out of memory"
)
COMPILES = re.compile(r"Compiling a graph for (?:compile range|dynamic shape|general shape)")
FIRST = (
    "the log is of a first start, which compiles the model within its profile, and vLLM counts what that takes: the "
    "plan is of a start with its cache of compiled models, which has more for the KV cache"
)
ENGINES = {
    "SGLang": r"max_total_num_tokens=|server_args=ServerArgs|\bsglang\b",
    "llama.cpp": r"llama_(?:model_load|kv_cache|context)|llm_load_print_meta|load_tensors: |ggml_",
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
            found[name] = next(group for group in match.groups() if group is not None)
    if "V0 LLM engine" not in text:
        served = [newer for newer, pattern in RUNNERS.items() if re.search(pattern, text)]
        found |= {"newer_runner": str(served[0])} if len(served) == 1 else {}
    return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """A log beside the plan.

    Attributes
    ----------
    rows : term, figure in the log, figure of the plan, and their difference
    left_out : what the log says of the engine and the plan does not follow, in words
    """

    rows: list[dict[str, Any]]
    left_out: tuple[str, ...]


def compare(file: Path, question: Question) -> Comparison:
    """Hold a log against the plan of what it says and the question asks.

    Where the engine was told to take another number of blocks than its memory holds, the plan's tokens and concurrency
    are those of that number too; `num_blocks` is what memory holds on both sides.

    Raises
    ------
    InputError : as `read_log`; no GPU or model, in the log or the options
    """
    text = read_log(file)
    figures = logged(text)
    said = settings(text)
    asked = _question(question, said, figures)
    if not asked.model or not asked.gpu:
        lacking = "the model" if not asked.model else "the GPU"
        raise InputError(Problem(f"the log does not name {lacking}: give it, as --gpu h100-sxm", file=str(file)))
    found = answer(asked)
    plan = planned(found)
    if told := _OVERRIDE.search(text):
        plan |= {term: round(plan[term] * int(told[1]) / plan["num_blocks"], 4) for term in _OF_BLOCKS}
    rows = []
    for term in [*TERMS]:
        mine = plan.get(term)
        theirs = figures.get(term)
        if mine is None or (theirs is None and term in ("consumed_gib", "utilization")):
            continue
        rows.append(_row(term, theirs, mine))
        if term == "kv_tokens" and {"kv_gib", "kv_tokens"} <= figures.keys() and figures["kv_gib"] > 0 and not told:
            kept = replace(asked, kv_cache_memory_bytes=round(figures["kv_gib"] * BYTES_PER_GIB))
            rows.append(_row(OF_LOGGED, theirs, answer(kept).plan.kv_tokens))
    has_formats = found.shape.quantization is not None or weights_of(found.question) != "bf16"
    told_beside = _left_out(question, said, has_formats)
    if "enable_sleep_mode" in said and rules(asked.version, found.shape).sleep_mode_overshoots:
        told_beside += (SLEEPS,)
    if COMPILES.search(text) and found.rules.compiling_counts:
        told_beside += (FIRST,)
    return Comparison(rows, told_beside)


def _row(term: str, theirs: float | None, mine: float) -> dict[str, Any]:
    return {
        "term": term,
        "log": theirs,
        "plan": mine,
        "difference": None if theirs is None else round(mine - theirs, 4),
    }


def _left_out(question: Question, said: dict[str, str], has_formats: bool) -> tuple[str, ...]:
    told = []
    quantization = said.get("quantization", "None")
    if question.dtype == "auto" and not has_formats and quantization not in ("None", *FORMATS):
        told.append(f"quantization {quantization} is no one format: give --dtype, as int4, or the model's config.json")
    method = said.get("speculative_method")
    if method and _drafting(method) is None and question.speculative_method is None:
        told.append(f"what drafts ({method}) is left out with its weights and layers; its drafts are counted")
    return tuple(told)


def _drafting(method: str) -> str | None:
    return "mtp" if method.endswith("mtp") else DRAFTING.get(method)


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


def _release(version: str) -> str:
    """The log's version, where it is one whose rules are known.

    Raises
    ------
    InputError : an older one, or a build's own number, as `0.1.dev1` and `0.0.0`
    """
    try:
        parsed(version)
    except InputError as error:
        told = f"{error.problems[0].message}; the log may name a build: give --version, the release it was built from"
        raise InputError(Problem(told, got=version)) from error
    return version


def _question(question: Question, found: dict[str, str], figures: dict[str, float]) -> Question:
    """The question, with what it leaves open taken from the log."""
    changes: dict[str, Any] = {}
    if not question.model and "model" in found:
        changes["model"] = found["model"].rstrip("/")
    if question.version is None and "version" in found:
        changes["version"] = _release(found["version"])
    for name in ("tp", "pp", "dp"):
        if getattr(question, name) == 1 and name in found:
            changes[name] = int(found[name])
    for name in ("max_num_batched_tokens", "max_num_seqs", "max_cudagraph_capture_size", "kv_cache_memory_bytes"):
        if getattr(question, name) is None and name in found:
            changes[name] = int(found[name])
    if question.block_size == 16 and "block_size" in found:
        changes["block_size"] = int(found["block_size"])
    if question.gpu_memory_utilization is None and "utilization" in figures:
        changes["gpu_memory_utilization"] = figures["utilization"]
    if question.max_model_len is None and "max_model_len" in figures:
        changes["max_model_len"] = int(figures["max_model_len"])
    if question.kv_dtype == "auto" and found.get("kv_dtype", "auto") != "auto":
        changes["kv_dtype"] = found["kv_dtype"]
    if question.dtype == "auto" and found.get("quantization") in FORMATS:
        changes["dtype"] = FORMATS[found["quantization"]]
    if question.enable_prefix_caching is None:
        caching = found.get("enable_prefix_caching", found.get("asked_prefix_caching"))
        changes["enable_prefix_caching"] = None if caching is None else caching == "True"
    if question.newer_runner is None and "newer_runner" in found:
        changes["newer_runner"] = found["newer_runner"] == "True"
    if question.fuse_allreduce_rms is None and "fuse_allreduce_rms" in found:
        changes["fuse_allreduce_rms"] = found["fuse_allreduce_rms"] == "True"
    if question.speculative_method is None and "speculative_method" in found:
        changes["speculative_method"] = _drafting(found["speculative_method"]) or "ngram"
        changes["num_speculative_tokens"] = int(found.get("num_speculative_tokens", 0))
    if question.limit_mm_per_prompt is None and "limit_mm_per_prompt" in found:
        changes["limit_mm_per_prompt"] = found["limit_mm_per_prompt"].replace("'", '"')
    for name in ("flashinfer", "enforce_eager", "language_model_only"):
        if name in found:
            changes[name] = True
    if not question.enable_lora and "enable_lora" in found:
        changes["enable_lora"] = True
        changes |= {name: int(found[name]) for name in ("max_loras", "max_lora_rank") if name in found}
    return replace(question, **changes)
