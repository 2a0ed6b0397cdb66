"""The roofline against arithmetic done by hand, its limits, and the bound that nothing may exceed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.catalog.gpus import gpu
from simulator.catalog.models import model
from simulator.catalog.precisions import layout
from simulator.errors import InputError
from simulator.perf.bounds import max_tokens_per_gpu_s
from simulator.perf.communication import layer_communication_s
from simulator.perf.device import BatchLimits, Layout
from simulator.perf.power import power_w_by_seqs
from simulator.perf.roofline import active_experts, roofline_step_time
from simulator.perf.speculative import Drafting, one_layer_draft
from simulator.perf.steptime import StepTime
from simulator.resolve.engines import step_time
from simulator.resolve.hardware import machine_of
from simulator.schema.engine import EngineSettings

LIMITS = BatchLimits(max_num_batched_tokens=2048, max_num_seqs=256)
IDEAL: dict[str, Any] = {
    "gemm_efficiency": {"bf16": 1.0, "fp8": 1.0, "int8": 1.0, "fp4": 1.0},
    "bandwidth_efficiency": 1.0,
    "attention_compute_efficiency": 1.0,
    "attention_bandwidth_efficiency": 1.0,
    "link_efficiency": 1.0,
    "host_step_s": 0.0,
    "host_seq_s": 0.0,
    "layer_overhead_s": 0.0,
    "activation_passes": 0.0,
    "collective_latency_s": 0.0,
}


def build(name: str, gpu_name: str, split: Layout, drafting: Drafting | None = None) -> StepTime:
    entry = gpu(gpu_name)
    return roofline_step_time(model(name).architecture, entry.device, split, LIMITS, entry.coefficients, drafting)


def build_ideal(name: str, gpu_name: str, split: Layout, exponent: float = 1e3, drafts: int = 0) -> StepTime:
    """The bare roofline: every share 1, every overhead 0, the maximum sharp."""
    entry = gpu(gpu_name)
    bare = replace(entry.coefficients, smooth_max_exponent=exponent, **IDEAL)
    return roofline_step_time(model(name).architecture, entry.device, split, LIMITS, bare, Drafting(drafts))


def test_a_dense_model_by_hand() -> None:
    """Llama-3.1-8B on one H100: 6.98e9 weights in the layers, 0.525e9 in the head."""
    layer = 4096 * 4096 * 2 + 2 * 4096 * 1024 + 3 * 4096 * 14336
    table = build_ideal("llama-3.1-8b", "h100-sxm", layout())
    read_s = 32 * (layer + 2 * 4096) * 2 / 3.35e12
    assert table.token_time_s[0, 1] == pytest.approx(read_s, rel=1e-2)
    mlp_traffic_s = 2048 * 32 * 3 * 14336 * 2 / 3.35e12
    assert table.token_time_s[0, 2048] == pytest.approx(2048 * 2 * 32 * layer / 989e12 + mlp_traffic_s, rel=1e-3)
    assert table.seq_time_s[1] == pytest.approx(128256 * 4096 * 2 / 3.35e12, rel=1e-3)
    assert table.prefill_attn_s == pytest.approx(32 * 4 * 32 * 128 / 989e12)
    assert table.decode_attn_s == pytest.approx(32 * 2 * 8 * 128 * 2 / 3.35e12, rel=1e-3)
    assert not table.calibrated
    assert "h100-sxm" in table.origin


def test_mla_by_hand() -> None:
    """DeepSeek-V3 decode reads 576 values a token and layer, and computes with 128 heads over the latent."""
    split = layout("fp8", tp=8)
    table = build_ideal("deepseek-v3", "h200", split)
    read_s = 61 * 576 * 2 / 4.8e12
    compute_s = 61 * 2 * (2 * 512 + 64) * 16 / 989e12
    assert table.decode_attn_s == pytest.approx(max(read_s, compute_s), rel=1e-3)
    assert table.prefill_attn_s == pytest.approx(61 * 2 * (128 + 64 + 128) * 16 / 989e12)


def test_the_smooth_maximum_lies_between_maximum_and_sum() -> None:
    sharp, smooth, total = (
        build_ideal("llama-3.1-8b", "h100-sxm", layout(), p).token_time_s[0] for p in (1e3, 4.0, 1.0)
    )
    assert np.all(sharp <= smooth * (1 + 1e-12))
    assert np.all(smooth <= total * (1 + 1e-12))
    assert smooth[250] > 1.1 * sharp[250]


def test_experts_activated_match_random_routing() -> None:
    architecture = replace(model("qwen3-30b-a3b").architecture, popularity_ratio=1.0)
    rng = np.random.default_rng(3)
    for tokens in (1, 7, 40):
        seen = [
            len(set(np.argsort(rng.random((tokens, architecture.experts)), axis=1)[:, :8].ravel())) for _ in range(300)
        ]
        expected = active_experts(np.array([float(tokens)]), architecture)[0]
        assert np.mean(seen) == pytest.approx(expected, rel=0.02)
    assert active_experts(np.array([1e6]), architecture)[0] == pytest.approx(128)


def test_skewed_routing_activates_fewer_experts_but_as_many_for_one_token() -> None:
    skewed = model("qwen3-30b-a3b").architecture
    uniform = replace(skewed, popularity_ratio=1.0)
    tokens = np.array([1.0, 16.0, 64.0, 1e6])
    few, many = active_experts(tokens, skewed), active_experts(tokens, uniform)
    assert few[0] == pytest.approx(many[0])
    assert np.all(few[1:3] < 0.95 * many[1:3])
    assert few[3] == pytest.approx(many[3])
    popularity = skewed.popularity_ratio ** ((np.arange(128) + 0.5) / 128)
    exact = np.sum(1 - (1 - 8 * popularity / popularity.sum()) ** 16)
    assert few[1] == pytest.approx(exact, rel=0.002)


@pytest.mark.parametrize("name", ["mixtral-8x7b", "qwen3-30b-a3b", "gpt-oss-120b", "deepseek-v3"])
def test_a_small_batch_of_a_mixture_reads_few_experts(name: str) -> None:
    step = build_ideal(name, "b200", layout("bf16", tp=8)).token_time_s[0]
    assert step[1] < 0.5 * step[256]


@pytest.mark.parametrize(("tp", "doublings"), [(2, 1), (4, 2), (8, 3)])
def test_all_reduce_by_hand(tp: int, doublings: int) -> None:
    entry = gpu("h100-sxm")
    architecture = model("llama-3.1-70b").architecture
    silent = replace(entry.coefficients, collective_latency_s=0.0, link_efficiency=1e30)
    loud = replace(silent, collective_latency_s=5e-6, link_efficiency=0.5)
    tables = [roofline_step_time(architecture, entry.device, layout(tp=tp), LIMITS, c) for c in (silent, loud)]
    difference = tables[1].token_time_s[0, 1000] - tables[0].token_time_s[0, 1000]
    ring = 2 * (tp - 1) / tp * 1000 * 8192 * 2 / (0.5 * 450e9)
    assert difference == pytest.approx(2 * 80 * (ring + 5e-6 * doublings), rel=1e-6)


def test_a_group_beyond_the_node_pays_the_network() -> None:
    inside, outside = (build("llama-3.1-405b", "h200", layout("fp8", tp=tp)) for tp in (8, 16))
    assert outside.token_time_s[0, 2048] > inside.token_time_s[0, 2048]


@pytest.mark.parametrize(
    ("split", "seconds_of_experts"),
    [
        ({"tp": 8}, 2 * 7 / 8 * 100),  # one all-reduce of 100 tokens over a ring of 8
        ({"tp": 8, "expert_parallel": True}, 2 * 7 / 8 * 100),
        ({"dp": 8, "expert_parallel": True}, 2 * 7 / 8 * 800),  # the tokens of all ranks, gathered and reduced
        ({"dp": 8}, 2 * 7 / 8 * 800),
        ({"dp": 8, "expert_parallel": True, "all_to_all": True}, 2 * 100 * 8 * 7 / 8),  # eight copies, there and back
        ({"dp": 8, "all_to_all": True}, 2 * 7 / 8 * 800),  # experts that are cut see all tokens
        # each of two GPUs takes half of its rank's tokens, and both gather them again
        ({"tp": 2, "dp": 4, "expert_parallel": True}, 2 * 7 / 8 * 400 + 1 / 2 * 100),
        ({"tp": 2, "dp": 4, "expert_parallel": True, "all_to_all": True}, 2 * 50 * 8 * 7 / 8 + 1 / 2 * 100),
    ],
)
def test_ranks_exchange_tokens_as_vllm_does(split: dict[str, Any], seconds_of_experts: float) -> None:
    """Hidden states of 100 tokens in 16 bit over NVLink, in the layers of DeepSeek-V3: 3 dense, 58 with experts."""
    entry = gpu("h200")
    arch = model("deepseek-v3").architecture
    bare = replace(entry.coefficients, collective_latency_s=0.0, link_efficiency=1.0)
    (found,) = layer_communication_s(np.array([100.0]), arch, entry.device, layout("fp8", **split), bare)
    tp = split.get("tp", 1)
    reduced = 2 * (tp - 1) / tp * 100
    tokens = (61 + 3) * reduced + 58 * seconds_of_experts
    assert found == pytest.approx(tokens * 7168 * 2 / 450e9)


def test_a_pipeline_row_is_the_model_at_its_share_of_the_tokens() -> None:
    whole = build_ideal("llama-3.1-70b", "h100-sxm", layout("fp8", tp=4))
    staged = build_ideal("llama-3.1-70b", "h100-sxm", layout("fp8", tp=4, pp=2))
    assert staged.token_time_s.shape == (2, 2049)
    hand_over = 2048 * 8192 * 2 / 4 / 450e9
    assert staged.token_time_s[0, 2048] == pytest.approx(whole.token_time_s[0, 2048] + hand_over)
    assert staged.token_time_s[1, 2048] == pytest.approx(whole.token_time_s[0, 1024] + hand_over / 2)
    assert staged.prefill_attn_s == pytest.approx(whole.prefill_attn_s / 2)
    assert staged.decode_attn_s == pytest.approx(whole.decode_attn_s / 2)


@pytest.mark.parametrize(
    ("name", "gpu_name", "split"),
    [
        ("llama-3.1-8b", "a100-80", layout()),
        ("gpt-oss-120b", "h100-sxm", layout("mxfp4", tp=2)),
        ("deepseek-v3", "b200", layout("fp4", "fp8", tp=8, expert_parallel=True)),
        ("llama-3.1-405b", "mi300x", layout("fp8", tp=4, pp=4)),
    ],
)
def test_more_work_never_takes_less_time(name: str, gpu_name: str, split: Layout) -> None:
    table = build(name, gpu_name, split)
    assert np.all(np.diff(table.token_time_s, axis=1) >= 0)
    assert np.all(np.diff(table.seq_time_s) > 0)
    assert np.all(np.diff(table.token_time_s, axis=0)[:, 1:] <= 0)
    assert table.prefill_attn_s > 0
    assert table.decode_attn_s > 0
    assert table.seq_time_s[0] == 0


def test_drafting_costs_time_and_n_grams_do_not() -> None:
    architecture = model("llama-3.1-8b").architecture
    plain = build("llama-3.1-8b", "h100-sxm", layout())
    n_gram = build("llama-3.1-8b", "h100-sxm", layout(), Drafting(3))
    drafted = build("llama-3.1-8b", "h100-sxm", layout(), Drafting(3, one_layer_draft(architecture)))
    assert n_gram.seq_time_s[1] == pytest.approx(plain.seq_time_s[1], rel=0.01)
    read_s = 2 / 3.35e12 / 0.8
    head_s, layer_s = 128256 * 4096 * read_s, (4096 * 4096 * 2 + 2 * 4096 * 1024 + 3 * 4096 * 14336) * read_s
    # the first pass is over the step's tokens, the two further ones over a token of each sequence
    assert drafted.seq_time_s[1] - n_gram.seq_time_s[1] == pytest.approx(2 * layer_s + 3 * head_s, rel=0.05)
    assert drafted.token_time_s[0, 1] - plain.token_time_s[0, 1] == pytest.approx(layer_s, rel=0.05)
    assert np.array_equal(plain.token_time_s, n_gram.token_time_s)
    assert drafted.decode_attn_s == pytest.approx(plain.decode_attn_s * (32 + 3) / 32)
    assert drafted.prefill_attn_s == pytest.approx(plain.prefill_attn_s * (32 + 1) / 32)


@pytest.mark.parametrize("gpu_name", ["h100-sxm", "a100-40"])
def test_a_model_that_drafts_for_itself_computes_every_token_twice(gpu_name: str) -> None:
    """One draft by the target: its whole step once more, in the kernels' model and in the roofline alike."""
    arch, card, split = model("llama-3.1-8b").architecture, machine_of(gpu_name, None, Path()), layout()
    plain = step_time(arch, card, split, LIMITS, EngineSettings())
    twice = step_time(arch, card, split, LIMITS, EngineSettings(), drafting=Drafting(1, arch))
    n_gram = step_time(arch, card, split, LIMITS, EngineSettings(), drafting=Drafting(1))
    hidden = plain.token_time_s[0, 64] * 0.25
    assert twice.token_time_s[0, 64] == pytest.approx(2 * plain.token_time_s[0, 64], abs=hidden)
    assert twice.decode_attn_s == pytest.approx(2 * plain.decode_attn_s)
    assert twice.prefill_attn_s == pytest.approx(2 * plain.prefill_attn_s)
    assert (twice.seq_time_s[1:] > n_gram.seq_time_s[1:]).all()
    assert "1 drafts by" in twice.origin


