"""Cost: where does the money go?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.context import Context
from dashboard.loading import table
from simulator.report.cost_charts import BASES, cumulative_spending, items, line_items


def show(context: Context) -> None:
    """Line items by month, by million tokens or over the horizon; spending over the months; the table."""
    st.title("Cost")
    st.caption("Where does the money go? Idle, spare and unused capacity are items of their own.")
    basis = st.segmented_control(
        "Per", list(BASES), default="month", key="cost.basis", bind="query-params", format_func=lambda name: BASES[name]
    )
    data = items(table(context.bundle, "costs"), context.topologies, basis or "month")
    st.altair_chart(line_items(data, list(context.topologies), BASES[basis or "month"]), key="cost.items")
    wasted = data[data["is_unused"]].groupby("topology", sort=False)["usd"].sum()
    for name, usd in wasted.items():
        share = usd / max(data.loc[data["topology"] == name, "usd"].sum(), 1e-12)
        st.caption(f"{name}: {share:.0%} (\\${usd:,.2f}) pays for what is idle, spare or unused.")
    st.subheader("Spending over the months")
    st.altair_chart(cumulative_spending(context.topologies, context.names), key="cost.flow")
    columns = st.columns(max(len(context.topologies), 1))
    for column, (name, found) in zip(columns, context.topologies.items(), strict=True):
        column.metric(f"{name}: present value", f"${-found['cost']['npv_usd'] / 1e6:,.2f}M", border=True)
    shown = data[["topology", "pool", "category", "name", "quantity", "unit", "usd"]]
    st.dataframe(
        pd.DataFrame(shown),
        hide_index=True,
        key="cost.table",
        column_config={"usd": st.column_config.NumberColumn(BASES[basis or "month"], format="%.2f")},
    )
