"""Fit of multi-head latent attention: what its module takes beyond its matrix products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from calibrate.kernels.fit import Floats, Residuals, fit_log, residuals
from simulator.catalog.models import model
from simulator.perf.architecture import Architecture
from simulator.perf.blocks import passing_values, projections
from simulator.perf.kernels import AttentionKernel, GemmKernel, Peaks, gemm_s

COLUMNS = ("kv_cache_dtype", "gemm_type", "num_heads", "batch_size", "isl", "step")
MODEL = "deepseek-v3"
"""Model of the tables."""
FEWEST_HEADS = 8
VALUE_BYTES = 2.0

Point = np.ndarray[tuple[int, ...], np.dtype[np.intp]]


def fit_latent(
    context: pd.DataFrame, generation: pd.DataFrame, kv_dtype: str, kv_bytes: float, gemm: GemmKernel, peaks: Peaks
) -> tuple[AttentionKernel, dict[str, Residuals]] | None:
    """Record for one KV format from the rows with 16-bit projections, or None where there are none."""
    decode, prefill = _rows(generation, kv_dtype), _rows(context, kv_dtype)
    if decode.empty or prefill.empty:
        return None
    arch = model(MODEL).architecture
    launch, share, head, row, decode_errors = _fit_decode(decode, arch, kv_bytes, gemm, peaks)
    compute, stream, prefill_errors = _fit_prefill(prefill, arch, gemm, peaks)
    kernel = AttentionKernel(launch, compute, stream, share, head, row)
    return kernel, {"prefill": prefill_errors, "decode": decode_errors}


def _rows(table: pd.DataFrame, kv_dtype: str) -> pd.DataFrame:
    rows = table[(table["kv_cache_dtype"] == kv_dtype) & (table["gemm_type"] == "bfloat16")]
    rows = rows[rows["num_heads"] >= FEWEST_HEADS]
    return pd.DataFrame(rows.groupby(["num_heads", "batch_size", "isl", "step"], as_index=False)["latency_s"].min())


def _projections_s(tokens: Floats, heads: Floats, arch: Architecture, gemm: GemmKernel, peaks: Peaks) -> Floats:
    """Matrix products of the module, for token counts and head counts of the rows."""
    time = np.zeros_like(tokens)
    for count in np.unique(heads):
        at = heads == count
        ragged = np.zeros(int(at.sum()), dtype=np.bool_)
        for n, k in projections(replace(arch, heads=int(count)), 1):
            time[at] += gemm_s(gemm, peaks, tokens[at], n, k, VALUE_BYTES, VALUE_BYTES, ragged)
    return time


def _fit_decode(
    rows: pd.DataFrame, arch: Architecture, kv_bytes: float, gemm: GemmKernel, peaks: Peaks
) -> tuple[float, float, float, float, Residuals]:
    batch, heads = _column(rows, "batch_size"), _column(rows, "num_heads")
    context = _column(rows, "step") + 1
    products = _projections_s(batch, heads, arch, gemm, peaks)
    read = batch * context * (arch.kv_lora_rank + arch.qk_rope_head_dim) * kv_bytes
    measured = _column(rows, "latency_s")

    def time(p: Floats, at: Point) -> Floats:
        reading = read[at] / (p[1] * peaks.bandwidth_bytes_per_s)
        return np.asarray(products[at] + p[0] + reading + batch[at] * (p[2] * heads[at] + p[3]))

    found = fit_log(time, measured, (4e-5, 0.8, 1e-9, 1e-8), (0, 0.02, 0, 0), (3e-4, 1.0, 1e-6, 1e-5))
    errors = residuals(time(found, np.arange(measured.size)), measured, {"batch": batch, "context": context})
    launch, share, head, row = (float(value) for value in found)
    return launch, share, head, row, errors


def _fit_prefill(
    rows: pd.DataFrame, arch: Architecture, gemm: GemmKernel, peaks: Peaks
) -> tuple[float, float, Residuals]:
    batch, heads, length = (_column(rows, name) for name in ("batch_size", "num_heads", "isl"))
    products = _projections_s(batch * length, heads, arch, gemm, peaks)
    width = arch.qk_nope_head_dim + arch.qk_rope_head_dim + arch.v_head_dim
    flops = 2 * width * heads * batch * length * (length + 1) / 2
    passing = batch * length * VALUE_BYTES * passing_values(replace(arch, heads=1), 1) * heads
    measured = _column(rows, "latency_s")

    def time(p: Floats, at: Point) -> Floats:
        compute = flops[at] / (p[1] * peaks.flops_per_s)
        return np.asarray(products[at] + p[0] + compute + passing[at] / (p[2] * peaks.bandwidth_bytes_per_s))

    found = fit_log(time, measured, (5e-5, 0.5, 0.3), (0, 0.02, 0.01), (3e-4, 1.0, 1.0))
    errors = residuals(time(found, np.arange(measured.size)), measured, {"batch": batch, "prompt": length})
    return float(found[1]), float(found[2]), errors


def _column(rows: pd.DataFrame, name: str) -> Floats:
    return rows[name].to_numpy(dtype=np.float64)
