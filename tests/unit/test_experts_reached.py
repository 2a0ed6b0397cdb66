"""What engines of one version reach of the measured speed of routed experts."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.catalog.hardware import hardware_profile
from simulator.catalog.models import model
from simulator.catalog.overheads import engine_overheads
from simulator.catalog.precisions import layout
from simulator.perf.blocks import Batch, experts_block_s, routed_experts_s, slice_of_experts
from simulator.perf.kernels import ExpertsReached, Floats


def test_experts_of_an_older_engine_take_longer_in_proportion() -> None:
    arch, hardware = model("mixtral-8x7b").architecture, hardware_profile("h100-sxm")
    assert hardware is not None
    batch = Batch(np.array([4.0, 64.0]), np.array([False, False]))
    whole, half, none = (
        experts_block_s(batch, arch, hardware, layout("bf16"), ExpertsReached(share, share))
        for share in (1.0, 0.5, 1e12)
    )
    np.testing.assert_allclose(half - none, 2 * (whole - none), rtol=1e-6)


def test_slow_products_of_experts_show_in_large_batches_alone() -> None:
    """Few tokens read weights: 8 of them call 7 of Mixtral's experts. Of many, the products set the time."""
    arch, hardware = model("mixtral-8x7b").architecture, hardware_profile("h100-sxm")
    assert hardware is not None
    few, many = np.array([8.0]), np.array([32768.0])
    fast, slow = ExpertsReached(), ExpertsReached(products=0.5)

    def longer(tokens: Floats) -> float:
        whole, half = (routed_experts_s(tokens, arch, hardware, layout("bf16"), one)[0] for one in (fast, slow))
        return float(half / whole)

    assert 1.0 <= longer(few) < 1.1
    assert longer(many) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("tp", "parallel", "shape", "tuned"),
    [(8, False, (128, 192), True), (4, False, (128, 384), False), (8, True, (16, 1536), False)],
)
def test_a_release_is_tuned_for_some_shapes_of_experts(
    tp: int, parallel: bool, shape: tuple[int, int], tuned: bool
) -> None:
    """vLLM 0.11.0 has E=128,N=192,device_name=NVIDIA_H100_80GB_HBM3.json, and none for Qwen3-235B's other splits."""
    arch = model("qwen3-235b-a22b-2507").architecture
    split = layout("bf16", tp=tp, expert_parallel=parallel)
    assert slice_of_experts(arch, split) == shape
    old, newer = (engine_overheads(version, "h100-sxm") for version in ("0.11.0", "0.19.0"))
    reached = old.experts_reach("bf16", slice_of_experts(arch, split))
    assert reached.products == dict(old.tuned if tuned else old.products)["bf16"]
    assert reached.share == dict(old.experts)["bf16"]
    assert newer.experts_reach("bf16", shape).products == newer.experts_reach("bf16", shape).share
