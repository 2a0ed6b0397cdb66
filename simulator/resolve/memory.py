"""A question about memory in words - model, GPU, split, version - becomes a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.catalog.adapters import adapters_of
from simulator.catalog.architecture import architecture_of
from simulator.catalog.gpus import gpu_called
from simulator.catalog.kv_cache import kv_format
from simulator.catalog.models import model
from simulator.catalog.overheads import fused_reduce_bytes
from simulator.catalog.shapes.config import chooses_tokens, read_config, shape_from_config
from simulator.catalog.shapes.quantization import BY_NAME, kv_cache_of, named, of_checkpoint
from simulator.catalog.shapes.step_format import notes_of_mixture, precision_of
from simulator.catalog.vllm import default_length, default_limits, overheads, parsed, rules
from simulator.errors import InputError, Problem, unknown_name
from simulator.memory.drafts import with_head, with_model
from simulator.memory.experts import padded_for_kernel
from simulator.memory.planner import Plan, Request, plan
from simulator.memory.profile import Card
from simulator.memory.rules import Rules
from simulator.memory.shape import ModelShape
from simulator.memory.weights import Weights
from simulator.perf.device import BatchLimits, Split, check_split
from simulator.perf.speculative import one_layer_draft
from simulator.resolve.cards import card_of
from simulator.resolve.items import item_limits, within_limits
from simulator.resolve.memory_question import METHODS, Question, check_numbers
from simulator.resolve.mtp import check_mtp, mtp_layers, mtp_modules, tokens_read_ahead
from simulator.scenario.named_files import is_config

PLAIN_DTYPES = {"auto": None, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "half": 2, "fp32": 4, "float32": 4}
"""Types of weights that are not quantised, in bytes; auto is the checkpoint's own."""
OF_AMPERE = ("fp8", "nvfp4", "fp4")
"""Formats of weights that no GPU before Ampere has a kernel for."""
FIRST_WITH = {"mxfp4": "0.10.1"}
"""First version with a format of weights (release notes: GPT-OSS among the new families of models)."""
FIRST_DECODED = {"nvfp4": "0.9.0", "fp4": "0.9.0"}
"""First version that decodes a format on GPUs before Blackwell (pull request 17687 of May 2025; before it
`ModelOptNvFp4Config.get_min_capability` is 100)."""
BFLOAT16 = ("bf16", "bfloat16")
"""Names of the type of 16 bits that no GPU before Ampere computes in."""
SPELLINGS = {
    ending: name
    for name, endings in {
        "fp8": "-fp8 -fp8-dynamic -fp8-block -fp8-kv",
        "awq": "-awq -awq-int4 -awq-4bit -int4-awq",
        "gptq": "-gptq -gptq-int4 -gptq-4bit",
        "nvfp4": "-nvfp4 -fp4",
        "int4": "-int4 -w4a16 -quantized.w4a16 -int4-autoround",
        "int8": "-int8 -gptq-int8 -w8a8 -quantized.w8a8",
        "w8a16": "-quantized.w8a16",
    }.items()
    for ending in endings.split()
}
"""Ends of names of quantised checkpoints, and their format."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan with what it was made of."""

    question: Question
    shape: ModelShape
    card: Card
    request: Request
    rules: Rules
    plan: Plan


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    shape: ModelShape
    config: Mapping[str, Any]
    file: str | None
    native: str
    suffix: str | None
    quantized: Mapping[str, Mapping[str, Any]]


