"""Latency: what do users feel?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.flow import flow
from dashboard.components.table import show_table
from dashboard.context import Context
from dashboard.loading import resolved, table
from simulator.figures.table import figure, met_words
from simulator.report.latency_charts import TITLES, breakdown, distribution

_CHART_PX = 380
"""Least width with room for three names in its legend."""


def show(context: Context) -> None:
    """Distributions with the SLO, where the time goes, the terms of the SLO."""
    st.title("Latency")
    st.caption("What do users feel? A curve must pass above each orange cross: so many requests within that time.")
    first = next(iter(context.topologies.values()))
    class_name = st.selectbox("Class", list(first["metrics"]["classes"]), key="latency.class", bind="query-params")
    data = table(context.bundle, "latency")
    data = data[(data["class"] == class_name) & data["topology"].isin(list(context.topologies))]
    if data.empty:
        st.info("No request of this class was completed, so there is no latency to show.", icon=":material/inbox:")
        _terms(context)
        return
    charts = flow("latency.charts", _CHART_PX)
    for metric in (metric for metric in TITLES if (data["metric"] == metric).any()):
        chart = distribution(data, metric, context.names, _limits(context, str(class_name), metric))
        with charts.container():
            show_chart(chart, f"latency.{metric}", f"share of requests within each {TITLES[metric]}, by topology")
    st.header("Where the time goes")
    show_chart(breakdown(context.topologies, str(class_name)), "latency.breakdown", "mean time of a request, by part")
    st.caption(
        "Queue: from arrival until a step, or a token API, took the request up. Cold start: what of that it waited "
        "before a pool without a ready replica. Cascade: until a first answer that nobody saw had been checked."
    )
    _terms(context)
    _itl(context)


def _limits(context: Context, class_name: str, metric: str) -> list[tuple[float, float]]:
    cls = next(cls for cls in resolved(context.bundle).scenario.workload.classes if cls.name == class_name)
    limits = getattr(cls.slo, metric, {})
    return [(float(share[1:]) / 100, limit) for share, limit in limits.items()]


def _terms(context: Context) -> None:
    rows = [
        {
            "topology": name,
            "class": term["class"],
            "term": term["term"],
            "held by": "not known" if term["met"] is None else figure("slo_attainment").text(term["share"]),
            "met": met_words(term["met"]),
        }
        for name, found in context.topologies.items()
        for term in found["metrics"]["slo_terms"]
    ]
    if rows:
        st.header("Terms of the SLO")
        show_table(pd.DataFrame(rows), key="latency.terms", height="content")


def _itl(context: Context) -> None:
    st.header("Gaps between tokens (ITL)")
    rows = [
        {"topology": name, **{share: found["metrics"]["itl_s"][share] for share in ("p50", "p90", "p95", "p99")}}
        for name, found in context.topologies.items()
        if found["metrics"]["itl_s"]["p50"] is not None
    ]
    if not rows:
        st.caption(why_no_gaps(context.topologies))
        return
    data = pd.DataFrame(rows)
    data[["p50", "p90", "p95", "p99"]] *= 1e3
    config = {
        share: st.column_config.NumberColumn(f"{share} [ms]", format="%.1f") for share in ("p50", "p90", "p95", "p99")
    }
    show_table(data, key="latency.itl", column_config=config)


def why_no_gaps(topologies: Mapping[str, Mapping[str, Any]]) -> str:
    """Why no topology shows times between tokens."""
    has_second = any(found["metrics"]["tpot_s"]["p50"] is not None for found in topologies.values())
    return "Token APIs show only their mean gap." if has_second else "No answer has a second token."
