"""Differences of topologies that served the same requests, with intervals over the replications."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simulator.metrics.intervals import paired_difference
from simulator.report.charts import Summaries

FIGURES = (
    ("usd_per_month", "$ per month", 1.0, ",.0f"),
    ("slo_attainment", "SLO attainment [points]", 100.0, ",.2f"),
    ("goodput_rps", "goodput [requests/s]", 1.0, ",.2f"),
    ("ttft_p50_s", "TTFT p50 [ms]", 1e3, ",.0f"),
    ("ttft_p99_s", "TTFT p99 [ms]", 1e3, ",.0f"),
    ("tpot_p50_s", "TPOT p50 [ms]", 1e3, ",.1f"),
    ("tpot_p99_s", "TPOT p99 [ms]", 1e3, ",.1f"),
    ("e2e_p50_s", "E2E p50 [ms]", 1e3, ",.0f"),
    ("e2e_p99_s", "E2E p99 [ms]", 1e3, ",.0f"),
)
"""Figure, words with the unit, factor to that unit, digits."""


def differences_to(topologies: Summaries, baseline: str) -> tuple[list[list[str]], list[str]]:
    """Rows and headers: each figure of each topology less the baseline's, replication by replication.

    A cell is the mean and the half-width of its 95 % Student-t interval over replications, which all topologies served
    with the same requests; with one replication the half-width is left out.
    """
    others = [name for name in topologies if name != baseline]
    rows = []
    for figure, words, factor, digits in FIGURES:
        base = _values(topologies, baseline, figure)
        cells = [_cell(_values(topologies, name, figure), base, factor, digits) for name in others]
        rows.append([words, *cells])
    return rows, ["", *(f"{name} - {baseline}" for name in others)]


def _values(topologies: Summaries, name: str, figure: str) -> list[float]:
    found = [entry[figure] for entry in topologies[name].get("replications", [])]
    return [math.nan if value is None else float(value) for value in found]


def _cell(values: Sequence[float], base: Sequence[float], factor: float, digits: str) -> str:
    if not values or len(values) != len(base) or not np.isfinite([*values, *base]).all():
        return "-"
    mean, half = paired_difference(values, base)
    text = f"{factor * mean:+{digits}}"
    return f"{text} ± {factor * half:{digits}}" if math.isfinite(half) else text
