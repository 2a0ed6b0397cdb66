"""A hardware profile from a folder of tables: each kernel from the rows that are meant, none without a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calibrate.kernels.gemm import Format
from calibrate.kernels.profile import Profile, build_profile
from calibrate.kernels.tables import Tables
from simulator.catalog.gpus import gpu
from simulator.catalog.precisions import precisions
from simulator.perf.kernels import (
    CollectiveKernel,
    ExpertsKernel,
    GemmKernel,
    Peaks,
    StreamKernel,
    collective_s,
    stream_s,
)
from tests.kernel_tables import TOKENS, attention_tables, expert_table, gemm_table

DEVICE = gpu("h100-sxm").device
PLAIN = GemmKernel(4e-6, 0.8, 0.7, 0.6, 200.0, 0.0, 0.0, 0.0, 3.0)
LIGHT = replace(PLAIN, bandwidth_share=0.5)
EXPERTS = ExpertsKernel(2e-5, 0.8, 0.5, 20.0, 100.0, 6.0, 2.0)
RING = CollectiveKernel(2e-5, 5e10, 6e-5, 2e11)
OWN = CollectiveKernel(5e-6, 4e10, 8e-5, 1e11)
ENTRY: dict[str, Any] = {"system": "card", "multiprocessors": 100, "nccl": "2.29", "vllm": "0.24", "sinks": "fallback"}
ALSO = {"also": {"int4": {"framework": "other", "version": "1.0", "dtype": "int4_wo"}}}


def peaks(precision: str = "bf16") -> Peaks:
    return Peaks(DEVICE.bandwidth_bytes_per_s, DEVICE.peak_flops[precision], 100)


def messages(kernel: CollectiveKernel, gpus: int, **columns: object) -> pd.DataFrame:
    """Messages in 16-bit values, as the tables count them."""
    size = 2.0 ** np.arange(11, 30)
    return pd.DataFrame(
        {"num_gpus": gpus, "message_size": size / 2, "latency_s": collective_s(kernel, size), **columns}
    )


def tables(root: Path) -> Tables:
    """A GPU's tables, with rows in each that are not meant."""
    plain, light = Format(2.0, 2.0, peaks()), Format(precisions()["int4"].weight_bytes.value, 2.0, peaks())
    context, generation = attention_tables(peaks())
    slow = context.assign(kernel_source="vllm_triton_attn", latency_s=1.7 * context["latency_s"], head_dim=96)
    quick = context.assign(kernel_source="vllm_flash_attn_fa2", head_dim=96)
    own = messages(OWN, 2, backend="vllm_graph")
    ring = messages(RING, 2, op_name="all_reduce", nccl_dtype="half")
    parts = {
        ("gemm", "vllm", "0.24", "gemm"): gemm_table(PLAIN, plain).assign(gemm_dtype="bfloat16"),
        ("gemm", "other", "1.0", "gemm"): gemm_table(LIGHT, light).assign(gemm_dtype="int4_wo"),
        ("attention", "vllm", "0.24", "context_attention"): pd.concat([context, slow, quick]),
        ("attention", "vllm", "0.24", "generation_attention"): generation,
        ("moe", "vllm", "0.24", "moe"): expert_table(EXPERTS, peaks()).assign(
            moe_dtype="bfloat16", kernel_source="fused"
        ),
        ("comm", "nccl", "2.29", "nccl"): pd.concat(
            [ring, ring.assign(op_name="all_gather", latency_s=1e-9), ring.assign(nccl_dtype="int8", latency_s=1e-9)]
        ),
        ("comm", "vllm", "0.24", "custom_allreduce"): pd.concat([own, own.assign(backend="eager", latency_s=1e-9)]),
    }
    for (op, framework, version, name), table in parts.items():
        folder = root / "card" / op / framework / version
        folder.mkdir(parents=True, exist_ok=True)
        table.assign(latency=1e3 * table["latency_s"]).drop(columns="latency_s").to_parquet(
            folder / f"{name}_perf.parquet"
        )
    return Tables(root)


