"""Charts of a run: pure functions from tables to Altair charts.

One colour per topology everywhere: those of Okabe and Ito, with violet for yellow and brown for black, which a white or
a dark page would swallow.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from simulator.decide.standing import met_throughout
from simulator.figures.table import figure, met_words
from simulator.money import column, converted

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#9650F0", "#7A4A28")
_LEGEND_LETTERS, _LEGEND_COLUMNS, _NAME_PX = 40, 3, 330
"""Letters of the names in a row below a chart and names in it, as a phone has room for them; room for a long one."""
_LEGEND_PX, _SYMBOL_PX, _LETTER_PX = 270, 30, 6.5
"""Of a row beside the axis on a phone, of a name's symbol with what is around it, and of a letter."""
_LINE_LETTERS, _LINES = 15, 4
"""Of a name beside bars: letters of a line unless a word is longer, and lines."""
BAR_PX = 50
"""Of a bar with such a name beside it."""
_LINE_PX, _LEGEND_ROW_PX = 11, 18
_WIDTH, _HEIGHT = 500, 260
_ROOM = 0.1
_COVERED, _MOST_RIMS = 0.01, 4
"""Share of a span within which one point covers another, and rims that are drawn around one at most."""
"""Beside the outermost points, of what is between them."""

Summaries = Mapping[str, Mapping[str, Any]]


def plain_legend(**options: Any) -> alt.Legend:
    """Legend of shapes and shades whose symbols are grey: black ones could not be seen on a dark page."""
    return alt.Legend(symbolFillColor="gray", symbolStrokeColor="gray", **options)


def topology_colour(names: Sequence[str]) -> alt.Color:
    """Colour encoding that gives each topology the same colour in every chart."""
    scale = alt.Scale(domain=list(names), range=[PALETTE[k % len(PALETTE)] for k in range(len(names))])
    return alt.Color("topology:N", scale=scale, title="topology", legend=names_legend(names))


def names_legend(names: Sequence[str]) -> alt.Legend:
    """Legend below a chart with as many names in a row as there is room for on a phone, none of them cut."""
    return alt.Legend(symbolOpacity=1, orient="bottom", columns=_columns(names), labelLimit=_NAME_PX)


def legend_px(names: Sequence[str]) -> int:
    """Height that a legend of these names takes beyond that of one row."""
    return _LEGEND_ROW_PX * max(math.ceil(len(names) / _columns(names)) - 1, 0)


