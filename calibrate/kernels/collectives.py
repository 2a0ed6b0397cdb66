"""Fit of all-reduces and of element-wise kernels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from calibrate.kernels.fit import Floats, Residuals, fit_log, residuals
from simulator.perf.kernels import CollectiveKernel, Peaks, StreamKernel, collective_s

CUSTOM_COLUMNS = ("num_gpus", "message_size", "backend")
NCCL_COLUMNS = ("op_name", "nccl_dtype", "num_gpus", "message_size")
STREAM_COLUMNS = ("m", "k")
SMALLEST_MESSAGE = 2048
"""Bytes of a hidden state: no collective of a model is smaller."""
VALUE_BYTES = 2
"""The tables count a message in 16-bit values, not in bytes."""
QUANTISE_BYTES = 3
"""The element-wise table reads 2 bytes and writes 1 per value."""

Point = np.ndarray[tuple[int, ...], np.dtype[np.intp]]


def in_bytes(table: pd.DataFrame) -> pd.DataFrame:
    """Rows (num_gpus, message_size, latency_s) with the messages of 16-bit values in bytes."""
    kept = table[["num_gpus", "message_size", "latency_s"]]
    return kept.assign(message_size=VALUE_BYTES * kept["message_size"])


def fit_collective(table: pd.DataFrame, link_bytes_per_s: float) -> tuple[CollectiveKernel, Residuals]:
    """Record for one group size from rows (message_size, latency_s); the quickest algorithm of each size counts."""
    best = table[table["message_size"] >= SMALLEST_MESSAGE].groupby("message_size", as_index=False)["latency_s"].min()
    size = best["message_size"].to_numpy(dtype=np.float64)
    measured = best["latency_s"].to_numpy(dtype=np.float64)

    def time(p: Floats, at: Point) -> Floats:
        return collective_s(CollectiveKernel(*p), size[at])

    bulk = size[-1] / measured[-1]
    slowest = link_bytes_per_s / 1000
    start = (measured[0], bulk / 2, 4 * measured[0], bulk)
    high = (1e-3, 2 * link_bytes_per_s, 1e-2, 2 * link_bytes_per_s)
    found = fit_log(time, measured, start, (0, slowest, 0, slowest), high)
    errors = residuals(time(found, np.arange(measured.size)), measured, {"message_bytes": size})
    return CollectiveKernel(*(float(value) for value in found)), errors


def fit_stream(table: pd.DataFrame, peaks: Peaks) -> tuple[StreamKernel, Residuals]:
    """Record of element-wise kernels from rows (m, k, latency_s) of an activation quantisation."""
    moved = QUANTISE_BYTES * (table["m"] * table["k"]).to_numpy(dtype=np.float64)
    measured = table["latency_s"].to_numpy(dtype=np.float64)
    streamed = moved / measured < 0.95 * peaks.bandwidth_bytes_per_s
    moved, measured = moved[streamed], measured[streamed]

    def time(p: Floats, at: Point) -> Floats:
        return np.asarray(p[0] + moved[at] / (p[1] * peaks.bandwidth_bytes_per_s))

    found = fit_log(time, measured, (2e-6, 0.7), (0, 0.05), (1e-4, 1.0))
    errors = residuals(time(found, np.arange(measured.size)), measured, {"bytes": moved})
    return StreamKernel(float(found[0]), float(found[1])), errors
