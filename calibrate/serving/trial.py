"""Step times with trial values of the engine's overheads, for the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from calibrate.serving.forecast import Case
from calibrate.serving.measured import MeasuredRow
from calibrate.serving.sources import source_of, version_numbers
from simulator.catalog.hardware import hardware_profile
from simulator.perf.composition import kernel_step_time, missing_kernel
from simulator.perf.device import BatchLimits
from simulator.perf.hardware import Hardware
from simulator.perf.overheads import EngineOverheads
from simulator.perf.steptime import StepTime
from simulator.run.engine import architecture

MAX_GRAPH_TOKENS = 512
CLIENT_FREE = "no http"
"""Rows whose times were taken inside the engine have no request overhead."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation of the engine: from which version, and whether it schedules asynchronously."""

    name: str
    since: str
    async_scheduling: bool


GENERATIONS = (
    Generation("v0.8", "0.8", False),
    Generation("v0.10", "0.10", False),
    Generation("v0.14", "0.14", True),
)


def generation_of(row: MeasuredRow) -> Generation:
    """Generation of a row by its version, or the asynchronous one where the source switched that on."""
    if "--async-scheduling" in row.text or source_of(row).get("async_scheduling"):
        return GENERATIONS[-1]
    version = version_numbers(row.engine_version)
    known = [one for one in GENERATIONS if version_numbers(one.since) <= version]
    return known[-1] if known else GENERATIONS[0]


ARCHITECTURE_OF = {
    "a100-40": "ampere", "a100-80": "ampere", "a100-pcie": "ampere",
    "h100-sxm": "hopper", "h100-pcie": "hopper", "h200": "hopper",
    "l4": "ada", "l40s": "ada", "rtx-4090": "ada",
    "b200": "blackwell", "b300": "blackwell", "gb200": "blackwell", "rtx-pro-6000": "blackwell",
}
CONSUMER = ("rtx-4090",)


def overheads_of(row: MeasuredRow, values: Mapping[str, float]) -> EngineOverheads:
    """Overheads of a row from named trial values."""
    one = generation_of(row)
    host = values["consumer_host"] if row.gpu in CONSUMER else 1.0
    return EngineOverheads(
        version=f"vLLM {one.since}",
        exposed_s=host * values["exposed_s"],
        exposed_seq_s=host * values[f"exposed_seq_s.{one.name}"],
        host_s=host * values["host_s"],
        host_seq_s=host * values["host_seq_s"],
        launch_layer_s=host * values[f"launch_layer_s.{one.name}"],
        async_scheduling=one.async_scheduling,
        layer_s=values["layer_s"],
        collective_wait_s=values["collective_wait_s"],
        request_s=0.0 if CLIENT_FREE in row.text else values["request_s"],
        max_graph_tokens=MAX_GRAPH_TOKENS,
    )


@lru_cache(maxsize=256)
def _hardware(gpu_name: str, compute: float, bandwidth: float) -> Hardware | None:
    hardware = hardware_profile(gpu_name)
    if hardware is None:
        return None
    device = hardware.device
    peaks = {name: peak * compute for name, peak in device.peak_flops.items()}
    slower = replace(device, peak_flops=peaks, bandwidth_bytes_per_s=device.bandwidth_bytes_per_s * bandwidth)
    return replace(hardware, device=slower)


def trial_steps(values: Mapping[str, float], case: Case) -> StepTime:
    """Step time of a case with trial values; the planned one where a kernel is missing."""
    row, engine = case.row, case.engine
    family = ARCHITECTURE_OF.get(row.gpu, "")
    hardware = _hardware(row.gpu, values.get(f"compute.{family}", 1.0), values.get(f"bandwidth.{family}", 1.0))
    arch, _ = architecture(row.model, Path())
    if hardware is None or missing_kernel(arch, hardware, engine.layout):
        return engine.step_time
    limits = BatchLimits(engine.config.max_num_batched_tokens, engine.config.max_num_seqs)
    return kernel_step_time(arch, hardware, engine.layout, limits, overheads_of(row, values))