def answer(question: Question) -> Answer:
    """Plan what was asked.

    Raises
    ------
    InputError : an unknown name, version, format or split; a precision that the GPU or the version lacks
    """
    check_numbers(question)
    checkpoint = _checkpoint(question.model, question.folder)
    own = question.gpu.endswith((".yaml", ".yml"))
    if not own:
        question = replace(question, gpu=gpu_called(question.gpu))
    card = question.card or card_of(str(question.folder / question.gpu) if own else question.gpu)
    shape, items = _encoding(question, checkpoint, checkpoint.shape)
    quantized = _quantized(question.dtype.lower(), checkpoint) is not None
    told = question.flashinfer, quantized, question.speculative_method, question.newer_runner
    found = rules(question.version, shape, *told)
    if question.disable_hybrid_kv_cache_manager is not None:
        separate = not question.disable_hybrid_kv_cache_manager
        found = replace(found, hybrid_groups=separate, chunked_groups=separate)
    split = Split(question.tp, question.pp, question.dp, question.expert_parallel, question.redundant_experts)
    weights, shape = _weights(question, checkpoint, shape, card, found)
    check_split(shape, split)
    kv = kv_format(question.kv_dtype, kv_cache_of(shape.quantization), shape, card, found.version, "kv_dtype")
    longest = _length(question, shape)
    weights, shape = _with_drafts(question, checkpoint, weights, shape, card, found)
    _check_tables(question, shape)
    utilization = question.gpu_memory_utilization
    utilization = found.gpu_memory_utilization if utilization is None else utilization
    if not 0.0 < utilization <= 1.0:
        raise InputError(Problem("must be in (0, 1]", path="gpu_memory_utilization", got=f"{utilization}"))
    request = Request(
        split=split,
        limits=_limits(question, card, shape),
        gpu_memory_utilization=utilization,
        kv=kv,
        max_model_len=longest,
        block_size=question.block_size,
        enforce_eager=question.enforce_eager,
        max_cudagraph_capture_size=question.max_cudagraph_capture_size,
        enable_prefix_caching=_prefix_caching(question.enable_prefix_caching, shape, found),
        num_speculative_tokens=question.num_speculative_tokens if question.speculative_method else 0,
        items_per_prompt=items,
        retained_tokens=_retained_tokens(question, checkpoint),
        kv_cache_memory_bytes=question.kv_cache_memory_bytes,
        expandable_segments=question.expandable_segments,
        adapters=adapters_of(shape, question.max_loras, question.max_lora_rank) if question.enable_lora else None,
        fused_reduce_bytes=_fused_reduction(question, card, found),
    )
    planned = plan(shape, weights, card, request, found, overheads())
    return Answer(question, shape, card, request, found, _within_context(planned, shape))


def _fused_reduction(question: Question, card: Card, found: Rules) -> float:
    """Bytes of the largest all-reduce that takes the norm after it along."""
    if question.tp == 1 or question.pp > 1 or not card.peers:
        return 0.0
    largest = fused_reduce_bytes(found.version, card.like or card.name, question.fuse_allreduce_rms)
    return dict(largest).get(question.tp, 0.0)


def _encoding(question: Question, checkpoint: _Checkpoint, shape: ModelShape) -> tuple[ModelShape, int]:
    """The encoders that the prompts need, and a prompt's items at most."""
    limits = item_limits(question.limit_mm_per_prompt)
    kind = str(checkpoint.config.get("model_type") or shape.model_type)
    return within_limits(shape, kind, limits, question.language_model_only)


def _prefix_caching(asked: bool | None, shape: ModelShape, found: Rules) -> bool:
    """Whether the version caches beginnings: as asked, where it can."""
    if not any(cache.kind == "state" for cache in shape.caches):
        return asked is not False
    return found.state_prefix_cache if asked is None else asked and found.state_prefix_cache_asked


def _retained_tokens(question: Question, checkpoint: _Checkpoint) -> int:
    """Tokens that several MTP modules may compute again, which windows keep (`extra_retained_tokens`, vLLM 0.32.0)."""
    modules = mtp_modules(question.speculative_method, checkpoint.config)
    return tokens_read_ahead(modules, question.num_speculative_tokens) - 1


def _with_drafts(
    question: Question, checkpoint: _Checkpoint, weights: Weights, shape: ModelShape, card: Card, found: Rules
) -> tuple[Weights, ModelShape]:
    """What is loaded to draft, added to the model."""
    method = question.speculative_method
    if method not in (None, *METHODS):
        raise InputError(unknown_name("speculative method", str(method), METHODS))
    if (method == "draft_model") != (question.draft_model is not None):
        told = "goes with speculative_method draft_model, each with the other"
        raise InputError(Problem(told, path="draft_model", got=question.draft_model))
    if method is None or method == "ngram":
        return weights, shape
    if method == "mtp":
        check_mtp(shape.name, checkpoint.config)
    if question.draft_model is None:
        width = one_layer_draft(architecture_of(shape)).intermediate_size
        shape, weights = with_head(shape, weights, method, width, mtp_layers(method, checkpoint.config))
        return weights, shape
    drafting = _checkpoint(question.draft_model, question.folder)
    own, draft = _weights(replace(question, dtype="auto"), drafting, drafting.shape, card, found)
    shape, weights = with_model(shape, weights, draft, own)
    return weights, shape


