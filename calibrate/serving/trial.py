"""Step times with trial values of the engine's overheads, for the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from calibrate.serving.forecast import Case, Forecast, simulate_runs
from calibrate.serving.front_end import service_s
from calibrate.serving.measured import MeasuredRow
from calibrate.serving.sources import async_scheduling, engine_version, own_hardware, source_of
from simulator.catalog.hardware import hardware_profile
from simulator.catalog.overheads import engine_overheads, family_rows, link_rows, penalty_seq_s, slowed
from simulator.perf.composition import kernel_step_time, missing_kernel
from simulator.perf.device import BatchLimits
from simulator.perf.hardware import Hardware
from simulator.perf.overheads import EngineOverheads
from simulator.perf.steptime import StepTime
from simulator.resolve.checkpoint import architecture
from simulator.resolve.hardware import machine_of


def overheads_of(row: MeasuredRow, values: Mapping[str, float], kernel: str | None = None) -> EngineOverheads:
    """Overheads of a row from trial values: those of its engine, with the source's penalties, and the experts' share
    in its own format alone, so that others do not bear on it."""
    source = source_of(row)
    told = source.get("engine", {})
    found = engine_overheads(
        engine_version(row),
        row.gpu,
        async_scheduling(row),
        values,
        fused=told.get("fuse_allreduce_rms"),
        captured_tokens=told.get("max_cudagraph_capture_size"),
    )
    penalty = values.get("penalty_seq_s", penalty_seq_s().value) if source.get("penalties") else 0.0
    own = kernel or row.dtype
    return replace(
        found,
        exposed_seq_s=found.exposed_seq_s + penalty,
        experts=tuple(one for one in found.experts if one[0] == own),
        products=tuple(one for one in found.products if one[0] == own),
        tuned=tuple(one for one in found.tuned if one[0] == own),
    )


@lru_cache(maxsize=512)
def _hardware(gpu_name: str, compute: float, links: float) -> Hardware | None:
    hardware = hardware_profile(gpu_name)
    return None if hardware is None else slowed(hardware, compute, links)


def composed(case: Case) -> bool:
    """Whether the case's step time is composed of kernels, so that trial values act on it."""
    arch, _ = architecture(case.row.model, Path())
    hardware = hardware_profile(case.row.gpu)
    return hardware is not None and missing_kernel(arch, hardware, case.engine.layout) is None


def trial_forecast(values: Mapping[str, float], cases: Sequence[Case]) -> Forecast:
    """A row forecast with trial values."""
    return simulate_runs(cases, partial(trial_steps, values), service_s(cases[0].row, values))


def trial_key(values: Mapping[str, float], case: Case) -> tuple[EngineOverheads, float, float]:
    """All that a case's step time takes from trial values: equal keys, equal steps. Overheads, and the shares of the
    GPU's products and links; one GPU alone uses no links."""
    row = case.row
    family = next((one.name for one in family_rows() if row.gpu in one.gpus), "")
    links = next((one.name for one in link_rows() if row.gpu in one.gpus and row.tp * row.dp > 1), "")
    shares = values.get(f"compute.{family}", 1.0), values.get(f"links.{links}", 1.0)
    return overheads_of(row, values, case.engine.layout.weights.experts_kernel), *shares


def trial_steps(values: Mapping[str, float], case: Case) -> StepTime:
    """Step time of a case with trial values; the planned one where a kernel is missing."""
    if not composed(case):
        return case.engine.step_time
    row, engine = case.row, case.engine
    overheads, compute, links = trial_key(values, case)
    hardware = _hardware(row.gpu, compute, links)
    assert hardware is not None
    if (own := own_hardware(row)) is not None:
        machine = machine_of(row.gpu, own, Path()).hardware
        assert machine is not None
        hardware = replace(hardware, kernels=replace(hardware.kernels, all_reduce=machine.kernels.all_reduce))
    arch, _ = architecture(row.model, Path())
    limits = BatchLimits(engine.config.max_num_batched_tokens, engine.config.max_num_seqs)
    in_flight = engine.config.modes.flight is not None
    return kernel_step_time(arch, hardware, engine.layout, limits, overheads, in_flight=in_flight)
