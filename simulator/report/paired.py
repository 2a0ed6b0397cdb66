"""Differences of topologies that served the same requests, with intervals over the replications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from simulator.decide.why import unlike
from simulator.figures.table import AMOUNT, NONE, figure
from simulator.metrics.intervals import paired_difference
from simulator.money import apart, converted, places
from simulator.report.charts import Summaries, topology_colour
from simulator.results.bundle import Bundle
from simulator.scenario.document import read_document

_ATTAINMENT = "slo_attainment"
FIGURES = (
    "usd_per_month",
    _ATTAINMENT,
    "goodput_rps",
    "ttft_p50_s",
    "ttft_p99_s",
    "tpot_p50_s",
    "tpot_p99_s",
    "e2e_p50_s",
    "e2e_p99_s",
)
"""Those that topologies are compared in."""


def shown_as(name: str) -> tuple[str, float, str]:
    """Words of one of `FIGURES` with the unit of its differences, factor to that unit, digits."""
    shown = figure(name)
    if name == _ATTAINMENT:
        return f"{shown.words} [points]", 100.0, ",.2f"
    return shown.label, converted(shown.factor) if shown.is_money else shown.factor, shown.digits


_LINEAR = 0.25
"""Share up to which the axis of differences is about linear; logarithmic beyond, as a queue multiplies latencies."""
_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, *(digit * 10.0**power for power in range(1, 5) for digit in (1, 3)))


@dataclass(frozen=True, slots=True)
class PairedFigure:
    """One figure of a topology less the baseline's, over the replications.

    Attributes
    ----------
    figure, unit_words : of `FIGURES`, and its words with the unit
    mean, half_width : of the difference, in that unit; the half-width of the 95 % Student-t interval is NaN with one
        replication
    base : mean of the baseline's figure, in that unit
    """

    topology: str
    figure: str
    unit_words: str
    mean: float
    half_width: float
    base: float

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves zero out; unknown, thus no, with one replication."""
        return abs(self.mean) > self.half_width


def paired(topologies: Summaries, baseline: str) -> list[PairedFigure]:
    """Each figure of each topology less the baseline's, replication by replication; unknown ones are left out."""
    found = []
    for key in FIGURES:
        words, factor, _ = shown_as(key)
        base = _values(topologies, baseline, key)
        for name in topologies:
            values = _values(topologies, name, key)
            if name == baseline or not _comparable(values, base):
                continue
            mean, half = paired_difference(values, base)
            found.append(
                PairedFigure(name, key, words, factor * mean, factor * half, factor * float(np.mean(base))),
            )
    return found


def same_requests(bundles: Sequence[Bundle]) -> bool:
    """Whether runs served the same requests in each replication, so that their differences can be paired.

    Raises
    ------
    InputError : a resolved scenario is missing or broken
    """
    asked = []
    for bundle in bundles:
        data: dict[str, Any] = read_document(bundle.scenario_file).data
        hashes = {name: entry["sha256"] for name, entry in bundle.manifest["files"].items()}
        run = [data["run"][name] for name in ("seed", "replications", "horizon_s")]
        asked.append((data["workload"], run, hashes))
    return all(found == asked[0] for found in asked)


def paired_words(topologies: Summaries) -> str:
    """After the name of the baseline: how differences to it were taken, and how sure they are."""
    came = unlike(found["metrics"]["arrived"] for found in topologies.values())
    if came:
        why = f"not of the same requests: {came[0]:,} to {came[1]:,} came, as sessions and users go on when answered"
    else:
        why = "all served the same requests"
    many = max(len(found["replications"]) for found in topologies.values()) > 1
    how = "mean over the replications and 95 % interval" if many else "one replication, which says nothing of chance"
    return f"; {why}; {how}."


def _values(topologies: Summaries, name: str, key: str) -> list[float]:
    found = [entry[key] for entry in topologies[name]["replications"]]
    return [math.nan if value is None else float(value) for value in found]


def _comparable(values: Sequence[float], base: Sequence[float]) -> bool:
    return bool(values) and len(values) == len(base) and bool(np.isfinite([*values, *base]).all())


