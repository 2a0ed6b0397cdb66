"""Fit of routed experts per weight format, and of the all-to-all that moves tokens to them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from calibrate.kernels.fit import Floats, Residuals, fit_log, residuals
from calibrate.kernels.gemm import CACHED, Format
from simulator.perf.kernels import ExpertShape, ExpertsKernel, experts_s

SHAPE = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size")
COLUMNS = (*SHAPE, "moe_dtype", "distribution", "kernel_source")
EXCHANGE_COLUMNS = ("comm_backend", "phase", "ep_size", "hidden_size", "topk", "num_tokens", "transmit_us")
MICROSECOND = 1e-6
"""Unit of the all-to-all tables, whose `latency` is in microseconds too."""
MOST_COPIES = 10
"""Experts per token of gated experts; the tables' models with more have two matrices per expert, not three."""
UNGATED_WIDTH = 1856
"""Width of another model of the tables whose experts have two matrices."""
NARROWEST = 128
WIDEST_SPLIT = 8
"""Tensor-parallel groups that serving uses. Rows with expert parallelism are left out: their times hold the kernels'
masking of foreign experts, which differs by kernel, not the work on their own."""
BALANCED, SKEWED = "balanced", "power_law_1.01"
"""Routings of the tables: all experts alike, and loads that follow a power law."""
MANY_TOKENS = 512
"""Tokens from which on the skew of routing sets the time, no longer how many experts are active."""
START = (3e-5, 0.8, 0.5, 16.0, 50.0, 8.0, 2.0)
LOW = (0.0, 0.05, 0.05, 0.0, 0.0, 0.0, 1.2)
HIGH = (3e-4, 1.0, 1.0, 256.0, 2000.0, 200.0, 12.0)

Point = np.ndarray[tuple[int, ...], np.dtype[np.intp]]


def fit_experts(table: pd.DataFrame, form: Format) -> tuple[ExpertsKernel, Residuals]:
    """Kernel record of one format.

    Few tokens: balanced rows, which say how many experts are active, min(experts, copies). Many tokens: skewed rows,
    since real routing is. Tables without balanced rows have skewed ones throughout; few tokens are then taken to
    activate as many experts as uniform routing does.
    """
    points = _points(table)
    column = {name: points[name].to_numpy(dtype=np.float64) for name in (*SHAPE, "latency_s")}
    tokens, copies, own = column["num_tokens"], column["topk"], column["num_experts"]
    rows = tokens * copies
    uniform = own * (1 - (1 - copies / own) ** tokens)
    balanced = (points["distribution"] == BALANCED).to_numpy()
    active = np.where(balanced, np.minimum(own, rows), uniform)
    width = column["inter_size"] / column["moe_tp_size"]
    measured = column["latency_s"]
    read = 3 * column["hidden_size"] * width * form.weight_bytes * active
    kept = np.flatnonzero(read / measured < CACHED * form.peaks.bandwidth_bytes_per_s)

    def time(p: Floats, at: Point) -> Floats:
        chosen = kept[at]
        shape = ExpertShape(column["hidden_size"][chosen], width[chosen], copies[chosen], form.weight_bytes)
        return experts_s(ExpertsKernel(*p), form.peaks, shape, tokens[chosen], rows[chosen], active[chosen])

    found = fit_log(time, measured[kept], START, LOW, HIGH)
    regressors = {"tokens": tokens[kept], "experts": own[kept], "width": width[kept]}
    errors = residuals(time(found, np.arange(kept.size)), measured[kept], regressors)
    return ExpertsKernel(*(float(value) for value in found)), errors


def _points(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[(table["topk"] <= MOST_COPIES) & (table["inter_size"] != UNGATED_WIDTH)]
    rows = rows[(rows["moe_tp_size"] <= WIDEST_SPLIT) & (rows["moe_ep_size"] == 1)]
    rows = rows[rows["inter_size"] / rows["moe_tp_size"] >= NARROWEST]
    many = rows["num_tokens"] >= MANY_TOKENS
    if (rows["distribution"] == BALANCED).any():
        rows = rows[rows["distribution"] == np.where(many, SKEWED, BALANCED)]
    else:
        rows = rows[rows["distribution"] == SKEWED]
    return pd.DataFrame(rows.groupby([*SHAPE, "distribution"], as_index=False)["latency_s"].min())


def exchange_messages(table: pd.DataFrame, group: int, value_bytes: float) -> pd.DataFrame:
    """Rows (message_size, latency_s) of one way between `group` GPUs: the mean of dispatch and combine."""
    rows = table[table["ep_size"] == group]
    keys = ["hidden_size", "topk", "num_tokens"]
    best = rows.groupby([*keys, "phase"], as_index=False)["transmit_us"].min()
    mean = best.groupby(keys, as_index=False)["transmit_us"].mean()
    size = mean["num_tokens"] * mean["topk"] * mean["hidden_size"] * value_bytes
    return pd.DataFrame({"message_size": size, "latency_s": mean["transmit_us"] * MICROSECOND})
