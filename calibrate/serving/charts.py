"""Scatter plots: measured against simulated, one panel per metric."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from simulator.results.files import make_folder, write_text

SIZE = 330
TITLES = {
    "tpot": "TPOT (s)",
    "ttft": "TTFT (s)",
    "throughput": "throughput (tokens/s)",
    "e2e": "E2E (s)",
}


def scatter(lines: pd.DataFrame) -> Any:
    """Measured (x) against simulated (y), both logarithmic, with the diagonal; colour by GPU, shape by regime."""
    panels = [_panel(lines[lines["metric"] == metric], title) for metric, title in TITLES.items()]
    return alt.concat(*panels, columns=2, title="Measured and simulated").configure_axis(grid=False)


def _panel(lines: pd.DataFrame, title: str) -> Any:
    scale = alt.Scale(type="log", nice=False)
    points = (
        alt.Chart(lines)
        .mark_point(filled=True, opacity=0.6)
        .encode(
            x=alt.X("measured:Q", scale=scale, title=f"measured {title}"),
            y=alt.Y("simulated:Q", scale=scale, title=f"simulated {title}"),
            color=alt.Color("gpu:N", title="GPU"),
            shape=alt.Shape("regime:N", title="regime"),
            tooltip=["row_id", "model", "gpu", "gpus", "dtype", "version", "regime", "measured", "simulated", "error"],
        )
    )
    ends = pd.DataFrame({"measured": [], "simulated": []})
    if len(lines):
        both = [*lines["measured"], *lines["simulated"]]
        ends = pd.DataFrame({"measured": [min(both), max(both)], "simulated": [min(both), max(both)]})
    diagonal = alt.Chart(ends).mark_line(color="grey", strokeDash=[4, 4]).encode(x="measured:Q", y="simulated:Q")
    return (points + diagonal).properties(width=SIZE, height=SIZE)


def write_scatter(lines: pd.DataFrame, path: Path) -> None:
    """Write the plots as one HTML page with everything inline."""
    page = io.StringIO()
    scatter(lines).save(page, format="html", inline=True)
    make_folder(path.parent)
    write_text(path, page.getvalue())
