"""Fit of layers that carry a state per sequence: their convolution and their recurrence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from calibrate.kernels.fit import Floats, Residuals, fit_log, residuals
from simulator.perf.kernels import Peaks, StateKernel
from simulator.perf.reads import ACTIVATION_BYTES
from simulator.perf.state import PASSES, STATE_BYTES

SHAPE = ["batch_size", "seq_len", "num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim"]
COLUMNS = ("phase", "kernel_source", *SHAPE)
CONVOLUTION = "causal_conv1d"
"""How the names of the convolution's kernels begin; all others are the recurrence."""
LEAST_BYTES, MOST_BYTES = 256 * 2**20, 2**20
"""What moves less than the one and more than the other is answered by the second-level cache, of up to 128 MB."""

Point = np.ndarray[tuple[int, ...], np.dtype[np.intp]]


def fit_state(table: pd.DataFrame, convolution: pd.DataFrame, peaks: Peaks) -> tuple[StateKernel, dict[str, Residuals]]:
    """Record of one kind of layer: decode steps first, then the convolution and the recurrence of prompts.

    Parameters
    ----------
    convolution : table whose convolutions of prompts were launched from a graph
    """
    launch, share, decode = _fit_decode(table, peaks)
    conv_launch, stream, conv = _fit_convolution(convolution, peaks)
    scan_launch, serial, head, scan = _fit_scan(table)
    kernel = StateKernel(launch, max(launch, conv_launch + scan_launch), share, stream, serial, head)
    return kernel, {"decode": decode, "convolution": conv, "scan": scan}


def _rows(table: pd.DataFrame, phase: str, convolution: bool) -> pd.DataFrame:
    """The quickest kernel of each shape."""
    of = table["kernel_source"].str.startswith(CONVOLUTION) == convolution
    rows = table[(table["phase"] == phase) & of]
    return pd.DataFrame(rows.groupby(SHAPE, as_index=False)["latency_s"].min())


def _fit_decode(table: pd.DataFrame, peaks: Peaks) -> tuple[float, float, Residuals]:
    both = _rows(table, "generation", True).merge(_rows(table, "generation", False), on=SHAPE)
    batch = _column(both, "batch_size")
    state = _column(both, "num_v_heads") * _column(both, "head_k_dim") * _column(both, "head_v_dim")
    moved = batch * PASSES * (STATE_BYTES * state + ACTIVATION_BYTES * _channels(both))
    return _fit_moved(moved, _column(both, "latency_s_x") + _column(both, "latency_s_y"), {"batch": batch}, peaks)


def _fit_convolution(table: pd.DataFrame, peaks: Peaks) -> tuple[float, float, Residuals]:
    rows = _rows(table, "context", True)
    tokens = _column(rows, "batch_size") * _column(rows, "seq_len")
    moved = tokens * PASSES * ACTIVATION_BYTES * _channels(rows)
    return _fit_moved(moved, _column(rows, "latency_s"), {"tokens": tokens}, peaks)


def _fit_moved(
    moved: Floats, measured: Floats, regressors: dict[str, Floats], peaks: Peaks
) -> tuple[float, float, Residuals]:
    """Fixed time and share of the bandwidth, of what the second-level cache does not answer."""
    kept = (moved >= LEAST_BYTES) | (moved <= MOST_BYTES)
    moved, measured = moved[kept], measured[kept]

    def time(p: Floats, at: Point) -> Floats:
        return np.asarray(p[0] + moved[at] / (p[1] * peaks.bandwidth_bytes_per_s))

    found = fit_log(time, measured, (5e-6, 0.7), (0, 0.02), (1e-4, 1.0))
    ranges = {name: values[kept] for name, values in regressors.items()}
    return float(found[0]), float(found[1]), residuals(time(found, np.arange(measured.size)), measured, ranges)


def _fit_scan(table: pd.DataFrame) -> tuple[float, float, float, Residuals]:
    rows = _rows(table, "context", False)
    length, batch, heads = (_column(rows, name) for name in ("seq_len", "batch_size", "num_v_heads"))
    measured = _column(rows, "latency_s")

    def time(p: Floats, at: Point) -> Floats:
        return np.asarray(p[0] + np.maximum(length[at] * p[1], batch[at] * length[at] * heads[at] * p[2]))

    found = fit_log(time, measured, (1e-5, 4e-8, 4e-10), (0, 0, 0), (1e-4, 1e-5, 1e-6))
    errors = residuals(
        time(found, np.arange(measured.size)), measured, {"batch": batch, "prompt": length, "heads": heads}
    )
    launch, serial, head = (float(value) for value in found)
    return launch, serial, head, errors


def _channels(rows: pd.DataFrame) -> Floats:
    keys = 2 * _column(rows, "num_k_heads") * _column(rows, "head_k_dim")
    return np.asarray(keys + _column(rows, "num_v_heads") * _column(rows, "head_v_dim"))


def _column(rows: pd.DataFrame, name: str) -> Floats:
    return rows[name].to_numpy(dtype=np.float64)
