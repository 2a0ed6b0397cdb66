"""Laws of the step time that is composed of measured kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.catalog.gpus import gpu, gpus
from simulator.catalog.hardware import hardware_profile
from simulator.catalog.models import model, models
from simulator.catalog.overheads import engine_overheads, slowed
from simulator.catalog.precisions import layout
from simulator.errors import InputError
from simulator.perf.blocks import NORM_PASSES, NORMS, layer_pair_s, small_kernels_s
from simulator.perf.bounds import max_tokens_per_gpu_s
from simulator.perf.composition import fused_norms_s, kernel_step_time, missing_kernel
from simulator.perf.device import BatchLimits, Layout
from simulator.perf.hardware import Hardware
from simulator.perf.kernels import ExpertShape, experts_s, gemm_s, smooth_max
from simulator.perf.overheads import captured_sizes, padded_tokens
from simulator.perf.reads import attention_is_plain
from simulator.perf.steptime import StepTime
from simulator.resolve.engines import plan_engine
from simulator.run.trust import doubts, expected_errors
from simulator.schema.engine import EngineSettings

LIMITS = BatchLimits(2048, 256)


def hardware(name: str) -> Hardware:
    found = hardware_profile(name)
    assert found is not None
    return found


def built(model_name: str, gpu_name: str, split: Layout, version: str | None = None) -> StepTime:
    return kernel_step_time(
        model(model_name).architecture, hardware(gpu_name), split, LIMITS, engine_overheads(version)
    )


@pytest.mark.parametrize("name", sorted(gpus()))
def test_every_gpu_has_a_profile_and_it_says_what_it_rests_on(name: str) -> None:
    profile = hardware(name)
    step = built("llama-3.1-8b", name, layout())
    assert step.calibrated == (profile.transferred_from is None)
    assert name in step.origin
    assert "aiconfigurator-core" in step.origin


@pytest.mark.parametrize(
    ("name", "width", "flops"),
    [
        ("llama-3.1-8b", 128, 4 * 32 * 128),
        ("qwen3-32b", 128, 4 * 64 * 128),
        ("deepseek-v3", 512, 2 * 128 * (128 + 64 + 128)),
    ],
)
@pytest.mark.parametrize("tp", [1, 4])
def test_a_pair_of_query_and_key_takes_its_products_with_both(name: str, width: int, flops: int, tp: int) -> None:
    """Of all heads, with keys and with values, in 16 bit at the share of the peak that was measured."""
    machine, arch = hardware("h100-sxm"), model(name).architecture
    share = machine.attention(width, 2.0, arch.is_mla).compute_share
    assert layer_pair_s(arch, machine, layout("bf16", tp=tp)) == pytest.approx(flops / tp / (share * 989e12))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_every_model_of_the_catalog_has_a_finite_step_time() -> None:
    """Nemotron 3 Nano has layers without an MLP: a product of no width, which takes no time."""
    split, card = layout(), hardware("h100-sxm")
    composed = [
        kernel_step_time(one.architecture, card, split, BatchLimits(64, 8), engine_overheads(None))
        for one in models().values()
        if missing_kernel(one.architecture, card, split) is None
    ]
    assert len(composed) > len(models()) / 2
    assert all(np.isfinite([*step.token_time_s.ravel(), *step.seq_time_s]).all() for step in composed)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_weights_without_values_take_no_time() -> None:
    card, tokens = hardware("h100-sxm"), np.array([1.0, 64.0])
    kernels, peaks, ragged = card.kernels, card.peaks("bf16"), np.zeros(2, np.bool_)
    for n, k in ((0.0, 4096.0), (4096.0, 0.0), (0.0, 0.0)):
        assert np.all(gemm_s(kernels.gemm["bf16"], peaks, tokens, n, k, 2.0, 2.0, ragged) == 0.0)
    assert np.all(gemm_s(kernels.gemm["bf16"], peaks, tokens, 4096.0, 4096.0, 2.0, 2.0, ragged) > 0.0)
    nothing = ExpertShape(4096.0, 0.0, 8.0, 2.0)
    assert np.all(experts_s(kernels.experts["bf16"], peaks, nothing, tokens, 8 * tokens, tokens) == 0.0)
    np.testing.assert_array_equal(
        smooth_max(np.array([0.0, 0.0, 3.0]), np.array([0.0, 2.0, 4.0]), 2.0), [0.0, 2.0, 5.0]
    )


@pytest.mark.parametrize("name", sorted(gpus()))
def test_step_time_never_falls_with_tokens_sequences_or_context(name: str) -> None:
    step = built("llama-3.1-8b", name, layout(pp=2))
    assert np.all(np.diff(step.token_time_s, axis=1) >= 0)
    assert np.all(np.diff(step.seq_time_s) >= 0)
    assert step.prefill_attn_s > 0
    assert step.decode_attn_s > 0


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name in sorted(gpus()) for dtype in hardware(name).kernels.gemm]
)
def test_no_step_is_faster_than_the_published_peaks(name: str, dtype: str) -> None:
    split = layout(dtype)
    device = gpu(name).device
    arch = model("llama-3.1-8b").architecture
    step = built("llama-3.1-8b", name, split)
    bound = max_tokens_per_gpu_s(arch, device, split, LIMITS)
    tokens = np.arange(1, LIMITS.max_num_batched_tokens + 1)
    assert np.all(tokens / step.token_time_s[0, 1:] < bound.computed_tokens_per_gpu_s)
    n = np.arange(1, LIMITS.max_num_seqs + 1)
    decode = step.token_time_s[0, n] + step.seq_time_s[n]
    assert np.all(n / decode < bound.output_tokens_per_gpu_s)


def test_the_attention_of_a_pipeline_and_of_tensor_parallel_ranks_is_shared() -> None:
    one = built("llama-3.1-70b", "h200", layout("fp8"))
    assert built("llama-3.1-70b", "h200", layout("fp8", pp=2)).prefill_attn_s == pytest.approx(one.prefill_attn_s / 2)
    assert built("llama-3.1-70b", "h200", layout("fp8", tp=2)).decode_attn_s == pytest.approx(one.decode_attn_s / 2)


def test_kv_in_fp8_is_read_faster() -> None:
    wide = built("llama-3.1-8b", "h100-sxm", layout())
    assert built("llama-3.1-8b", "h100-sxm", layout(kv_dtype="fp8")).decode_attn_s < wide.decode_attn_s


def test_asynchronous_scheduling_hides_host_time() -> None:
    synchronous = built("llama-3.1-8b", "h100-sxm", layout(), "0.8.5")
    overlapped = built("llama-3.1-8b", "h100-sxm", layout(), "0.24.0")
    assert overlapped.seq_time_s[1] < synchronous.seq_time_s[1]
    assert np.array_equal(overlapped.token_time_s, synchronous.token_time_s)


def test_batches_are_padded_to_captured_sizes() -> None:
    sizes = captured_sizes(512)
    assert sizes[:5].tolist() == [1, 2, 4, 8, 16]
    assert {256, 272, 512} <= set(sizes.tolist())
    padded = padded_tokens(np.array([1.0, 3.0, 9.0, 257.0, 512.0, 513.0]), 512)
    assert padded.tolist() == [1, 4, 16, 272, 512, 513]


def test_communication_adds_and_grows_with_the_group() -> None:
    arch = model("llama-3.1-70b").architecture
    from simulator.perf.transport import all_reduce_s, layer_collectives_s

    tokens = np.array([1.0, 64.0, 4096.0])
    machine, free = hardware("h100-sxm"), engine_overheads()
    one = all_reduce_s(tokens, arch.hidden_size, 4, machine) + free.collective_wait_s
    assert layer_collectives_s(tokens, arch, machine, layout(tp=4), free) == pytest.approx(2 * arch.layers * one)
    assert np.all(layer_collectives_s(tokens, arch, machine, layout(), free) == 0)
    assert np.all(
        all_reduce_s(tokens, arch.hidden_size, 16, machine) > all_reduce_s(tokens, arch.hidden_size, 8, machine)
    )


@pytest.mark.parametrize(
    ("name", "dtype", "split"),
    [
        ("mixtral-8x7b", "bf16", {"tp": 2}),
        ("qwen3-30b-a3b", "fp8", {"tp": 2, "expert_parallel": True}),
        ("gpt-oss-120b", "mxfp4", {}),
        ("deepseek-v3", "fp8", {"tp": 8}),
    ],
)
def test_mixtures_and_latent_attention_keep_the_laws(name: str, dtype: str, split: dict[str, int]) -> None:
    arch = model(name).architecture
    parts = layout(dtype, **split)
    step = built(name, "h200", parts)
    assert np.all(np.diff(step.token_time_s, axis=1) >= 0)
    assert np.all(np.diff(step.seq_time_s) >= 0)
    bound = max_tokens_per_gpu_s(arch, gpu("h200").device, parts, LIMITS)
    tokens = np.arange(1, LIMITS.max_num_batched_tokens + 1)
    assert np.all(tokens / step.token_time_s[0, 1:] / parts.gpus < bound.computed_tokens_per_gpu_s)


def test_a_step_of_a_mixture_reads_more_experts_as_it_grows() -> None:
    sparse = built("qwen3-30b-a3b", "h100-sxm", layout())
    dense = built("qwen3-32b", "h200", layout())
    growth = sparse.token_time_s[0, 64] / sparse.token_time_s[0, 1]
    assert growth > 2 > dense.token_time_s[0, 64] / dense.token_time_s[0, 1]


def test_sharing_experts_between_replicas_saves_weight_reads_and_costs_an_exchange() -> None:
    from simulator.perf.roofline import weight_read_bytes
    from simulator.perf.transport import layer_collectives_s

    arch = model("qwen3-235b-a22b").architecture
    alone, shared = layout("fp8", expert_parallel=True, tp=1), layout("fp8", expert_parallel=True, tp=1, dp=8)
    every = np.array([1e5])
    assert weight_read_bytes(every, arch, shared)[0] < 0.25 * weight_read_bytes(every, arch, alone)[0]
    tokens = np.array([1.0, 512.0])
    machine, free = hardware("h200"), engine_overheads()
    assert np.all(layer_collectives_s(tokens, arch, machine, alone, free) == 0)
    assert np.all(layer_collectives_s(tokens, arch, machine, shared, free) > 0)


def test_norms_over_all_heads_cost_groups_one_more_all_reduce() -> None:
    from simulator.perf.transport import SQUARES_WIDTH, all_reduce_s, layer_collectives_s

    arch = model("minimax-m2.5").architecture
    assert arch.norms_span_heads
    each_head = replace(arch, norms_span_heads=False)
    tokens, machine, engine = np.array([1.0, 64.0, 4096.0]), hardware("b200"), engine_overheads()
    more = all_reduce_s(tokens, SQUARES_WIDTH, 4, machine) + engine.collective_wait_s + machine.kernels.stream.launch_s
    whole, less = (layer_collectives_s(tokens, one, machine, layout("fp8", tp=4), engine) for one in (arch, each_head))
    assert whole - less == pytest.approx(arch.layers * more)
    assert np.all(layer_collectives_s(tokens, arch, machine, layout("fp8"), engine) == 0)


def test_norms_ride_on_all_reduces_up_to_a_size() -> None:
    arch, machine, split = model("llama-3.1-70b").architecture, hardware("h200"), layout("fp8", tp=8)
    tokens = np.array([1.0, 32.0, 33.0])
    newest = engine_overheads(None, "h200")
    saved = fused_norms_s(tokens, arch, machine, split, newest)
    assert saved[:2] == pytest.approx(
        arch.layers * small_kernels_s(tokens[:2], NORM_PASSES * arch.hidden_size, NORMS, machine)
    )
    assert saved[2] == 0
    assert np.all(fused_norms_s(tokens, arch, machine, layout("fp8"), newest) == 0)
    for version, name in (("0.11", "h200"), ("0.24", "h100-pcie"), ("0.17", "b300")):
        assert np.all(fused_norms_s(tokens, arch, machine, split, engine_overheads(version, name)) == 0)
    assert fused_norms_s(tokens, arch, machine, split, engine_overheads("0.19", "b300"))[0] > 0


def test_shared_experts_need_a_mixture_and_experts_that_divide() -> None:
    limits = LIMITS
    with pytest.raises(InputError, match="shares experts between replicas"):
        kernel_step_time(model("llama-3.1-8b").architecture, hardware("h200"), layout(dp=2), limits, engine_overheads())
    with pytest.raises(InputError, match="does not divide the 128 experts"):
        built("qwen3-30b-a3b", "h200", layout(expert_parallel=True, dp=3))


@pytest.mark.parametrize(("name", "factor"), [("h100-sxm", 1.0), ("b200", 1.0), ("a100-80", 2.0), ("rtx-4090", 2.0)])
def test_attention_sinks_cost_prefill_where_the_gpus_own_kernel_has_none(name: str, factor: float) -> None:
    machine, split = hardware(name), layout("mxfp4")
    with_sinks = model("gpt-oss-20b").architecture
    step = kernel_step_time(with_sinks, machine, split, LIMITS, engine_overheads())
    plain = kernel_step_time(replace(with_sinks, attention_sinks=False), machine, split, LIMITS, engine_overheads())
    ratio = step.prefill_attn_s / plain.prefill_attn_s
    assert ratio == pytest.approx(machine.kernels.sink_factor)
    assert ratio > factor if factor > 1 else ratio == 1
    assert step.decode_attn_s == plain.decode_attn_s
    assert not model("llama-3.1-8b").architecture.attention_sinks


def test_lasting_load_slows_products_not_attention() -> None:
    arch, split = model("qwen3-30b-a3b").architecture, layout()
    fast = kernel_step_time(arch, hardware("h100-sxm"), split, LIMITS, engine_overheads())
    slow = kernel_step_time(arch, slowed(hardware("h100-sxm"), 0.5), split, LIMITS, engine_overheads())
    assert slow.token_time_s[0, -1] > 1.3 * fast.token_time_s[0, -1]
    assert slow.token_time_s[0, 1] < 1.1 * fast.token_time_s[0, 1]
    assert (slow.prefill_attn_s, slow.decode_attn_s) == (fast.prefill_attn_s, fast.decode_attn_s)


def test_slow_links_cost_groups_alone() -> None:
    arch = model("llama-3.1-70b").architecture
    machine = hardware("h100-pcie")
    for tp, costs in ((1, False), (2, True)):
        whole, slow = (
            kernel_step_time(arch, slowed(machine, 1.0, links), layout("fp8", tp=tp), LIMITS, engine_overheads())
            for links in (1.0, 0.5)
        )
        assert (slow.token_time_s[0, -1] > whole.token_time_s[0, -1]) == costs
        assert slow.token_time_s[0, 1] < 1.1 * whole.token_time_s[0, 1]


@pytest.mark.parametrize("name", sorted(gpus()))
def test_weight_only_experts_run_on_every_gpu(name: str) -> None:
    arch = model("qwen3-30b-a3b").architecture
    for form in ("int4", "w8a16"):
        assert missing_kernel(arch, hardware(name), layout(form)) is None


@pytest.mark.parametrize(("alias", "name"), [("awq", "int4"), ("gptq", "int4"), ("nvfp4", "fp4"), ("float16", "fp16")])
def test_formats_go_by_their_usual_names(alias: str, name: str) -> None:
    assert layout(alias) == layout(name)


def test_four_bit_latent_attention_stays_in_16_bit() -> None:
    arch = model("deepseek-v3").architecture
    assert attention_is_plain(arch, layout("fp4"))
    assert not attention_is_plain(arch, layout("fp8"))
    assert not attention_is_plain(model("llama-3.1-8b").architecture, layout("int4"))


@pytest.mark.parametrize(
    ("name", "gpus_of_experts", "known"),
    [
        ("qwen3-235b-a22b", 8, True),
        ("qwen3-235b-a22b", 32, False),
        ("deepseek-v3", 8, False),
        ("deepseek-v3", 32, False),
    ],
)
def test_wide_experts_and_latent_attention_are_extrapolated_and_have_no_expected_error(
    name: str, gpus_of_experts: int, known: bool, tmp_path: Path
) -> None:
    """Among the models whose serving was measured none has latent attention."""
    settings = EngineSettings(quantization="fp8", enable_expert_parallel=True, data_parallel_size=gpus_of_experts)
    engines = [plan_engine(name, "h200", 1, 1, settings, tmp_path)]
    assert (expected_errors(engines) is not None) is known
    assert any("extrapolated" in text for text in doubts(engines)) is not known
    assert not any("roofline" in text for text in doubts(engines))


def test_copies_of_experts_spread_rows_and_are_read_themselves() -> None:
    """With as many copies as experts each GPU holds twice as many, and reads up to twice as much of small batches."""
    plain = built("deepseek-v3", "h200", layout("fp8", expert_parallel=True, dp=8))
    twice = built("deepseek-v3", "h200", layout("fp8", expert_parallel=True, dp=8, redundant_experts=256))
    small, large = 256, 2048
    assert twice.token_time_s[0, large] > plain.token_time_s[0, large]
    assert plain.token_time_s[0, small] < twice.token_time_s[0, small] < 2 * plain.token_time_s[0, small]


def test_an_engine_told_to_schedule_asynchronously_has_the_host_of_one_that_does() -> None:
    old, told, newer = engine_overheads("0.11"), engine_overheads("0.11", None, True), engine_overheads("0.14")
    assert (old.async_scheduling, told.async_scheduling) == (False, True)
    assert told.exposed_seq_s == newer.exposed_seq_s != old.exposed_seq_s
    assert told.experts == old.experts != newer.experts, "its kernels stay those of its version"


def planned(**settings: object) -> StepTime:
    engine = EngineSettings.model_validate({"version": "0.18.0", **settings})
    return plan_engine("gpt-oss-120b", "h100-sxm", 2, 1, engine, Path()).step_time


def test_marlin_takes_longer_with_many_tokens_as_other_4_bit_weights_do() -> None:
    """gpt-oss-120b, 2 x H100: 7,400 tokens take 0.16 to 0.2 s by Marlin (InferenceX, VLLM_MXFP4_USE_MARLIN)."""
    fastest, marlin = planned().token_time_s[0], planned(moe_backend="marlin").token_time_s[0]
    assert marlin[16] == pytest.approx(fastest[16], rel=0.15)
    assert 1.3 < marlin[7400] / fastest[7400] < 1.9
    assert 0.15 < marlin[7400] < 0.21
    whole = kernel_step_time(
        model("kimi-k2").architecture, hardware("h100-sxm"), layout("int4", tp=8), LIMITS, engine_overheads()
    )
    own = replace(layout("int4", tp=8), weights=replace(layout("int4").weights, experts_as="int4"))
    same = kernel_step_time(model("kimi-k2").architecture, hardware("h100-sxm"), own, LIMITS, engine_overheads())
    np.testing.assert_array_equal(whole.token_time_s, same.token_time_s)


@pytest.mark.parametrize(
    ("gpu_name", "version", "kernel"),
    [
        ("h100-sxm", "0.11.1", "int4"),
        ("h200", "0.10.2", "int4"),
        ("h100-sxm", "0.12", "mxfp4"),
        ("h100-sxm", None, "mxfp4"),
        ("a100-80", "0.11.1", "mxfp4"),
        ("b200", "0.11.1", "mxfp4"),
    ],
)
def test_experts_run_by_the_kernel_that_the_version_takes(gpu_name: str, version: str | None, kernel: str) -> None:
    """Releases before 0.12 lack the package of Triton's kernels, and take Marlin's on Hopper."""
    engine = plan_engine("gpt-oss-20b", gpu_name, 1, 1, EngineSettings(version=version), Path())
    assert engine.layout.weights.experts_kernel == kernel
    other = plan_engine("qwen3-30b-a3b", gpu_name, 2, 1, EngineSettings(version=version), Path())
    assert other.layout.weights.experts_kernel == "bf16"


def test_marlin_is_refused_where_it_was_not_measured() -> None:
    for name, weights in (("qwen3-235b-a22b", "fp8"), ("qwen3-235b-a22b", "w8a16"), ("mixtral-8x7b", None)):
        engine = EngineSettings(moe_backend="marlin", quantization=weights)
        with pytest.raises(InputError, match="measured with 4-bit weights that compute in 16 bit"):
            plan_engine(name, "h100-sxm", 8, 1, engine, Path())


def test_a_larger_graph_pads_and_spares_launches() -> None:
    machine, split, arch = hardware("b200"), layout("fp8", tp=8), model("llama-3.1-70b").architecture
    launches = engine_overheads(None, "b200").eager_layer_s * arch.layers
    assert launches > 0 == engine_overheads(None, "h100-sxm").eager_layer_s
    default = engine_overheads(None, "b200")
    small = kernel_step_time(arch, machine, split, LIMITS, default)
    plain = kernel_step_time(arch, machine, split, LIMITS, replace(default, eager_layer_s=0.0))
    graphs = engine_overheads(None, "b200", captured_tokens=1024)
    large = kernel_step_time(arch, machine, split, LIMITS, graphs)
    assert np.all(small.token_time_s[0][513:] >= launches)
    np.testing.assert_array_equal(small.token_time_s[0][:513], plain.token_time_s[0][:513])
    assert large.token_time_s[0][600] < launches <= large.token_time_s[0][1025]
    assert large.token_time_s[0][593] == large.token_time_s[0][608], "one captured size"
    beyond = kernel_step_time(arch, machine, split, LIMITS, replace(graphs, captured_tokens=10**6))
    assert np.all(np.isfinite(beyond.token_time_s)), "no graph is larger than a step"


def test_an_engine_told_to_fuse_norms_does_so_in_any_version() -> None:
    default, told = (engine_overheads("0.10.2", "b200", fused=asked).fused_reduce_bytes for asked in (None, True))
    assert default == () != told == engine_overheads("0.19", "b200").fused_reduce_bytes
    assert engine_overheads("0.19", "b200", fused=False).fused_reduce_bytes == ()
    assert engine_overheads("0.19", "l4", fused=True).fused_reduce_bytes == ()
    assert planned(fuse_allreduce_rms=False).token_time_s[0][8] > planned().token_time_s[0][8]
