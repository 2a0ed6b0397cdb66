"""Step times with trial values of the engine's overheads, for the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

from calibrate.serving.forecast import Case, Forecast, simulate_runs
from calibrate.serving.front_end import service_s
from calibrate.serving.measured import MeasuredRow
from calibrate.serving.sources import async_scheduling, engine_version, source_of
from simulator.catalog.hardware import hardware_profile
from simulator.catalog.overheads import (
    HOST_FIGURES,
    OverheadRow,
    experts_row,
    family_rows,
    host_row,
    host_rows,
    link_rows,
    penalty_seq_s,
    row_of,
    slowed,
)
from simulator.perf.composition import kernel_step_time, missing_kernel
from simulator.perf.device import BatchLimits
from simulator.perf.hardware import Hardware
from simulator.perf.overheads import EngineOverheads
from simulator.perf.steptime import StepTime
from simulator.resolve.checkpoint import architecture


def overheads_of(row: MeasuredRow, values: Mapping[str, float]) -> EngineOverheads:
    """Overheads of a row from trial values: `NAME.SINCE` for one generation of the engine, or `NAME` for all."""
    version, asynchronous = engine_version(row), async_scheduling(row)
    own, hosts, experts = row_of(version), host_row(version, asynchronous), experts_row(version)
    factor = values["host_factor"] if any(row.gpu in one.gpus for one in host_rows()) else 1.0

    def value(generation: OverheadRow, name: str) -> float:
        return values.get(f"{name}.{generation.since}", values.get(name, _planned(generation, name)))

    def share(weights: str, planned: float) -> float:
        return values.get(f"experts.{weights}.{experts.since}", planned)

    penalty = values.get("penalty_seq_s", penalty_seq_s().value) if source_of(row).get("penalties") else 0.0
    host = {name: factor * value(hosts, name) for name in HOST_FIGURES}
    return EngineOverheads(
        version=f"vLLM {own.since}",
        **host | {"exposed_seq_s": host["exposed_seq_s"] + penalty},
        async_scheduling=own.async_scheduling if asynchronous is None else asynchronous,
        layer_s=value(own, "layer_s"),
        collective_wait_s=value(own, "collective_wait_s"),
        request_s=value(own, "request_s"),
        max_graph_tokens=int(own.max_graph_tokens.value),
        experts=tuple((name, share(name, one.value)) for name, one in experts.shares.items() if name == row.dtype),
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


def trial_forecast(values: Mapping[str, float], cases: Sequence[Case]) -> Forecast:
    """A row forecast with trial values."""
    return simulate_runs(cases, partial(trial_steps, values), service_s(cases[0].row, values))


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
