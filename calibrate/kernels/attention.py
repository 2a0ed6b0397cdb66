"""Fit of attention per head size and KV format: one record for prefill and decode."""

from __future__ import annotations

import numpy as np
import pandas as pd

from calibrate.kernels.fit import Floats, Residuals, fit_log, residuals
from simulator.perf.kernels import AttentionKernel, Peaks

SHAPE = ("batch_size", "num_heads", "num_key_value_heads", "head_dim", "kv_cache_dtype")
CONTEXT_COLUMNS = (*SHAPE, "isl")
GENERATION_COLUMNS = (*SHAPE, "step")
CACHED = 0.95
"""Share of peak bandwidth above which keys and values must have come from a cache."""
FEWEST_HEADS = 4
"""Query heads of a GPU in serving: fewer leave most of it idle."""
LONGEST_GROUP = 16
"""Query heads per KV head in the models that are served."""
SHORTEST = 16
"""Contexts in tokens below which decoding costs its launch alone."""
VALUE_BYTES = 2.0

FALLBACK, OWN = "vllm_triton_attn", "vllm_flash_attn_fa2"
"""Attention kernel that vLLM falls back to, and that of the GPU."""
LONG = 4096
"""Prompts from which on attention is bound by its products."""

Point = np.ndarray[tuple[int, ...], np.dtype[np.intp]]


def fit_attention(
    context: pd.DataFrame, generation: pd.DataFrame, head_dim: int, kv_dtype: str, kv_bytes: float, peaks: Peaks
) -> tuple[AttentionKernel, dict[str, Residuals]] | None:
    """Record for one head size and KV format, or None where the tables have no such rows.

    The launch is decoding's: a step of vLLM makes one attention call for all of its requests.
    """
    decode = _rows(generation, head_dim, kv_dtype)
    prefill = _rows(context, head_dim, kv_dtype)
    if decode.empty or prefill.empty:
        return None
    launch, share, head, kv_head, decode_errors = _fit_decode(decode, head_dim, kv_bytes, peaks)
    compute, stream, prefill_errors = _fit_prefill(prefill, head_dim, peaks)
    kernel = AttentionKernel(launch, compute, stream, share, head, kv_head)
    return kernel, {"prefill": prefill_errors, "decode": decode_errors}


def _rows(table: pd.DataFrame, head_dim: int, kv_dtype: str) -> pd.DataFrame:
    """Full attention of the shapes that are served: the tables mix windows in, and head counts that do not divide."""
    rows = table[(table["head_dim"] == head_dim) & (table["kv_cache_dtype"] == kv_dtype)]
    if "window_size" in rows:
        rows = rows[rows["window_size"] == 0]
    group = rows["num_heads"] / rows["num_key_value_heads"]
    rows = rows[(group % 1 == 0) & (group <= LONGEST_GROUP) & (rows["num_heads"] >= FEWEST_HEADS)]
    keys = [name for name in ("batch_size", "isl", "step", "num_heads", "num_key_value_heads") if name in rows]
    return pd.DataFrame(rows.groupby(keys, as_index=False)["latency_s"].min())


def _fit_decode(
    rows: pd.DataFrame, head_dim: int, kv_bytes: float, peaks: Peaks
) -> tuple[float, float, float, float, Residuals]:
    rows = rows[rows["step"] + 1 >= SHORTEST]
    read = _column(rows, "batch_size") * (_column(rows, "step") + 1) * _column(rows, "num_key_value_heads")
    read = read * 2 * head_dim * kv_bytes
    measured = _column(rows, "latency_s")
    streamed = read / measured < CACHED * peaks.bandwidth_bytes_per_s
    rows, read, measured = rows[streamed], read[streamed], measured[streamed]
    heads = _column(rows, "batch_size") * _column(rows, "num_heads")
    kv_heads = _column(rows, "batch_size") * _column(rows, "num_key_value_heads")

    def time(p: Floats, at: Point) -> Floats:
        reading = read[at] / (p[1] * peaks.bandwidth_bytes_per_s)
        return np.asarray(p[0] + reading + p[2] * heads[at] + p[3] * kv_heads[at])

    found = fit_log(time, measured, (1e-5, 0.8, 1e-9, 1e-8), (0, 0.05, 0, 0), (1e-4, 1.0, 1e-6, 1e-5))
    regressors = {"batch": _column(rows, "batch_size"), "context": _column(rows, "step") + 1}
    errors = residuals(time(found, np.arange(measured.size)), measured, regressors)
    launch, share, head, kv_head = (float(value) for value in found)
    return launch, share, head, kv_head, errors


def _fit_prefill(rows: pd.DataFrame, head_dim: int, peaks: Peaks) -> tuple[float, float, Residuals]:
    batch, length = _column(rows, "batch_size"), _column(rows, "isl")
    heads, kv_heads = _column(rows, "num_heads"), _column(rows, "num_key_value_heads")
    measured = _column(rows, "latency_s")
    flops = 4 * head_dim * heads * batch * length * (length + 1) / 2
    passing = batch * length * head_dim * 2 * (heads + kv_heads) * VALUE_BYTES

    def time(p: Floats, at: Point) -> Floats:
        compute = flops[at] / (p[1] * peaks.flops_per_s)
        return np.asarray(p[0] + compute + passing[at] / (p[2] * peaks.bandwidth_bytes_per_s))

    found = fit_log(time, measured, (1e-5, 0.5, 0.5), (0, 0.02, 0.02), (1e-4, 1.0, 1.0))
    errors = residuals(time(found, np.arange(measured.size)), measured, {"batch": batch, "prompt": length})
    return float(found[1]), float(found[2]), errors


def _column(rows: pd.DataFrame, name: str) -> Floats:
    return rows[name].to_numpy(dtype=np.float64)


def fallback_factor(context: pd.DataFrame) -> float | None:
    """Time of vLLM's Triton attention over that of the GPU's own kernel on the same long prompts; None without rows.

    The tables have it for a head size that the own kernel does not take with an fp8 cache; the format of the cache
    does not bear on the products, which are 16 bit either way.
    """
    if "kernel_source" not in context or "window_size" not in context:
        return None
    long = context[(context["isl"] >= LONG) & (context["window_size"] == 0)]
    keys = ["batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim"]
    slow, quick = (
        long[long["kernel_source"] == name].groupby(keys)["latency_s"].min().rename(name) for name in (FALLBACK, OWN)
    )
    both = pd.concat([slow, quick], axis=1, join="inner")
    if both.empty:
        return None
    ratio = (both[FALLBACK] / both[OWN]).to_numpy(dtype=np.float64)
    return float(np.median(ratio))
