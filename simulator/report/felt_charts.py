"""What users felt over time, of runs side by side: how long they waited, who queued, who was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.report.charts import plain_legend, stacked, topology_colour
from simulator.report.coinciding import WIDTH, with_widths
from simulator.report.time_axis import time_axis

_HEIGHT = 130
_ROWS = (
    ("ttft_p95_s", "time to first token, p95 [s]"),
    ("waiting", "requests waiting"),
    ("lost_percent", "requests lost [%]"),
)
"""Column and title of each row; waits and losses are of those that came then, the last is left out without any."""

Sides = Mapping[str, Mapping[str, Mapping[str, Sequence[float | None]]]]
"""Columns (`minutes` and those of the rows, with the `…_low` and `…_high` of several replications) by topology, by the
words of a side."""


def felt_over_time(
    sides: Sides,
    names: Sequence[str],
    window_s: tuple[float, float] | None = None,
    clock_s: float = 0.0,
    shown_min: tuple[float, float] | None = None,
) -> Any:
    """A row for each quantity, a colour for each topology, dashes for each side but the last; all on the same minutes.

    The last side has a band from the smallest to the largest replication.

    Parameters
    ----------
    names : all topologies that colours go by
    window_s : of simulated time, shaded
    clock_s : local time at minute 0, in s since Monday 00:00
    shown_min : minutes that are shown at first, all unless given
    """
    frames = [
        pd.DataFrame(columns).astype(float).assign(topology=name, side=side)
        for side, found in sides.items()
        for name, columns in found.items()
    ]
    data = pd.concat(frames, ignore_index=True)
    first, last = float(data["minutes"].min()), float(data["minutes"].max())
    begin, end = (first, last) if shown_min is None else shown_min
    scale, axis = alt.Scale(domain=[begin, end], nice=False), time_axis(end, clock_s, begin)
    x = alt.X("minutes:Q", scale=scale, axis=axis)
    shade = None
    if window_s is not None:
        begins, ends = (min(max(at_s / 60, first), last) for at_s in window_s)
        shade = alt.Chart(pd.DataFrame({"minutes": [begins], "end": [ends]})).mark_rect(opacity=0.2, color="#D55E00")
        shade = shade.encode(x=x, x2="end:Q")
    dashes = alt.StrokeDash(
        "side:N",
        scale=alt.Scale(domain=list(sides), range=[*[[5, 4]] * (len(sides) - 1), [1, 0]]),
        title=None,
        legend=plain_legend(orient="top"),
    )
    rows = []
    for column, title in _ROWS:
        if column == "lost_percent" and not data[column].any():
            continue
        shown = data.dropna(subset=column)
        marks = [] if shade is None else [shade]
        if f"{column}_low" in data:
            marks.append(_band(shown[shown["side"] == [*sides][-1]], column, x, names))
        marks.append(_line(shown, column, x, names, dashes))
        rows.append(alt.layer(*marks).properties(title=title, width=700, height=_HEIGHT))
    return stacked(rows)


def _line(data: pd.DataFrame, column: str, x: alt.X, names: Sequence[str], dashes: alt.StrokeDash) -> Any:
    curves = with_widths(data[["minutes", "topology", "side", column]], "minutes", column, ("topology", "side"), "side")
    line = alt.Chart(curves).mark_line(clip=True, interpolate="step-after")
    return line.encode(
        x=x,
        y=alt.Y(f"{column}:Q", title=None),
        color=topology_colour(names),
        strokeDash=dashes,
        strokeWidth=WIDTH,
        tooltip=["topology", "side", alt.Tooltip("minutes", format=".1f"), alt.Tooltip(column, format=",.3g")],
    )


def _band(data: pd.DataFrame, column: str, x: alt.X, names: Sequence[str]) -> Any:
    low, high = f"{column}_low", f"{column}_high"
    area = alt.Chart(data[["minutes", "topology", low, high]]).mark_area(
        clip=True, interpolate="step-after", opacity=0.25
    )
    return area.encode(x=x, y=alt.Y(f"{low}:Q", title=None), y2=f"{high}:Q", color=topology_colour(names))
