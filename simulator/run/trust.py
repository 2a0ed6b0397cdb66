"""How far a topology's forecast can be trusted: what its step times rest on, and the error to expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.resolve.engines import PlannedEngine

METRICS = ("ttft", "tpot", "throughput")


def expected_errors(engines: Sequence[PlannedEngine]) -> dict[str, Any] | None:
    """Largest expected median absolute error of the engines, by metric, and what says so; None where one has none."""
    known = [engine.step_time.expected_error for engine in engines]
    errors = [error for error in known if error is not None]
    if not errors or len(errors) < len(known):
        return None
    found: dict[str, Any] = {metric: max(getattr(error, metric) for error in errors) for metric in METRICS}
    return found | {"basis": sorted({error.basis for error in errors})}


def doubts(engines: Sequence[PlannedEngine]) -> list[str]:
    """Step times that were not measured, or not for this GPU, these limits or these drafts."""
    found = []
    steps = [engine.step_time for engine in engines]
    if any(step.expected_error is None and not step.calibrated for step in steps):
        found.append("uncalibrated: step times are a roofline from published peaks, not measured")
    transferred = {
        engine.gpu.name for engine in engines if engine.step_time.expected_error and not engine.step_time.calibrated
    }
    if transferred:
        found.append(f"kernels were not measured on {', '.join(sorted(transferred))}; a like GPU's stand in")
    wide = {engine.layout.expert_gpus for engine in engines if _is_wide(engine)}
    if wide:
        found.append(
            f"expert parallelism over {', '.join(map(str, sorted(wide)))} GPUs of several nodes is extrapolated: what "
            "was measured has its experts on one node"
        )
    return found + sorted({note for engine in engines for note in engine.notes})


def _is_wide(engine: PlannedEngine) -> bool:
    """Whether experts are dealt out over more GPUs than a node has."""
    return engine.layout.expert_parallel and engine.layout.expert_gpus > engine.gpu.device.gpus_per_node


def sources(engines: Sequence[PlannedEngine]) -> list[str]:
    """What step times rest on, and the error to expect of them."""
    steps = [engine.step_time for engine in engines]
    found = [f"step times from {origin}" for origin in sorted({step.origin for step in steps if step.expected_error})]
    errors = expected_errors(engines)
    if errors is not None:
        figures = ", ".join(
            f"{metric.upper() if metric != 'throughput' else metric} {errors[metric]:.0%}" for metric in METRICS
        )
        found.append(f"expected error (median): {figures}; {'; '.join(errors['basis'])}")
    return found
