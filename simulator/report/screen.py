"""The first screen of a run: what to do, the figures, their units, and what is uncertain."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from simulator.decide.why import listed
from simulator.figures.table import figure
from simulator.money import rate_words, shown_in
from simulator.report.parts import in_parts
from simulator.report.prose import wrapped
from simulator.report.table import comparison, ordered, period_words, warnings

_HEADINGS = {
    "load": "The load is not the one that is asked for, or is not kept up with",
    "size": "How the sizes were found",
    "trust": "What speaks against the speed",
    "basis": "What the figures rest on",
}


def first_screen(summary: Mapping[str, Any], verdict: str, width: int = sys.maxsize) -> str:
    """Text for a terminal.

    Parameters
    ----------
    summary : of a run
    verdict : what is to be done and why, one paragraph or several
    width : characters that a line may have
    """
    with shown_in(summary.get("currency")):
        return _screen(summary, verdict, width)


def _screen(summary: Mapping[str, Any], verdict: str, width: int) -> str:
    topologies = ordered(summary)
    rows, headers = comparison(topologies, short=True)
    align = ["left"] + ["right"] * (len(headers) - 1)
    parts = [
        wrapped(f"{summary['scenario']}: {summary['description']}", width=width),
        "\n\n".join(wrapped(part, width=width) for part in verdict.split("\n\n")),
        in_parts(rows, headers, width, align),
        "\n".join(_units(topologies, width)),
    ]
    for kind, heading in _HEADINGS.items():
        found = warnings(topologies, {kind})
        if found:
            parts.append("\n".join([f"{heading}:", *(wrapped(text, "! ", width) for text in found)]))
    return "\n\n".join(part for part in parts if part)


def _units(topologies: Mapping[str, Mapping[str, Any]], width: int) -> list[str]:
    """How to read the table."""
    lines = [
        f"A month has 730 hours. {figure('usd_per_month').words}: mean over replications, ± 95 %; 90 % of the draws "
        "of prices lie within their interval.",
        "SLO terms: the percentile that each names, over all requests that came; lost ones count as missed.",
        "Tokens: all processed ones; output delivered; all delivered, prompts and answers.",
    ]
    unfelt = next((one["metrics"].get("unfelt") for one in topologies.values()), None)
    if unfelt:
        lines.append(f"TTFT and TPOT: of all requests but those of {listed(unfelt)}, which come back as batches.")
    lines += [found for found in (period_words(topologies), rate_words()) if found]
    count = len(next(iter(topologies.values()))["replications"]) if topologies else 0
    if count == 1:
        lines.append("One replication: intervals know of chance among requests, not of chance among days.")
    return [wrapped(line, width=width) for line in lines]
