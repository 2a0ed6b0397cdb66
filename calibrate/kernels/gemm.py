"""Fit of matrix products per weight format."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from calibrate.kernels.fit import Floats, Residuals, fit_log, residuals
from simulator.perf.kernels import ALIGNMENT, GemmKernel, Peaks, gemm_s

COLUMNS = ("gemm_dtype", "m", "n", "k")
CACHED = 0.95
"""Share of peak bandwidth above which a weight must have come from a cache; serving streams through it."""
SMALLEST, DEEPEST = 512, 16384
"""Shapes of serving: n, k of at least the first, k of at most the second."""
PLAIN_BYTES = 2.0
"""An activation value that needs no quantisation."""
RAGGED, QUANTISE = 5, 6
"""Places of these parameters in a record."""
NOTHING = 1e-9
"""Upper bound of a parameter that the table cannot tell."""
START = (3e-6, 0.85, 0.8, 0.5, 100.0, 0.1, 1.0, 0.01, 3.0)
LOW = (0.0, 0.1, 0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 1.5)
HIGH = (1e-4, 1.0, 1.0, 2.0, 4000.0, 2.0, 60.0, 0.2, 12.0)


@dataclass(frozen=True, slots=True)
class Format:
    """What a weight format moves and whose peak it computes at."""

    weight_bytes: float
    activation_bytes: float
    peaks: Peaks


def fit_gemm(table: pd.DataFrame, form: Format) -> tuple[GemmKernel, Residuals]:
    """Kernel record of one format from rows (m, n, k, latency_s); the quickest kernel of each shape counts."""
    points = _serving_shapes(table, form)
    m, n, k, measured = (points[name].to_numpy(dtype=np.float64) for name in ("m", "n", "k", "latency_s"))
    ragged = (m > ALIGNMENT) & (m % ALIGNMENT != 0)
    quantised = form.activation_bytes < PLAIN_BYTES

    def time(parameters: Floats, places: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> Floats:
        record = GemmKernel(*parameters)
        form_bytes = form.weight_bytes, form.activation_bytes
        return gemm_s(record, form.peaks, m[places], n[places], k[places], *form_bytes, ragged[places])

    start, high = np.array(START), np.array(HIGH)
    absent = [place for place, present in ((RAGGED, ragged.any()), (QUANTISE, quantised)) if not present]
    start[absent], high[absent] = 0.0, NOTHING
    found = fit_log(time, measured, start, LOW, high)
    found[absent] = 0.0
    everything = np.arange(measured.size)
    kernel = GemmKernel(*(float(value) for value in found))
    return kernel, residuals(time(found, everything), measured, {"m": m, "n": n, "k": k})


def _serving_shapes(table: pd.DataFrame, form: Format) -> pd.DataFrame:
    """Shapes that serving meets, without those whose weights came from the cache."""
    points = table.groupby(["m", "n", "k"], as_index=False)["latency_s"].min()
    points = points[(points["n"] >= SMALLEST) & points["k"].between(SMALLEST, DEEPEST)]
    moved = form.weight_bytes * points["n"] * points["k"]
    moved += points["m"] * (form.activation_bytes * points["k"] + 2.0 * points["n"])
    streamed = moved / points["latency_s"] < CACHED * form.peaks.bandwidth_bytes_per_s
    return pd.DataFrame(points[streamed])