def _check_tables(question: Question, shape: ModelShape) -> None:
    """Refuse one block table for a state and attention, as vLLM does.

    Raises
    ------
    InputError : where it is asked for
    """
    kinds = {cache.kind for cache in shape.caches}
    if question.disable_hybrid_kv_cache_manager and "state" in kinds and len(kinds) > 1:
        told = "vLLM cannot bring a state and attention into one block table: leave it out"
        raise InputError(Problem(told, path="disable_hybrid_kv_cache_manager", got="true"))


def shape_of(name: str, folder: Path) -> ModelShape:
    """Shape of a model of the catalog, or of a config.json."""
    return _checkpoint(name, folder).shape


def writes_text(name: str, folder: Path) -> bool:
    """Whether the model chooses tokens; others answer what they read with a vector or a score."""
    return chooses_tokens(_checkpoint(name, folder).config)


def mtp_of(name: str, method: str, folder: Path) -> tuple[int, int]:
    """Layers of a model that draft with `mtp`, and those that draft one token each in turn."""
    config = _checkpoint(name, folder).config
    return mtp_layers(method, config), mtp_modules(method, config)


def notes_of_formats(name: str, folder: Path) -> tuple[str, ...]:
    """The warning of a run with a checkpoint that has weights of several formats."""
    found = _checkpoint(name, folder)
    return notes_of_mixture(found.shape, found.file)


def precision_of_checkpoint(name: str, folder: Path) -> str:
    """Format of the weights that a config.json gives, as the step-time model knows it.

    Raises
    ------
    InputError : a format that it does not know
    """
    found = _checkpoint(name, folder)
    return precision_of(found.shape, found.file)


def _checkpoint(name: str, folder: Path) -> _Checkpoint:
    """A model by its catalog name, or from a config.json or a folder that holds one."""
    if is_config(folder, name):
        label, values, file = read_config(folder / name)
        native = str(values.get("torch_dtype") or values.get("dtype") or "bfloat16")
        return _Checkpoint(shape_from_config(label, values, file), values, file, native, None, {})
    return _of_catalog(name)


@lru_cache(maxsize=1024)
def _of_catalog(name: str) -> _Checkpoint:
    entry, suffix = _by_name(name)
    shape = shape_from_config(entry.name, entry.config, whole=True)
    whose = name.lower().rpartition("/")[0] + "/"
    theirs = {key.removeprefix(whose): keys for key, keys in entry.checkpoints.items() if key.startswith(whose)}
    return _Checkpoint(shape, entry.config, None, entry.native_dtype, suffix, {**entry.checkpoints, **theirs})


def _by_name(name: str) -> tuple[Any, str | None]:
    """Catalog model, and the format that the end of its name tells."""
    try:
        return model(name), None
    except InputError:
        lower = name.lower()
        for ending in sorted(SPELLINGS, key=len, reverse=True):
            if lower.endswith(ending):
                try:
                    return model(name[: -len(ending)]), SPELLINGS[ending]
                except InputError:
                    break
        raise


def _weights(
    question: Question, checkpoint: _Checkpoint, shape: ModelShape, card: Card, found: Rules
) -> tuple[Weights, ModelShape]:
    """Formats of the matrices: the one asked for, the checkpoint's own, or none."""
    asked = question.dtype.lower()
    if asked not in PLAIN_DTYPES and asked not in BY_NAME:
        raise InputError(unknown_name("dtype", question.dtype, [*PLAIN_DTYPES, *BY_NAME]))
    if asked in BFLOAT16 and card.generation == "turing":
        told = f"{question.gpu} does not compute in bfloat16, and vLLM refuses it; use fp16, or auto, which takes that"
        raise InputError(Problem(told, got=f"dtype={question.dtype}"))
    section: Mapping[str, Any] | None = shape.quantization
    _check_version(_named_by(section), found.version, card)
    if section is not None and asked in PLAIN_DTYPES:
        weights = of_checkpoint(section, checkpoint.file, card, found.hopper_expert_kernel)
        return padded_for_kernel(weights, shape, card, found), shape
    name = _quantized(asked, checkpoint)
    if name is None:
        size = PLAIN_DTYPES[asked] or 2
        return Weights(lambda matrix: None), replace(shape, dtype_bytes=size)
    _check_version(name, found.version, card)
    _check_precision(name, question.gpu, card)
    published = checkpoint.quantized.get(name)
    if published is not None:
        config = {**checkpoint.config, **published}
        whole = shape_from_config(shape.name, config, whole=checkpoint.file is None)
        shape, _ = _encoding(question, checkpoint, whole)
        weights = of_checkpoint(config["quantization_config"], None, card, found.hopper_expert_kernel)
    else:
        weights = named(name, shape, card, found.hopper_expert_kernel)
    return padded_for_kernel(weights, shape, card, found), shape


