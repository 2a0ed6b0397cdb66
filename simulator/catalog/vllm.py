"""Versions of vLLM: rules of their memory plan, and the limits that their server takes by default."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from simulator.catalog.overheads import version_key
from simulator.catalog.quantity import Quantity, read_yaml
from simulator.errors import InputError, Problem
from simulator.memory.profile import Overheads
from simulator.memory.rules import Rules
from simulator.memory.shape import ModelShape
from simulator.perf.device import BatchLimits
from simulator.units import BYTES_PER_GIB

_LONGROPE = "original_length_of_longrope"
_RUNTIME = (
    *("lean_sampler_bytes", "lean_graphs_estimated", "penalty_bytes", "penalties_in_budget"),
    *("lean_types", "lean_types_quantized", "lean_dense", "lean_all", "lean_not_drafting"),
)


def parsed(version: str) -> tuple[int, int, int]:
    """Number of a version as vLLM writes it: `0.11.0`, `v0.11`, `0.11.0rc2.dev98+g393de22d2`.

    Raises
    ------
    InputError : not a version, or one before the engine that is planned here
    """
    number = _number(version)
    oldest = str(read_yaml("vllm_memory.yaml")["oldest"])
    if number < _number(oldest):
        raise InputError(Problem(f"the memory plan knows vLLM from {oldest} on (its V1 engine)", got=version))
    return number


def newest_version() -> str:
    """Newest version whose rules were read."""
    return str(read_yaml("vllm_memory.yaml")["newest"])


def _number(text: str) -> tuple[int, int, int]:
    major, minor, patch = (*version_key(text), 0, 0)[:3]
    return major, minor, patch


def _since(rows: list[dict[str, Any]], number: tuple[int, int, int]) -> dict[str, Any]:
    """Last row whose version is not newer; the oldest before all of them."""
    return ([row for row in rows if _number(str(row["since"])) <= number] or rows[:1])[-1]


@lru_cache
def _all_rules(number: tuple[int, int, int]) -> dict[str, Any]:
    data = read_yaml("vllm_memory.yaml")["rules"]
    return {name: _since(rows, number)["value"] for name, rows in data.items()}


def rules(
    version: str | None,
    shape: ModelShape,
    flashinfer: bool = False,
    quantized: bool = False,
    drafts_by: str | None = None,
    newer_runner: bool | None = None,
) -> Rules:
    """Rules of a version for a model; the newest known unless given.

    Parameters
    ----------
    flashinfer : whether FlashInfer is installed, as in vLLM's container images, where a version does not require it
    quantized : whether the weights are, though the shape does not say so
    drafts_by : method of speculative decoding
    newer_runner : whether the newer model runner serves; as the version does unless given

    Raises
    ------
    InputError : not a version
    """
    number = parsed(version or newest_version())
    values = dict(_all_rules(number))
    lean = {name: values.pop(name) for name in _RUNTIME}
    with_flashinfer = values.pop("flashinfer_sampler_bytes")
    values.pop(_LONGROPE)
    if flashinfer:
        values["sampler_bytes"] = min(values["sampler_bytes"], with_flashinfer)
    if newer_runner is None:
        newer_runner = _in_newer_runner(lean, shape, quantized or bool(shape.quantization), drafts_by)
    if newer_runner:
        values["sampler_bytes"] = values["draft_sampler_bytes"] = lean["lean_sampler_bytes"]
        values["graphs_in_budget"] = values["graphs_in_budget"] and lean["lean_graphs_estimated"]
    data = read_yaml("memory_overheads.yaml")
    newer = number >= _number(str(data["runtime_since"]))
    before = data["overheads"]["runtime_before"]["value"]
    since = data["overheads"]["runtime_since"]["value"]
    if newer_runner and lean["penalties_in_budget"] and not lean["lean_graphs_estimated"]:
        before = since = data["overheads"]["runtime_lean"]["value"]
    for name in ("tails_without_drafts", "longer_windows"):
        values[name] = tuple(values[name])
    return Rules(
        version=version or newest_version(),
        runtime_bytes=since if newer else before,
        eager_runtime_bytes=before,
        graphs_profiled=newer,
        graphs_estimated=lean["lean_graphs_estimated"] or not newer_runner,
        penalty_bytes=lean["penalty_bytes"] if newer_runner else 0.0,
        penalties_in_budget=lean["penalties_in_budget"],
        inputs_held=not newer_runner,
        **values,
    )


def _in_newer_runner(lean: dict[str, Any], shape: ModelShape, quantized: bool, drafts_by: str | None) -> bool:
    """Whether a version serves a model with its newer runner (`use_v2_model_runner`): all, dense ones without states,
    or those of some classes, first without encoders and quantisation; and not what drafts in some ways."""
    if drafts_by in lean["lean_not_drafting"]:
        return False
    dense = not shape.experts and not any(cache.kind == "state" for cache in shape.caches)
    kinds = {shape.model_type, *(cache.saves for cache in shape.caches)}
    listed = bool(kinds & set(lean["lean_types"])) and not shape.towers
    return bool(lean["lean_all"] or (lean["lean_dense"] and dense)) or (
        listed and (not quantized or lean["lean_types_quantized"])
    )


def default_length(version: str | None, shape: ModelShape) -> int:
    """Longest request unless one is given: the model's context, or what that was before LongRoPE extended it."""
    takes_original = _all_rules(parsed(version or newest_version()))[_LONGROPE]
    return shape.original_context if takes_original and shape.original_context else shape.context


@lru_cache
def overheads() -> Overheads:
    """Measured constants of a worker."""
    data = read_yaml("memory_overheads.yaml")["overheads"]
    figures = {name: Quantity(**fields).value for name, fields in data.items()}
    for name in ("runtime_before", "runtime_since", "runtime_lean", "first_start"):
        figures.pop(name)
    return Overheads(**figures)


def first_start() -> Quantity:
    """What compiling takes within the profile of an engine's first start."""
    return Quantity(**read_yaml("memory_overheads.yaml")["overheads"]["first_start"])


def default_limits(version: str | None, gpu_name: str, memory_bytes: float) -> BatchLimits:
    """Token budget and sequences that the server of a version takes on a GPU.

    Raises
    ------
    InputError : not a version
    """
    rows = _since(read_yaml("vllm_memory.yaml")["limits"], _number(version or newest_version()))["rows"]
    gib = memory_bytes / BYTES_PER_GIB
    row = next(
        row
        for row in rows
        if gib >= row["min_memory_gib"] and not any(part in gpu_name.lower() for part in row["except_gpus"])
    )
    return BatchLimits(row["max_num_batched_tokens"], row["max_num_seqs"])
