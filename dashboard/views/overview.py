"""Overview: which topology, and how sure?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.comparison import show_comparison, slo_badge
from dashboard.components.decision import show_months, show_sizes, show_verdict
from dashboard.components.flow import flow
from dashboard.components.why import show_why
from dashboard.components.words import plain, sentence
from dashboard.context import Context
from dashboard.loading import decision
from simulator.figures.table import figure
from simulator.report.charts import cost_against_attainment, legend_px
from simulator.report.table import warnings

_METRIC_PX, _CARD_PX = 155, 190
"""At 1280 px four cards stand beside each other; figures of one below each other, on a phone two beside each other."""
_CHART_PX = 480
"""With its title, axes and legends."""


def show(context: Context) -> None:
    """Verdict, key figures against the baseline, sizes, months, comparison and warnings of the run."""
    summary = context.bundle.summary
    st.title(plain(summary["scenario"]))
    st.caption(plain(summary["description"]))
    if context.bundle.manifest.get("status") == "partial":
        st.warning("This run was interrupted: it holds what was done by then.", icon=":material/warning:")
    decided = decision(context.bundle)
    show_verdict(decided["verdict"])
    _trust(context)
    cards = flow("overview.cards", _CARD_PX)
    for name, found in context.topologies.items():
        with cards.container(border=True, height="stretch"):
            _card(name, found, context.topologies[context.baseline], name == context.baseline)
    show_why(context)
    above = st.container()
    # the browser loads what draws a chart as one comes: it stands below the tables, and is sent before them
    chart = cost_against_attainment(context.topologies, context.names)
    height = _CHART_PX + legend_px(context.names)
    words = "cost per month against SLO attainment, by topology"
    show_chart(chart.properties(width="container", height=height), "overview.chart", words)
    with above:
        show_sizes(context.bundle, context.topologies)
        show_months(decided, context.names, list(context.topologies))
        show_comparison(context.topologies, "overview.table")
    _warnings(context)


def _card(name: str, found: Mapping[str, Any], base: Mapping[str, Any], is_baseline: bool) -> None:
    st.markdown(f"**{plain(name)}** {slo_badge(found)}" + (" :gray-badge[baseline]" if is_baseline else ""))
    row = st.container(horizontal=True)
    cost, base_cost = found["cost"]["usd_per_month"], base["cost"]["usd_per_month"]
    change = None if is_baseline or not base_cost else _delta(100 * (cost / base_cost - 1), "+.0f", "%")
    money = figure("usd_per_month")
    row.metric(f":small[{money.label}]", money.text(cost), change, delta_color="inverse", width=_METRIC_PX)
    million = figure("usd_per_million_tokens")
    row.metric(f":small[{million.label}]", million.text(found["cost"][million.id]), width=_METRIC_PX)
    kept = figure("slo_attainment")
    share, base_share = found["metrics"][kept.id], base["metrics"][kept.id]
    known = share is not None and base_share is not None and not is_baseline
    points = _delta(100 * (share - base_share), "+.2f", "points") if known else None
    row.metric(f":small[{kept.label}]", kept.text(share), points, width=_METRIC_PX)
    first = figure("ttft_p99_s")
    p99, base_p99 = (metrics["metrics"]["ttft_s"]["p99"] for metrics in (found, base))
    known = p99 is not None and base_p99 is not None and not is_baseline
    later = _delta(first.factor * (p99 - base_p99), "+,.0f", first.unit) if known else None
    row.metric(f":small[{first.label}]", first.text(p99), later, delta_color="inverse", width=_METRIC_PX)


def _delta(value: float, digits: str, unit: str) -> str | None:
    """A difference with its sign; None where its digits are all zero."""
    text = format(value, digits)
    return f"{text} {unit}" if text.strip("+-0.") else None


def _trust(context: Context) -> None:
    """What keeps the figures from being taken as they are."""
    for text in warnings(context.topologies, {"load"}):
        st.error(sentence(text), icon=":material/trending_up:")
    for text in warnings(context.topologies, {"trust"}):
        st.warning(sentence(text), icon=":material/science:")


def _warnings(context: Context) -> None:
    found = warnings(context.topologies)
    with st.expander(f"What the figures rest on ({len(found)})", expanded=True, icon=":material/info:"):
        for text in found:
            st.markdown(f"- {sentence(text)}")
