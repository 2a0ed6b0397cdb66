"""Topologies as an HTML table, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from simulator.decide.standing import met_throughout
from simulator.figures.table import figure, met_words

_COSTS = ("usd_per_month", "usd_per_million_tokens")
_TTFT = "ttft_p99_s"


def topologies_html(summary: Mapping[str, Any]) -> str:
    """A row for each topology: whether it meets the SLO, what it costs, how well it serves."""
    kept = figure("slo_attainment")
    head = ["topology", figure("slo_met").label, *(figure(name).label for name in _COSTS), kept.label]
    rows = [[*head, figure(_TTFT).label]]
    for name in summary["order"]:
        found = summary["topologies"][name]
        metrics = found["metrics"]
        row = [name, met_words(met_throughout(found)), *(figure(cost).text(found["cost"][cost]) for cost in _COSTS)]
        rows.append([*row, kept.text(metrics["slo_attainment"]), figure(_TTFT).text(metrics["ttft_s"]["p99"])])
    tags = ["th", *["td"] * (len(rows) - 1)]
    cells = ("".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for tag, row in zip(tags, rows, strict=True))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in cells)}</table>"