def differences_to(topologies: Summaries, baseline: str) -> tuple[list[list[str]], list[str]]:
    """Rows and headers: each figure of each topology less the baseline's, replication by replication.

    A cell is the mean and the half-width of its 95 % Student-t interval over replications, which all topologies served
    with the same requests; with one replication the half-width is left out.
    """
    others = [name for name in topologies if name != baseline]
    cells = {(found.figure, found.topology): found for found in paired(topologies, baseline)}
    rows = []
    for key in FIGURES:
        words, _, digits = shown_as(key)
        found = [cells.get((key, name)) for name in others]
        if key == "usd_per_month":
            found = [one and _as_shown(one, topologies, baseline) for one in found]
        rows.append([words, *(_cell(one, digits) for one in found)])
    return [row for row in rows if any(cell != NONE for cell in row[1:])], ["", *others]


def _as_shown(found: PairedFigure, topologies: Summaries, baseline: str) -> PairedFigure:
    """A difference of bills, which is that of the bills as they are shown where it is theirs but for the rounding."""
    mine, base = (topologies[name]["cost"]["usd_per_month"] for name in (found.topology, baseline))
    shown = apart(mine, base)
    unit = 10.0 ** -min(places(converted(mine)), places(converted(base)))
    return replace(found, mean=shown) if abs(shown - found.mean) <= unit else found


def _cell(found: PairedFigure | None, digits: str) -> str:
    if found is None:
        return NONE
    if digits == AMOUNT:
        digits = f",.{places(found.mean)}f"
    text = f"{found.mean:+z{digits}}"
    return f"{text} ± {found.half_width:{digits}}" if math.isfinite(found.half_width) else text


def differences_chart(found: Sequence[PairedFigure], baseline: str, names: Sequence[str]) -> Any:
    """Differences as a share of the baseline's figure with their intervals; those that hold zero are hollow.

    Parameters
    ----------
    names : all topologies that colours go by
    """
    rows = [
        {
            "topology": entry.topology,
            "figure": entry.unit_words.split(" [")[0],
            "share": entry.mean / abs(entry.base),
            "low": (entry.mean - entry.half_width) / abs(entry.base),
            "high": (entry.mean + entry.half_width) / abs(entry.base),
            "difference": f"{_cell(entry, shown_as(entry.figure)[2])}, {entry.unit_words}",
            "sure": "yes" if entry.is_sure else "no",
        }
        for entry in found
        if entry.base
    ]
    columns = ["topology", "figure", "share", "low", "high", "difference", "sure"]
    order = list(dict.fromkeys(str(row["figure"]) for row in rows))
    y = alt.Y("figure:N", sort=order, title=None)
    offset = alt.YOffset("topology:N", sort=list(names))
    ends = [abs(value) / abs(entry.base) for entry in found if entry.base for value in _ends(entry)]
    reach = max((end for end in ends if math.isfinite(end)), default=0.0)
    ticks = [sign * tick for tick in _TICKS if tick <= reach for sign in (-1, 1)]
    x = alt.X(
        "share:Q",
        title=[f"difference to {baseline}", "[% of its figure]"],
        axis=alt.Axis(format="+~%", values=[0.0, *ticks] if ticks else alt.Undefined, labelOverlap=True),
        scale=alt.Scale(type="symlog", constant=_LINEAR),
    )
    tooltip = ["topology", "figure", "difference", alt.Tooltip("share", format="+.1%")]
    base = alt.Chart(pd.DataFrame(rows, columns=columns))
    zero = alt.Chart(pd.DataFrame([{"zero": 0.0}])).mark_rule(color="gray").encode(x="zero:Q")
    spans = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2)
    is_sure, colour = "datum.sure === 'yes'", topology_colour(names)
    dashes = alt.condition(is_sure, alt.value([1, 0]), alt.value([3, 3]))
    return alt.layer(
        zero,
        spans.encode(x=alt.X("low:Q"), x2="high:Q", y=y, yOffset=offset, color=colour, strokeDash=dashes),
        base.mark_point(size=80, filled=True, opacity=1, strokeWidth=2).encode(
            x=x,
            y=y,
            yOffset=offset,
            color=colour,
            stroke=alt.Stroke("topology:N", scale=colour["scale"], legend=None),
            fillOpacity=alt.condition(is_sure, alt.value(1.0), alt.value(0.0)),
            tooltip=tooltip,
        ),
    ).properties(height=alt.Step(16))


def _ends(found: PairedFigure) -> tuple[float, ...]:
    return found.mean, found.mean - found.half_width, found.mean + found.half_width
