"""Overview: which topology, and how sure?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.context import Context
from simulator.report.charts import cost_against_attainment
from simulator.report.table import comparison, warnings

_METRIC_PX = 145
"""One below the other on a desk, two beside each other on a phone."""
_CHART_PX = 420
"""With its title, axes and legends."""


def show(context: Context) -> None:
    """Verdict, key figures against the baseline, comparison and warnings of the run."""
    summary = context.bundle.summary
    st.title(summary["scenario"])
    st.caption(summary["description"])
    if context.bundle.manifest.get("status") == "partial":
        st.warning("This run was interrupted: it holds what was done by then.", icon=":material/warning:")
    st.info(f"**{summary['verdict']}**", icon=":material/gavel:")
    _trust(context)
    columns = st.columns(min(len(context.topologies), 4))
    for k, (name, found) in enumerate(context.topologies.items()):
        with columns[k % len(columns)].container(border=True):
            _card(name, found, context.topologies[context.baseline], name == context.baseline)
    rows, headers = comparison(context.topologies)
    st.dataframe(
        pd.DataFrame(rows, columns=["figure", *headers[1:]]), hide_index=True, key="overview.table", height="content"
    )
    st.altair_chart(
        cost_against_attainment(context.topologies, context.names).properties(width="container", height=_CHART_PX),
        key="overview.chart",
    )
    _warnings(context)


def _card(name: str, found: Mapping[str, Any], base: Mapping[str, Any], is_baseline: bool) -> None:
    met = found["metrics"]["slo_met"]
    badge = ":green-badge[:material/check: SLO met]" if met else ":red-badge[:material/close: SLO missed]"
    st.markdown(f"**{name}** {badge}" + (" :gray-badge[baseline]" if is_baseline else ""))
    row = st.container(horizontal=True)
    cost, base_cost = found["cost"]["usd_per_month"], base["cost"]["usd_per_month"]
    change = None if is_baseline or not base_cost else f"{100 * (cost / base_cost - 1):+.0f} %"
    row.metric("Cost per month", f"${cost:,.0f}", change, delta_color="inverse", width=_METRIC_PX)
    million = found["cost"]["usd_per_million_tokens"]
    row.metric("Cost per 1M tokens", "-" if million is None else f"${million:,.3f}", width=_METRIC_PX)
    share, base_share = found["metrics"]["slo_attainment"], base["metrics"]["slo_attainment"]
    points = None if is_baseline else f"{100 * (share - base_share):+.2f} points"
    row.metric("SLO attainment", f"{share:.2%}", points, width=_METRIC_PX)
    p99 = found["metrics"]["ttft_s"]["p99"]
    base_p99 = base["metrics"]["ttft_s"]["p99"]
    known = p99 is not None and base_p99 is not None
    later = f"{1e3 * (p99 - base_p99):+,.0f} ms" if known and not is_baseline else None
    value = "-" if p99 is None else f"{1e3 * p99:,.0f} ms"
    row.metric("TTFT p99", value, later, delta_color="inverse", width=_METRIC_PX)


def _trust(context: Context) -> None:
    """What keeps the figures from being taken as they are."""
    for text in warnings(context.topologies, {"load"}):
        st.error(text.replace("$", "\\$"), icon=":material/trending_up:")
    for text in warnings(context.topologies, {"trust"}):
        st.warning(text.replace("$", "\\$"), icon=":material/science:")


def _warnings(context: Context) -> None:
    found = warnings(context.topologies)
    with st.expander(f"What the figures rest on ({len(found)})", expanded=True, icon=":material/info:"):
        for text in found:
            st.markdown(f"- {text}".replace("$", "\\$"))