def test_each_kernel_comes_from_the_rows_that_are_meant(tmp_path: Path) -> None:
    profile = build_profile(tables(tmp_path), "h100-sxm", ENTRY | ALSO)
    gemm = profile.kernels["gemm"]
    assert set(gemm) == {"bf16", "int4"}, "formats without a row have no kernel"
    assert gemm["bf16"]["bandwidth_share"] == pytest.approx(PLAIN.bandwidth_share, rel=0.01)
    assert gemm["bf16"]["compute_share"] == pytest.approx(PLAIN.compute_share, rel=0.01)
    assert gemm["int4"]["bandwidth_share"] == pytest.approx(LIGHT.bandwidth_share, rel=0.02)
    (attention,) = profile.kernels["attention"]
    assert (attention["head_dim"], attention["kv_value_bytes"]) == (128, 2)
    found = [attention["kernel"][name] for name in ("compute_share", "stream_share", "kv_share")]
    assert found == pytest.approx([0.6, 0.3, 0.8], rel=0.03)
    assert profile.kernels["sink_factor"] == pytest.approx(1.7)
    assert set(profile.kernels["experts"]) == {"bf16"}
    assert profile.kernels["experts"]["bf16"]["compute_share"] == pytest.approx(EXPERTS.compute_share, rel=0.03)
    assert set(profile.kernels["all_reduce"]) == {"2"}
    assert profile.kernels["multiprocessors"] == 100
    assert {label.split()[0] for label in profile.residuals} == {"gemm", "attention", "experts", "all_reduce"}
    assert max(errors["median_abs"] for errors in profile.residuals.values()) < 0.02


def test_of_two_ways_to_reduce_the_quicker_counts_at_every_size(tmp_path: Path) -> None:
    reduce = build_profile(tables(tmp_path), "h100-sxm", ENTRY).kernels["all_reduce"]["2"]
    size = 2.0 ** np.arange(11, 30)
    best = np.minimum(collective_s(OWN, size), collective_s(RING, size))
    assert collective_s(CollectiveKernel(**reduce), size) == pytest.approx(best, rel=0.15)
    (tmp_path / "card/comm/vllm/0.24/custom_allreduce_perf.parquet").unlink()
    alone = build_profile(Tables(tmp_path), "h100-sxm", ENTRY).kernels["all_reduce"]["2"]
    assert alone["latency_s"] == pytest.approx(RING.latency_s, rel=0.05)


def test_kernels_without_a_table_are_left_to_another_gpu(tmp_path: Path) -> None:
    profile = build_profile(tables(tmp_path), "h100-sxm", {**ENTRY, "sinks": None})
    assert not {"latent", "state", "stream", "sink_factor"} & set(profile.kernels)
    assert profile.kernels["all_to_all"] == {}
    m, k = (np.array(values, np.float64).ravel() for values in np.meshgrid(TOKENS, (1024, 8192)))
    folder = tmp_path / "card/quantize/vllm/0.24"
    folder.mkdir(parents=True)
    latency_s = stream_s(StreamKernel(2e-6, 0.7), peaks(), 3 * m * k)
    pd.DataFrame({"m": m, "k": k, "latency": 1e3 * latency_s}).to_parquet(folder / "scale_matrix_perf.parquet")
    stream = build_profile(Tables(tmp_path), "h100-sxm", ENTRY).kernels["stream"]
    assert list(stream.values()) == pytest.approx([2e-6, 0.7], rel=0.01)


def test_what_is_read_is_remembered_once(tmp_path: Path) -> None:
    made = tables(tmp_path)
    for _ in range(2):
        build_profile(made, "h100-sxm", ENTRY)
    assert len(made.used) == len(set(made.used)) == 6
    assert "card/gemm/vllm/0.24/gemm_perf.parquet" in made.used


def test_the_peaks_are_those_of_the_precision() -> None:
    profile = Profile(Tables(Path()), "h100-sxm", ENTRY)
    assert profile.peaks("fp8") == peaks("fp8") != profile.peaks("bf16")