def _quantized(asked: str, checkpoint: _Checkpoint) -> str | None:
    """Format of quantised weights: as asked for, or of what the name of the model says; None for 16 bit."""
    if asked != "auto":
        return asked if asked in BY_NAME else None
    return checkpoint.suffix or (checkpoint.native if checkpoint.native in BY_NAME else None)


def weights_of(question: Question) -> str:
    """Format of the weights of a question that has an answer, as the step-time model knows it.

    Raises
    ------
    InputError : a format that it does not know
    """
    checkpoint, asked = _checkpoint(question.model, question.folder), question.dtype.lower()
    if checkpoint.shape.quantization is not None and asked in PLAIN_DTYPES:
        return precision_of(checkpoint.shape, checkpoint.file)
    return _quantized(asked, checkpoint) or "bf16"


def _named_by(section: Mapping[str, Any] | None) -> str:
    """Format of weights that a checkpoint names, as far as versions differ in it."""
    told = section or {}
    packed = any("nvfp4" in str(told.get(key)).lower() for key in ("quant_algo", "format"))
    return "nvfp4" if packed else str(told.get("quant_method"))


def _check_version(name: str, version: str, card: Card) -> None:
    """Refuse a format of weights that a version does not have yet, or not on such a GPU."""
    old = not card.generation.startswith("blackwell")
    for first, where in ((FIRST_WITH.get(name), ""), (FIRST_DECODED.get(name) if old else None, " before Blackwell")):
        if first is not None and parsed(version) < parsed(first):
            raise InputError(Problem(f"vLLM has {name} weights{where} from {first} on", path="version", got=version))


def _check_precision(name: str, gpu_name: str, card: Card) -> None:
    """FP8 and FP4 weights run on older GPUs too, decoded to 16 bit by Marlin, but on none before Ampere."""
    if name in OF_AMPERE and card.generation == "turing":
        works = "awq, gptq, int8"
        raise InputError(Problem(f"{gpu_name} has no kernel for {name} weights; use {works}", got=f"dtype={name}"))


def _limits(question: Question, card: Card, shape: ModelShape) -> BatchLimits:
    """The server's defaults, with no more tokens than all sequences could have, and no more sequences than tokens.

    Without chunked prefill the longest prompt fits a step.
    """
    defaults = default_limits(question.version, card.name, card.memory_bytes)
    sequences = question.max_num_seqs or defaults.max_num_seqs
    tokens = question.max_num_batched_tokens
    if tokens is None:
        longest = question.max_model_len or default_length(question.version, shape)
        least = 0 if question.enable_chunked_prefill else longest
        tokens = min(max(defaults.max_num_batched_tokens, least), sequences * longest)
    return BatchLimits(tokens, sequences if question.max_num_seqs else min(sequences, tokens))


def _length(question: Question, shape: ModelShape) -> int:
    return question.max_model_len or default_length(question.version, shape)


def _within_context(found: Plan, shape: ModelShape) -> Plan:
    """The plan, refused where requests may be longer than the model's context, as vLLM refuses them."""
    if found.max_model_len <= shape.context:
        return found
    told = (
        f"max_model_len ({found.max_model_len}) is beyond the {shape.context} tokens of {shape.name}: set it to at "
        f"most that, or have its config.json say how positions are scaled (rope_scaling)"
    )
    return replace(found, refusals=(told, *found.refusals))
