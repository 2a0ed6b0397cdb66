"""Step times with trial values of the engine's overheads, for the fit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from calibrate.serving.forecast import Case
from calibrate.serving.measured import MeasuredRow
from calibrate.serving.sources import engine_version
from simulator.catalog.hardware import hardware_profile
from simulator.catalog.overheads import OverheadRow, family_rows, host_rows, link_rows, row_of, slowed
from simulator.perf.composition import kernel_step_time, missing_kernel
from simulator.perf.device import BatchLimits
from simulator.perf.hardware import Hardware
from simulator.perf.overheads import EngineOverheads
from simulator.perf.steptime import StepTime
from simulator.resolve.checkpoint import architecture


def overheads_of(row: MeasuredRow, values: Mapping[str, float]) -> EngineOverheads:
    """Overheads of a row from trial values: `NAME.SINCE` for one generation of the engine, or `NAME` for all."""
    generation = row_of(engine_version(row))
    host = values["host_factor"] if any(row.gpu in one.gpus for one in host_rows()) else 1.0

    def value(name: str) -> float:
        return values.get(f"{name}.{generation.since}", values.get(name, _planned(generation, name)))

    return EngineOverheads(
        version=f"vLLM {generation.since}",
        exposed_s=host * value("exposed_s"),
        exposed_seq_s=host * value("exposed_seq_s"),
        host_s=host * value("host_s"),
        host_seq_s=host * value("host_seq_s"),
        launch_layer_s=host * value("launch_layer_s"),
        async_scheduling=generation.async_scheduling,
        layer_s=value("layer_s"),
        collective_wait_s=value("collective_wait_s"),
        request_s=value("request_s"),
        max_graph_tokens=int(generation.max_graph_tokens.value),
    )


def _planned(generation: OverheadRow, name: str) -> float:
    return float(getattr(generation, name).value)


@lru_cache(maxsize=512)
def _hardware(gpu_name: str, compute: float, links: float) -> Hardware | None:
    hardware = hardware_profile(gpu_name)
    return None if hardware is None else slowed(hardware, compute, links)


def composed(case: Case) -> bool:
    """Whether the case's step time is composed of kernels, so that trial values act on it."""
    arch, _ = architecture(case.row.model, Path())
    hardware = hardware_profile(case.row.gpu)
    return hardware is not None and missing_kernel(arch, hardware, case.engine.layout) is None


def trial_key(values: Mapping[str, float], case: Case) -> tuple[EngineOverheads, float, float]:
    """All that a case's step time takes from trial values: equal keys, equal steps. Overheads, and the shares of the
    GPU's products and links; one GPU alone uses no links."""
    row = case.row
    family = next((one.name for one in family_rows() if row.gpu in one.gpus), "")
    links = next((one.name for one in link_rows() if row.gpu in one.gpus and row.tp > 1), "")
    shares = values.get(f"compute.{family}", 1.0), values.get(f"links.{links}", 1.0)
    return overheads_of(row, values), *shares


def trial_steps(values: Mapping[str, float], case: Case) -> StepTime:
    """Step time of a case with trial values; the planned one where a kernel is missing."""
    if not composed(case):
        return case.engine.step_time
    row, engine = case.row, case.engine
    overheads, compute, links = trial_key(values, case)
    hardware = _hardware(row.gpu, compute, links)
    assert hardware is not None
    arch, _ = architecture(row.model, Path())
    limits = BatchLimits(engine.config.max_num_batched_tokens, engine.config.max_num_seqs)
    in_flight = engine.config.modes.flight is not None
    return kernel_step_time(arch, hardware, engine.layout, limits, overheads, in_flight=in_flight)
