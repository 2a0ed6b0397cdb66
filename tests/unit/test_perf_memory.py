"""GPU memory: block sizes by hand, terms that add up, and errors that say how to make the model fit."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.catalog.gpus import gpu
from simulator.catalog.models import model
from simulator.catalog.precisions import layout
from simulator.catalog.vllm import default_limits
from simulator.errors import InputError
from simulator.perf.device import BatchLimits, Layout
from simulator.perf.memory import MemoryPlan, block_bytes, kv_bytes_per_token, plan_memory, weight_bytes
from simulator.perf.speculative import Drafting, one_layer_draft


def limits(gpu_name: str) -> BatchLimits:
    return default_limits(None, gpu_name, gpu(gpu_name).memory.value)


def plan(model_name: str, gpu_name: str, split: Layout, **options: Any) -> MemoryPlan:
    entry = gpu(gpu_name)
    architecture = model(model_name).architecture
    return plan_memory(
        architecture,
        entry.device,
        split,
        limits(gpu_name),
        entry.coefficients,
        **options,  # type: ignore[arg-type]
    )


def test_windows_everywhere_are_planned_as_if_there_were_none() -> None:
    entry, architecture = gpu("l4"), model("mistral-7b-v0.1").architecture
    assert architecture.full_layers == 0
    windowed, plain = (
        plan_memory(arch, entry.device, layout(), limits("l4"), entry.coefficients)
        for arch in (architecture, replace(architecture, sliding_layers=0))
    )
    assert windowed == plain
    assert windowed.block_bytes == 16 * 2 * 32 * 8 * 128 * 2


@pytest.mark.parametrize(
    ("name", "split", "expected"),
    [
        ("llama-3.1-8b", layout(), 2 * 32 * 8 * 128 * 2),
        ("llama-3.1-8b", layout(kv_dtype="fp8"), 2 * 32 * 8 * 128),
        ("llama-3.1-70b", layout(tp=4), 2 * 80 * 2 * 128 * 2),
        ("llama-3.1-70b", layout(tp=8, pp=2), 2 * 40 * 1 * 128 * 2),
        ("qwen3-30b-a3b", layout(tp=8), 2 * 48 * 1 * 128 * 2),
        ("deepseek-v3", layout("fp8", tp=8), 61 * (512 + 64) * 2),
        ("gpt-oss-120b", layout("mxfp4"), 2 * 18 * 8 * 64 * 2),
    ],
)
def test_kv_bytes_per_token_by_hand(name: str, split: Layout, expected: int) -> None:
    architecture = model(name).architecture
    assert kv_bytes_per_token(architecture, split) == expected
    assert block_bytes(architecture, split, 16) == 16 * expected


@pytest.mark.parametrize(
    ("name", "dtype", "published_gb"),
    [
        ("llama-3.1-8b", "bf16", 16.06),
        ("llama-3.1-70b", "fp8", 72.7),
        ("gpt-oss-120b", "mxfp4", 65.2),
        ("gpt-oss-20b", "mxfp4", 13.8),
    ],
)
def test_weights_are_as_large_as_the_published_files(name: str, dtype: str, published_gb: float) -> None:
    assert weight_bytes(model(name).architecture, layout(dtype)) / 1e9 == pytest.approx(published_gb, rel=0.01)


@pytest.mark.parametrize("name", ["llama-3.1-70b", "qwen3-235b-a22b", "gpt-oss-120b"])
def test_a_split_divides_the_weights_among_the_gpus(name: str) -> None:
    architecture = model(name).architecture
    whole = weight_bytes(architecture, layout("bf16"))
    for tp, pp in ((2, 1), (4, 1), (1, 2), (4, 2)):
        part = weight_bytes(architecture, layout("bf16", tp=tp, pp=pp))
        assert whole <= part * tp * pp * (1 + 1e-12)
        assert part * tp * pp < 1.1 * whole


@given(
    name=st.sampled_from(["llama-3.1-8b", "qwen3-14b", "gpt-oss-20b", "qwen3-30b-a3b"]),
    gpu_name=st.sampled_from(["h100-sxm", "h200", "b200", "mi300x"]),
    kv_dtype=st.sampled_from(["auto", "fp8"]),
    block_size=st.sampled_from([16, 32, 128]),
    utilization=st.floats(0.85, 1.0),
    drafts=st.sampled_from([None, "one layer", "qwen3-0.6b"]),
)
@settings(max_examples=40, deadline=None)
def test_the_terms_add_up(
    name: str, gpu_name: str, kv_dtype: str, block_size: int, utilization: float, drafts: str | None
) -> None:
    drafting = None
    if drafts:
        target = model(name).architecture
        draft = one_layer_draft(target) if drafts == "one layer" else model(drafts).architecture
        drafting = Drafting(3, draft, layout().weights)
    found = plan(
        name,
        gpu_name,
        layout("bf16", kv_dtype),
        block_size=block_size,
        gpu_memory_utilization=utilization,
        drafting=drafting,
    )
    taken = found.weight_bytes + found.draft_bytes + found.activation_bytes + found.cuda_graph_bytes
    taken += found.runtime_bytes + found.sliding_bytes
    assert taken + found.kv_bytes == pytest.approx(found.usable_bytes)
    assert 0 <= found.kv_bytes - found.num_blocks * found.block_bytes < found.block_bytes
    assert found.usable_bytes == gpu(gpu_name).device.memory_bytes * utilization
    assert found.max_model_len <= (found.num_blocks - 1) * block_size


def test_fp8_kv_doubles_the_blocks() -> None:
    plain, small = (plan("llama-3.1-8b", "h100-sxm", layout("bf16", kv)) for kv in ("bf16", "fp8"))
    assert small.num_blocks == pytest.approx(2 * plain.num_blocks, abs=1)


@pytest.mark.parametrize(
    ("name", "gpu_name", "split"),
    [
        ("llama-3.1-70b", "h100-sxm", layout()),
        ("llama-3.1-405b", "h100-sxm", layout("fp8", tp=4)),
        ("qwen2.5-72b", "a100-40", layout("bf16", tp=2)),
        ("gpt-oss-120b", "a100-40", layout("mxfp4")),
    ],
)
def test_a_model_that_does_not_fit_names_the_smallest_split_that_does(name: str, gpu_name: str, split: Layout) -> None:
    with pytest.raises(InputError, match=r"[\d.]+ GiB per GPU are missing; the smallest that fits is tp=\d+") as caught:
        plan(name, gpu_name, split)
    text = str(caught.value)
    found = re.search(r"fits is tp=(\d+)(?:, pp=(\d+))?", text)
    assert found
    tp, pp = int(found[1]), int(found[2] or 1)
    assert plan(name, gpu_name, layout(split.weights.name, tp=tp, pp=pp)).num_blocks > 1
    if pp == 1:
        with pytest.raises(InputError):
            plan(name, gpu_name, layout(split.weights.name, tp=tp // 2))


def test_the_missing_memory_is_what_would_make_it_fit() -> None:
    entry = gpu("h100-sxm")
    with pytest.raises(InputError) as caught:
        plan("llama-3.1-70b", "h100-sxm", layout())
    found = re.search(r"([\d.]+) GiB", str(caught.value))
    assert found
    missing = float(found[1]) * 2**30
    larger = type(entry.device)(
        **{field: getattr(entry.device, field) for field in entry.device.__slots__}
        | {"memory_bytes": entry.device.memory_bytes + (missing + 0.1 * 2**30) / 0.92}
    )
    architecture = model("llama-3.1-70b").architecture
    assert plan_memory(architecture, larger, layout(), limits("h100-sxm"), entry.coefficients).num_blocks >= 2


def test_nothing_fits_says_so() -> None:
    with pytest.raises(InputError, match="no split over these GPUs fits"):
        plan("deepseek-v3", "l4", layout("bf16"), gpu_memory_utilization=0.3)


def test_max_model_len_is_the_largest_that_fits() -> None:
    free = plan("llama-3.1-8b", "l4", layout())
    assert free.max_model_len == (free.num_blocks - 1) * 16 < 131072
    assert plan("llama-3.1-8b", "l4", layout(), max_model_len=free.max_model_len).max_model_len == free.max_model_len
    with pytest.raises(InputError, match=f"the largest that does is {free.max_model_len}"):
        plan("llama-3.1-8b", "l4", layout(), max_model_len=free.max_model_len + 1)
    assert plan("llama-3.1-8b", "h100-sxm", layout()).max_model_len == 131072
    with pytest.raises(InputError, match="beyond the 131072 tokens"):
        plan("llama-3.1-8b", "h100-sxm", layout(), max_model_len=131073)


@pytest.mark.parametrize("utilization", [0.0, 1.01, float("nan")])
def test_utilization_is_a_share(utilization: float) -> None:
    with pytest.raises(InputError, match=r"must be in \(0, 1\]"):
        plan("llama-3.1-8b", "h100-sxm", layout(), gpu_memory_utilization=utilization)


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("llama-3.1-8b", layout(tp=3), r"does not divide the 32 attention heads.*works: 1, 2, 4, 8"),
        ("qwen2.5-7b", layout(tp=7), r"neither divides the 4 KV heads"),
        ("llama-3.1-8b", layout(pp=33), "more than the 32 layers"),
        ("llama-3.1-8b", layout(tp=0), "at least 1"),
        ("llama-3.1-8b", layout(expert_parallel=True), "dense model"),
        ("llama-3.1-8b", layout("fp4"), r"does not compute in fp4; use .*bf16"),
    ],
)
def test_splits_and_formats_that_do_not_work(name: str, split: Layout, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(name, "h100-sxm", split)


def test_fp8_on_a100_is_refused_with_what_works() -> None:
    with pytest.raises(InputError, match=r"a100-80 does not compute in fp8; use .*int8.*w8a16.*int4"):
        plan("llama-3.1-8b", "a100-80", layout("fp8"))
    assert plan("llama-3.1-8b", "a100-80", layout("int4")).weight_bytes < 7e9


def test_windowed_layers_never_take_more_than_their_share() -> None:
    found = plan("gpt-oss-120b", "h100-sxm", layout("mxfp4"))
    assert 0 < found.sliding_bytes <= found.kv_bytes
    assert plan("llama-3.1-8b", "h100-sxm", layout()).sliding_bytes == 0


def test_redundant_experts_take_room_and_let_any_group_hold_whole_experts() -> None:
    """DeepSeek-V3 as its operator serves it: 256 experts and 32 copies on 144 GPUs, two of each layer on every GPU."""
    architecture = model("deepseek-v3").architecture
    wide = layout("fp8", expert_parallel=True, dp=144, redundant_experts=32)
    one_expert = 3 * architecture.hidden_size * architecture.moe_intermediate_size
    plain = weight_bytes(architecture, layout("fp8", expert_parallel=True, dp=144))
    more = weight_bytes(architecture, wide) - plain
    assert more == pytest.approx(architecture.moe_layers * 32 / 144 * one_expert)
    assert plan("deepseek-v3", "h800", wide).num_blocks > 0
    with pytest.raises(InputError, match=r"num_redundant_experts: 32"):
        plan("deepseek-v3", "h800", layout("fp8", expert_parallel=True, dp=144))
    with pytest.raises(InputError, match="enable_expert_parallel"):
        plan("deepseek-v3", "h800", layout("fp8", tp=8, redundant_experts=8))
