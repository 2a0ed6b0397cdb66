"""What a quantised engine is measured against: the same replica with weights and KV cache in 16 bit."""

from __future__ import annotations

from dataclasses import replace

from simulator.catalog.precisions import layout
from simulator.perf.device import BatchLimits
from simulator.perf.steptime import StepTime
from simulator.resolve.checkpoint import architecture
from simulator.resolve.drafting import drafting_of
from simulator.resolve.engines import step_time
from simulator.resolve.flight import planning
from simulator.resolve.topology import PlannedTopology, engine_settings


def sixteen_bit_steps(planned: PlannedTopology, k: int) -> StepTime | None:
    """Step times of pool `k` with weights and KV cache in 16 bit, whether or not they would fit.

    None where they are, where the times are measured or given, and where one of both rests on measured kernels alone.
    """
    loaded, pool, engine = planned.loaded, planned.settings.pools[k], planned.engines[k]
    settings, plain = engine_settings(loaded, pool), layout()
    parts = replace(engine.layout, weights=plain.weights, kv_value_bytes=plain.kv_value_bytes)
    if parts == engine.layout or settings.profile is not None or settings.throughput is not None:
        return None
    arch, _ = architecture(pool.model or loaded.scenario.model, loaded.path.parent)
    found = step_time(
        arch,
        engine.machine,
        parts,
        BatchLimits(engine.config.max_num_batched_tokens, engine.config.max_num_seqs),
        settings,
        drafting_of(settings, arch, loaded.path.parent),
        planning(settings, parts.pp, engine.config.rules.version),
    )
    return found if found.calibrated == engine.step_time.calibrated else None