@pytest.mark.parametrize("gpu_name", ["h100-sxm", "a100-40"])
def test_fewer_drafts_at_larger_batches_take_their_own_time(gpu_name: str) -> None:
    """As an engine with that many drafts everywhere, and with none one pass over the tokens of the step."""
    arch, card, split = model("llama-3.1-8b").architecture, machine_of(gpu_name, None, Path()), layout()

    def with_(number: int, rows: tuple[tuple[int, int, int], ...] = ()) -> StepTime:
        drafting = Drafting(number, one_layer_draft(arch), by_batch_size=rows)
        return step_time(arch, card, split, LIMITS, EngineSettings(), drafting=drafting)

    some, three, one = with_(3, ((1, 8, 3), (9, 16, 1), (17, 32, 0))), with_(3), with_(1)
    assert np.array_equal(some.seq_time_s[:9], three.seq_time_s[:9])
    assert np.array_equal(some.seq_time_s[9:17], one.seq_time_s[9:17])
    plain = step_time(arch, card, split, LIMITS, EngineSettings())
    assert np.array_equal(some.seq_time_s[17:], plain.seq_time_s[17:])
    assert np.array_equal(some.token_time_s, three.token_time_s)
    assert some.decode_attn_s == three.decode_attn_s


def test_an_unsupported_format_has_no_step_time() -> None:
    with pytest.raises(InputError, match="does not compute in fp8"):
        build("llama-3.1-8b", "a100-80", layout("fp8"))


