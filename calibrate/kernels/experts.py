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
WIDEST_SPLIT, LARGEST_GROUP = 8, 16
"""Tensor- and expert-parallel groups that serving uses."""
BALANCED = "balanced"
START = (3e-5, 0.8, 0.5, 16.0, 50.0, 8.0, 2.0)
LOW = (0.0, 0.05, 0.05, 0.0, 0.0, 0.0, 1.2)
HIGH = (3e-4, 1.0, 1.0, 256.0, 2000.0, 200.0, 12.0)

Point = np.ndarray[tuple[int, ...], np.dtype[np.intp]]


def fit_experts(table: pd.DataFrame, form: Format) -> tuple[ExpertsKernel, Residuals]:
    """Kernel record of one format.

    Balanced rows say how many experts are active: min(experts, copies). Tables without them have rows of a routing
    with a power law of exponent 1.01, whose active experts are taken as for uniform routing.
    """
    points = _points(table)
    column = {name: points[name].to_numpy(dtype=np.float64) for name in (*SHAPE, "latency_s")}
    tokens, copies = column["num_tokens"], column["topk"]
    own = column["num_experts"] / column["moe_ep_size"]
    rows = tokens * copies / column["moe_ep_size"]
    if (points["distribution"] == BALANCED).all():
        active = np.minimum(own, np.maximum(1.0, rows))
    else:
        active = np.maximum(own * (1 - (1 - copies / column["num_experts"]) ** tokens), np.minimum(1.0, rows))
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
    rows = rows[(rows["moe_tp_size"] <= WIDEST_SPLIT) & (rows["moe_ep_size"] <= LARGEST_GROUP)]
    rows = rows[rows["inter_size"] / rows["moe_tp_size"] >= NARROWEST]
    kinds = sorted(rows["distribution"].unique())
    rows = rows[rows["distribution"] == (BALANCED if BALANCED in kinds else kinds[0])]
    return pd.DataFrame(rows.groupby([*SHAPE, "distribution"], as_index=False)["latency_s"].min())


def exchange_messages(table: pd.DataFrame, group: int, value_bytes: float) -> pd.DataFrame:
    """Rows (message_size, latency_s) of one way between `group` GPUs: the mean of dispatch and combine."""
    rows = table[table["ep_size"] == group]
    keys = ["hidden_size", "topk", "num_tokens"]
    best = rows.groupby([*keys, "phase"], as_index=False)["transmit_us"].min()
    mean = best.groupby(keys, as_index=False)["transmit_us"].mean()
    size = mean["num_tokens"] * mean["topk"] * mean["hidden_size"] * value_bytes
    return pd.DataFrame({"message_size": size, "latency_s": mean["transmit_us"] * MICROSECOND})
