"""Synthetic tables of kernels, computed from parameters that a fit must find again."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from calibrate.kernels.gemm import Format
from simulator.perf.kernels import ExpertShape, ExpertsKernel, GemmKernel, Peaks, experts_s, gemm_s

PEAKS = Peaks(bandwidth_bytes_per_s=2e12, flops_per_s=5e14, multiprocessors=100)
PLAIN = Format(2.0, 2.0, PEAKS)
TOKENS = (1, 8, 16, 17, 64, 96, 256, 257, 1024, 1025, 4096, 8192)


def gemm_table(kernel: GemmKernel, form: Format, noise: float = 0.0) -> pd.DataFrame:
    m, n, k = np.array(list(product(TOKENS, (1024, 4096, 16384), (1024, 4096, 8192))), dtype=np.float64).T
    ragged = (m > 8) & (m % 8 != 0)
    time = gemm_s(kernel, form.peaks, m, n, k, form.weight_bytes, form.activation_bytes, ragged)
    time = time * np.exp(noise * np.random.default_rng(5).standard_normal(time.size))
    return pd.DataFrame({"m": m, "n": n, "k": k, "latency_s": time})


def attention_tables(peaks: Peaks = PEAKS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prompts and decodes with heads of 128, 16-bit keys and values, at 0.8 of the bandwidth, 0.6 of the products."""
    grid = list(product((1, 8, 64), (32, 512, 4096), (8, 32), (8,)))
    batch, length, heads, kv_heads = np.array(grid, dtype=np.float64).T
    shape = {"batch_size": batch, "num_heads": heads, "num_key_value_heads": kv_heads, "head_dim": 128}
    shape |= {"kv_cache_dtype": "bfloat16", "window_size": 0}
    read = batch * length * kv_heads * 2 * 128 * 2
    decode = 1e-5 + read / (0.8 * peaks.bandwidth_bytes_per_s) + 1e-9 * batch * heads + 2e-8 * batch * kv_heads
    passing = batch * length * 128 * 2 * (heads + kv_heads) * 2
    flops = 4 * 128 * heads * batch * length * (length + 1) / 2
    prefill = 1.5e-5 + flops / (0.6 * peaks.flops_per_s) + passing / (0.3 * peaks.bandwidth_bytes_per_s)
    generation = pd.DataFrame(shape | {"step": length - 1, "latency_s": decode})
    return pd.DataFrame(shape | {"isl": length, "latency_s": prefill}), generation


def expert_table(truth: ExpertsKernel, peaks: Peaks = PEAKS) -> pd.DataFrame:
    tokens, hidden, width, experts = np.array(
        list(product((1, 4, 16, 64, 256, 1024, 4096), (2048, 4096), (768, 2048), (64, 128))), dtype=np.float64
    ).T
    rows = tokens * 8
    balanced = tokens < 512
    active = np.where(balanced, np.minimum(experts, rows), experts * (1 - (1 - 8 / experts) ** tokens))
    time = experts_s(truth, peaks, ExpertShape(hidden, width, np.full_like(tokens, 8), 2.0), tokens, rows, active)
    return pd.DataFrame(
        {"num_tokens": tokens, "hidden_size": hidden, "inter_size": width, "topk": 8, "num_experts": experts}
        | {"moe_tp_size": 1, "moe_ep_size": 1, "latency_s": time}
        | {"distribution": np.where(balanced, "balanced", "power_law_1.01")}
    )