@given(
    case=st.sampled_from(
        [
            ("llama-3.1-8b", "h100-sxm", layout()),
            ("llama-3.1-70b", "h200", layout("fp8", tp=2, pp=2)),
            ("gpt-oss-120b", "b200", layout("mxfp4")),
            ("qwen3-30b-a3b", "h100-sxm", layout("fp8", tp=2, expert_parallel=True)),
        ]
    ),
    sequences=st.integers(1, 256),
    drafts=st.integers(0, 4),
    prompt_tokens=st.integers(0, 1500),
    context=st.integers(1, 4096),
)
@settings(max_examples=60, deadline=None)
def test_no_step_beats_the_bound(
    case: tuple[str, str, Layout], sequences: int, drafts: int, prompt_tokens: int, context: int
) -> None:
    name, gpu_name, split = case
    table = build_ideal(name, gpu_name, split, exponent=50.0, drafts=drafts)
    entry = gpu(gpu_name)
    bound = max_tokens_per_gpu_s(model(name).architecture, entry.device, split, LIMITS, drafts)
    scheduled = min(2048, sequences * (1 + drafts) + prompt_tokens)
    stages = min(sequences, split.pp)
    step_s = table.token_time_s[stages - 1, scheduled] + table.seq_time_s[sequences] + table.decode_attn_s * context
    yielded = min(scheduled, sequences * (1 + drafts))
    assert scheduled / step_s / split.gpus <= bound.computed_tokens_per_gpu_s
    assert yielded / step_s / split.gpus <= bound.output_tokens_per_gpu_s


