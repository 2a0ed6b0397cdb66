"""Layers with a state per sequence: their sizes, what of them grows with what, and their record from a table."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibrate.kernels.state import fit_state
from simulator.catalog.hardware import hardware_profile
from simulator.catalog.models import model
from simulator.catalog.precisions import layout
from simulator.errors import InputError
from simulator.perf.architecture import StateLayers
from simulator.perf.kernels import Peaks, StateKernel
from simulator.perf.speculative import Drafting
from simulator.perf.state import projections, state_sequence_s, token_scan_s, traffic
from simulator.perf.steptime import StepTime
from simulator.resolve.engines import kernels_of, plan_engine
from simulator.resolve.hardware import machine_of
from simulator.resolve.memory import shape_of
from simulator.schema.engine import EngineSettings

PEAKS = Peaks(bandwidth_bytes_per_s=2e12, flops_per_s=5e14, multiprocessors=100)
TRUTH = StateKernel(launch_s=6e-6, scan_launch_s=1.6e-5, state_share=0.8, stream_share=0.5, serial_s=4e-8, head_s=4e-10)


def steps(name: str, gpu: str, tp: int) -> StepTime:
    return plan_engine(name, gpu, tp, 1, EngineSettings(max_model_len=32_768, max_num_seqs=512), Path()).step_time


def table(kernel: StateKernel) -> pd.DataFrame:
    rows = []
    for batch, length, heads in product((1, 4, 16, 64, 256, 1024), (1, 64, 1024, 8192), (8, 32)):
        state, channels = heads * 128 * 128, 2 * (heads // 2) * 128 + heads * 128
        base = {"num_k_heads": heads // 2, "head_k_dim": 128, "num_v_heads": heads, "head_v_dim": 128}
        base |= {"batch_size": batch, "seq_len": length}
        if length == 1:
            moved = 2 * batch * (4 * state + 2 * channels) / (kernel.state_share * PEAKS.bandwidth_bytes_per_s)
            rows.append(base | {"phase": "generation", "kernel_source": "fused", "latency_s": kernel.launch_s + moved})
            rows.append(base | {"phase": "generation", "kernel_source": "causal_conv1d_update", "latency_s": 1e-12})
        passed = 4 * batch * length * channels / (kernel.stream_share * PEAKS.bandwidth_bytes_per_s)
        rows.append(base | {"phase": "context", "kernel_source": "causal_conv1d_fn", "latency_s": 4e-6 + passed})
        scan = max(length * kernel.serial_s, batch * length * heads * kernel.head_s)
        rows.append(base | {"phase": "context", "kernel_source": "chunk", "latency_s": 1.2e-5 + scan})
    return pd.DataFrame(rows)


def test_a_table_gives_its_parameters_back() -> None:
    rows = table(TRUTH)
    found, errors = fit_state(rows, rows, PEAKS)
    for name in ("launch_s", "scan_launch_s", "state_share", "stream_share", "serial_s", "head_s"):
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), rel=0.02), name
    assert max(each.median_abs for each in errors.values()) < 0.01


@pytest.mark.parametrize(
    ("name", "attending", "states", "kind"),
    [
        ("qwen3-next-80b-a3b", 12, 36, "gated_delta_net"),
        ("qwen3.6-27b", 16, 48, "gated_delta_net"),
        ("nemotron-3-nano-30b-a3b", 6, 23, "mamba2"),
        ("kimi-k3", 24, 69, "kda"),
        ("qwen3.8-flash-next", 12, 36, "gated_delta_net"),
    ],
)
def test_layers_are_counted_by_what_they_do(name: str, attending: int, states: int, kind: str) -> None:
    arch = model(name).architecture
    assert arch.state is not None
    assert (arch.attention_layers, arch.state.layers, arch.state.kind) == (attending, states, kind)
    assert arch.dense_layers + arch.moe_layers + arch.bare_layers == arch.layers


def test_nemotron_has_one_mixer_a_layer() -> None:
    arch = model("nemotron-3-nano-30b-a3b").architecture
    assert arch.state is not None
    assert (arch.dense_layers, arch.moe_layers, arch.bare_layers) == (0, 23, 29)
    assert arch.mixers + arch.moe_layers == arch.layers
    assert (arch.state.key_values, arch.state.value_values) == (8 * 128, 64 * 64)


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_what_a_chunked_scan_moves_and_computes(tp: int) -> None:
    """4 heads of 8 values, two groups of keys of 16, chunks of 32 tokens: of each head 16 products with the chunk for
    the 8 of its keys and the 8 of its values, and twice 128 with the state: 512, of two operations each. The state of
    512 values in 32 bit is written and read by two kernels a chunk; the convolution passes 96 channels in 16 bit."""
    scan = StateLayers("mamba2", 1, 0, (), 4, 512, 2.0, 32, 32, 96, 288, 32)
    found = traffic(scan, tp)
    assert found.token_flops == pytest.approx(2 * 4 * (16 * (8 + 8) + 2 * 128) / tp)
    assert found.token_bytes == pytest.approx((2 * 2 * 96 + 2 * 2 * 4 * 512 / 32) / tp)
    assert found.sequence_bytes == pytest.approx(2 * (512 * 2 + 288 * 2) / tp)
    plain = traffic(replace(scan, chunk=0), tp)
    assert (plain.token_flops, plain.token_bytes) == (0.0, pytest.approx(2 * 2 * 96 / tp))
    assert plain.sequence_bytes == found.sequence_bytes


def test_only_attention_reads_the_context() -> None:
    """Decode's time per token of context is that of 12 of 48 layers, read from the KV cache."""
    arch, hardware = model("qwen3-next-80b-a3b").architecture, hardware_profile("h100-sxm")
    assert hardware is not None
    layer_bytes = 2 * 1 * 256 * 2
    kernel = hardware.attention(256, 2.0)
    read = layer_bytes / (kernel.kv_share * hardware.device.bandwidth_bytes_per_s)
    assert steps(arch.name, "h100-sxm", 4).decode_attn_s == pytest.approx(12 * read)


