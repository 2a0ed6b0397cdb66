"""The closed form of a run against the plan by layer, over the catalog, as docs/model/memory.md gives it."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from simulator.catalog.gpus import gpu
from simulator.catalog.models import models
from simulator.catalog.precisions import layout
from simulator.catalog.vllm import default_limits
from simulator.errors import InputError
from simulator.perf.memory import plan_memory
from simulator.resolve.by_layer import plan_by_layer, question
from simulator.resolve.memory import shape_of
from simulator.schema.engine import EngineSettings


def differences(gpu_name: str, tp: int, windows: bool) -> list[float]:
    """Blocks by layer over those of the closed form, less 1, of all models that fit by both."""
    card, found = gpu(gpu_name), []
    limits = default_limits(None, gpu_name, card.memory.value)
    for name, entry in models().items():
        if shape_of(name, Path()).unmodelled or (entry.architecture.sliding_layers > 0) != windows:
            continue
        try:
            closed = plan_memory(
                entry.architecture,
                card.device,
                layout(entry.native_dtype, tp=tp),
                limits,
                card.coefficients,
            )
            by_layer = plan_by_layer(question(name, gpu_name, tp, 1, EngineSettings(), None, Path()))
        except InputError:
            continue
        found.append(by_layer.num_blocks / closed.num_blocks - 1)
    return found


@pytest.mark.parametrize(
    ("gpu_name", "tp", "median"),
    [("l4", 1, -0.095), ("a100-80", 1, -0.002), ("h100-sxm", 1, -0.003), ("h100-sxm", 4, -0.029), ("h200", 8, -0.024)],
)
def test_full_attention_differs_by_the_cards_memory_and_the_communicators(
    gpu_name: str, tp: int, median: float
) -> None:
    found = differences(gpu_name, tp, windows=False)
    assert len(found) > 20
    assert statistics.median(found) == pytest.approx(median, abs=0.002)


def test_windows_differ_by_factors() -> None:
    found = differences("h100-sxm", 1, windows=True)
    assert min(found) < -0.5
    assert max(found) > 2