def test_the_bound_by_hand() -> None:
    entry = gpu("h100-sxm")
    bound = max_tokens_per_gpu_s(model("llama-3.1-8b").architecture, entry.device, layout(), LIMITS)
    assert bound.computed_tokens_per_gpu_s == pytest.approx(989e12 / (2 * 6.98e9), rel=0.01)
    read_s = 32 * (4096 * 4096 * 2 + 2 * 4096 * 1024 + 3 * 4096 * 14336) * 2 / 3.35e12
    assert bound.output_tokens_per_gpu_s == pytest.approx(256 / read_s, rel=0.01)


def test_the_bound_of_a_group_is_by_gpu_with_the_parameters_of_the_whole_model() -> None:
    """70B in fp8, as the page has it: 80 layers of 8192 · (2 · 8192 + 2 · 1024) + 3 · 8192 · 28672 products are 68.45e9
    a token, of two operations each. At 1,978 TFLOP/s a GPU computes 14,448 tokens a second, alone or as one of four."""
    found = [
        max_tokens_per_gpu_s(model("llama-3.1-70b").architecture, gpu("h100-sxm").device, split, LIMITS)
        for split in (layout("fp8"), layout("fp8", tp=4))
    ]
    assert [one.computed_tokens_per_gpu_s for one in found] == [pytest.approx(14_448, rel=1e-4)] * 2
    page = Path(__file__).resolve().parents[2] / "docs/model/roofline.md"
    assert "= 14448$ a GPU" in page.read_text("utf-8")


def test_power_follows_the_published_curve() -> None:
    watts = power_w_by_seqs(gpu("h100-sxm").power_curve, 2, 256)
    assert watts.shape == (257,)
    assert watts[0] == 2 * 138
    for batch in (1, 16, 128):
        assert watts[batch] == pytest.approx(2 * (300 + 300 / (1 + math.exp(-(math.log2(batch) - 4.2)))))
    assert np.all(np.diff(watts) > 0)
    assert watts[-1] < 2 * 700
