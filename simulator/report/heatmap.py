"""One value or two that a sweep varies, as load and size: who keeps the SLO for how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.figures.table import figure, met_words
from simulator.scenario.short_names import short_names

_CELL_PX = 64
_LEAST_RANGE = 0.01
"""Of the colours: what differs by less is about the same."""


def heatmap(table: pd.DataFrame, paths: Sequence[str]) -> Any:
    """A field for each pair of values, a panel for each topology; of one value a row for each topology.

    None where a sweep varies more, or nothing could be simulated.

    The colour is the SLO attainment, the words are the bill of a month, in brackets where the SLO is missed or not
    known.

    Parameters
    ----------
    table : `sweep.parquet` of the sweep's bundle
    paths : what it varies, the keys of `grid` in its manifest
    """
    done = table[table["status"] == "ok"]
    if len(paths) not in (1, 2) or done.empty:
        return None
    across, *second = short_names(paths).values()
    up = second[0] if second else "topology"
    kept, money = figure("slo_attainment"), figure("usd_per_month")
    met = [None if pd.isna(value) else bool(value) for value in done["slo_met"]]
    bills = [money.text(usd) for usd in done["usd_per_month"]]
    data = pd.DataFrame(
        {
            "topology": done["topology"].tolist(),
            "across": done[paths[0]].tolist(),
            "up": done[paths[1] if second else "topology"].tolist(),
            "attainment": done["slo_attainment"].astype(float).tolist(),
            "SLO met": [met_words(value) for value in met],
            "bill": [bill if value else f"({bill})" for bill, value in zip(bills, met, strict=True)],
        }
    )
    names = list(dict.fromkeys(data["topology"]))
    base = alt.Chart(data).encode(
        x=alt.X("across:O", title=across, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("up:O", title=up if second else None, sort="descending" if second else names),
        tooltip=[
            "topology",
            alt.Tooltip("across", title=across),
            *([alt.Tooltip("up", title=up)] if second else []),
            alt.Tooltip("attainment", title=kept.label, format=".2%"),
            "SLO met",
            alt.Tooltip("bill", title=money.label),
        ],
    )
    lowest = min(float(data["attainment"].min()), 1 - _LEAST_RANGE)
    colour = alt.Color(
        "attainment:Q",
        title=kept.label,
        scale=alt.Scale(scheme="viridis", domain=[lowest, 1]),
        legend=alt.Legend(format=".3~%", orient="bottom", tickCount=3),
    )
    is_dark = alt.datum["attainment"] < (1 + lowest) / 2
    words = base.mark_text(fontSize=11).encode(
        text="bill:N", color=alt.condition(is_dark, alt.value("white"), alt.value("black"))
    )
    size = {"width": alt.Step(_CELL_PX + 16), "height": alt.Step(_CELL_PX // 2)}
    layered = alt.layer(base.mark_rect().encode(color=colour), words).properties(**size)
    return layered.facet(column=alt.Column("topology:N", title=None, sort=names)) if second else layered
