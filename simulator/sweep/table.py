"""A sweep's table as rows of text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

from simulator.figures.table import figure, met_words
from simulator.figures.whole import cell_text
from simulator.scenario.short_names import short_names

_FIGURES = [
    figure(name)
    for name in (
        "slo_attainment",
        "served_share",
        "ttft_p99_s",
        "tpot_p99_s",
        "goodput_rps",
        "time_in_steps",
        "usd_per_month",
        "usd_per_million_processed_tokens",
        "usd_per_million_output_tokens",
        "usd_per_million_tokens",
        "usd_per_thousand_requests",
    )
]
_WIDTH = 110


def table(found: pd.DataFrame, paths: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """Rows and headers; `paths` are the columns of the grid."""
    names = short_names(paths)
    headers = [*(names[path] for path in paths), "topology", "SLO met", *(shown.label for shown in _FIGURES)]
    rows = [[*(str(row[path]) for path in paths), *_cells(row)] for row in found.to_dict("records")]
    return rows, headers


def _cells(row: dict[Any, Any]) -> list[str]:
    if row["status"] != "ok":
        return ["-" if pd.isna(row["topology"]) else row["topology"], "failed", *["-"] * len(_FIGURES)]
    figures = [cell_text(shown, None if pd.isna(row[shown.id]) else row[shown.id]) for shown in _FIGURES]
    return [row["topology"], met_words(None if pd.isna(row["slo_met"]) else bool(row["slo_met"])), *figures]


def notes(found: pd.DataFrame, paths: Sequence[str]) -> list[str]:
    """Every error with its point and topology, and why it is not known whether an SLO is met."""
    names = short_names(paths)
    lines: list[str] = []
    for row in found[found["status"] != "ok"].to_dict("records"):
        point = ", ".join(f"{names[path]}={row[path]}" for path in paths)
        topology = "" if pd.isna(row["topology"]) else f"{row['topology']}, "
        bug = "a bug of ours: " if row["status"] == "bug" else ""
        lines += _wrapped(f"! {topology}{point}: {bug}{row['error']}")
    whys = found["not_known"].dropna() if "not_known" in found else pd.Series(dtype=object)
    for why, count in whys.value_counts().items():
        rows = f"{count:,} row{'s' * (count > 1)}"
        lines += _wrapped(f"! SLO not known in {rows}: {why}; a longer run.horizon_s has some")
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ")
