"""Charts of what users feel: distribution functions with the SLO, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.report.charts import BAR_PX, Summaries, legend_px, names_axis, names_legend, topology_colour
from simulator.report.coinciding import WIDTH, with_widths

TITLES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "E2E", "queue_s": "Queue"}
_CURVES_PX = 300
_LEAST_S = 1e-3
"""Shorter times are drawn here: the axis is logarithmic."""
_TIMES = alt.Axis(
    values=[digit * 10.0**power for power in range(-3, 6) for digit in (1, 2, 5)],
    format="~g",
    labelOverlap="parity",
    labelSeparation=6,
)
_PARTS = {
    "cascade": "#56B4E9",
    "queue": "#E69F00",
    "cold start": "#D55E00",
    "prefill": "#0072B2",
    "transfer": "#CC79A7",
    "decode": "#009E73",
}


def distribution(
    latency: pd.DataFrame, metric: str, names: Sequence[str], limits: Sequence[tuple[float, float]]
) -> Any:
    """Share of requests within a latency, by topology, logarithmic in time.

    Parameters
    ----------
    latency : rows of `latency.parquet` of one class
    limits : (share, limit in s) of the SLO's terms; each is a cross that the curves must pass above or to the left of
    """
    data = latency[latency["metric"] == metric].assign(value_s=latency["value_s"].clip(lower=_LEAST_S))
    curves = (
        alt.Chart(with_widths(data, "value_s", "share"))
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("value_s:Q", title=f"{TITLES[metric]} [s]", scale=alt.Scale(type="log"), axis=_TIMES),
            y=alt.Y("share:Q", title="share of requests", axis=alt.Axis(format=".0%")),
            color=topology_colour(names),
            strokeWidth=WIDTH,
            tooltip=[
                alt.Tooltip("topology"),
                alt.Tooltip("share", format=".2%"),
                alt.Tooltip("value_s", format=".4g", title="s"),
            ],
        )
        .interactive(bind_y=False)
    )
    height = _CURVES_PX + legend_px(names)
    if not limits:
        return curves.properties(height=height)
    terms = pd.DataFrame([{"share": share, "limit_s": limit, "SLO": f"p{100 * share:g}"} for share, limit in limits])
    base, limit = alt.Chart(terms), alt.X("limit_s:Q")
    rule = base.mark_rule(color="#D55E00", strokeDash=[4, 3]).encode(x=limit)
    cross = base.mark_point(shape="cross", size=160, color="#D55E00", filled=True).encode(
        x=limit, y=alt.Y("share:Q"), tooltip=[alt.Tooltip("SLO"), alt.Tooltip("limit_s", title="limit [s]")]
    )
    return alt.layer(curves, rule, cross).properties(height=height)


def breakdown(topologies: Summaries, class_name: str) -> Any:
    """Mean seconds of a completed request by part; the bars' length is the mean E2E."""
    rows = [
        {"topology": name, "part": part, "seconds": seconds, "order": k}
        for name, summary in topologies.items()
        for k, (part, seconds) in enumerate(summary["metrics"]["classes"][class_name]["breakdown_s"].items())
    ]
    order = list(_PARTS)
    data = pd.DataFrame(rows)
    data["order"] = data["part"].map(order.index)
    return (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("seconds:Q", title="mean time of a request [s]"),
            y=alt.Y("topology:N", sort=list(topologies), title=None, axis=names_axis(list(topologies))),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=order, range=list(_PARTS.values())),
                title="part",
                legend=names_legend(order),
            ),
            order=alt.Order("order:Q"),
            tooltip=[alt.Tooltip("topology"), alt.Tooltip("part"), alt.Tooltip("seconds", format=".4f")],
        )
        .properties(height=alt.Step(BAR_PX))
    )
