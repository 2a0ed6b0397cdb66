"""The table of figures as rows of the documentation."""

from __future__ import annotations

from simulator.figures.table import FIGURES


def glossary_rows() -> list[str]:
    """A row of Markdown for each figure: what it is called, what it means, when it has no value, who computes it."""
    rows = []
    for name, shown in FIGURES.items():
        share = name.removesuffix("_s").rpartition("_")[2]
        if share in ("p90", "p95", "p99"):
            continue
        words = f"{shown.words.removesuffix(' p50')} p50, p90, p95, p99" if share == "p50" else shown.words
        unit = f" [{shown.unit}]" if shown.unit else ""
        meaning = shown.meaning.replace("50 % of the", "that share of the") if share == "p50" else shown.meaning
        without = f"; no value if {shown.without}" if shown.without else ""
        rows.append(f"| {words}{unit} | {meaning}{without} | `{shown.owner}` |")
    return rows
