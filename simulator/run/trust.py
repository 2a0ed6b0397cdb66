"""How far a topology's forecast can be trusted: what its step times rest on, and the error to expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.engine.config import Batching
from simulator.engine.modes.offload.spec import offload_of
from simulator.resolve import offloading
from simulator.resolve.engines import PlannedEngine
from simulator.resolve.kv_groups import in_words

METRICS = ("ttft", "tpot", "throughput")
FULL = "tpot_full"


def expected_errors(engines: Sequence[PlannedEngine]) -> dict[str, Any] | None:
    """Largest expected absolute error of the engines by metric, in the median and in nine of ten cases (`…_p90`, None
    where that is not known), that of TPOT where a server is full (`tpot_full`), and what says so; None where one has
    none."""
    known = [engine.step_time.expected_error for engine in engines]
    errors = [error for error in known if error is not None]
    if not errors or len(errors) < len(known):
        return None
    found: dict[str, Any] = {metric: max(getattr(error, metric) for error in errors) for metric in METRICS}
    for name in (*(f"{metric}_p90" for metric in METRICS), FULL, f"{FULL}_p90"):
        tails = [tail for error in errors if (tail := getattr(error, name)) is not None]
        found[name] = max(tails) if len(tails) == len(errors) else None
    return found | {"basis": sorted({error.basis for error in errors})}


def doubts(engines: Sequence[PlannedEngine]) -> list[str]:
    """Step times that were not measured, or not for this GPU, these limits or these drafts."""
    found = []
    wide = {engine.layout.expert_gpus for engine in engines if _is_wide(engine)}
    unsure = [engine for engine in engines if not engine.step_time.calibrated]
    if any(engine.step_time.expected_error is None and not _is_extrapolated(engine) for engine in unsure):
        found.append("uncalibrated: step times are a roofline from published peaks, not measured")
    transferred = {engine.gpu.name for engine in unsure if engine.step_time.expected_error or _is_extrapolated(engine)}
    if transferred:
        found.append(f"kernels were not measured on {', '.join(sorted(transferred))}; a like GPU's stand in")
    if wide:
        found.append(
            f"expert parallelism over {', '.join(map(str, sorted(wide)))} GPUs of several nodes is extrapolated: what "
            "was measured has its experts on one node"
        )
    if any(_is_wide(engine) and engine.layout.dp > 1 and not engine.layout.all_to_all for engine in engines):
        found.append(
            "every rank gathers the tokens of all ranks over several nodes, as vLLM does unless engine.all2all_backend "
            "is deepep_high_throughput, deepep_low_latency or another that sends each token to its experts alone"
        )
    latent = {engine.model for engine in engines if engine.is_latent and _is_extrapolated(engine)}
    if latent:
        found.append(
            f"{', '.join(sorted(latent))} is extrapolated: no model with latent attention was measured serving, so the "
            "error to expect is not known"
        )
    return found + sorted({note for engine in engines for note in engine.notes})


def _is_wide(engine: PlannedEngine) -> bool:
    return engine.layout.is_wide(engine.gpu.device)


def _is_extrapolated(engine: PlannedEngine) -> bool:
    """Whether measured kernels make up steps of a kind that nobody measured."""
    steps = engine.step_time
    composed = steps.origin.startswith("kernels")
    return composed and steps.expected_error is None and (_is_wide(engine) or engine.is_latent)


def sources(engines: Sequence[PlannedEngine]) -> list[str]:
    """What step times rest on, and the error to expect of them."""
    measured = [engine.step_time for engine in engines if engine.step_time.expected_error or _is_extrapolated(engine)]
    found = [f"step times from {origin}" for origin in sorted({step.origin for step in measured})]
    errors = expected_errors(engines)
    if errors is not None:
        tails = [f"{metric}_p90" for metric in METRICS if errors[f"{metric}_p90"] is not None]
        within = f"; in nine of ten cases: {_errors_in_words(errors, tails)}" if tails else ""
        if errors[FULL] is not None and errors[f"{FULL}_p90"] is not None:
            within += f"; TPOT of a full server {errors[FULL]:.0%} and {errors[f'{FULL}_p90']:.0%}"
        found.append(
            f"expected error (median): {_errors_in_words(errors, METRICS)}{within}; {'; '.join(errors['basis'])}"
        )
    tables = {in_words(engine.config.modes.groups) for engine in engines if engine.config.modes.groups}
    found += [f"KV cache: block tables by group from one pool: {words}" for words in sorted(tables)]
    beside = {words for engine in engines if (words := _offloaded(engine))}
    found += [f"KV cache: {words}" for words in sorted(beside)]
    synchronous = {engine.config.rules.version for engine in engines if _plans_one_at_a_time(engine)}
    return found + [f"schedule: vLLM {version}'s, one plan at a time" for version in sorted(synchronous)]


def _offloaded(engine: PlannedEngine) -> str:
    memory = offload_of(engine.config.modes)
    return "" if memory is None else offloading.in_words(memory, engine.config, engine.machine)


def _errors_in_words(errors: dict[str, Any], keys: Sequence[str]) -> str:
    names = [key.removesuffix("_p90") for key in keys]
    titles = [name if name == "throughput" else name.upper() for name in names]
    return ", ".join(f"{title} {errors[key]:.0%}" for title, key in zip(titles, keys, strict=True))


def _plans_one_at_a_time(engine: PlannedEngine) -> bool:
    return engine.config.modes.flight is None and engine.config.batching == Batching.CONTINUOUS