def test_a_sequence_moves_its_state_once_in_each_step() -> None:
    """The state of 48 layers in fp32, read and written at the share that the table shows."""
    arch, hardware = model("qwen3.6-27b").architecture, hardware_profile("h200")
    assert hardware is not None
    assert arch.state is not None
    one, two = layout("bf16", tp=1), layout("bf16", tp=2)
    moved = 2 * (48 * 128 * 128 * 4 + 3 * (2 * 16 * 128 + 48 * 128) * 2)
    fit = hardware.state("gated_delta_net")
    each = moved / (fit.state_share * hardware.device.bandwidth_bytes_per_s)
    assert state_sequence_s(arch, hardware, one) == pytest.approx(each - token_scan_s(arch, hardware, one))
    assert state_sequence_s(arch, hardware, two) == pytest.approx(each / 2 - token_scan_s(arch, hardware, two))


def test_projections_are_cut_by_their_wide_side() -> None:
    state = model("qwen3-next-80b-a3b").architecture.state
    assert state is not None
    assert projections(state, 2048, 4) == (((8192 + 4096 + 64) / 4, 2048), (2048, 4096 / 4))


def test_a_hybrid_model_s_times_are_finite_and_rise_with_tokens() -> None:
    for name, gpu, tp in (("nemotron-3-nano-30b-a3b", "h100-sxm", 1), ("qwen3.6-35b-a3b", "l40s", 4)):
        found = steps(name, gpu, tp)
        assert np.isfinite(found.token_time_s).all()
        assert np.isfinite(found.seq_time_s).all()
        assert found.token_time_s[0, -1] > found.token_time_s[0, 64]


@pytest.mark.parametrize(
    ("name", "tp", "words"),
    [
        ("nemotron-3-nano-30b-a3b", 1, "the time of its Mamba-2 layers is an estimate"),
        ("qwen3.6-27b", 2, "the time of its Gated DeltaNet layers is that of measured kernels"),
    ],
)
def test_a_run_says_what_such_times_rest_on(name: str, tp: int, words: str) -> None:
    settings = EngineSettings(max_model_len=8192, max_num_seqs=512)
    found = plan_engine(name, "h100-sxm", tp, 1, settings, Path())
    (note,) = [note for note in found.notes if "such layers" in note]
    assert words in note
    assert "its expected error is not known" in note
    assert found.step_time.expected_error is None


def test_measured_kernels_are_those_of_the_drafter_too() -> None:
    """Else the time of all is computed from peaks, and is said to be."""
    machine = machine_of("h100-sxm", None, Path())
    assert machine.hardware is not None
    kernels = machine.hardware.kernels
    gemm = {form: found for form, found in kernels.gemm.items() if form != "fp8"}
    lacking = replace(machine, hardware=replace(machine.hardware, kernels=replace(kernels, gemm=gemm)))
    arch, parts = model("qwen3.6-27b").architecture, layout("bf16", "auto")
    drafting = Drafting(2, model("qwen3-0.6b").architecture, layout("fp8", "auto").weights)
    assert kernels_of(lacking, arch, parts, None) is lacking.hardware
    assert kernels_of(machine, arch, parts, drafting) is machine.hardware
    assert kernels_of(lacking, arch, parts, drafting) is None


def test_states_of_nemotron_in_fp32_leave_an_h100_too_few_for_1024_sequences() -> None:
    """Of one request and layer 64 heads of 64 by 128 in 4 bytes and three tokens of 6144 channels in 2: its own
    `config.json` says float32. Beside the sampler the scratch of its 16 bit experts stays, 0.49 GiB, and the
    rest of the segments of its weights, 0.10 GiB."""
    shape = shape_of("nemotron-3-nano-30b-a3b", Path())
    state = next(cache for cache in shape.caches if cache.kind == "state")
    held = [part.values * (part.tail or 1) * (part.value_bytes or 2) for part in state.state]
    assert sum(held) == 64 * 64 * 128 * 4 + 3 * 6144 * 2
    with pytest.raises(InputError, match="recurrent states: set max_num_seqs to at most 928"):
        plan_engine("nemotron-3-nano-30b-a3b", "h100-sxm", 1, 1, EngineSettings(max_model_len=8192), Path())
