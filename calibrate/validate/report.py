"""A comparison as table rows, JSON and an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from calibrate.validate.compare import Comparison, Row
from simulator.report.page import Table, write_page

HEADERS = ("metric", "measured", "simulated", "error", "drift-corrected", "error", "")
_POINTS = 200
_WIDTH, _HEIGHT = 420, 280


def table_rows(comparison: Comparison) -> list[list[str]]:
    """One row a statistic, latencies in milliseconds; the last column marks what is beyond its tolerance."""
    return [
        [
            f"{row.metric} {row.statistic}",
            _number(row, row.measured),
            _number(row, row.raw),
            f"{100 * row.raw_error:+.1f} %",
            _number(row, row.corrected),
            f"{100 * row.corrected_error:+.1f} %",
            "" if row.within else "beyond tolerance",
        ]
        for row in comparison.rows
    ]


def heading(comparison: Comparison) -> str:
    """Rate, number of requests and the machine's drift, or why its steps differ by more."""
    drift = 100 * (comparison.drift - 1)
    speed = comparison.remark or f"drift of the machine {drift:+.1f} %"
    return f"{comparison.rate_rps:g} requests/s, {comparison.requests} requests, {speed}"


def _number(row: Row, value: float) -> str:
    return f"{value:.1f} tok/s" if row.metric == "throughput" else f"{1e3 * value:.2f} ms"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All statistics and errors; errors are fractions."""
    return {
        "rate_rps": comparison.rate_rps,
        "requests": comparison.requests,
        "slowness": comparison.slowness,
        "drift": comparison.drift,
        "remark": comparison.remark,
        "within": comparison.within,
        "rows": [
            {
                "metric": row.metric,
                "statistic": row.statistic,
                "measured": row.measured,
                "simulated": row.raw,
                "error": row.raw_error,
                "corrected": row.corrected,
                "corrected_error": row.corrected_error,
                "tolerance": row.tolerance_raw,
                "corrected_tolerance": row.tolerance_corrected,
                "within": row.within,
            }
            for row in comparison.rows
        ],
    }


def write_report(title: str, comparisons: Sequence[Comparison], path: Path) -> None:
    """Write tables and CDFs, measured beside simulated, as one page."""
    tables = [Table(heading(entry), HEADERS, table_rows(entry)) for entry in comparisons]
    charts = [
        _cdf(entry, column, title_)
        for entry in comparisons
        for column, title_ in (("ttft_s", "TTFT"), ("tpot_s", "TPOT"), ("e2e_s", "E2E"))
    ]
    write_page(title, tables, charts, path)


def _cdf(comparison: Comparison, column: str, title: str) -> Any:
    share = np.linspace(0.0, 1.0, _POINTS)
    frames = []
    for name, served in comparison.samples.items():
        values = getattr(served, column)
        values = values[np.isfinite(values)]
        if len(values):
            frames.append(pd.DataFrame({"series": name, "ms": 1e3 * np.quantile(values, share), "share": share}))
    return (
        alt.Chart(
            pd.concat(frames), title=f"{title} at {comparison.rate_rps:g} requests/s", width=_WIDTH, height=_HEIGHT
        )
        .mark_line()
        .encode(
            alt.X("ms", title=f"{title} (ms)", scale=alt.Scale(zero=False)),
            alt.Y("share", title="share of requests", axis=alt.Axis(format="%")),
            alt.Color("series", title=None),
        )
    )
