"""Hardware profiles by GPU: kernels fitted on measured tables, each file with its provenance."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from simulator.catalog.gpus import Gpu, Relative, gpu
from simulator.catalog.precisions import precisions
from simulator.catalog.quantity import DATA, Entry
from simulator.errors import InputError, Problem
from simulator.perf.hardware import Hardware, KernelSet
from simulator.perf.kernels import CollectiveKernel

FOLDER = DATA / "hardware"
FORMAT = "servecast-hardware/1"


class TableSource(Entry):
    """Package of measured tables that a profile was fitted on."""

    package: str
    version: str
    license: str
    url: str
    retrieved: str
    engine: str
    tables: tuple[str, ...]


class HardwareProfile(Entry):
    """One profile file.

    Attributes
    ----------
    transferred_from : GPU whose kernels stand in; None where this GPU was measured
    stand_ins : kernels without a table of their own, and what stands in for them
    residuals : errors of each fit: points, median and p90 of the absolute error, bias, ranges of the regressors
    """

    format: str
    gpu: str
    source: TableSource
    transferred_from: str | None
    kernels: dict[str, Any]
    stand_ins: dict[str, str]
    residuals: dict[str, dict[str, Any]]


def read_profile(file: Path) -> HardwareProfile:
    """Profile of a file.

    Raises
    ------
    InputError : not JSON, or not of the format
    """
    try:
        profile = HardwareProfile.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise InputError(Problem(f"not a hardware profile: {str(error).splitlines()[0]}", file=str(file))) from error
    if profile.format != FORMAT:
        raise InputError(Problem(f"hardware profile must be of format {FORMAT}", file=str(file), got=profile.format))
    return profile


@lru_cache
def hardware_profile(gpu_name: str) -> Hardware | None:
    """Measured or transferred kernels of the GPU called `gpu_name`, or None where the catalog has no profile.

    Raises
    ------
    InputError : no such GPU
    """
    card = gpu(gpu_name)
    file = FOLDER / f"{card.name}.json"
    if not file.is_file():
        return None if card.relative is None else _of_relative(card, card.relative)
    profile = read_profile(file)
    return Hardware(
        device=card.device,
        kernels=TypeAdapter(KernelSet).validate_python(profile.kernels),
        source=f"{profile.source.package} {profile.source.version} ({profile.source.engine})",
        transferred_from=profile.transferred_from,
    )


def _of_relative(card: Gpu, relative: Relative) -> Hardware:
    """Kernels of the nearest measured GPU: its shares of the peaks and launch times, the peaks of `card`."""
    near, links = (read_profile(FOLDER / f"{name}.json") for name in (relative.kernels, relative.links))
    kernels = TypeAdapter(KernelSet).validate_python(near.kernels)
    scale = card.intra_node.value / gpu(relative.links).intra_node.value
    lent = TypeAdapter(KernelSet).validate_python(links.kernels).all_reduce
    computed = {name for name, entry in precisions().items() if entry.compute in card.peaks}
    return Hardware(
        device=card.device,
        kernels=replace(
            kernels,
            multiprocessors=relative.multiprocessors,
            gemm={form: kernel for form, kernel in kernels.gemm.items() if form in computed},
            experts={form: kernel for form, kernel in kernels.experts.items() if form in computed},
            all_reduce={number: _scaled(kernel, scale) for number, kernel in lent.items()},
            all_to_all={},
        ),
        source=f"{near.source.package} {near.source.version} ({near.source.engine})",
        transferred_from=relative.kernels,
    )


def _scaled(kernel: CollectiveKernel, scale: float) -> CollectiveKernel:
    """Bandwidths of an all-reduce on links `scale` times as fast, latencies as they are."""
    return replace(kernel, bytes_per_s=kernel.bytes_per_s * scale, bulk_bytes_per_s=kernel.bulk_bytes_per_s * scale)
