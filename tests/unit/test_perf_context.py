"""What a token of context costs a decoding request, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.catalog.hardware import hardware_profile
from simulator.catalog.models import model
from simulator.catalog.precisions import layout
from simulator.perf.blocks import layer_context_s


@pytest.mark.parametrize(
    ("heads", "tp", "is_computed"), [(128, 1, False), (512, 1, True), (512, 4, False), (512, 2, True)]
)
def test_a_token_of_context_takes_what_is_longer_its_bytes_or_its_products(
    heads: int, tp: int, is_computed: bool
) -> None:
    """Of DeepSeek V3's latent of 512 values and 64 that are turned, two bytes each, which every GPU of a split reads;
    each head on a GPU meets the latent twice, as keys and as values. Its 128 heads compute less long than that."""
    machine, arch = hardware_profile("h100-sxm"), replace(model("deepseek-v3").architecture, heads=heads)
    assert machine is not None
    kernel = machine.attention(512, 2.0, True)
    read_s = 2 * (512 + 64) / (kernel.kv_share * machine.device.bandwidth_bytes_per_s)
    computed_s = 2 * heads / tp * (512 + 64 + 512) / (kernel.compute_share * 989e12)
    assert (computed_s > read_s) == is_computed
    assert layer_context_s(arch, machine, layout("bf16", tp=tp)) == pytest.approx(max(read_s, computed_s))


@pytest.mark.parametrize(
    ("tp", "kv_heads", "value_bytes"), [(1, 8, 2.0), (4, 2, 2.0), (8, 1, 2.0), (1, 8, 1.0), (16, 1, 2.0)]
)
def test_a_token_of_context_is_read_once_for_each_head_on_a_gpu(tp: int, kv_heads: int, value_bytes: float) -> None:
    """Llama 3.1 8B has 8 heads of 128 keys and values; each of more than 8 GPUs has one of them."""
    machine, arch = hardware_profile("h100-sxm"), model("llama-3.1-8b").architecture
    assert machine is not None
    split = replace(layout("bf16", tp=tp), kv_value_bytes=value_bytes)
    share = machine.attention(128, value_bytes, False).kv_share
    read_s = 2 * kv_heads * 128 * value_bytes / (share * 3.35e12)
    assert layer_context_s(arch, machine, split) == pytest.approx(read_s, rel=1e-3)
