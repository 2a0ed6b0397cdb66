"""The checkpoint that an engine loads: its architecture, and the formats of its weights and KV cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulator.catalog.architecture import architecture_of
from simulator.catalog.models import model
from simulator.catalog.overheads import experts_as
from simulator.catalog.precisions import aliases, layout, precisions
from simulator.errors import InputError, Problem
from simulator.memory.shape import ModelShape
from simulator.perf.architecture import Architecture
from simulator.perf.device import Layout
from simulator.perf.roofline import PLAIN
from simulator.resolve.memory import precision_of_checkpoint, shape_of
from simulator.scenario.named_files import is_config
from simulator.schema.engine import EngineSettings

MARLIN = "int4"
"""Format in which Marlin's kernel of experts was measured: what it reads and computes is the same in any of 4 bits."""
_UNQUANTIZED = {"bfloat16": "bf16", "float16": "fp16"}
"""Formats of 16 bits, by the type of the activations; one takes as long as the other."""


def architecture(name: str, folder: Path) -> tuple[Architecture, str]:
    """Model by catalog name, or from a Hugging Face `config.json` (file or its folder); with its native dtype.

    Raises
    ------
    InputError : unknown name; a config.json that is not understood, its `quantization_config` included
    """
    if is_config(folder, name):
        return architecture_of(shape_of(name, folder)), precision_of_checkpoint(name, folder)
    found = model(name)
    return found.architecture, found.native_dtype


def weight_format(settings: EngineSettings, native: str, shape: ModelShape) -> str:
    """Name of the format of the weights: that of the quantization, else the model's own or the activations'.

    Raises
    ------
    InputError : another format than the checkpoint's own `quantization_config` gives
    """
    if settings.quantization is not None and shape.quantization:
        _check_checkpoint(settings.quantization, native)
    if settings.quantization is not None and settings.quantization != "none":
        return settings.quantization
    unquantized = native in _UNQUANTIZED.values()
    if settings.quantization is None and not unquantized:
        return native
    return _UNQUANTIZED.get(settings.dtype, native if unquantized else "bf16")


def _check_checkpoint(asked: str, native: str) -> None:
    """Refuse another format than the checkpoint's, as vLLM does; one that keeps its weights and computes in 16 bit is
    what vLLM takes where a GPU lacks the precision.

    Raises
    ------
    InputError : naming the checkpoint's
    """
    theirs, ours = precisions()[native], precisions().get(aliases().get(asked, asked))
    same = ours is theirs or (
        ours is not None
        and ours.compute == "bf16"
        and ours.experts_only == theirs.experts_only
        and int(8 * ours.weight_bytes.value) == int(8 * theirs.weight_bytes.value)
    )
    if not same:
        raise InputError(
            Problem(
                f"the model's config.json says {native} in its quantization_config, and vLLM refuses another: leave "
                "it out",
                path="engine.quantization",
                got=asked,
            )
        )


def layout_of(settings: EngineSettings, weights: str, tp: int, pp: int, gpu_name: str) -> Layout:
    """How a replica spreads, and the format of its weights, with a KV cache in 16 bit.

    Raises
    ------
    InputError : Marlin's kernel for experts that it does not compute, or of which nothing was measured
    """
    parts = layout(
        "bf16" if weights in _UNQUANTIZED.values() else weights,
        tp=tp,
        pp=pp,
        expert_parallel=settings.enable_expert_parallel,
        dp=settings.data_parallel_size,
        redundant_experts=settings.eplb_config.num_redundant_experts if settings.eplb_config else 0,
        all_to_all=settings.all2all_backend != "allgather_reducescatter",
    )
    if settings.moe_backend == "auto":
        kernel = experts_as(parts.weights.name, gpu_name, settings.version)
        return replace(parts, weights=replace(parts.weights, experts_as=kernel))
    if parts.weights.compute != PLAIN or parts.weights.weight_bytes >= 1:
        raise InputError(
            Problem(
                f"Marlin's kernel was measured with 4-bit weights that compute in 16 bit (int4, mxfp4), not {weights}: "
                "leave it out",
                path="engine.moe_backend",
                got=settings.moe_backend,
            )
        )
    return replace(parts, weights=replace(parts.weights, experts_as=MARLIN))