def _columns(names: Sequence[str]) -> int:
    most = min(max(_LEGEND_LETTERS // max(map(len, names), default=1), 1), _LEGEND_COLUMNS)
    return next((n for n in range(most, 1, -1) if _legend_px(names, n) <= _LEGEND_PX), 1)


def _legend_px(names: Sequence[str], columns: int) -> float:
    """Width of a legend, each column as wide as the longest name in it."""
    longest = [max(map(len, names[k::columns])) for k in range(min(columns, len(names)))]
    return sum(_SYMBOL_PX + _LETTER_PX * letters for letters in longest)


def names_axis(names: Sequence[str]) -> alt.Axis:
    """Axis of names beside bars of `BAR_PX`: long ones go on in further lines, at the ends of their words."""
    lines = {name: _in_lines(name) for name in names}
    expression, most = f"{json.dumps(lines)}[datum.label] || datum.label", max(map(len, lines.values()), default=1)
    if most == 1:
        return alt.Axis(labelExpr=expression, labelOverlap=False)
    # of several lines the first stands at the middle of the bar, unless it is moved up
    up = [
        {
            "test": f"indexof({json.dumps([name for name, its in lines.items() if len(its) == n])}, datum.value) >= 0",
            "value": -_LINE_PX * (n - 1) / 2,
        }
        for n in range(2, most + 1)
    ]
    return alt.Axis(
        labelExpr=expression,
        labelOverlap=False,
        labelFontSize=_LINE_PX - 1,
        labelLineHeight=_LINE_PX,
        labelOffset={"condition": up, "value": 0},
    )


def _in_lines(name: str) -> list[str]:
    lines = [""]
    for word in re.findall(r"[^ _.-]+[ _.-]?|[ _.-]", name):
        if lines[-1] and len(lines[-1] + word) > _LINE_LETTERS:
            lines.append("")
        lines[-1] += word
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "".join(lines[_LINES - 1 :])]


AMOUNTS = alt.Axis(labelOverlap="parity", labelSeparation=12)
"""Axis of amounts, whose figures are apart."""
ZOOM = "zoom"
"""Name of what is chosen of the time in `stacked` charts."""


def stacked(rows: Sequence[Any]) -> Any:
    """Titled charts below each other whose x axes move together: drag to move, scroll to zoom."""
    zoom = alt.selection_interval(name=ZOOM, bind="scales", encodings=["x"])
    with warnings.catch_warnings():
        # that all rows share one selection is meant, which altair remarks on
        warnings.filterwarnings("ignore", "Automatically deduplicated selection parameter")
        return alt.vconcat(*(_titled_at_its_axis(row).add_params(zoom) for row in rows))


def _titled_at_its_axis(row: Any) -> Any:
    """The chart with its title where its axis begins: titles of rows are in line whatever the width of their labels."""
    title = row.title if isinstance(row.title, alt.TitleParams) else alt.TitleParams(row.title)
    title.frame, title.anchor = "group", "start"
    found = row.copy(deep=False)
    found.title = title
    return found


def latency(topologies: Summaries, metric: str, title: str) -> Any:
    """p50, p90 and p99 of one latency by topology, on a logarithmic scale."""
    rows = [
        {"topology": name, "percentile": share, "seconds": summary["metrics"][metric][share]}
        for name, summary in topologies.items()
        for share in ("p50", "p90", "p99")
    ]
    return (
        alt.Chart(pd.DataFrame(rows), title=title, width=_WIDTH, height=_HEIGHT)
        .mark_bar()
        .encode(
            x=alt.X("percentile:N", title=None, axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("topology:N", sort=list(topologies)),
            y=alt.Y("seconds:Q", scale=alt.Scale(type="symlog", constant=0.01), title="s"),
            color=topology_colour(list(topologies)),
            tooltip=["topology", "percentile", alt.Tooltip("seconds", format=".4f")],
        )
    )


def _around(values: Sequence[float]) -> list[float]:
    """Ends of an axis that leave room beside the outermost values, and never begin below zero."""
    room = _ROOM * (max(values) - min(values)) or _ROOM * max(values) or 1.0
    return [max(min(values) - room, 0.0), max(values) + room]


def seen_sizes(across: Sequence[float | None], up: Sequence[float | None], size: float) -> list[float]:
    """Areas of points drawn one after another, such that of each under others a rim is seen.

    Parameters
    ----------
    across, up : where they are, in order of drawing
    size : of one that nothing covers
    """
    places = np.array([across, up], float)
    span = np.array([np.ptp(row[np.isfinite(row)]) if np.isfinite(row).any() else 0.0 for row in places])
    found = []
    for k in range(places.shape[1]):
        apart = np.abs(places[:, k + 1 :] - places[:, k : k + 1])
        above = int(np.all(apart <= _COVERED * span[:, None], axis=0).sum())
        found.append(size * (1 + min(above, _MOST_RIMS)))
    return found


def cost_against_attainment(topologies: Summaries, names: Sequence[str] = ()) -> Any:
    """Each topology by cost per month and share of requests within the SLO; `names` are all that colours go by."""
    cost = column("usd_per_month")
    rows = [
        {
            "topology": name,
            cost: converted(summary["cost"]["usd_per_month"]),
            "attainment": summary["metrics"]["slo_attainment"],
            "SLO met": met_words(met_throughout(summary)),
        }
        for name, summary in topologies.items()
    ]
    data = pd.DataFrame(rows)
    data["size"] = seen_sizes(list(data[cost]), list(data["attainment"]), 160)
    return (
        alt.Chart(data, title="Cost against service level", width=_WIDTH, height=_HEIGHT)
        .mark_point(filled=True)
        .encode(
            size=alt.Size("size:Q", scale=None),
            x=alt.X(
                f"{cost}:Q",
                title=figure("usd_per_month").label,
                scale=alt.Scale(domain=_around([row[cost] for row in rows]), nice=False),
                axis=AMOUNTS,
            ),
            y=alt.Y(
                "attainment:Q",
                title=figure("slo_attainment").label,
                axis=alt.Axis(format=".4~%"),
                scale=alt.Scale(zero=False),
            ),
            color=topology_colour(list(names or topologies)),
            shape=alt.Shape(
                "SLO met:N",
                scale=alt.Scale(domain=["yes", "no", "not known"], range=["circle", "cross", "diamond"]),
                legend=plain_legend(orient="top"),
            ),
            tooltip=["topology", alt.Tooltip(cost, format=",.0f"), alt.Tooltip("attainment", format=".2%")],
        )
    )
